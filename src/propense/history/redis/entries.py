"""Events, decisions and customers as a Redis store writes them down, and read again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from propense.history.merging import message_key
from propense.history.records import Customer, CustomerUpdate, Decision, LiveEvent

_KEY_BYTES: Final = 16


class Event(msgspec.Struct, frozen=True, array_like=True):
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
        """As it is held elsewhere."""
        return LiveEvent(
            self.event_time, self.action, self.item_id, self.value, self.count, self.source
        )


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """The JSON of one entry of `d:`."""

    time: int
    scenario: str
    bundle: str
    policy: str
    items: tuple[str, ...]
    p_action: tuple[float, ...]

    def decision(self, user_id: str) -> Decision:
        """As it is held elsewhere."""
        return Decision(
            user_id=user_id, time=self.time, scenario=self.scenario, bundle=self.bundle,
            policy=self.policy, items=self.items, p_action=self.p_action,
        )  # fmt: skip


_event = msgspec.json.Decoder(Event)
_shown = msgspec.json.Decoder(Shown)
_json = msgspec.json.encode


def pack_updates(
    updates: list[CustomerUpdate], mark: Callable[[str], bytes]
) -> tuple[bytes, bytes]:
    """Deeds for the script APPEND, and their message keys one after another: the server's
    MessagePack knows text only."""
    packed = msgspec.msgpack.encode([_packed(update, mark) for update in updates])
    return packed, b"".join(message_key(update.message_id) for update in updates)


def _packed(update: CustomerUpdate, mark: Callable[[str], bytes]) -> list[Any]:
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
        mark(update.user_id).hex(),
        False if previous is None else mark(previous).hex(),
    ]


def event_json(event: LiveEvent, received: int, part: int) -> bytes:
    """The JSON of an entry of `e:`."""
    return _json(
        (event.event_time, event.action, event.item_id, event.value, event.count, event.source,
         received, part)
    )  # fmt: skip


def pack_decisions(decisions: list[Decision], mark: Callable[[str], bytes]) -> bytes:
    """Decisions for the script LOG."""
    return msgspec.msgpack.encode(
        [[one.user_id, decision_json(one).decode(), mark(one.user_id).hex()] for one in decisions]
    )


def decision_json(one: Decision) -> bytes:
    """The JSON of an entry of `d:`."""
    return _json((one.time, one.scenario, one.bundle, one.policy, one.items, one.p_action))


def read_event(entry: bytes) -> tuple[bytes, int, Event]:
    """(message key, seq, event) of an entry of `e:`."""
    seq, _, text = entry[_KEY_BYTES:].partition(b" ")
    return entry[:_KEY_BYTES], int(seq), _event.decode(text)


def read_decision(entry: bytes) -> tuple[int, Shown]:
    """(seq, decision) of an entry of `d:`."""
    seq, _, text = entry.partition(b" ")
    return int(seq), _shown.decode(text)


def read_customer(cells: list[Any]) -> Customer:
    """A customer from what the scripts call whole."""
    user_id, version, first, last, traits, consent, names, events, _ = cells
    return Customer(
        user_id=user_id.decode(),
        version=int(float(version)),
        events=[read_event(entry)[2].live() for entry in events],
        traits={name.decode(): msgspec.json.decode(text) for name, text in _pairs(traits)},
        consent={purpose.decode(): flag == b"1" for purpose, flag in _pairs(consent)},
        names=[name.decode() for name in names],
        first_seen=int(first),
        last_seen=int(last),
    )


def read_quiet(cells: list[Any]) -> list[tuple[bytes, int]]:
    """(message key, received) of messages without events."""
    return [(key, int(float(received))) for key, received in _pairs(cells[8])]


def _pairs(flat: list[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
