"""Turns messages into customer updates: which customer, when, and what changes."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from propense.history.records import VERIFY_PREFIX, CustomerUpdate, LiveEvent
from propense.ingest.consent import read_consent
from propense.ingest.mapping import Mapper
from propense.ingest.rules import Ignored, IngestRules
from propense.ingest.segment import (
    IngestError,
    Message,
    Refusal,
    TrackingCall,
    fields_of,
    text_id,
    time_of,
)
from propense.ingest.timestamps import event_time
from propense.schemas import ID_LENGTH

GROUP_PREFIX: Final = "group_"
"""Prefix of the traits of a customer's group; the group's id is the trait "group_id"."""

_ENCODE: Final = msgspec.json.Encoder().encode
_SORTED: Final = msgspec.json.Encoder(order="deterministic").encode
_FITS: Final = msgspec.msgpack.Encoder().encode
"""Fails for whole numbers beyond 64 bits at any depth."""
_LATEST: Final = 2**62
"""Later times are refused: they are not real, and would not fit into 64 bits."""


class Clock(msgspec.Struct, frozen=True):
    """The times of one call, and whether to correct the sender's clock."""

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
    ignored: Ignored | None = None,
    trusted: bool = True,
) -> tuple[list[CustomerUpdate], list[Refusal]]:
    """One update a message, in order, and the refused messages, each with a pointer and a reason.
    What was left out of the others is added to `ignored`.

    `received` is microseconds UTC; `source` is that of the key. `correct_skew` corrects the
    sender's clock by `sentAt`. `verifying` accepts ids of integration tests. If the write key was
    in a header, put it into the call first (`structs.replace`): it is part of the ids that
    messages without an id get. `trusted` is that of the updates.
    """
    source = mapper.source(source)
    clock = Clock(received, call.sent_at, correct_skew)
    updates = []
    refusals = list(call.refusals)
    ignored = [] if ignored is None else ignored
    for message in call.messages:
        n_before = len(ignored)
        try:
            update = _update(message, mapper, clock, source, verifying, call.write_key, ignored)
            updates.append(update if trusted else msgspec.structs.replace(update, trusted=False))
        except IngestError as error:
            del ignored[n_before:]
            refusals.append(Refusal(error.pointer, error.reason))
    return updates, refusals


def check_id(user_id: str, pointer: str, verifying: bool) -> None:
    """Raises IngestError for an id of an integration test, unless `verifying`."""
    if not verifying and user_id.startswith(VERIFY_PREFIX):
        raise IngestError(
            pointer, f"ids that start with {VERIFY_PREFIX!r} belong to integration tests"
        )


def _test_of(user_id: str) -> str:
    """The token of the integration test that an id belongs to; empty for a real customer."""
    return user_id.split(":", 2)[1] if user_id.startswith(VERIFY_PREFIX) else ""


def _update(
    message: Message,
    mapper: Mapper,
    clock: Clock,
    source: str | None,
    verifying: bool,
    write_key: str | None,
    ignored: Ignored,
) -> CustomerUpdate:
    body, pointer, kind = message.body, message.pointer, message.kind
    customer_id = mapper.rules.customer_id
    user_id = customer_id(body.get("userId"), f"{pointer}/userId", ignored)
    anonymous_id = customer_id(body.get("anonymousId"), f"{pointer}/anonymousId", ignored)
    customer = user_id or anonymous_id
    if customer is None:
        raise _nobody(body, pointer)
    previous: str | None = None
    events: tuple[LiveEvent, ...] = ()
    traits: dict[str, Any] = {}
    if kind == "identify":
        traits = _traits(body, pointer)
        if user_id is not None and anonymous_id != user_id:
            previous = anonymous_id
    elif kind == "alias":
        previous = customer_id(body.get("previousId"), f"{pointer}/previousId", ignored)
        for key, real_id in (("previousId", previous), ("userId", user_id)):
            if real_id is None:
                raise IngestError(f"{pointer}/{key}", _missing(body, key, "an alias call needs it"))
        if previous == user_id:
            previous = None
    elif kind == "group":
        traits = _group(body, pointer, mapper.rules, ignored)
    check_id(customer, pointer, verifying)
    if previous is not None:
        check_id(previous, pointer, verifying)
        if _test_of(previous) != _test_of(customer):
            raise IngestError(
                pointer, "customers of an integration test cannot be joined with others"
            )
    stated = time_of(body, "originalTimestamp", pointer)
    if stated is None:
        stated = time_of(body, "timestamp", pointer)
    message_id = text_id(body.get("messageId"), f"{pointer}/messageId")
    if message_id is None:
        message_id = _own_id(message, write_key, None if stated is not None else clock.received)
    if kind in ("track", "page", "screen"):
        time = _time(message, mapper, clock, stated)
        events = mapper.events(message, time, source, ignored)
    context = fields_of(body, "context", pointer)
    consent: dict[str, bool] = {}
    if "consent" in context:
        consent = read_consent(context, pointer, mapper.rules.consent_categories, ignored)
    return CustomerUpdate(
        message_id=message_id,
        user_id=customer,
        received=clock.received,
        events=events,
        traits=traits,
        previous_id=previous,
        consent=consent,
        kind=kind,
        content=_content(message, context.get("consent"), stated),
        stated=_stated_time(message, clock, stated) if traits or consent else None,
        is_visitor=user_id is None,
        previous_is_visitor=kind == "identify",
    )


_CONTENT: Final = (
    "event", "name", "category", "userId", "anonymousId", "previousId", "groupId", "properties",
    "traits",
)  # fmt: skip
"""Fields by which a message differs from another; libraries change others when they try again."""


def _content(message: Message, consent: Any, stated: int | None) -> bytes:
    """A digest of what the message says."""
    content = (message.kind, stated, consent, *map(message.body.get, _CONTENT))
    return hashlib.blake2b(_SORTED(content), digest_size=8).digest()


def _stated_time(message: Message, clock: Clock, stated: int | None) -> int | None:
    """When a message was said, by the receiver's clock."""
    if stated is None:
        return None
    return max(0, event_time(stated, _sent_at(message, clock), clock.received)[0])


def _sent_at(message: Message, clock: Clock) -> int | None:
    if not clock.correct_skew:
        return None
    if clock.sent_at is None and message.pointer:
        return time_of(message.body, "sentAt", message.pointer)
    return clock.sent_at


def _time(message: Message, mapper: Mapper, clock: Clock, stated: int | None) -> int:
    sent_at = None if stated is None else _sent_at(message, clock)
    time, clamped = event_time(stated, sent_at, clock.received)
    mapper.n_clamped += clamped
    if not 0 <= time < _LATEST:
        raise IngestError(
            f"{message.pointer}/timestamp", "the time is before 1970; send the time of the event"
        )
    return time


def _traits(body: dict[str, Any], pointer: str) -> dict[str, Any]:
    traits = fields_of(body, "traits", pointer)
    try:
        _FITS(traits)
    except OverflowError:
        raise IngestError(f"{pointer}/traits", "has a number of more than 64 bits") from None
    for name in traits:
        if len(name) > ID_LENGTH:
            raise IngestError(
                f"{pointer}/traits", f"a name has {len(name):,} characters; at most {ID_LENGTH}"
            )
    return traits


def _nobody(body: dict[str, Any], pointer: str) -> IngestError:
    """Why a message has no customer."""
    for key in ("userId", "anonymousId"):
        if body.get(key) not in (None, ""):
            remedy = "send userId once it is known, and an anonymousId of each visitor before"
            return IngestError(f"{pointer}/{key}", _missing(body, key, remedy))
    return IngestError(f"{pointer}/userId", "the call has neither userId nor anonymousId; send one")


def _missing(body: dict[str, Any], key: str, remedy: str) -> str:
    """The reason for a missing id, or for one that is a word for none."""
    value = body.get(key)
    if value in (None, ""):
        return f"{key} is missing; {remedy}"
    return f"{key} {str(value)[:40]!a} stands for a missing id and is nobody's; {remedy}"


def _group(
    body: dict[str, Any], pointer: str, rules: IngestRules, ignored: Ignored
) -> dict[str, Any]:
    """The traits of a group; none where its id is a word for a missing one."""
    if text_id(body.get("groupId"), f"{pointer}/groupId") is None:
        raise IngestError(f"{pointer}/groupId", "groupId is missing; a group call needs it")
    group_id = rules.customer_id(body.get("groupId"), f"{pointer}/groupId", ignored)
    if group_id is None:
        return {}
    traits = {f"{GROUP_PREFIX}{name}": value for name, value in _traits(body, pointer).items()}
    traits["group_id"] = group_id
    return traits


def _own_id(message: Message, write_key: str | None, received: int | None) -> str:
    """An id for a message without one: the same content from the same key is the same message.

    Two equal messages without a time of their own are two messages, so the receipt and the index
    in the batch are part of the id. `sentAt` differs between attempts to send one message, so it
    is not.
    """
    left_out = {"sentAt", "context"} if message.context_digest else {"sentAt"}
    content = {name: value for name, value in message.body.items() if name not in left_out}
    arrival = "" if received is None else f"{received} {message.pointer}"
    data = _ENCODE([write_key, arrival, content]) + message.context_digest
    return "own:" + hashlib.blake2b(data, digest_size=20).hexdigest()
