"""The items of a customer's most recent moments, as ragged rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propense.schemas import FIRST_KNOWN, Doubles, Histories, Ids, Ints

Whole = npt.NDArray[np.integer[Any]]
"""Any integer array: indices from other rooms."""


def ragged_ranges(start: Whole, length: Whole) -> Ints:
    """The ranges `start[i] .. start[i] + length[i] - 1`, one after the other.

    >>> ragged_ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist()
    [5, 6, 9, 10, 11]
    """
    length = length.astype(np.int64)
    before = np.cumsum(length) - length
    out: Ints = np.repeat(start.astype(np.int64) - before, length)
    out += np.arange(len(out))
    return out


def row_offsets(length: Whole) -> Ints:
    """(n + 1,) offsets of rows with these lengths."""
    out = np.zeros(len(length) + 1, np.int64)
    np.cumsum(length, out=out[1:])
    return out


@dataclass(frozen=True)
class Sources:
    """The items each row starts from, in compressed rows, with their weights."""

    offsets: Ints
    item: Ids
    weight: Doubles

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def row(self) -> Ints:
        """(n_sources,) the row each source belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))


@dataclass(frozen=True)
class RecentItems:
    """The events of some customers that name an item, grouped into positions.

    A moment is the set of a customer's events with equal time. Each moment takes a position;
    one that repeats the only item of the moment before keeps its position, so that ten clicks on
    a course do not push everything else out of memory. Whether an event opens a position
    depends on earlier events alone.
    """

    start: Ints
    """(n_runs,) first absolute event of each run."""
    offsets: Ints
    """(n_runs + 1,) of the runs, in the arrays below."""
    event: Ints
    """(n,) absolute event index, increasing within a run."""
    item: Ids
    position: Ints
    """(n,) position number, increasing through all runs."""
    moment_start: Ints
    """(n,) index, in these arrays, of the first event of the same moment."""
    position_start: Ints
    """(n_positions,) index, in these arrays, of the first event of each position."""
    named_before: Ints
    """(n_read + n_runs,) named events before each absolute position, run after run."""
    read_offsets: Ints

    def stop(self, run: Whole, end: Whole) -> Ints:
        """Index in these arrays (exclusive) of the events before absolute event `end`."""
        out: Ints = self.named_before[self.read_offsets[run] + (end - self.start[run])]
        return out

    def recent(
        self, run: Whole, stop: Ints, n_lags: int, fade: float, most: int, shared: bool = True
    ) -> Sources:
        """The items of the last `n_lags` positions before `stop`, at most the `most` latest.

        The weight of a position `lag` back (the last is 1) is `lag ** -fade`, shared
        equally by its events where `shared`, else the weight of each.
        """
        first = self.offsets[:-1][run]
        heard = stop > first
        last = (
            self.position[np.maximum(stop - 1, 0)] if len(self.position) else np.zeros(0, np.int64)
        )
        low = first.copy()
        if len(self.position):
            oldest = np.maximum(last - n_lags + 1, 0)
            low = np.where(heard, np.maximum(first, self.position_start[oldest]), first)
            low = np.maximum(low, stop - most)
        length = np.where(heard, stop - low, 0)
        index = ragged_ranges(low, length)
        row = np.repeat(np.arange(len(stop)), length)
        position = self.position[index]
        lag = last[row] - position + 1 if len(index) else np.zeros(0, np.int64)
        ends = np.append(self.position_start[1:], len(self.position))
        size = np.minimum(ends[position], stop[row]) - self.position_start[position]
        weight = lag.astype(np.float64) ** -fade
        if shared:
            weight /= np.maximum(size, 1)
        return Sources(row_offsets(length), self.item[index], weight)


def read_recent_items(histories: Histories, user: Whole, end: Whole) -> RecentItems:
    """The named events of each `user` up to absolute event `end` (exclusive), one run a user."""
    start = histories.offsets[:-1][user]
    length = (end - start).astype(np.int64)
    index = ragged_ranges(start, length)
    item = histories.item[index]
    named = item >= FIRST_KNOWN
    total = np.append(0, np.cumsum(named)).astype(np.int64)
    read_offsets = row_offsets(length)
    # One more position a run than events, since a run may be asked for up to its very end.
    named_before = total[ragged_ranges(read_offsets[:-1], length + 1)]
    offsets = total[read_offsets]
    event, item = index[named], item[named]
    run = np.repeat(np.arange(len(start)), np.diff(offsets))
    head = np.ones(len(event), bool)
    head[1:] = (run[1:] != run[:-1]) | (np.diff(histories.time[event]) != 0)
    heads = np.flatnonzero(head)
    moment = np.cumsum(head) - 1
    opens = _open_positions(item, run, heads)
    position = (np.cumsum(opens) - 1)[moment] if len(heads) else np.zeros(0, np.int64)
    return RecentItems(
        start=start,
        offsets=offsets,
        event=event,
        item=item,
        position=position,
        moment_start=heads[moment] if len(heads) else np.zeros(0, np.int64),
        position_start=heads[opens],
        named_before=named_before,
        read_offsets=read_offsets + np.arange(len(read_offsets)),
    )


def _open_positions(item: Ids, run: Ints, heads: Ints) -> npt.NDArray[np.bool_]:
    """(n_moments,) whether each moment has another position than the one before."""
    opens = np.ones(len(heads), bool)
    if len(heads) > 1:
        lowest = np.minimum.reduceat(item, heads)[:-1]
        highest = np.maximum.reduceat(item, heads)[:-1]
        same = (lowest == highest) & (item[heads[1:]] == highest)
        opens[1:] = ~same | (run[heads[1:]] != run[heads[:-1]])
    return opens
