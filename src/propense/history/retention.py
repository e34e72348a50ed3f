"""What a store deletes because it is older than a company keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from propense.history.past import PastCustomer, PastLayer, StoredPast

_AT_ONCE: Final = 200
_FIRST_TIME: Final = 315_532_800_000_000
"""1980 in microseconds UTC. Smaller numbers are the places of loaded events that have no times."""


class Oldest(NamedTuple):
    """Moments in microseconds UTC: what is older is deleted. None deletes nothing."""

    events: int | None = None
    """By the time of the event."""
    traits: int | None = None
    """By when a trait was stated last."""
    decisions: int | None = None
    """By when a list was shown."""


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """How much was deleted."""

    events: int = 0
    traits: int = 0
    decisions: int = 0
    customers: int = 0
    """Customers of whom nothing was left, no word on consent either."""

    def __add__(self, other: Expired) -> Expired:
        return Expired(
            events=self.events + other.events,
            traits=self.traits + other.traits,
            decisions=self.decisions + other.decisions,
            customers=self.customers + other.customers,
        )


def is_old(event_time: int, oldest: int | None) -> bool:
    """Whether a loaded event is older than is kept; one without a time has no age."""
    return oldest is not None and _FIRST_TIME <= event_time < oldest


def expire_past(past: PastLayer, oldest: int) -> int:
    """Delete loaded events that are older; returns how many. No run may be loaded meanwhile."""
    expired = 0
    for page in past.user_ids():
        for start in range(0, len(page), _AT_ONCE):
            some = past.find(page[start : start + _AT_ONCE])
            shorter = [one for one in some if any(is_old(e.event_time, oldest) for e in one.events)]
            if shorter:
                customers, n = _shortened(shorter, oldest)
                past.put(customers, past.progress())
                expired += n
    return expired


def _shortened(pasts: Sequence[StoredPast], oldest: int) -> tuple[list[PastCustomer], int]:
    """The pasts without their older events, and how many these are."""
    customers = []
    expired = 0
    for one in pasts:
        events = [event for event in one.events if not is_old(event.event_time, oldest)]
        expired += len(one.events) - len(events)
        customers.append(
            PastCustomer(
                user_id=one.user_id, names=one.names, traits=msgspec.json.encode(one.traits),
                events=msgspec.msgpack.encode(events), n_events=len(events),
            )
        )  # fmt: skip
    return customers, expired
