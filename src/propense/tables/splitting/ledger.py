"""Events of customers as arrays, and where the as-of times of a grid fall among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints
from propense.tables.splitting.cuts import Grid
from propense.times import MICROS_PER_SECOND

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ledger:
    """Events of some customers, sorted by customer and time."""

    offsets: Ints
    """(n_users + 1,) where each customer's events start."""
    time_us: Ints
    action: npt.NDArray[np.int32]
    """Index into `words`."""
    value: Ints
    """Micro-units, 0 where none."""
    item: Ints
    """Codes of the items, -1 where none."""
    count: Doubles
    """nan where none."""
    words: tuple[str, ...]

    @property
    def n_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def users(self) -> Ints:
        """(n_events,) the customer of each event."""
        return np.repeat(np.arange(self.n_users), np.diff(self.offsets))

    def block(self, first: int, last: int) -> Ledger:
        """Customers first..last-1."""
        opens, closes = self.offsets[first], self.offsets[last]
        chosen = slice(opens, closes)
        return Ledger(
            self.offsets[first : last + 1] - opens,
            self.time_us[chosen], self.action[chosen], self.value[chosen], self.item[chosen],
            self.count[chosen], self.words,
        )  # fmt: skip

    def of(self, actions: tuple[str, ...]) -> Bools:
        """Which events are one of `actions`; "*" is every action."""
        if "*" in actions:
            return np.ones(len(self.action), dtype=np.bool_)
        codes = [code for code, word in enumerate(self.words) if word in actions]
        return np.isin(self.action, codes)


def positions(offsets: Ints, time_us: Ints, grid: Grid, shift: int) -> Ints:
    """(n_users, grid.n) index of the customer's first event at or after time + shift.

    `offsets` (n_users + 1,) say whose events the times are; within a customer they can have any
    order: the index is one more than that of the last of those before time + shift, if they are
    sorted. `shift` is in seconds.

    >>> times = np.array([5_000_000, 20_000_000])
    >>> positions(np.array([0, 2]), times, Grid(first=10, every=10, n=3), shift=0).tolist()
    [[1, 1, 2]]
    """
    n_users = len(offsets) - 1
    since = time_us - (grid.first + shift) * MICROS_PER_SECOND
    slot = np.clip(since // (grid.every * MICROS_PER_SECOND) + 1, 0, grid.n)
    user = np.repeat(np.arange(n_users), np.diff(offsets))
    counts = np.bincount(user * (grid.n + 1) + slot, minlength=n_users * (grid.n + 1))
    table = counts.reshape(n_users, grid.n + 1)[:, : grid.n]
    return np.asarray(np.cumsum(table, axis=1) + offsets[:-1, None], dtype=np.int64)
