"""Histories and moments as dense arrays: what the network's graph is fed.

Events are left-aligned and padded on the right, so the same history gives the same
numbers alone and in a batch. A query is a moment that reads the first `query_length`
events of its sequence; nothing reads a query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from propense.schemas import NO_TIME, Floats, Histories, Ints

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class EventClock:
    """Local calendar of every event, computed once for a whole log.

    `hour` 1..24, `weekday` 1..7 (Monday first), 0 where the data has no times;
    `gap` log1p of hours since the user's previous event, 0 for the first.
    """

    hour: Ints
    weekday: Ints
    gap: Floats


def read_clock(histories: Histories, utc_offset: Ints | None = None) -> EventClock:
    """The calendar of every event; `utc_offset` (n_events,) seconds east of UTC."""
    n_events = histories.n_events
    if not histories.timed:
        nothing = np.zeros(n_events, np.int64)
        return EventClock(nothing, nothing, np.zeros(n_events, np.float32))
    local = histories.time if utc_offset is None else histories.time + utc_offset
    gap = np.zeros(n_events, np.float64)
    gap[1:] = np.diff(histories.time)
    first = histories.offsets[:-1][np.diff(histories.offsets) > 0]
    gap[first] = 0
    return EventClock(
        hour=(local // 3600) % 24 + 1,
        weekday=(local // SECONDS_PER_DAY + 3) % 7 + 1,
        gap=np.log1p(np.maximum(gap, 0) / 3600).astype(np.float32),
    )


@dataclass(frozen=True)
class Sequences:
    """Slices `start:stop` of the event arrays, and the queries that read them.

    Query `q` of sequence `s` is row `rows[row_offsets[s] + q]` of the caller's table and
    reads events `start[s]:visible[...]`.
    """

    start: Ints
    stop: Ints
    row_offsets: Ints
    rows: Ints
    visible: Ints
    """(n_rows,) absolute index, exclusive, of the last event each of `rows` reads."""

    def __len__(self) -> int:
        return len(self.start)

    @property
    def length(self) -> Ints:
        return self.stop - self.start

    @property
    def n_queries(self) -> Ints:
        return np.diff(self.row_offsets)


def visible_end(histories: Histories, user: np.ndarray, as_of: Ints) -> Ints:
    """Absolute index (exclusive) of the events each (user, as_of) may read.

    Events with time strictly before `as_of`; with NO_TIME the user's whole history.
    """
    begin, end = histories.offsets[:-1][user], histories.offsets[1:][user]
    return bisect_left(histories.time, begin, end, np.where(as_of == NO_TIME, _FOREVER, as_of))


_FOREVER = np.iinfo(np.int64).max


def bisect_left(values: Ints, low: Ints, high: Ints, wanted: Ints) -> Ints:
    """First place in `values[low:high]`, each sorted, that is not below `wanted`."""
    low, high = low.copy(), high.copy()
    while True:
        open_ = low < high
        if not open_.any():
            return low
        middle = (low + high) // 2
        below = open_ & (values[np.minimum(middle, len(values) - 1)] < wanted)
        low = np.where(below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)


def group_queries(begin: Ints, visible: Ints, max_length: int) -> Sequences:
    """One sequence for each run of queries that read from the same first event.

    `begin` (n,) is the user's first event, `visible` (n,) the end of what each row reads.
    A row reads the last `max_length` events before its end, so rows share a sequence
    only where their windows start at the same event: the answer is the same as alone.
    """
    start = np.maximum(begin, visible - max_length)
    order = np.lexsort((visible, start, begin))
    sorted_start, sorted_begin = start[order], begin[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (np.diff(sorted_start) != 0) | (np.diff(sorted_begin) != 0)
    heads = np.flatnonzero(fresh)
    row_offsets = np.append(heads, len(order)).astype(np.int64)
    sorted_visible = visible[order]
    stop = sorted_visible[row_offsets[1:] - 1] if len(order) else np.zeros(0, np.int64)
    return Sequences(sorted_start[heads], stop, row_offsets, order, sorted_visible)


def plan_batches(length: Ints, n_queries: Ints, max_cells: int) -> list[Ints]:
    """Deal sequences into batches of like length: at most `max_cells` padded cells each."""
    order = np.argsort(length + n_queries, kind="stable")
    batches, begin = [], 0
    sorted_length, sorted_queries = length[order], n_queries[order]
    while begin < len(order):
        stop = _grow(sorted_length, sorted_queries, begin, max_cells)
        batches.append(order[begin:stop])
        begin = stop
    return batches


def _grow(length: Ints, n_queries: Ints, begin: int, max_cells: int) -> int:
    """End of the longest batch from `begin` whose padded cells fit."""
    ahead = slice(begin, begin + max_cells)
    widest = np.maximum.accumulate(length[ahead]) + np.maximum.accumulate(n_queries[ahead])
    cells = np.maximum(widest, 1) * np.arange(1, len(widest) + 1)
    return begin + max(1, int(np.searchsorted(cells, max_cells, side="right")))


def pad_index(start: Ints, length: Ints) -> tuple[Ints, np.ndarray]:
    """Event index (n, longest) of left-aligned slices, and which cells are real.

    >>> index, real = pad_index(np.array([4, 9]), np.array([3, 1]))
    >>> index.tolist()
    [[4, 5, 6], [9, 9, 9]]
    >>> real.tolist()
    [[True, True, True], [True, False, False]]
    """
    longest = int(length.max(initial=0))
    position = np.arange(longest)
    real = position < length[:, None]
    return start[:, None] + np.where(real, position, 0), real


def event_arrays(
    histories: Histories, clock: EventClock, start: Ints, length: Ints
) -> dict[str, np.ndarray]:
    """The graph's event inputs, each (n, longest); padded cells are 0.

    `item action source hour weekday` int64; `gap` log1p hours; `value` signed log1p units
    of the currency; `valued` 1 where a value is known; `count` log1p; `time` days since the
    sequence's first event. For an empty log all arrays are (n, 0).
    """
    index, real = pad_index(start, length)
    if histories.n_events == 0:
        index, real = np.zeros((len(start), 0), np.int64), np.zeros((len(start), 0), bool)
    # An empty sequence may stand behind the log's last event.
    index = np.minimum(index, max(histories.n_events - 1, 0))
    value = histories.value[index]
    has_value = np.isfinite(value) & real
    value = np.where(has_value, value, 0)
    days: np.ndarray | int = 0
    if histories.timed and index.size:
        days = (histories.time[index] - histories.time[index[:, :1]]) / SECONDS_PER_DAY
    return {
        "item": np.where(real, histories.item[index], 0).astype(np.int64),
        "action": np.where(real, histories.action[index], 0).astype(np.int64),
        "source": np.where(real, histories.source[index], 0).astype(np.int64),
        "hour": np.where(real, clock.hour[index], 0),
        "weekday": np.where(real, clock.weekday[index], 0),
        "gap": np.where(real, clock.gap[index], 0).astype(np.float32),
        "value": (np.sign(value) * np.log1p(np.abs(value))).astype(np.float32),
        "valued": has_value.astype(np.float32),
        "count": np.where(real, np.log1p(np.maximum(histories.count[index], 0)), 0).astype(
            np.float32
        ),
        "time": np.where(real, days, 0).astype(np.float32),
    }


@dataclass(frozen=True)
class QueryPlan:
    """Where the queries of some sequences sit in a padded (n, most) grid."""

    row: Ints
    """(n, most) row of the caller's table, -1 where padded."""
    length: Ints
    """(n, most) events each reads, counted from the sequence's first."""

    @property
    def real(self) -> np.ndarray:
        return self.row >= 0


def plan_queries(sequences: Sequences, chosen: Ints) -> QueryPlan:
    """The queries of the `chosen` sequences as a padded grid."""
    n_queries = sequences.n_queries[chosen]
    index, real = pad_index(sequences.row_offsets[:-1][chosen], n_queries)
    if not len(sequences.rows):
        index, real = np.zeros((len(chosen), 0), np.int64), np.zeros((len(chosen), 0), bool)
    # A sequence without queries may stand behind the last row.
    index = np.minimum(index, max(len(sequences.rows) - 1, 0))
    row = np.where(real, sequences.rows[index], -1)
    visible = sequences.visible[index] - sequences.start[chosen][:, None]
    return QueryPlan(row, np.where(real, visible, 0))


def query_time(histories: Histories, start: Ints, stop: Ints, as_of: Ints) -> Floats:
    """Days from each sequence's first event to the moment, (n, most).

    Without times, or for a customer without events, 0.
    """
    if not histories.timed or not histories.n_events:
        return np.zeros(as_of.shape, np.float32)
    safe = np.minimum(start, histories.n_events - 1)
    has_time = (as_of != NO_TIME) & (stop > start)[:, None]
    days = (np.where(has_time, as_of, 0) - histories.time[safe][:, None]) / SECONDS_PER_DAY
    return np.where(has_time, days, 0).astype(np.float32)


def chunks(total: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `total`."""
    for begin in range(0, total, size):
        yield slice(begin, min(begin + size, total))
