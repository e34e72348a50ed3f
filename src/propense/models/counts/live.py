"""Decayed counts that go on while a bundle serves. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from propense.models.counts.decayed import DecayedCounts
from propense.models.counts.recent_items import Whole
from propense.schemas import Doubles, Floats, Ids, Ints

_HELD_STEPS: Final = 4


class Closed(NamedTuple):
    """A step that has begun, and what had been counted until then. Times in seconds."""

    begin: int
    due: int
    """From then on it is in use: all processes have heard of it."""
    counts: DecayedCounts


@dataclass(frozen=True)
class LiveCounts(DecayedCounts):
    """Those of a bundle, and from the end of its data on what a service has counted since.

    A time before the first step that was closed here is answered from the bundle alone.
    """

    closed: list[Closed] = field(default_factory=list)
    """At most two, the earlier one first; replaced as a whole."""
    held: dict[int, Floats] = field(default_factory=dict, compare=False, repr=False)
    """What `at` gave for the latest single steps."""

    @classmethod
    def of(cls, packed: DecayedCounts) -> LiveCounts:
        """Nothing is counted yet."""
        return cls(packed.step, packed.start, packed.base, packed.number, packed.item, packed.count)

    def at(self, as_of: Whole) -> Floats:
        """See DecayedCounts."""
        asked = np.asarray(as_of, np.int64)
        if len(asked) == 1:
            return self._at_one(int(asked[0]) // self.step * self.step).copy()
        return self._at_many(asked)

    def _at_one(self, step: int) -> Floats:
        """Held, since all who ask within a step ask for the same."""
        counts = self.held.get(step)
        if counts is None:
            counts = self._at_many(np.array([step]))
            if len(self.held) >= _HELD_STEPS:
                self.held.clear()
            self.held[step] = counts
        return counts

    def _at_many(self, asked: Ints) -> Floats:
        closed = list(self.closed)
        source = np.searchsorted(np.array([one.begin for one in closed]), asked, side="right")
        out = np.zeros((len(self.base), len(asked), self.base.shape[1]), np.float32)
        for number in np.unique(source):
            rows = source == number
            if number:
                out[:, rows] = closed[number - 1].counts.at(asked[rows])
            else:
                out[:, rows] = super().at(asked[rows])
        return out

    def with_new_items(self, n_new: int) -> LiveCounts:
        """See DecayedCounts. Nothing is counted yet."""
        return LiveCounts.of(super().with_new_items(n_new))

    def in_use(self, as_of: int) -> int:
        """The beginning, in seconds, of the step that a list asked for at a time is made as of."""
        for one in reversed(list(self.closed)):
            if as_of >= one.due:
                return one.begin
        return as_of // self.step * self.step

    def follow(self, begin: int, due: int, number: Ints, item: Ids, count: Doubles) -> bool:
        """A step has begun; `number`, `item`, `count` (n,) is everything that was counted since the
        bundle's data end. Returns whether it is the first.

        The same counts give the same bits, whatever was followed before.
        """
        first = self.stop // self.step
        fresh = (number >= first) & (item < self.base.shape[1])
        order = np.argsort(number[fresh], kind="stable")
        whole = DecayedCounts(
            self.step, self.start, self.base,
            np.concatenate([self.number, number[fresh][order]]),
            np.concatenate([self.item, item[fresh][order]]).astype(np.int32),
            np.concatenate([self.count, count[fresh][order]]),
        )  # fmt: skip
        earlier = [one for one in self.closed if one.begin < begin][-1:]
        self.closed[:] = [*earlier, Closed(begin, due, whole.since(begin))]
        self.held.clear()
        return len(self.closed) == 1
