"""What answers: the shelf from afar."""

from __future__ import annotations

import asyncio

from propense.errors import BundleError, SettingsError, SourceError
from propense.inference.shelf import find_version, list_versions, promote, rollback, version_before
from propense.serving.door import Call
from propense.serving.messages import BundleLine, BundlesAnswer, PromoteQuestion
from propense.serving.service import iso
from propense.web.problems import Problem


async def show(call: Call) -> BundlesAnswer:
    """Every bundle, and which one answers here."""
    service = call.service
    versions = await asyncio.to_thread(list_versions, service.shelf)
    return BundlesAnswer(
        serving=service.engine.version,
        bundles=[
            BundleLine(
                version=version.name, content=version.content, made=version.made,
                serving=version.serving, error=version.error,
            )
            for version in versions
        ],
    )  # fmt: skip


async def let_serve(call: Call) -> BundlesAnswer:
    """Promote through the gate; it answers before this does."""
    question = call.read(PromoteQuestion)
    service = call.service
    shelf, version = service.shelf, question.version
    try:
        await asyncio.to_thread(find_version, shelf, version)
        # What cannot be opened here must not be promoted.
        await service.bundles.open(version)
        await asyncio.to_thread(
            promote, shelf, version, question.reason or None, iso(call.now), service.public_keys
        )
        await service.swap(version)
    except (BundleError, SettingsError, SourceError) as error:
        raise Problem(409, str(error)) from error
    _write_down(call, "promote", version)
    return await show(call)


async def roll_back(call: Call) -> BundlesAnswer:
    """Let the bundle before the present one answer again."""
    service = call.service
    try:
        # What cannot be opened here must not be gone back to.
        await service.bundles.open(await asyncio.to_thread(version_before, service.shelf))
        version = await asyncio.to_thread(
            rollback, service.shelf, iso(call.now), service.public_keys
        )
        await service.swap(version)
    except (BundleError, SettingsError, SourceError) as error:
        raise Problem(409, str(error)) from error
    _write_down(call, "rollback", version)
    return await show(call)


def _write_down(call: Call, action: str, version: str) -> None:
    actor = call.key.prefix if call.key is not None else ""
    call.service.doors.audit.append(call.now, actor, action, None, {"version": version})
    call.service.announce(action, {"version": version})
