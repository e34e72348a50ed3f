"""Bulk import: lines of JSON, each a Segment message or a plain event, the bad ones named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from propense.errors import nearest
from propense.history.records import CustomerUpdate, LiveEvent
from propense.ingest.mapping import Mapper
from propense.ingest.numbers import read_count, read_money
from propense.ingest.segment import (
    MESSAGE_KINDS,
    IngestError,
    Message,
    Refusal,
    TooLargeError,
    TrackingCall,
    moment_of,
    read_document,
    text_id,
    type_name,
)
from propense.ingest.strict_json import is_deeper, pointer
from propense.ingest.timestamps import event_moment
from propense.ingest.updates import check_id, make_updates
from propense.settings import Limits

LONGEST_LINE: Final = 64_000
"""Bytes of a line."""
LINES_AT_A_TIME: Final = 1_000
PLAIN_FIELDS: Final = (
    "user_id", "action", "event_time", "item_id", "value", "count", "source", "event_id",
)  # fmt: skip


class Import(NamedTuple):
    """What lines are read with."""

    mapper: Mapper
    limits: Limits
    received: int
    """Microseconds UTC."""
    source: str | None = None
    """The key's own."""
    write_key: str | None = None
    verifying: bool = False


def read_lines(body: bytes, given: Import) -> Iterator[tuple[list[CustomerUpdate], list[Refusal]]]:
    """Deeds and refusals of the unpacked body, some lines at a time and in their order, so that
    memory holds no more than those. A refusal's place is /LINE, counted from 1, then the place
    within the line. Empty lines are passed over.

    A plain event is {"user_id", "action", "event_time", ...}: `event_time` ISO 8601, `value` in
    units of the currency. Moments are believed as they are, apart from those after receipt.
    Raises TooLargeError before the first line where the body is larger than allowed.
    """
    if len(body) > given.limits.import_bytes:
        raise TooLargeError(
            "", f"the import holds more than {given.limits.import_bytes:,} bytes; send it in parts"
        )
    return _read(body, given)


def _read(body: bytes, given: Import) -> Iterator[tuple[list[CustomerUpdate], list[Refusal]]]:
    updates: list[CustomerUpdate] = []
    refusals: list[Refusal] = []
    number = start = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        number += 1
        if end - start > LONGEST_LINE:
            refusals.append(Refusal(f"/{number}", f"has more than {LONGEST_LINE:,} bytes"))
        else:
            line = body[start:end].strip()
            if line:
                try:
                    updates.append(_update(line, f"/{number}", given))
                except IngestError as error:
                    refusals.append(Refusal(error.place or f"/{number}", error.reason))
        start = end + 1
        if number % LINES_AT_A_TIME == 0 and (updates or refusals):
            yield updates, refusals
            updates, refusals = [], []
    if updates or refusals:
        yield updates, refusals


def _update(line: bytes, place: str, given: Import) -> CustomerUpdate:
    body, faults = read_document(line)
    if faults:
        raise IngestError(place + pointer(faults[0].path), faults[0].reason)
    if type(body) is not dict:
        raise IngestError(place, f"must be an object; got {type_name(body)}")
    if is_deeper(body, given.limits.depth):
        raise IngestError(place, f"is nested deeper than {given.limits.depth} levels; flatten it")
    if "type" not in body or "user_id" in body:
        return _plain(body, line, place, given)
    kind = body["type"]
    if type(kind) is not str or kind not in MESSAGE_KINDS:
        hint = nearest(kind[:40] if type(kind) is str else "", MESSAGE_KINDS)
        raise IngestError(f"{place}/type", f"is no kind of message; {hint}")
    call = TrackingCall(given.write_key, None, [Message(kind, place, body)])  # type: ignore[arg-type]
    updates, refusals = make_updates(
        call, given.mapper, given.received, given.source, False, given.verifying
    )
    if refusals:
        raise IngestError(refusals[0].place, refusals[0].reason)
    return updates[0]


def _plain(body: dict[str, Any], line: bytes, place: str, given: Import) -> CustomerUpdate:
    for key in body:
        if key not in PLAIN_FIELDS:
            raise IngestError(
                place, f"unknown field {key[:40]!a}; {nearest(key[:40], PLAIN_FIELDS)}"
            )
    user_id = text_id(body.get("user_id"), f"{place}/user_id")
    action = text_id(body.get("action"), f"{place}/action")
    stated = moment_of(body, "event_time", place)
    if stated is None and given.verifying:
        # Data that has order only: what comes later is later.
        stated = given.received
    if user_id is None or action is None or stated is None:
        missing = "user_id" if user_id is None else "action" if action is None else "event_time"
        raise IngestError(f"{place}/{missing}", "is missing; a plain event needs it")
    check_id(user_id, f"{place}/user_id", given.verifying)
    # A test's customers keep the clock of the data they come from.
    until = stated if given.verifying else given.received
    moment, clamped = event_moment(stated, None, until)
    given.mapper.n_clamped += clamped
    if moment < 0:
        raise IngestError(f"{place}/event_time", "lies before 1970")
    value, count = body.get("value"), body.get("count")
    own_source = text_id(body.get("source"), f"{place}/source")
    event_id = text_id(body.get("event_id"), f"{place}/event_id")
    if event_id is None:
        data = (given.write_key or "").encode() + b"\n" + line
        event_id = "own:" + hashlib.blake2b(data, digest_size=20).hexdigest()
    event = LiveEvent(
        moment,
        given.mapper.action(action),
        text_id(body.get("item_id"), f"{place}/item_id"),
        None if value is None or value == "" else read_money(value, f"{place}/value"),
        None if count is None or count == "" else read_count(count, f"{place}/count"),
        given.mapper.source(own_source or given.source),
    )
    return CustomerUpdate(
        message_id=event_id, user_id=user_id, received=given.received, events=(event,)
    )
