"""Messages to deeds: whom they are about, when, and what changes."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from propense.history.records import VERIFY_PREFIX, CustomerUpdate, LiveEvent
from propense.ingest.consent import read_consent
from propense.ingest.mapping import Mapper
from propense.ingest.segment import (
    IngestError,
    Message,
    Refusal,
    TrackingCall,
    fields_of,
    moment_of,
    text_id,
)
from propense.ingest.timestamps import event_moment
from propense.schemas import ID_LENGTH

GROUP_PREFIX: Final = "group_"
"""Before the traits of a customer's group; the group's own id is the trait "group_id"."""

_ENCODE: Final = msgspec.json.Encoder().encode
_FITS: Final = msgspec.msgpack.Encoder().encode
"""Fails for whole numbers beyond 64 bits, wherever they stand."""
_LATEST: Final = 2**62
"""No moment that fits into 64 bits lies near this; what does is nonsense."""


class Clock(msgspec.Struct, frozen=True):
    """What is known of the moments of one call."""

    received: int
    sent_at: int | None = None
    correct_skew: bool = True


def make_updates(
    call: TrackingCall,
    mapper: Mapper,
    received: int,
    source: str | None,
    correct_skew: bool = True,
    verifying: bool = False,
) -> tuple[list[CustomerUpdate], list[Refusal]]:
    """One deed a message, in order, and the messages that were refused, with place and reason.

    `received` is microseconds UTC; `source` is the key's own. `correct_skew` sets the sender's
    clock right by `sentAt`. `verifying` lets ids pass that belong to an integration test.
    Where the write key came with a header, put it into the call first (`structs.replace`): it
    is part of the ids that messages without one are given.
    """
    source = mapper.source(source)
    clock = Clock(received, call.sent_at, correct_skew)
    updates = []
    refusals = list(call.refusals)
    for message in call.messages:
        try:
            updates.append(_update(message, mapper, clock, source, verifying, call.write_key))
        except IngestError as error:
            refusals.append(Refusal(error.place, error.reason))
    return updates, refusals


def check_id(user_id: str, place: str, verifying: bool) -> None:
    """Raises IngestError for an id of an integration test where none is going on."""
    if not verifying and user_id.startswith(VERIFY_PREFIX):
        raise IngestError(
            place, f"ids that start with {VERIFY_PREFIX!r} belong to integration tests"
        )


def _test_of(user_id: str) -> str:
    """The token of the integration test an id belongs to; empty for a real customer."""
    return user_id.split(":", 2)[1] if user_id.startswith(VERIFY_PREFIX) else ""


def _update(
    message: Message,
    mapper: Mapper,
    clock: Clock,
    source: str | None,
    verifying: bool,
    write_key: str | None,
) -> CustomerUpdate:
    body, place, kind = message.body, message.place, message.kind
    user_id = text_id(body.get("userId"), f"{place}/userId")
    anonymous_id = text_id(body.get("anonymousId"), f"{place}/anonymousId")
    customer = user_id or anonymous_id
    if customer is None:
        raise IngestError(f"{place}/userId", "is missing, and so is anonymousId; send one")
    previous: str | None = None
    events: tuple[LiveEvent, ...] = ()
    traits: dict[str, Any] = {}
    if kind == "identify":
        traits = _traits(body, place)
        if user_id is not None and anonymous_id != user_id:
            previous = anonymous_id
    elif kind == "alias":
        previous = text_id(body.get("previousId"), f"{place}/previousId")
        if previous is None:
            raise IngestError(f"{place}/previousId", "is missing; an alias call needs it")
        if user_id is None:
            raise IngestError(f"{place}/userId", "is missing; an alias call needs it")
        if previous == user_id:
            previous = None
    elif kind == "group":
        traits = _group(body, place)
    check_id(customer, place, verifying)
    if previous is not None:
        check_id(previous, place, verifying)
        if _test_of(previous) != _test_of(customer):
            raise IngestError(place, "an integration test's customers are joined with no others")
    stated = moment_of(body, "originalTimestamp", place)
    if stated is None:
        stated = moment_of(body, "timestamp", place)
    message_id = text_id(body.get("messageId"), f"{place}/messageId")
    if message_id is None:
        message_id = _own_id(message, write_key, None if stated is not None else clock.received)
    if kind in ("track", "page", "screen"):
        moment = _moment(message, mapper, clock, stated)
        events = mapper.events(message, moment, source)
    context = fields_of(body, "context", place)
    return CustomerUpdate(
        message_id=message_id,
        user_id=customer,
        received=clock.received,
        events=events,
        traits=traits,
        previous_id=previous,
        consent=read_consent(context, place) if "consent" in context else {},
    )


def _moment(message: Message, mapper: Mapper, clock: Clock, stated: int | None) -> int:
    sent_at = None
    if clock.correct_skew and stated is not None:
        sent_at = clock.sent_at
        if sent_at is None and message.place:
            sent_at = moment_of(message.body, "sentAt", message.place)
    moment, clamped = event_moment(stated, sent_at, clock.received)
    mapper.n_clamped += clamped
    if not 0 <= moment < _LATEST:
        raise IngestError(
            f"{message.place}/timestamp", "lies before 1970; send the moment of the event"
        )
    return moment


def _traits(body: dict[str, Any], place: str) -> dict[str, Any]:
    traits = fields_of(body, "traits", place)
    try:
        _FITS(traits)
    except OverflowError:
        raise IngestError(f"{place}/traits", "holds a number that 64 bits cannot") from None
    for name in traits:
        if len(name) > ID_LENGTH:
            raise IngestError(
                f"{place}/traits", f"a name has {len(name):,} characters; at most {ID_LENGTH}"
            )
    return traits


def _group(body: dict[str, Any], place: str) -> dict[str, Any]:
    group_id = text_id(body.get("groupId"), f"{place}/groupId")
    if group_id is None:
        raise IngestError(f"{place}/groupId", "is missing; a group call needs it")
    traits = {f"{GROUP_PREFIX}{name}": value for name, value in _traits(body, place).items()}
    traits["group_id"] = group_id
    return traits


def _own_id(message: Message, write_key: str | None, received: int | None) -> str:
    """An id for a message without one: the same content of the same key is the same message.

    Without a moment of its own two like messages are two deeds, so the arrival and the place
    in the batch tell them apart; `sentAt` differs between attempts to send one message.
    """
    content = {name: value for name, value in message.body.items() if name != "sentAt"}
    apart = "" if received is None else f"{received} {message.place}"
    data = _ENCODE([write_key, apart, content])
    return "own:" + hashlib.blake2b(data, digest_size=20).hexdigest()
