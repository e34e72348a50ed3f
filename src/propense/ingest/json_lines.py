"""Bulk import: lines of JSON, each a Segment message or a plain event."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from propense.history.records import CustomerUpdate, LiveEvent
from propense.ingest.mapping import Mapper
from propense.ingest.numbers import read_count, read_money
from propense.ingest.rules import Ignored
from propense.ingest.segment import (
    MESSAGE_KINDS,
    Hints,
    IngestError,
    Message,
    Refusal,
    TooLargeError,
    TrackingCall,
    read_document,
    text_id,
    time_of,
    type_name,
)
from propense.ingest.strict_json import is_deeper, json_pointer
from propense.ingest.timestamps import event_time
from propense.ingest.updates import check_id, make_updates
from propense.settings import Limits

LONGEST_LINE: Final = 64_000
"""Bytes of a line at most."""
LINES_AT_A_TIME: Final = 1_000
BYTES_AT_A_TIME: Final = 500_000
EVENTS_AT_A_TIME: Final = 5_000
"""Whichever is reached first: a line with a basket is many events."""
_IDENTIFYING: Final = ("messageId", "timestamp", "originalTimestamp")
_SORTED: Final = msgspec.json.Encoder(order="deterministic").encode
PLAIN_FIELDS: Final = (
    "user_id", "action", "event_time", "item_id", "value", "count", "source", "event_id",
)  # fmt: skip


class Import(NamedTuple):
    """How the lines of one import are read."""

    mapper: Mapper
    limits: Limits
    received: int
    """Microseconds UTC."""
    source: str | None = None
    """The source of the key."""
    write_key: str | None = None
    verifying: bool = False
    ignored: Ignored | None = None
    """Collects what was left out of the lines that are kept."""
    trusted: bool = True
    """Whether a server's key sent them."""


class Lines(NamedTuple):
    """Some lines that were read."""

    updates: list[CustomerUpdate]
    refusals: list[Refusal]
    last: int
    """The number of the last one, counted from 1."""


def read_lines(body: bytes, options: Import) -> Iterator[Lines]:
    """Updates and refusals of the unpacked body, some lines at a time and in order, so that memory
    holds only those. A refusal's pointer is /LINE, counted from 1, then the pointer within the
    line. Empty lines are skipped.

    Every line has an id or a time of its own, so that sending it again changes nothing. A plain
    event is {"user_id", "action", "event_time", ...}: `event_time` in ISO 8601, `value` in units of
    the currency. Times are used as they are, except those after the receipt. Raises TooLargeError,
    before the first line, if the body is larger than allowed.
    """
    if len(body) > options.limits.import_bytes:
        raise TooLargeError(
            "", f"the import has more than {options.limits.import_bytes:,} bytes; send it in parts"
        )
    return _read(body, options, Hints())


def _read(body: bytes, options: Import, hints: Hints) -> Iterator[Lines]:
    updates: list[CustomerUpdate] = []
    refusals: list[Refusal] = []
    number = start = began = n_events = 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        number += 1
        if end - start > LONGEST_LINE:
            refusals.append(Refusal(f"/{number}", f"the line has more than {LONGEST_LINE:,} bytes"))
        else:
            line = body[start:end].strip()
            if line:
                try:
                    updates.append(_update(line, f"/{number}", options, hints))
                    n_events += len(updates[-1].events)
                except IngestError as error:
                    refusals.append(Refusal(error.pointer or f"/{number}", error.reason))
        start = end + 1
        is_full = start - began >= BYTES_AT_A_TIME or n_events >= EVENTS_AT_A_TIME
        if is_full or number % LINES_AT_A_TIME == 0:
            yield Lines(updates, refusals, number)
            updates, refusals, began, n_events = [], [], start, 0
    if start > began:
        yield Lines(updates, refusals, number)


def _update(line: bytes, pointer: str, options: Import, hints: Hints) -> CustomerUpdate:
    body, faults = read_document(line)
    if faults:
        raise IngestError(pointer + json_pointer(faults[0].path), faults[0].reason)
    if type(body) is not dict:
        raise IngestError(pointer, f"the value must be an object; got {type_name(body)}")
    if is_deeper(body, options.limits.depth):
        raise IngestError(
            pointer, f"the object is nested deeper than {options.limits.depth} levels; flatten it"
        )
    if "type" not in body or "user_id" in body:
        return _plain(body, line, pointer, options, hints)
    kind = body["type"]
    if type(kind) is not str or kind not in MESSAGE_KINDS:
        hint = hints.nearest(kind, MESSAGE_KINDS)
        raise IngestError(f"{pointer}/type", f"the type is not a kind of message; {hint}")
    if not options.verifying and not any(body.get(name) for name in _IDENTIFYING):
        raise IngestError(
            pointer,
            "the line has neither messageId nor timestamp; send one, so that the line counts once "
            "however often it is sent",
        )
    call = TrackingCall(options.write_key, None, [Message(kind, pointer, body)])  # type: ignore[arg-type]
    updates, refusals = make_updates(
        call, options.mapper, options.received, options.source, False, options.verifying,
        options.ignored, options.trusted,
    )  # fmt: skip
    if refusals:
        raise IngestError(refusals[0].pointer, refusals[0].reason)
    return updates[0]


def _plain(
    body: dict[str, Any], line: bytes, pointer: str, options: Import, hints: Hints
) -> CustomerUpdate:
    for key in body:
        if key not in PLAIN_FIELDS:
            raise IngestError(
                pointer,
                f"unknown field {key[:40]!a}; {hints.nearest(key, PLAIN_FIELDS)}",
            )
    rules = options.mapper.rules
    ignored: Ignored = []
    user_id = text_id(body.get("user_id"), f"{pointer}/user_id")
    item_id = text_id(body.get("item_id"), f"{pointer}/item_id")
    # A test sends ids as the cleaned tables have them.
    if user_id is not None and not options.verifying:
        user_id = rules.customer_id(user_id, f"{pointer}/user_id", ignored)
        if user_id is None:
            raise IngestError(
                f"{pointer}/user_id",
                f"user_id {str(body['user_id'])[:40]!a} stands for a missing id and is "
                "nobody's; leave the line out",
            )
        item_id = rules.item_id(item_id, f"{pointer}/item_id", ignored)
    action = text_id(body.get("action"), f"{pointer}/action")
    stated = time_of(body, "event_time", pointer)
    if stated is None and options.verifying:
        # Data with an order but no times: the receipt keeps the order.
        stated = options.received
    if user_id is None or action is None or stated is None:
        missing = "user_id" if user_id is None else "action" if action is None else "event_time"
        raise IngestError(f"{pointer}/{missing}", f"{missing} is missing; a plain event needs it")
    check_id(user_id, f"{pointer}/user_id", options.verifying)
    # A test's customers keep the clock of the data they come from.
    until = stated if options.verifying else options.received
    time, clamped = event_time(stated, None, until)
    options.mapper.n_clamped += clamped
    if time < 0:
        raise IngestError(f"{pointer}/event_time", "the time is before 1970")
    value, count = body.get("value"), body.get("count")
    own_source = text_id(body.get("source"), f"{pointer}/source")
    event_id = text_id(body.get("event_id"), f"{pointer}/event_id")
    if event_id is None:
        data = (options.write_key or "").encode() + b"\n" + line
        event_id = "own:" + hashlib.blake2b(data, digest_size=20).hexdigest()
    money = None if value is None or value == "" else read_money(value, f"{pointer}/value")
    word = options.mapper.action(action)
    if money is not None and rules.is_refund(word):
        money = -abs(money)
    event = LiveEvent(
        time,
        word,
        item_id,
        money,
        None if count is None or count == "" else read_count(count, f"{pointer}/count"),
        options.mapper.source(own_source or options.source),
    )
    if options.ignored is not None:
        options.ignored.extend(ignored)
    return CustomerUpdate(
        message_id=event_id, user_id=user_id, received=options.received, events=(event,),
        trusted=options.trusted, kind="event",
        content=hashlib.blake2b(_SORTED(body), digest_size=8).digest(),
    )  # fmt: skip
