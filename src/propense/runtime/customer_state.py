"""A customer as the bundle reads them: live events as arrays, the same as the shards' would be."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Final

import msgspec
import numpy as np

from propense.columns import MICRO_UNITS
from propense.encoding.batches import EventClock
from propense.encoding.encoder import Encoder
from propense.encoding.profiles import Profiles
from propense.history.records import Customer, LiveEvent
from propense.inference.artifact.clipping import Clipper
from propense.inference.bundle import Bundle
from propense.inference.scoring.candidates import Candidates
from propense.schemas import Histories, Ints
from propense.times import MICROS_PER_SECOND

MOST_ADDED: Final = 32
"""Events that are kept as records until someone asks; then they become arrays."""


MOST_KEPT: Final = 16
"""Scores and lists of one customer; those of the longest ago leave."""


class CustomerState:
    """One version of one customer, read with one bundle's words: a tenth of the events as
    records. Nothing in it changes, but what was found out about it is kept: answers, scores.
    """

    __slots__ = (
        "_added", "_clipper", "_histories", "_latest", "_n_told", "_profiles", "_traits", "bundle",
        "consent", "kept", "names", "user_id", "version",
    )  # fmt: skip

    def __init__(self, customer: Customer, bundle: Bundle, clipper: Clipper) -> None:
        self.user_id = customer.user_id
        self.names = customer.names
        self.version = customer.version
        self.consent = customer.consent
        self.bundle = bundle
        self.kept: dict[Any, Any] = {}
        """Scores and lists already made, by what they depend on."""
        self._traits = customer.traits
        self._n_told = 100 * len(customer.names)
        if customer.traits:
            # As objects they take some times what they take as text.
            self._n_told += 4 * len(msgspec.json.encode(customer.traits))
        self._clipper = clipper
        self._profiles: Profiles | None = None
        self._histories = clipper.clip(history_of_customer(customer, bundle.encoder))[0]
        self._added: tuple[LiveEvent, ...] = ()
        """Later events than those of `_histories`."""
        self._latest = max((event.event_time for event in customer.events), default=None)

    @property
    def histories(self) -> Histories:
        """Of this one customer; what has no like in the bundle's log is held within bounds."""
        if self._added:
            self._settle()
        return self._histories

    @property
    def clock(self) -> EventClock:
        """The local calendar of their events."""
        return self.bundle.clock(self.histories)

    @property
    def profiles(self) -> Profiles:
        """The one row of the customer's profile."""
        if self._profiles is None:
            made = self.bundle.encoder.profiles_of([self._traits])
            self._profiles = self.bundle.reference_profile.bounds.clip_profiles(made)[0]
        return self._profiles

    @property
    def n_events(self) -> int:
        return self._histories.n_events + len(self._added)

    @property
    def n_bytes(self) -> int:
        """Roughly what the customer takes in memory."""
        records = 350 * len(self._added)
        kept = sum(map(_size_of, self.kept.values()))
        return 3_000 + 24 * self.n_events + records + self._n_told + kept

    def keep(self, key: Any, found: Any) -> None:
        """Keep what was found out."""
        self.kept.pop(key, None)
        self.kept[key] = found
        while len(self.kept) > MOST_KEPT:
            del self.kept[next(iter(self.kept))]

    def end_at(self, as_of: int | None) -> int:
        """How many events lie before a moment (seconds); all of them without one.

        Data of order only has no moments: all of them.
        """
        if as_of is None or not self.histories.timed:
            return self.n_events
        return int(np.searchsorted(self.histories.time, as_of, side="left"))

    def with_events(self, events: Sequence[LiveEvent]) -> CustomerState | None:
        """The customer with further events.

        None where those are not the latest: their places among the others depend on words
        that are no longer here, so the customer has to be read anew.
        """
        if not events:
            return self
        latest = self._latest
        if self._histories.timed:
            for event in events:
                if latest is not None and event.event_time <= latest:
                    return None
                latest = event.event_time
        grown = copy(self)
        grown.kept = {}
        grown._added = (*self._added, *events)
        grown._latest = latest
        if len(grown._added) >= MOST_ADDED:
            grown._settle()
        return grown

    def is_like(self, other: CustomerState) -> bool:
        """Whether another reading, perhaps by another bundle, is of the same events and traits.

        Events are only ever added, so as many are the same ones.
        """
        return self.n_events == other.n_events and self._traits == other._traits

    def _settle(self) -> None:
        """Make arrays of the events that were added."""
        before, encoder = self._histories, self.bundle.encoder
        added = history_of_events(self.user_id, self._added, encoder, before.n_events)
        self._histories = _joined(before, self._clipper.clip(added)[0])
        self._added = ()


def _size_of(kept: Any) -> int:
    if isinstance(kept, np.ndarray):
        return kept.nbytes
    if isinstance(kept, Candidates):
        return kept.items.nbytes + kept.scores.nbytes
    # A list: its moment, its items, what is said of it.
    return 300 + 200 * len(kept[1])


def history_of_customer(customer: Customer, encoder: Encoder) -> Histories:
    """The customer's events as arrays, in the canonical order of the shards.

    The same as encoding.history.history_of, which goes through Arrow and takes milliseconds;
    this one takes microseconds.
    """
    events: Sequence[LiveEvent] = customer.events
    if encoder.timed and not _in_order(events):
        events = sorted(events, key=_place)
    return history_of_events(customer.user_id, events, encoder)


def history_of_events(
    user_id: str, events: Sequence[LiveEvent], encoder: Encoder, n_before: int = 0
) -> Histories:
    """Events in canonical order as arrays; `n_before` others come before them."""
    n = len(events)
    if encoder.timed:
        time = np.array([event.event_time for event in events], np.int64) // MICROS_PER_SECOND
    else:
        time = np.arange(n_before, n_before + n, dtype=np.int64)
    action, item, source = encoder.actions.find, encoder.items.find, encoder.sources.find
    value = np.array([event.value for event in events], np.float64) / MICRO_UNITS
    counts = [1.0 if event.count is None else event.count for event in events]
    return Histories(
        user_ids=np.array([user_id], object),
        offsets=np.array([0, n], np.int64),
        time=time,
        action=np.array([action(event.action) for event in events], np.int16),
        item=np.array([item(event.item_id) for event in events], np.int32),
        source=np.array([source(event.source) for event in events], np.int16),
        value=value.astype(np.float32),
        count=np.array(counts, np.float32),
        timed=encoder.timed,
    )


def _joined(before: Histories, after: Histories) -> Histories:
    """One customer's events, and later ones."""
    return Histories(
        user_ids=before.user_ids,
        offsets=np.array([0, before.n_events + after.n_events], np.int64),
        time=np.concatenate([before.time, after.time]),
        action=np.concatenate([before.action, after.action]),
        item=np.concatenate([before.item, after.item]),
        source=np.concatenate([before.source, after.source]),
        value=np.concatenate([before.value, after.value]),
        count=np.concatenate([before.count, after.count]),
        timed=before.timed,
    )


def _in_order(events: Sequence[LiveEvent]) -> bool:
    """Whether times strictly ascend, so that nothing else decides the order."""
    before = None
    for event in events:
        if before is not None and event.event_time <= before:
            return False
        before = event.event_time
    return True


def _place(event: LiveEvent) -> tuple[object, ...]:
    """Key of the canonical order: time, action, item, value, source, count; missing first."""
    return (
        event.event_time,
        event.action,
        event.item_id is not None,
        event.item_id or "",
        event.value is not None,
        event.value or 0,
        event.source is not None,
        event.source or "",
        event.count is not None,
        event.count or 0.0,
    )


def join(customers: Sequence[CustomerState]) -> tuple[Histories, EventClock, Ints]:
    """The histories of several customers as one, their calendar, and the first event of each."""
    first = customers[0]
    if len(customers) == 1:
        return first.histories, first.clock, first.histories.offsets[:1]
    parts = [customer.histories for customer in customers]
    lengths = [part.n_events for part in parts]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    clocks = [customer.clock for customer in customers]
    histories = Histories(
        user_ids=np.concatenate([part.user_ids for part in parts]),
        offsets=offsets,
        time=np.concatenate([part.time for part in parts]),
        action=np.concatenate([part.action for part in parts]),
        item=np.concatenate([part.item for part in parts]),
        source=np.concatenate([part.source for part in parts]),
        value=np.concatenate([part.value for part in parts]),
        count=np.concatenate([part.count for part in parts]),
        timed=parts[0].timed,
    )
    clock = EventClock(
        np.concatenate([clock.hour for clock in clocks]),
        np.concatenate([clock.weekday for clock in clocks]),
        np.concatenate([clock.gap for clock in clocks]),
    )
    return histories, clock, offsets[:-1]


def join_profiles(customers: Sequence[CustomerState]) -> Profiles:
    """A row a customer."""
    parts = [customer.profiles for customer in customers]
    if len(parts) == 1:
        return parts[0]
    return Profiles(
        numeric=np.concatenate([part.numeric for part in parts]),
        categorical=np.concatenate([part.categorical for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        valid_from=np.concatenate([part.valid_from for part in parts]),
        sensitive={
            name: np.concatenate([part.sensitive[name] for part in parts])
            for name in parts[0].sensitive
        },
    )
