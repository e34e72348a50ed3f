"""Events come in: the calls of existing SDKs, and bulk imports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from propense.history.records import CustomerUpdate, WriteResult
from propense.ingest.browser_settings import site_settings
from propense.ingest.json_lines import Import, read_lines
from propense.ingest.segment import KINDS, Kind, Refusal, decode, unpack
from propense.ingest.updates import make_updates
from propense.security.keys import KeyRecord
from propense.serving.door import Call, Handler, Reply
from propense.serving.messages import IngestAnswer
from propense.web.problems import Problem

_TOLD: Final = 20
"""Refusals that an answer names; the others are counted."""


def receive(kind: Kind) -> Handler:
    """The handler of one kind of call."""

    async def handle(call: Call) -> IngestAnswer:
        limits = call.service.serve.limits
        body = unpack(call.body, _encoding(call), limits.body_bytes)
        read = decode(body, kind, limits)
        presented = call.presented() or read.write_key
        key = call.enter(presented, ("ingest", "verify"))
        call.weigh(len(read.messages) - 1)
        read = msgspec.structs.replace(read, write_key=key.prefix)
        verifying = key.may("verify")
        updates, refusals = make_updates(
            read, call.service.mapper, call.now, key.source, not verifying, verifying
        )
        return await _keep(call, key, updates, refusals)

    return handle


async def receive_lines(call: Call) -> IngestAnswer:
    """A bulk import: one message or plain event a line."""
    limits = call.service.serve.limits
    key = call.key
    assert key is not None, "the door lets nobody in without one"
    body = unpack(call.body, _encoding(call), limits.import_bytes)
    if not body:
        raise Problem(400, "the body is empty; send a message or an event a line")
    given = Import(
        mapper=call.service.mapper, limits=limits, received=call.now, source=key.source,
        write_key=key.prefix, verifying=key.may("verify"),
    )  # fmt: skip
    kept = IngestAnswer(success=True, kept=0)
    for updates, refusals in read_lines(body, given):
        call.weigh(len(updates))
        kept = _add(kept, await _keep(call, key, updates, refusals))
    return kept


async def browser_settings(call: Call) -> Reply:
    """What the browser library asks for before it sends anything."""
    write_key = call.path["key"]
    call.enter(write_key, ("ingest", "verify"))
    host = call.headers.get(b"x-forwarded-host") or call.headers.get(b"host", b"")
    scheme = call.headers.get(b"x-forwarded-proto", b"http").decode("latin-1")
    try:
        return Reply(site_settings(write_key, f"{scheme}://{host.decode('latin-1')}"))
    except ValueError as error:
        raise Problem(400, f"the Host header says no host: {error}") from error


async def _keep(
    call: Call, key: KeyRecord, updates: list[CustomerUpdate], refusals: list[Refusal]
) -> IngestAnswer:
    service = call.service
    if not key.may("ingest"):
        refusals += [
            Refusal("/userId", "a key of scope verify alone sends customers of tests alone")
            for update in updates if not update.user_id.startswith("verify:")
        ]  # fmt: skip
        updates = [update for update in updates if update.user_id.startswith("verify:")]
    if service.serve.pseudonyms:
        updates = [_hide(call, update) for update in updates]
    updates, floods = await service.intake.admit(updates, key, call.address, call.now)
    refusals += floods
    outcomes = await service.keep(updates) if updates else []
    service.watch.kept(updates, outcomes, len(refusals))
    return _answer(outcomes, refusals)


def _hide(call: Call, update: CustomerUpdate) -> CustomerUpdate:
    """The deed under the ids that are kept."""
    previous = update.previous_id
    return msgspec.structs.replace(
        update,
        user_id=call.service.user(update.user_id),
        previous_id=None if previous is None else call.service.user(previous),
    )


def _answer(outcomes: Sequence[WriteResult], refusals: Sequence[Refusal]) -> IngestAnswer:
    return IngestAnswer(
        success=True,
        kept=outcomes.count("kept"),
        repeated=outcomes.count("repeated"),
        refused=len(refusals) + outcomes.count("suppressed"),
        refusals=[f"{refusal.place}: {refusal.reason}" for refusal in refusals[:_TOLD]],
    )


def _add(one: IngestAnswer, other: IngestAnswer) -> IngestAnswer:
    return IngestAnswer(
        success=True,
        kept=one.kept + other.kept,
        repeated=one.repeated + other.repeated,
        refused=one.refused + other.refused,
        refusals=[*one.refusals, *other.refusals][:_TOLD],
    )


def _encoding(call: Call) -> str | None:
    given = call.headers.get(b"content-encoding")
    return None if given is None else given.decode("latin-1")


ROUTES: Final = tuple(sorted(KINDS.items()))
"""(last word of the path, kind of call)."""
