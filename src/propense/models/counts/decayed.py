"""How popular each item is at a time: counts that decay, by steps of an hour. Numpy only.

A count of step k weighs `.5 ** (age / half_life)` at the beginning of step s, its age being s - k
steps; within step s only earlier steps are known. So all who ask within a step get
the same numbers, and the service can follow with the counts of one step at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from propense.encoding.storage import ArraysHeader, load_arrays, save_arrays
from propense.errors import BundleError
from propense.models.counts.own_items import Mask
from propense.models.counts.recent_items import Whole, ragged_ranges
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Ids, Ints

HALF_LIVES: Final = (1.0, 7.0, 30.0, 90.0)
"""Days."""
WEEK: Final = 1
"""Index of the half-life of a week."""
SMOOTHING: Final = 5.0
"""Counts of the next longer span that a span is mixed with."""
STEP: Final = 3600
"""Seconds."""
_DAY: Final = 86_400
_FORMAT: Final = "propense-decayed-counts-1"


class _Header(ArraysHeader, frozen=True):
    step: int = STEP
    start: int = 0


@dataclass(frozen=True)
class DecayedCounts:
    """Counts of items by step, from which their popularity at any later time follows."""

    step: int
    """Seconds."""
    start: int
    """Number of the first step that is not in `base`."""
    base: Doubles
    """(n_half_lives, n_items) decayed counts at the beginning of step `start`."""
    number: Ints
    """(n,) step of each count since then, increasing."""
    item: Ids
    count: Doubles

    def at(self, as_of: Whole) -> Floats:
        """(n_half_lives, n, n_items) decayed counts as of each time in seconds; those before
        the first step get those of its beginning."""
        asked = np.maximum(np.asarray(as_of, np.int64) // self.step, self.start)
        out = np.zeros((len(self.base), len(asked), self.base.shape[1]), np.float32)
        order = np.argsort(asked, kind="stable")
        state, now, first = self.base.copy(), self.start, 0
        for step in np.unique(asked):
            stop = int(np.searchsorted(self.number, step))
            state = self._moved(state, now, int(step), slice(first, stop))
            now, first = int(step), stop
            low, high = np.searchsorted(asked[order], (step, step + 1))
            out[:, order[low:high]] = state[:, None]
        return out

    def since(self, as_of: int) -> DecayedCounts:
        """The same from a later time on: what was before is in the base alone."""
        step = max(as_of // self.step, self.start)
        stop = int(np.searchsorted(self.number, step))
        base = self._moved(self.base.copy(), self.start, step, slice(0, stop))
        return DecayedCounts(
            self.step, step, base, self.number[stop:], self.item[stop:], self.count[stop:]
        )

    def until(self, as_of: int) -> DecayedCounts:
        """The same without the counts of the step of a time, and of later ones."""
        stop = int(np.searchsorted(self.number, as_of // self.step))
        return DecayedCounts(
            self.step, self.start, self.base, self.number[:stop], self.item[:stop],
            self.count[:stop],
        )  # fmt: skip

    def with_new_items(self, n_new: int) -> DecayedCounts:
        """The same with items at the end that nothing is counted of."""
        return replace(self, base=np.pad(self.base, ((0, 0), (0, n_new))))

    @property
    def stop(self) -> int:
        """Time, in seconds, from which on every count is known."""
        last = int(self.number[-1]) + 1 if len(self.number) else self.start
        return last * self.step

    def check(self, where: str) -> None:
        """Raises BundleError unless the arrays fit together."""
        base, number, item = self.base, self.number, self.item
        if (
            self.step < 1 or base.ndim != 2 or len(base) != len(HALF_LIVES)
            or not number.shape == item.shape == self.count.shape or number.ndim != 1
            or (len(item) and not 0 <= item.min() <= item.max() < base.shape[1])
            or (np.diff(number) < 0).any() or (len(number) and number[0] < self.start)
        ):  # fmt: skip
            raise BundleError(f"{where} does not hold decayed counts; run: propense train")

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """By name, as a file holds them."""
        return {
            "base": self.base, "number": self.number, "item": self.item, "count": self.count,
        }  # fmt: skip

    def save(self, file: Path) -> None:
        """Write one safetensors file, whole or not at all."""
        header = _Header(format=_FORMAT, step=self.step, start=self.start)
        save_arrays(file, self.arrays(), header)

    def _moved(self, state: Doubles, now: int, step: int, new: slice) -> Doubles:
        """The decayed counts at the beginning of `step`, from those of step `now` and the counts
        of the steps between."""
        days = self.step / _DAY
        n_items = self.base.shape[1]
        for row, half_life in enumerate(HALF_LIVES[: len(state)]):
            state[row] *= 0.5 ** ((step - now) * days / half_life)
            weight = self.count[new] * 0.5 ** ((step - self.number[new]) * days / half_life)
            state[row] += np.bincount(self.item[new], weight, n_items)
        return state


def popular_opinions(counts: Floats, prior: Doubles) -> tuple[Floats, Floats]:
    """P(item) by the popularity of about a month and of about a week, (n, n_items) each.

    `counts` (n_half_lives, n, n_items) are decayed ones. Each span is mixed with `SMOOTHING` counts
    of the next longer one, the longest with as many of `prior` (n_items,): an item of which
    nothing was heard of late keeps a little of what it had.
    """
    wider = prior[None]
    spans = []
    for row in range(len(counts) - 1, WEEK - 1, -1):
        span = counts[row].astype(np.float64) + SMOOTHING * wider
        span /= span.sum(axis=1, keepdims=True)
        spans.append(span.astype(np.float32))
        wider = span
    return spans[-2], spans[-1]


def count_by_step(
    histories: Histories,
    end: Whole,
    n_items: int,
    success: Mask | None,
    weight: Doubles | None = None,
    step: int = STEP,
) -> DecayedCounts:
    """The successes of all customers before `end` (n_users,), absolute and exclusive.

    A customer counts once an item and UTC day, with the first event of it, and as much as their
    `weight` (n_users,), default 1. `success` (n_actions,) marks the actions that count.
    """
    begin = histories.offsets[:-1]
    length = np.maximum(end - begin, 0)
    event = ragged_ranges(begin, length)
    counted = histories.item[event] >= FIRST_KNOWN
    if success is not None:
        counted &= success[histories.action[event]]
    event, user = event[counted], np.repeat(np.arange(len(begin)), length)[counted]
    time, item = histories.time[event], histories.item[event].astype(np.int64)
    day = time // _DAY
    n_days = int(day.max(initial=0) - day.min(initial=0)) + 1
    key = (user * n_items + item) * n_days + (day - day.min(initial=0))
    _, first = np.unique(key, return_index=True)
    each = np.ones(len(first)) if weight is None else weight[user[first]]
    number = time[first] // step
    cell, row = np.unique(number * n_items + item[first], return_inverse=True)
    count = np.bincount(row, each, len(cell)).astype(np.float64)
    numbers = cell // n_items
    start = int(numbers[0]) if len(numbers) else 0
    return DecayedCounts(
        step, start, np.zeros((len(HALF_LIVES), n_items)), numbers,
        (cell % n_items).astype(np.int32), count,
    )  # fmt: skip


def load_decayed(file: Path) -> DecayedCounts:
    """What `save` wrote. Raises BundleError if it is missing or of another format."""
    header, arrays = load_arrays(file, _Header, _FORMAT, "run: propense train")
    counts = DecayedCounts(header.step, header.start, **arrays)
    counts.check(repr(str(file)))
    return counts
