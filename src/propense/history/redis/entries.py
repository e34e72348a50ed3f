"""Events, decisions and customers as entries of a Redis store, written and read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from propense.history.merging import content_of, scoped_key, to_json
from propense.history.records import Customer, CustomerUpdate, Decision, LiveEvent
from propense.history.training_views import (
    IDENTITIES,
    USERS,
    VIEWS,
    event_id,
    event_row,
    message_key,
)

_KEY_BYTES: Final = 16


class EventEntry(msgspec.Struct, frozen=True, array_like=True):
    """The JSON of one entry of `e:`."""

    event_time: int
    action: str
    item_id: str | None
    value: int | None
    count: float | None
    source: str | None
    received: int
    part: int

    def live(self) -> LiveEvent:
        """The event as the contract has it."""
        return LiveEvent(
            self.event_time, self.action, self.item_id, self.value, self.count, self.source
        )


class DecisionEntry(msgspec.Struct, frozen=True, array_like=True):
    """The JSON of one entry of `d:`."""

    time: int
    scenario: str
    bundle: str
    policy: str
    items: tuple[str, ...]
    p_action: tuple[float, ...]

    def decision(self, user_id: str) -> Decision:
        """The decision as the contract has it."""
        return Decision(
            user_id=user_id, time=self.time, scenario=self.scenario, bundle=self.bundle,
            policy=self.policy, items=self.items, p_action=self.p_action,
        )  # fmt: skip


_event = msgspec.json.Decoder(EventEntry)
_decision = msgspec.json.Decoder(DecisionEntry)
_json = msgspec.json.encode


def pack_updates(
    updates: Sequence[CustomerUpdate], suppression_hash: Callable[[str], bytes]
) -> tuple[bytes, bytes]:
    """Updates for the script APPEND, and their message keys joined. The keys are apart because
    the server's MessagePack reads text only."""
    packed = msgspec.msgpack.encode([_packed(update, suppression_hash) for update in updates])
    keys = (message_key(update.message_id) + scoped_key(update) for update in updates)
    return packed, b"".join(keys)


def _packed(update: CustomerUpdate, suppression_hash: Callable[[str], bytes]) -> list[Any]:
    previous = update.previous_id
    events = [event_json(event, update.received, part) for part, event in enumerate(update.events)]
    return [
        update.user_id,
        update.received,
        [text.decode() for text in events],
        {
            name: False if value is None else _json(value).decode()
            for name, value in update.traits.items()
        },
        False if previous is None else previous,
        update.consent,
        suppression_hash(update.user_id).hex(),
        False if previous is None else suppression_hash(previous).hex(),
        content_of(update).hex(),
        update.stated_time,
        update.trusted,
        update.is_visitor,
        update.previous_is_visitor,
    ]


def event_json(event: LiveEvent, received: int, part: int) -> bytes:
    """The JSON of an entry of `e:`."""
    return _json(
        (event.event_time, event.action, event.item_id, event.value, event.count, event.source,
         received, part)
    )  # fmt: skip


def pack_decisions(
    decisions: Sequence[Decision], suppression_hash: Callable[[str], bytes]
) -> bytes:
    """Decisions for the script LOG."""
    return msgspec.msgpack.encode(
        [
            [one.user_id, decision_json(one).decode(), suppression_hash(one.user_id).hex()]
            for one in decisions
        ]
    )


def decision_json(one: Decision) -> bytes:
    """The JSON of an entry of `d:`."""
    return _json((one.time, one.scenario, one.bundle, one.policy, one.items, one.p_action))


def read_event(entry: bytes) -> tuple[bytes, int, EventEntry]:
    """(message key, seq, event) of an entry of `e:`."""
    numbers, _, text = entry[_KEY_BYTES:].partition(b" ")
    return entry[:_KEY_BYTES], int(numbers.partition(b":")[0]), _event.decode(text)


def member_of(entry: bytes) -> int | None:
    """The member of an entry of `e:`; None in one of an earlier version."""
    numbers = entry[_KEY_BYTES:].partition(b" ")[0]
    _, colon, member = numbers.partition(b":")
    return int(member) if colon else None


def read_decision(entry: bytes) -> tuple[int, DecisionEntry]:
    """(seq, decision) of an entry of `d:`."""
    seq, _, text = entry.partition(b" ")
    return int(seq), _decision.decode(text)


def read_customer(record: list[Any]) -> Customer:
    """A customer from the function `record` of the scripts."""
    user_id, version, first, last, traits, consent, names, events, _, unlinked = record[:10]
    return Customer(
        user_id=user_id.decode(),
        version=int(float(version)),
        events=[read_event(entry)[2].live() for entry in events],
        traits={name.decode(): msgspec.json.decode(text) for name, text in pairs(traits)},
        consent={purpose.decode(): flag == b"1" for purpose, flag in pairs(consent)},
        names=[name.decode() for name in names],
        unlinked=[name.decode() for name in unlinked],
        first_seen=int(first),
        last_seen=int(last),
    )


def read_quiet(record: list[Any]) -> list[tuple[bytes, int]]:
    """(message key, received) of the customer's messages without events."""
    return [(key, int(float(received))) for key, received in pairs(record[8])]


def pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Fields and values, of the flat list that a script returns."""
    return list(zip(flat[::2], flat[1::2], strict=True))


def rows_of(view: str, customer: Customer, events: list[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of a training view for one customer, whose events are entries of `e:`."""
    if view == USERS:
        cells = (customer.user_id, to_json(customer.traits) or "{}")
        yield dict(zip(VIEWS[USERS], cells, strict=True))
    elif view == IDENTITIES:
        for name in customer.names:
            yield dict(zip(VIEWS[IDENTITIES], (customer.user_id, name), strict=True))
    else:
        for key, _, event in map(read_event, events):
            yield event_row(customer.user_id, event.live(), event_id(key, event.part))
