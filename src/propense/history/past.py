"""The past of customers that was loaded from a run: what a store keeps of it, beside live history.

The two never mix: the next training reads live history alone, since its sources have the past
already. Reading a customer joins the two (history/layers.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from propense.history.records import LiveEvent

LOGGED: Final = -1
"""`PastEvent.part` where the id is a log's: a live event with that id and item is the same."""


class PastEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event of a run's clean tables."""

    event_time: int
    action: str
    item_id: str | None
    value: int | None
    count: float | None
    source: str | None
    message: bytes | None = None
    """`training_views.message_key` of its event id; None where it has none."""
    part: int = LOGGED
    """Its place in the live message that it came from."""

    def live(self) -> LiveEvent:
        """The event as customers have it."""
        return LiveEvent(
            self.event_time, self.action, self.item_id, self.value, self.count, self.source
        )


class PastCustomer(msgspec.Struct, frozen=True, dict=True):
    """The past of one customer. It replaces what was loaded of them before."""

    user_id: str
    names: tuple[str, ...] = ()
    """Other ids of the customer."""
    traits: bytes = b"{}"
    """A JSON object."""
    events: bytes = b"\x90"
    """MessagePack of a list of `PastEvent`, oldest first."""
    n_events: int = 0

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that differ where anything else does."""
        hashed = blake2b(digest_size=16)
        for part in ("\0".join((self.user_id, *self.names)).encode(), self.traits, self.events):
            hashed.update(len(part).to_bytes(8, "little"))
            hashed.update(part)
        return hashed.digest()


class StoredPast(NamedTuple):
    """What a store holds of a past."""

    user_id: str
    version: int
    """A number from a counter of its own, which differs after every change."""
    names: tuple[str, ...]
    traits: dict[str, Any]
    events: list[PastEvent]


_events = msgspec.msgpack.Decoder(list[PastEvent])


def read_past(
    user_id: str, version: int, names: tuple[str, ...], traits: bytes | str | None, events: bytes
) -> StoredPast:
    """A past from its cells."""
    decoded = msgspec.json.decode(traits, type=dict[str, Any]) if traits else {}
    return StoredPast(user_id, version, names, decoded, _events.decode(events))


class PastLayer(Protocol):
    """The loaded pasts of one store. Methods raise StoreError as those of Store do."""

    def find(self, names: Sequence[str]) -> list[StoredPast]:
        """The pasts of the customers who have one of these names, once each."""
        ...

    def versions(self, names: Sequence[str]) -> dict[str, int]:
        """Name -> version of the past; names without one are left out."""
        ...

    def put(self, customers: Sequence[PastCustomer], progress: bytes) -> int:
        """Write pasts, all or none, except those of suppressed ids and those that are there
        already; returns how many have changed. `progress` is what `progress` then returns."""
        ...

    def remove(self, user_ids: Sequence[str]) -> int:
        """Remove the pasts of these customers; returns how many there were."""
        ...

    def user_ids(self) -> Iterator[list[str]]:
        """The main id of every past, in pages."""
        ...

    def is_empty(self) -> bool:
        """Whether nothing is loaded."""
        ...

    def progress(self) -> bytes:
        """What the last `put` was given; empty before the first."""
        ...

    def note(self, progress: bytes) -> None:
        """Replace what `progress` returns."""
        ...

    def live_messages(self, user_id: str) -> list[tuple[bytes, int]]:
        """(message key, part) of each live event of a customer, in the order of `Store.read`."""
        ...
