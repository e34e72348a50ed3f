"""Transition counts: which item usually follows which.

From the items of a customer's last few moments to a probability of every item, with
what was counted for the whole catalogue where little is known of those items. It is the
network's second opinion and, alone, the Markov rival. Numpy only, since the service reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from propense.encoding.storage import ArraysHeader, load_arrays, save_arrays
from propense.errors import SettingsError, TrainError
from propense.models.counts.cooccurrence import count_pairs
from propense.models.counts.recent_items import (
    RecentItems,
    Sources,
    Whole,
    ragged_ranges,
    read_recent_items,
    row_offsets,
)
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Ids, Ints

FORMAT = "propense-counts-1"
TABLE_ITEMS = 2_000
"""Up to this many items the counts are also held as a dense table, 16 MB."""
_PIECE = 1 << 19
"""Successors spread at once: bounds the memory of an answer."""


class CountSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How transitions are counted and read."""

    n_lags: int = 10
    """Moments back that count as a cause of the next."""
    fade: float = 1.0
    """A moment `lag` back weighs `lag ** -fade`, in counting and in reading."""
    sharpness: float = 0.5
    """Row sums are divided out to this power: 0 raw counts, 1 each item's own shares."""
    smoothing: float = 1.0
    """Mass of popularity mixed into every answer."""
    together: float = 0.0
    """Weight of items that share a moment, beside those that follow."""
    repeat: bool = False
    """Count every success; if false only a customer's first with each item."""
    max_successors: int = 1000
    """Successors stored for each item, the most frequent; the mass of others goes to popularity."""
    max_sources: int = 200
    """Latest events read for one answer, for customers with very large baskets."""

    def check(self) -> None:
        """Raises SettingsError naming the field that cannot be used."""
        for name in ("n_lags", "max_successors", "max_sources"):
            if getattr(self, name) < 1:
                raise SettingsError(f"counts: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("fade", "together"):
            if not 0 <= getattr(self, name) < np.inf:
                raise SettingsError(
                    f"counts: {name} must not be below 0, got {getattr(self, name)}"
                )
        if not 0 < self.smoothing < np.inf:
            raise SettingsError(f"counts: smoothing must be above 0, got {self.smoothing}")
        if not 0 <= self.sharpness <= 1:
            raise SettingsError(f"counts: sharpness must be in [0, 1], got {self.sharpness}")


class _Header(ArraysHeader, frozen=True):
    settings: CountSettings = CountSettings()


@dataclass(frozen=True)
class TransitionCounts:
    """Counted transitions in compressed sparse rows, read as probabilities.

    With sources a of weight w, `c[a, b]` the mass counted from a to b and `c[a]` its sum:
    score(b) = sum of w c[a, b] / c[a] ** sharpness, M the same with c[a] for c[a, b], and
    P(b) = (score(b) + (M - kept + smoothing) popularity(b)) / (M + smoothing), where
    `kept` is the sum of score over all b: what was pruned is left to popularity.
    Every row sums to 1; none and unseen have probability 0, every other item more than 0.
    """

    settings: CountSettings
    offsets: Ints
    """(n_items + 1,)"""
    successor: Ids
    """(n_pairs,) ascending within a row."""
    mass: Floats
    """(n_pairs,)"""
    row_mass: Floats
    """(n_items,) counted from each item, pruned pairs included."""
    successes: Floats
    """(n_items,) how often each item was a target."""

    @property
    def n_items(self) -> int:
        return len(self.row_mass)

    @cached_property
    def popularity(self) -> Doubles:
        """(n_items,) share of each item among the targets, one added to each known item."""
        return _popularity(self.successes.astype(np.float64))

    @cached_property
    def met(self) -> npt.NDArray[np.bool_]:
        """(n_items,) which items were ever a target."""
        return self.successes > 0

    @cached_property
    def table(self) -> Floats | None:
        """(n_items, n_items) mass counted from each item to each; None of a larger catalogue.

        For one customer, adding whole rows is quicker than gathering their pairs.
        """
        if self.n_items > TABLE_ITEMS:
            return None
        table = np.zeros((self.n_items, self.n_items), np.float32)
        table[np.repeat(np.arange(self.n_items), np.diff(self.offsets)), self.successor] = self.mass
        return table

    def opinions(self, histories: Histories, user: Whole, end: Whole) -> Floats:
        """P(next item) after the events before `end` (absolute), (n, n_items).

        A customer without any event gets popularity.
        """
        return self.spread(self.read(histories, user, end))

    def read(self, histories: Histories, user: Whole, end: Whole) -> Sources:
        """The items each row starts from: those of its last `n_lags` moments."""
        run_user, run = np.unique(user, return_inverse=True)
        furthest = histories.offsets[:-1][run_user].copy()
        np.maximum.at(furthest, run, end)
        recent_items = read_recent_items(histories, run_user, furthest)
        return recent_sources(recent_items, run, recent_items.stop(run, end), self.settings)

    def spread(self, sources: Sources) -> Floats:
        """Probabilities (n, n_items) of weighted source items."""
        weight = self.source_weight(sources)
        out = np.zeros((len(sources), self.n_items), np.float32)
        self._scatter(out, sources, weight)
        pairs = _sum_rows(weight * self.stored_mass[sources.item], sources)
        total = _sum_rows(weight * self.row_mass[sources.item], sources)
        unlisted = np.maximum(total - pairs, 0) + self.settings.smoothing
        divisor = total + self.settings.smoothing
        # Row by row: whole, in double precision, it would be twice the answer.
        for row, mass in zip(out, unlisted, strict=True):
            row += (mass * self.popularity).astype(np.float32)
        out /= divisor[:, None].astype(np.float32)
        return out

    def with_new_items(self, n: int) -> TransitionCounts:
        """The same counts with `n` more items, of which nothing was counted."""
        return replace(
            self,
            offsets=np.pad(self.offsets, (0, n), mode="edge"),
            row_mass=np.pad(self.row_mass, (0, n)),
            successes=np.pad(self.successes, (0, n)),
        )

    def save(self, path: Path) -> None:
        """Write to `path` as safetensors."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "offsets": self.offsets, "successor": self.successor, "mass": self.mass,
            "row_mass": self.row_mass, "successes": self.successes,
        }  # fmt: skip
        header = _Header(format=FORMAT, settings=self.settings)
        save_arrays(path, arrays, header)

    def source_weight(self, sources: Sources) -> Doubles:
        """(n_sources,) the weight of a unit of mass counted from each source."""
        return sources.weight * self.divided[sources.item]

    @cached_property
    def divided(self) -> Doubles:
        """(n_items,) the factor that divides row sums out."""
        return _power(self.row_mass.astype(np.float64), self.settings.sharpness)

    @cached_property
    def stored_mass(self) -> Doubles:
        """(n_items,) mass of the pairs that were kept."""
        total = np.append(0, np.cumsum(self.mass, dtype=np.float64))
        return np.diff(total[self.offsets])

    def _scatter(self, out: Floats, sources: Sources, weights: Doubles) -> None:
        """Add the sources' successors to `out`, in pieces."""
        begin = self.offsets[sources.item]
        length = self.offsets[sources.item + 1] - begin
        weight = weights.astype(np.float32)
        base = sources.row * self.n_items
        cost = np.cumsum(length)
        flat, lower = out.reshape(-1), 0
        while lower < len(length):
            done = cost[lower - 1] if lower else 0
            upper = max(lower + 1, int(np.searchsorted(cost, done + _PIECE, side="right")))
            piece = slice(lower, upper)
            index = ragged_ranges(begin[piece], length[piece])
            cell = np.repeat(base[piece], length[piece]) + self.successor[index]
            np.add.at(flat, cell, np.repeat(weight[piece], length[piece]) * self.mass[index])
            lower = upper


def fit_counts(
    histories: Histories,
    train_end: Whole,
    n_items: int,
    settings: CountSettings | None = None,
    positive: npt.NDArray[np.bool_] | None = None,
    weight: Doubles | None = None,
) -> TransitionCounts:
    """Count what follows what in every user's events before `train_end`.

    `train_end` (n_users,) is the absolute event index (exclusive) where train stops.
    `positive` (n_actions,) marks the actions that count as success (default: all); any
    action can be a cause. `weight` (n_users,) is how much each user's successes count.
    Items of one moment never cause each other, but see `together`.
    Memory: about 12 bytes for each event and lag, and 8 for each pair kept.
    Raises TrainError if train holds no success, SettingsError on settings out of range.
    """
    settings = settings or CountSettings()
    settings.check()
    recent_items = read_recent_items(histories, np.arange(histories.n_users), train_end)
    counted = _counted(recent_items, histories, positive, settings.repeat)
    if not counted.any():
        raise TrainError(
            f"counts: none of the {histories.n_events} events before the end of train is a "
            "success with a known item; check [recommend] positive and [split]"
        )
    target = np.flatnonzero(counted)
    run = np.repeat(np.arange(histories.n_users), np.diff(recent_items.offsets))
    each = np.ones(len(target)) if weight is None else weight[run[target]]
    successes = np.bincount(recent_items.item[target], each, n_items).astype(np.float32)
    stop, row = np.unique(recent_items.moment_start[target], return_inverse=True)
    sources = recent_sources(recent_items, run[stop], stop, settings)
    targets = Sources(*_rows(row, recent_items.item[target], each, len(stop)))
    pairs = count_pairs(sources, targets, n_items, settings.max_successors, settings.together)
    return TransitionCounts(
        settings, pairs.offsets, pairs.successor, pairs.mass, pairs.row_mass, successes
    )


def load_counts(path: Path) -> TransitionCounts:
    """Counts that `save` wrote. Raises BundleError if the file is missing or of another format."""
    header, arrays = load_arrays(path, _Header, FORMAT, "pack the bundle again")
    return TransitionCounts(settings=header.settings, **arrays)


def recent_sources(
    recent_items: RecentItems, run: Whole, stop: Ints, settings: CountSettings
) -> Sources:
    """What each row starts from, by the settings."""
    return recent_items.recent(run, stop, settings.n_lags, settings.fade, settings.max_sources)


def _counted(
    recent_items: RecentItems,
    histories: Histories,
    positive: npt.NDArray[np.bool_] | None,
    repeat: bool,
) -> npt.NDArray[np.bool_]:
    """Which of the recent items' events are targets."""
    success = np.ones(len(recent_items.event), bool)
    if positive is not None:
        success = positive[histories.action[recent_items.event]]
    if repeat:
        return success
    run = np.repeat(np.arange(len(recent_items.start)), np.diff(recent_items.offsets))
    targets = np.flatnonzero(success)
    width = int(recent_items.item.max(initial=0)) + 1
    _, first = np.unique(run[targets] * width + recent_items.item[targets], return_index=True)
    fresh = np.zeros(len(success), bool)
    fresh[targets[first]] = True
    return fresh


def _rows(row: Ints, item: Ids, weight: Doubles, n_rows: int) -> tuple[Ints, Ids, Doubles]:
    """Items and their weights in compressed rows."""
    order = np.argsort(row, kind="stable")
    offsets = row_offsets(np.bincount(row, minlength=n_rows))
    return offsets, item[order], weight[order]


def _sum_rows(value: Doubles, sources: Sources) -> Doubles:
    """Sum of the sources' values, a row."""
    return np.bincount(sources.row, value, len(sources)).astype(np.float64)


def _power(mass: Doubles, sharpness: float) -> Doubles:
    """`mass ** -sharpness`, 0 where there is no mass."""
    return np.where(mass > 0, np.maximum(mass, 1e-12) ** -sharpness, 0)


def _popularity(successes: Doubles) -> Doubles:
    counts = successes + 1
    counts[:FIRST_KNOWN] = 0
    out: Doubles = counts / counts.sum()
    return out
