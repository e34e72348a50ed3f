"""The shelf over HTTP: list, promote, roll back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from propense.errors import BundleError, SettingsError, SourceError
from propense.inference.shelf import find_version, list_versions, promote, rollback, version_before
from propense.runtime.engine import ScoringEngine
from propense.runtime.loaded_bundles import Bundles
from propense.security.audit import AuditLog, Detail
from propense.serving.messages.bundles import BundleLine, BundlesAnswer, PromoteQuestion
from propense.times import MICROS_PER_SECOND
from propense.web.endpoint import Host
from propense.web.problems import Problem
from propense.web.request import Request


class ShelfHost(Host, Protocol):
    """What these routes use of the service."""

    shelf: Path
    bundles: Bundles
    audit: AuditLog

    @property
    def public_keys(self) -> Sequence[bytes]: ...

    @property
    def engine(self) -> ScoringEngine: ...

    async def swap(self, version: str) -> None: ...

    def announce(self, kind: str, content: dict[str, Any]) -> None: ...


async def show(request: Request[ShelfHost]) -> BundlesAnswer:
    """Every bundle, and the one that serves here."""
    host = request.host
    versions = await asyncio.to_thread(list_versions, host.shelf)
    return BundlesAnswer(
        serving=host.engine.version,
        bundles=[
            BundleLine(
                version=version.name, content=version.content, made=version.made,
                serving=version.serving, error=version.error,
            )
            for version in versions
        ],
    )  # fmt: skip


async def promote_bundle(request: Request[ShelfHost]) -> BundlesAnswer:
    """Promote a bundle that passes the gate; it serves before this answers."""
    question = request.read_body(PromoteQuestion)
    host = request.host
    version = question.version
    try:
        await asyncio.to_thread(find_version, host.shelf, version)
        # A bundle that cannot be opened here must not be promoted.
        await host.bundles.open(version)
        await asyncio.to_thread(
            promote, host.shelf, version, question.reason or None, _iso_time(request.now),
            host.public_keys,
        )  # fmt: skip
        await host.swap(version)
    except (BundleError, SettingsError, SourceError) as error:
        raise Problem(409, str(error)) from error
    await _record(request, "promote", version)
    return await show(request)


async def roll_back(request: Request[ShelfHost]) -> BundlesAnswer:
    """Let the bundle before the present one serve again."""
    host = request.host
    try:
        # A bundle that cannot be opened here must not serve again.
        await host.bundles.open(await asyncio.to_thread(version_before, host.shelf))
        version = await asyncio.to_thread(
            rollback, host.shelf, _iso_time(request.now), host.public_keys
        )
        await host.swap(version)
    except (BundleError, SettingsError, SourceError) as error:
        raise Problem(409, str(error)) from error
    await _record(request, "rollback", version)
    return await show(request)


async def _record(request: Request[ShelfHost], action: str, version: str) -> None:
    """Write to the audit log, which waits for the disk, and tell the webhooks."""
    detail: Detail = {"version": version}
    await asyncio.to_thread(
        request.host.audit.append, request.now, request.actor, action, None, detail
    )
    request.host.announce(action, {"version": version})


def _iso_time(micros: int) -> str:
    """A time as the shelf records it."""
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).isoformat(timespec="seconds")
