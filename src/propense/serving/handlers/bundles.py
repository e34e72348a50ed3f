"""The shelf over HTTP: list, promote, roll back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from propense.errors import BundleError, SettingsError, SourceError
from propense.inference.shelf import find_version, list_versions, promote, rollback, version_before
from propense.runtime.engine import ScoringEngine
from propense.runtime.loaded_bundles import Bundles
from propense.security.signing import Signers
from propense.serving.handlers.recording import AuditedHost, recorded
from propense.serving.messages.bundles import (
    BundleLine,
    BundlesAnswer,
    ItemSetAside,
    PromoteQuestion,
)
from propense.serving.operations.least_bundle import LeastBundle
from propense.serving.reloading import Reloader
from propense.times import MICROS_PER_SECOND
from propense.web.problems import Problem
from propense.web.request import Request

MOST_NAMED: Final = 100
"""Items set aside that an answer names."""


class ShelfHost(AuditedHost, Protocol):
    """What these routes use of the service."""

    shelf: Path
    bundles: Bundles
    least: LeastBundle
    signers: Signers
    reloader: Reloader

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
        content=host.engine.packed.manifest.content,
        refusal=host.reloader.refusal,
        set_aside=[
            ItemSetAside(item_id=item_id, reason=reason)
            for item_id, reason in host.engine.set_aside[:MOST_NAMED]
        ],
        n_set_aside=len(host.engine.set_aside),
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
        async with recorded(request, "promote", {"version": version}):
            await asyncio.to_thread(
                promote, host.shelf, version, question.reason or None, _iso_time(request.now),
                host.signers,
            )  # fmt: skip
            await asyncio.to_thread(host.least.allow, version)
            await host.swap(version)
    except (BundleError, SettingsError, SourceError) as error:
        raise Problem(409, str(error)) from error
    host.announce("promote", {"version": version})
    return await show(request)


async def roll_back(request: Request[ShelfHost]) -> BundlesAnswer:
    """Let the bundle before the present one serve again."""
    host = request.host
    try:
        # A bundle that cannot be opened here must not serve again.
        before = await asyncio.to_thread(version_before, host.shelf)
        await host.bundles.open(before)
        async with recorded(request, "rollback", {"version": before}):
            version = await asyncio.to_thread(
                rollback, host.shelf, _iso_time(request.now), host.signers
            )
            await asyncio.to_thread(host.least.allow, version)
            await host.swap(version)
    except (BundleError, SettingsError, SourceError) as error:
        raise Problem(409, str(error)) from error
    host.announce("rollback", {"version": version})
    return await show(request)


def _iso_time(micros: int) -> str:
    """A time as the shelf records it."""
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC).isoformat(timespec="seconds")
