"""Silences of a log: stretches of days with far fewer events than usual, by counts of days alone.

A log is judged in units of days that hold some 20 events each where the bulk of its events lie, so
that an empty unit is no accident. A silence is a run of faint units that is far longer than the
runs that recur, such as weekends, and whose edge is sharp: a log that slowly grows has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from propense.schemas import Ints

USUAL: Final = 20
"""Events of a unit on average."""
FAINT: Final = 20
"""A unit with at most this part of the usual events is faint."""
FAINT_FEW: Final = 2
"""So is one with so few events."""
FEWEST: Final = 40
"""Fewer events show no density."""
TIMES_ORDINARY: Final = 3
OUTAGES: Final = 2
"""So many of the longest runs can be outages; the next one recurs, and is ordinary."""
EDGE_UNITS: Final = 3
SHARP: Final = 4
"""The EDGE_UNITS beside a sharp edge have at least this part of the usual events."""
NEAR: Final = 3
"""One of the two nearest has at least this part."""
FULL: Final = 0.75
"""Beside a gap, one of the two nearest units on one side has at least this share."""
FEW: Final = 3
FEW_AFTER: Final = 100
"""Late strays are at most FEW events, or one in so many."""
FEW_BEFORE: Final = 1000
"""Early strays are at most FEW events, or one in so many: many logs begin with a trickle that is
real."""
CHANCE: Final = 0.01
"""A silence that a log of as many faint units elsewhere would show by more than this chance is
none."""


@dataclass(frozen=True)
class DayCounts:
    """Events by day."""

    days: Ints
    """Days since 1970 that have events, in order."""
    counts: Ints

    @property
    def n(self) -> int:
        return int(self.counts.sum())


def merge_days(logs: Iterable[DayCounts]) -> DayCounts:
    """The counts of several logs together."""
    logs = list(logs)
    nothing = np.zeros(0, dtype=np.int64)
    all_days = np.concatenate([nothing, *(log.days for log in logs)])
    counts = np.concatenate([nothing, *(log.counts for log in logs)])
    days, index = np.unique(all_days, return_inverse=True)
    merged = np.zeros(len(days), dtype=np.int64)
    np.add.at(merged, index, counts)
    return DayCounts(days, merged)


@dataclass(frozen=True)
class Silence:
    """A run of days with few events or none."""

    first: int
    """First day since 1970."""
    last: int
    """Last day, inclusive."""
    n: int
    """Events in it."""
    usual: int
    """Events that so many days have usually."""

    @property
    def n_days(self) -> int:
        return self.last - self.first + 1

    @property
    def seconds(self) -> tuple[int, int]:
        """From its first second to that after its last."""
        return self.first * 86_400, (self.last + 1) * 86_400


@dataclass(frozen=True)
class Silences:
    """What the density of a log shows."""

    unit: int
    """Days that are judged at once."""
    before: Silence | None = None
    """The silence that observation begins after; only strays are earlier."""
    after: Silence | None = None
    """The silence that begins when observation ends; only strays are later."""
    gaps: tuple[Silence, ...] = ()
    """Silences in between, in order; one that reaches the end is too much to be strays."""


def find_silences(log: DayCounts, first: int, last: int) -> Silences:
    """The silences of `log` between the days `first` and `last`, which hold all its events.

    A log of fewer than FEWEST events has none.

    >>> days = np.append(np.arange(100), 160)
    >>> stray = find_silences(DayCounts(days, np.append(np.full(100, 60), 1)), 0, 160)
    >>> stray.after.first, stray.after.last, stray.after.n
    (100, 160, 1)
    """
    if log.n < FEWEST:
        return Silences(1)
    view = _View.of(log)
    runs = view.runs(first, last)
    few, few_before = max(FEW, log.n // FEW_AFTER), max(FEW, log.n // FEW_BEFORE)
    after = next((run for run in runs if run.ends and log.n - run.n_before <= few), None)
    early = [run for run in runs if run.begins and run.n_before + run.silence.n <= few_before]
    before = early[-1] if early else None
    gaps = [
        run.silence for run in runs
        if run.n_before > few_before and max(run.before, run.after) >= FULL
        and (before is None or run.silence.first > before.silence.last)
        and (after is None or run.silence.last < after.silence.first)
    ]  # fmt: skip
    return Silences(
        view.unit,
        None if before is None else before.silence,
        None if after is None else after.silence,
        tuple(gaps),
    )


@dataclass(frozen=True)
class _Run:
    """A long run of faint units, and what lies beside it."""

    silence: Silence
    n_before: int
    before: float
    """How full the units before it are, in usual ones; 0 without a sharp edge."""
    after: float
    longest: bool
    """Longer than every silence in the bulk: no season of the log's own."""

    @property
    def ends(self) -> bool:
        return self.before * NEAR >= 1 and self.longest

    @property
    def begins(self) -> bool:
        return self.after * NEAR >= 1 and self.longest


@dataclass(frozen=True)
class _View:
    """A log in units of days."""

    unit: int
    units: Ints
    """Units that have events, in order."""
    counts: Ints
    usual: int
    bulk: tuple[int, int]
    """First and last unit of the bulk, which lacks a twentieth of the events on either side."""

    @staticmethod
    def of(log: DayCounts) -> _View:
        until = np.cumsum(log.counts)
        outer = log.n // 20
        low = int(log.days[np.searchsorted(until, outer, side="right")])
        high = int(log.days[np.searchsorted(until, log.n - outer, side="left")])
        inside = (log.days >= low) & (log.days <= high)
        unit = max(1, -(-USUAL * (high - low + 1) // int(log.counts[inside].sum())))
        merged = merge_days([DayCounts(log.days // unit, log.counts)])
        bulk = (low // unit, high // unit)
        inside = (merged.days >= bulk[0]) & (merged.days <= bulk[1])
        ranked = np.sort(merged.counts[inside])
        return _View(unit, merged.days, merged.counts, int(ranked[len(ranked) // 2]), bulk)

    def runs(self, first: int, last: int) -> list[_Run]:
        """Runs of faint units that are longer than those that recur."""
        is_busy = self.counts > max(self.usual // FAINT, FAINT_FEW)
        busy, sizes = self.units[is_busy], self.counts[is_busy]
        edges = np.concatenate([[first // self.unit - 1], busy, [last // self.unit + 1]])
        lengths = np.diff(edges) - 1
        in_bulk = (edges[:-1] >= self.bulk[0]) & (edges[1:] <= self.bulk[1])
        recurring = np.sort(lengths[in_bulk])[::-1]
        ordinary = int(recurring[OUTAGES]) if len(recurring) > OUTAGES else 0
        longest = int(recurring[0]) if len(recurring) else 0
        runs = []
        n_faint, n_bulk = int(lengths[in_bulk].sum()), self.bulk[1] - self.bulk[0] + 1
        for i in np.flatnonzero(lengths > max(1, TIMES_ORDINARY * ordinary)):
            here = int(lengths[i]) if in_bulk[i] else 0
            share = (n_faint - here + 1) / (n_bulk - here + 2)
            tries = n_bulk if in_bulk[i] else 1
            if tries * share ** int(lengths[i]) > CHANCE:
                continue
            opens, closes = int(edges[i]) + 1, int(edges[i + 1])
            low, high = np.searchsorted(self.units, [opens, closes])
            usual = self.usual * (closes - opens)
            silence = Silence(
                opens * self.unit, closes * self.unit - 1, int(self.counts[low:high].sum()), usual
            )
            runs.append(
                _Run(
                    silence, int(self.counts[:low].sum()),
                    self._sharp(sizes[max(0, i - EDGE_UNITS) : i][::-1]),
                    self._sharp(sizes[i : i + EDGE_UNITS]),
                    bool(lengths[i] > longest),
                )
            )  # fmt: skip
        return runs

    def _sharp(self, beside: Ints) -> float:
        """The fullest of the two units beside a run, the nearest first, in usual ones.

        The nearest one can be cut off. 0 where the edge is not sharp.
        """
        if len(beside) < EDGE_UNITS or int(beside.sum()) * SHARP < self.usual * EDGE_UNITS:
            return 0.0
        return int(beside[:2].max()) / self.usual
