"""A customer as a bundle reads them: live events as the arrays that the shards would hold."""

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
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

MOST_ADDED: Final = 32
"""So many added events become arrays; fewer stay records until they are asked for."""
_MAX_CLOCK_GAP: Final = 2 * MICROS_PER_DAY
"""Between two records of one event, at most."""
MOST_CACHED: Final = 16
"""Scores and lists of one customer; the oldest leave."""


class CustomerState:
    """One version of one customer, read with one bundle's vocabulary.

    Its arrays take a tenth of the memory that the events take as records. It does not change,
    except that scores and lists are cached with it.
    """

    __slots__ = (
        "_added", "_clipper", "_histories", "_latest", "_loaded_until", "_n_text_bytes",
        "_profiles", "_traits", "bundle", "cached", "consent", "names", "user_id", "version",
    )  # fmt: skip

    def __init__(self, customer: Customer, bundle: Bundle, clipper: Clipper) -> None:
        self.user_id = customer.user_id
        self.names = customer.names
        self.version = customer.version
        self.consent = customer.consent
        self.bundle = bundle
        self.cached: dict[Any, Any] = {}
        """Scores and lists, by everything they depend on."""
        self._traits = customer.traits
        self._n_text_bytes = 100 * len(customer.names)
        if customer.traits:
            # As objects they take about four times as much as their text.
            self._n_text_bytes += 4 * len(msgspec.json.encode(customer.traits))
        self._clipper = clipper
        self._profiles: Profiles | None = None
        self._histories = clipper.clip(history_of_customer(customer, bundle.encoder))[0]
        self._added: tuple[LiveEvent, ...] = ()
        """Later events than those of `_histories`."""
        self._loaded_until = customer.loaded_until
        self._latest = max((event.event_time for event in customer.events), default=None)

    @property
    def histories(self) -> Histories:
        """The history of this one customer, clipped to the bounds of the bundle's log."""
        if self._added:
            self._encode_added()
        return self._histories

    @property
    def clock(self) -> EventClock:
        """The local calendar of their events."""
        return self.bundle.clock(self.histories)

    @property
    def profiles(self) -> Profiles:
        """The customer's profile, one row, clipped likewise."""
        if self._profiles is None:
            profiles = self.bundle.encoder.profiles_of([self._traits])
            self._profiles = self.bundle.reference_profile.bounds.clip_profiles(profiles)[0]
        return self._profiles

    @property
    def n_events(self) -> int:
        return self._histories.n_events + len(self._added)

    @property
    def n_bytes(self) -> int:
        """Roughly the bytes that the customer takes in memory."""
        records = 350 * len(self._added)
        cached = sum(map(_size_of, self.cached.values()))
        return 3_000 + 24 * self.n_events + records + self._n_text_bytes + cached

    def cache(self, key: Any, value: Any) -> None:
        """Cache scores or a list."""
        self.cached.pop(key, None)
        self.cached[key] = value
        while len(self.cached) > MOST_CACHED:
            del self.cached[next(iter(self.cached))]

    def end_at(self, as_of: int | None) -> int:
        """How many events are before `as_of` (seconds).

        All of them without `as_of`, and where the data have an order but no times.
        """
        if as_of is None or not self.histories.timed:
            return self.n_events
        return int(np.searchsorted(self.histories.time, as_of, side="left"))

    def with_events(self, events: Sequence[LiveEvent]) -> CustomerState | None:
        """The customer with further events.

        None if those are not the latest: their positions among the others depend on texts that
        are no longer in memory, so the customer has to be read again. None also if they can be
        events that were loaded from a run, whose ids are not in memory either.
        """
        if not events:
            return self
        latest, loaded = self._latest, self._loaded_until
        if loaded is not None and not self._histories.timed:
            return None
        if self._histories.timed:
            for event in events:
                if latest is not None and event.event_time <= latest:
                    return None
                if loaded is not None and event.event_time <= loaded + _MAX_CLOCK_GAP:
                    return None
                latest = event.event_time
        grown = copy(self)
        grown.cached = {}
        grown._added = (*self._added, *events)
        grown._latest = latest
        if len(grown._added) >= MOST_ADDED:
            grown._encode_added()
        return grown

    def is_like(self, other: CustomerState) -> bool:
        """Whether another state, perhaps of another bundle, has the same events and traits.

        Events are only ever added, so equal numbers mean equal events.
        """
        return self.n_events == other.n_events and self._traits == other._traits

    def _encode_added(self) -> None:
        """Turn the added events into arrays."""
        before, encoder = self._histories, self.bundle.encoder
        added = history_of_events(self.user_id, self._added, encoder, before.n_events)
        self._histories = _joined(before, self._clipper.clip(added)[0])
        self._added = ()


def _size_of(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Candidates):
        return value.items.nbytes + value.scores.nbytes
    # A list: its time, its items, and the reasons for each.
    return 300 + 200 * len(value[1])


def history_of_customer(customer: Customer, encoder: Encoder) -> Histories:
    """The customer's events as arrays, in the canonical order of the shards.

    It equals encoding.history.history_of, which goes through Arrow and takes milliseconds; this
    one takes microseconds.
    """
    events: Sequence[LiveEvent] = customer.events
    if encoder.timed and not _in_order(events):
        events = sorted(events, key=_canonical_key)
    return history_of_events(customer.user_id, events, encoder)


def history_of_events(
    user_id: str, events: Sequence[LiveEvent], encoder: Encoder, n_before: int = 0
) -> Histories:
    """Events in canonical order as arrays; `n_before` others precede them."""
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
    """The history of one customer, and their later events, as one."""
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
    """Whether times strictly ascend, so that they alone decide the order."""
    before = None
    for event in events:
        if before is not None and event.event_time <= before:
            return False
        before = event.event_time
    return True


def _canonical_key(event: LiveEvent) -> tuple[object, ...]:
    """The key of the canonical order: time, action, item, value, source, count; missing first."""
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
    """The histories of several customers as one, its calendar, and the first event of each."""
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
    """The profiles of several customers, one row each."""
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
