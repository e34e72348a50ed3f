"""Recency, frequency and money of customers at moments, from the events before them.

Every number is a difference of whole-number running sums, so a customer's row has the same
bits alone and among millions, online and offline. Money is summed in micro-units.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np

from propense.columns import MICRO_UNITS
from propense.encoding.history import EventIndex
from propense.encoding.time_zones import utc_offset
from propense.schemas import FIRST_KNOWN, NO_TIME, Doubles, Floats, Histories, Ids, Ints
from propense.times import SECONDS_PER_DAY

_FOREVER: Final = np.iinfo(np.int64).max
_MOST_UNITS: Final = 9e12
"""Values are held within this, so that micro-units fit 64 bits."""
_NIGHT: Final = (6, 22)
"""Local hours before the first and from the second on are night."""


class AggregateSpec(msgspec.Struct, frozen=True):
    """What is counted; learned on train, the same ever after."""

    timed: bool = True
    has_events: bool = True
    actions: tuple[int, ...] = ()
    """Indices of the actions counted one by one, most frequent first."""
    action_names: tuple[str, ...] = ()
    sources: tuple[int, ...] = ()
    source_names: tuple[str, ...] = ()
    windows: tuple[int, ...] = ()
    """Seconds, ascending."""
    window_names: tuple[str, ...] = ()
    time_zone: str = "UTC"
    valued: bool = False
    """Whether any event of train has a value; likewise an item, below."""
    itemed: bool = False
    weighted: bool = False
    """Whether events carry a `count` other than 1: then counts are also summed by it."""
    until: int | None = None
    """The moment of a row without one: just after the last event the split knew."""


def aggregate_names(spec: AggregateSpec) -> tuple[str, ...]:
    """Names of the columns of `aggregates`, in order."""
    if not spec.has_events:
        return ()
    ends = spec.window_names if spec.timed else ()
    names = [f"events_{end}" for end in (*ends, "all")]
    for action in spec.action_names:
        names += [f"{action}_{end}" for end in (*ends, "all")]
        if spec.weighted:
            names += [f"{action}_count_{end}" for end in (*ends, "all")]
        names += [f"{action}_share"]
        names += [f"{action}_days_since" if spec.timed else f"{action}_events_since"]
    for source in spec.source_names:
        names += [f"source_{source}_all"]
        names += [f"source_{source}_days_since" if spec.timed else f"source_{source}_events_since"]
    if spec.valued:
        names += [f"value_{end}" for end in (*ends, "all")]
        names += ["value_events", "value_mean", "value_last"]
    if spec.itemed:
        names += ["distinct_items"]
    if spec.weighted:
        names += [f"count_{end}" for end in (*ends, "all")]
    if spec.timed:
        names += [f"active_days_{end}" for end in (*ends, "all")]
        names += [f"trend_{end}" for end in ends]
        names += ["days_since_first", "days_since_last", "gap_days_mean", "gap_days_sd"]
        names += ["night_share", "weekend_share"]
    return tuple(names)


def aggregates(
    histories: Histories, user: Ids, as_of: Ints, spec: AggregateSpec
) -> tuple[Floats, tuple[str, ...]]:
    """(n, F) float32 of rows (user, as_of), nan for what is not there; and the names.

    Only events with time < as_of are read; a row with NO_TIME reads the whole history.
    Windows are [as_of - window, as_of). Trend is (n - before) / (n + before) of a window
    and the one before it. Distinct items count known items of the whole past. Gaps lie
    between moments, not between events of one moment. Where events carry a `count`, an
    action is also summed by it (ACTION_count_WINDOW). Without times only counts are made.
    """
    names = aggregate_names(spec)
    out = np.empty((len(user), len(names)), np.float32)
    if not names:
        return out, names
    made = 0
    for column in _columns(_Past(histories, user, as_of, spec), spec):
        out[:, made] = column
        made += 1
    if made != len(names):
        raise ValueError(f"{made} aggregates were made for {len(names)} names")
    return out, names


class _Past:
    """What rows see: slices begin:end of the log, and running sums over it."""

    def __init__(self, histories: Histories, user: Ids, as_of: Ints, spec: AggregateSpec) -> None:
        self.histories = histories
        self.begin = histories.offsets[:-1][user]
        stop = histories.offsets[1:][user]
        self.user = user
        self.timed = spec.timed and histories.timed
        whole = as_of == NO_TIME
        self.as_of = as_of
        self.end = stop
        self.windows: list[tuple[Ints, Ints]] = []
        if not self.timed:
            return
        event_index = EventIndex(histories)
        self.end = np.where(whole, stop, event_index.before(user, np.where(whole, _FOREVER, as_of)))
        if whole.any():
            self.as_of = np.where(whole, self._time_after(spec.until), as_of)
        for window in spec.windows:
            low = event_index.before(user, self.as_of - window)
            lower = event_index.before(user, self.as_of - 2 * window)
            self.windows.append((np.minimum(low, self.end), np.minimum(lower, self.end)))

    def _time_after(self, until: int | None) -> Ints:
        """For rows without a moment: `until`, but never before the row's own last event."""
        last = self.time_at(self.end - 1, self.end > self.begin, 0) + 1
        return np.maximum(last, 0 if until is None else until)

    @property
    def starts(self) -> list[Ints]:
        """First event of every window, the whole past last."""
        return [*(low for low, _ in self.windows), self.begin]

    def sums(self, amounts: np.ndarray) -> Ints:
        """Running sum (n_events + 1,) of whole numbers or flags."""
        total = np.zeros(len(amounts) + 1, np.int64)
        np.cumsum(amounts, out=total[1:])
        return total

    def last(self, flags: np.ndarray) -> Ints:
        """Place of the last flagged event each row sees, -1 where there is none."""
        if not len(flags):
            return np.full(len(self.end), -1)
        latest = np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))
        index = latest[np.maximum(self.end - 1, 0)]
        return np.where((self.end > self.begin) & (index >= self.begin), index, -1)

    def time_at(self, index: Ints, good: np.ndarray, otherwise: int) -> Ints:
        """Times of events, `otherwise` where the place is not good."""
        if not self.histories.n_events:
            return np.full(len(index), otherwise, np.int64)
        return np.where(good, self.histories.time[np.where(good, index, 0)], otherwise)

    def since(self, index: Ints) -> Doubles:
        """Days, or events where there are no times, from events at `index` to the moment."""
        good = index >= 0
        if not self.timed:
            return np.where(good, self.end - 1 - index, np.nan)
        return np.where(good, (self.as_of - self.time_at(index, good, 0)) / SECONDS_PER_DAY, np.nan)


def _columns(past: _Past, spec: AggregateSpec) -> Iterator[np.ndarray]:
    """Columns in the order of `aggregate_names`."""
    histories, end, begin = past.histories, past.end, past.begin
    n_events = end - begin
    weight = _weights(histories) if spec.weighted else None
    for start in past.starts:
        yield end - start
    for wanted in spec.actions:
        flags = histories.action == wanted
        total = past.sums(flags)
        for start in past.starts:
            yield total[end] - total[start]
        if weight is not None:
            yield from _weigh(past, np.where(flags, weight, 0))
        yield _ratio(total[end] - total[begin], n_events)
        yield past.since(past.last(flags))
    for wanted in spec.sources:
        flags = histories.source == wanted
        total = past.sums(flags)
        yield total[end] - total[begin]
        yield past.since(past.last(flags))
    if spec.valued:
        yield from _money(past)
    if spec.itemed:
        total = past.sums(_first_of_item(histories))
        yield total[end] - total[begin]
    if weight is not None:
        yield from _weigh(past, weight)
    if spec.timed:
        yield from _rhythm(past, spec)


def _money(past: _Past) -> Iterator[np.ndarray]:
    """Value a window and in all, number of valued events, their mean, the last."""
    value = past.histories.value
    valued = np.isfinite(value)
    held = np.clip(np.where(valued, value, 0).astype(np.float64), -_MOST_UNITS, _MOST_UNITS)
    total = past.sums(np.rint(held * MICRO_UNITS).astype(np.int64))
    for start in past.starts:
        yield (total[past.end] - total[start]) / MICRO_UNITS
    counted = past.sums(valued)
    n_valued = counted[past.end] - counted[past.begin]
    yield n_valued
    yield _ratio((total[past.end] - total[past.begin]) / MICRO_UNITS, n_valued)
    index = past.last(valued)
    held_or_nan = np.append(held, np.nan)
    yield held_or_nan[index]


def _weights(histories: Histories) -> Ints:
    """The events' `count` in millionths: many clicks may be one row of a log."""
    held = np.clip(np.nan_to_num(histories.count.astype(np.float64)), 0, _MOST_UNITS)
    return np.rint(held * MICRO_UNITS).astype(np.int64)


def _weigh(past: _Past, weight: Ints) -> Iterator[np.ndarray]:
    """Sum of weights a window and in all."""
    total = past.sums(weight)
    for start in past.starts:
        yield (total[past.end] - total[start]) / MICRO_UNITS


def _first_of_item(histories: Histories) -> np.ndarray:
    """Marks each user's first event of each known item."""
    first = np.zeros(histories.n_events, bool)
    index = np.flatnonzero(histories.item >= FIRST_KNOWN)
    if len(index):
        user = np.repeat(np.arange(histories.n_users), np.diff(histories.offsets))[index]
        key = user * (np.int64(histories.item.max()) + 1) + histories.item[index]
        order = np.argsort(key, kind="stable")
        fresh = np.ones(len(order), bool)
        fresh[1:] = np.diff(key[order]) != 0
        first[index[order[fresh]]] = True
    return first


def _rhythm(past: _Past, spec: AggregateSpec) -> Iterator[np.ndarray]:
    """Active days, trends, age and silence, gaps, night and weekend."""
    histories, begin, end = past.histories, past.begin, past.end
    local = histories.time + utc_offset(histories.time, spec.time_zone)
    day = local // SECONDS_PER_DAY
    new_day = past.sums(np.diff(day, prepend=day[:1] - 1) != 0)
    last_index = len(new_day) - 1
    for start in past.starts:
        # The first event of a slice opens a day whatever came before it.
        opened = new_day[end] - new_day[np.minimum(start + 1, last_index)]
        yield np.where(end > start, opened + 1, 0)
    for low, lower in past.windows:
        recent, before = end - low, low - lower
        yield _ratio(recent - before, recent + before)
    some = end > begin
    first = past.time_at(begin, some, 0)
    last = past.time_at(end - 1, some, 0)
    yield past.since(np.where(some, begin, -1))
    yield past.since(np.where(some, end - 1, -1))
    yield from _gaps(past, last - first)
    hour = local // 3600 % 24
    weekday = (day + 3) % 7
    for flags in ((hour < _NIGHT[0]) | (hour >= _NIGHT[1]), weekday >= 5):
        total = past.sums(flags)
        yield _ratio(total[end] - total[begin], end - begin)


def _gaps(past: _Past, span: Ints) -> Iterator[Doubles]:
    """Mean and standard deviation, in days, of the time between moments."""
    histories = past.histories
    gap = np.diff(histories.time, prepend=histories.time[:1])
    heads = histories.offsets[:-1][np.diff(histories.offsets) > 0]
    gap[heads] = 0
    counted, squared = past.sums(gap > 0), past.sums(gap * gap)
    n_gaps = counted[past.end] - counted[past.begin]
    mean = _ratio(span, n_gaps)
    variance = _ratio(squared[past.end] - squared[past.begin], n_gaps) - mean * mean
    yield mean / SECONDS_PER_DAY
    yield np.sqrt(np.maximum(variance, 0)) / SECONDS_PER_DAY


def _ratio(part: np.ndarray, whole: np.ndarray) -> Doubles:
    """Quotient, nan where there is nothing to divide by."""
    positive = whole > 0
    return np.where(positive, part / np.where(positive, whole, 1), np.nan)
