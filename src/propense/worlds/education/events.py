"""Events of one chunk as they happen: columns that grow a day at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints
from propense.worlds.education.calendar import DAY_SECONDS, START_SECONDS
from propense.worlds.education.customers import Customers

ACTIONS: Final = ("view", "favourite", "comment", "pay", "refund", "learn", "buy")
VIEW, FAVOURITE, COMMENT, PAY, REFUND, LEARNT, BUY = range(7)
_DAY_MS: Final = DAY_SECONDS * 1000
_LATEST_START_MS: Final = 80_000_000
"""Sessions begin early enough to end before the day does."""

Booleans = npt.NDArray[np.bool_]

# Weights of the local hours 0..23 for students, office hours, evenings, early birds.
_HOURS: Final = np.array([
    [3, 1, 1, 0, 0, 0, 1, 2, 4, 6, 6, 5, 7, 6, 5, 5, 5, 5, 6, 8, 10, 11, 10, 7],
    [1, 0, 0, 0, 0, 1, 2, 4, 6, 8, 9, 8, 9, 7, 6, 6, 6, 6, 5, 5, 6, 6, 4, 2],
    [3, 1, 0, 0, 0, 0, 1, 2, 2, 2, 2, 3, 6, 4, 2, 2, 3, 4, 7, 11, 14, 15, 12, 7],
    [1, 0, 0, 1, 3, 8, 12, 12, 9, 6, 4, 3, 5, 4, 3, 3, 3, 4, 6, 7, 6, 4, 2, 1],
], dtype=float)  # fmt: skip


def _hour_table() -> Doubles:
    """(4, 24) cumulative share of the hours of a simulated day, which begins at 8 local."""
    rolled = np.roll(_HOURS, -8, axis=1)
    table: Doubles = np.cumsum(rolled / rolled.sum(axis=1, keepdims=True), axis=1)
    return table


_HOUR_SHARE: Final = _hour_table()


@dataclass
class Visits:
    """The visits of one day, at most one a customer; time advances as events are added."""

    customer: Ints
    day: int
    clock: Ints
    """Milliseconds into the day at which the next event may happen."""
    step: Ints
    app: Booleans

    def __len__(self) -> int:
        return len(self.customer)

    @staticmethod
    def open(rng: np.random.Generator, customers: Customers, customer: Ints, day: int) -> Visits:
        n = len(customer)
        share = _HOUR_SHARE[customers.hours[customer]]
        hour = (share <= rng.random(n)[:, None]).sum(axis=1)
        start = hour * 3_600_000 + rng.integers(0, 3_600_000, n)
        start = np.minimum(start, _LATEST_START_MS - rng.integers(0, 3_600_000, n))
        app = rng.random(n) < customers.p_app[customer]
        return Visits(customer, day, start, rng.integers(20_000, 140_000, n), app)

    def wait(self, chosen: Booleans, rng: np.random.Generator) -> None:
        """Advance the clock by ten to forty minutes."""
        self.clock[chosen] += rng.integers(600_000, 2_400_000, int(chosen.sum()))


@dataclass
class EventLog:
    """Columns in pieces; `columns` concatenates them."""

    pieces: list[dict[str, npt.NDArray[np.generic]]] = field(default_factory=list)
    orders: list[dict[str, Ints]] = field(default_factory=list)

    def add(
        self, visits: Visits, chosen: Booleans, item: Ints, action: int, amount: Ints | None = None
    ) -> None:
        """Add one event for each chosen visit."""
        row = np.flatnonzero(chosen)
        paid = np.full(len(row), -1, np.int64) if amount is None else amount[row]
        self._append(visits, row, item[row], action, visits.clock[row], paid)
        visits.clock[row] += visits.step[row]

    def add_views(
        self, rng: np.random.Generator, visits: Visits, row: Ints, n_views: Ints, item: Ints
    ) -> None:
        """Add `n_views` views to each visit; `row` is the visit of each view."""
        index = np.arange(len(row)) - np.repeat(np.cumsum(n_views) - n_views, n_views)
        step = visits.step[row]
        time = visits.clock[row] + index * step + rng.integers(0, 10_000, len(row))
        self._append(visits, row, item, VIEW, time, np.full(len(row), -1, np.int64))
        visits.clock += n_views * visits.step

    def add_orders(
        self, rng: np.random.Generator, day: int, customer: Ints, row: Ints, book: Ints
    ) -> None:
        """Lines of book orders; all lines of an order have the same time."""
        second = rng.integers(0, DAY_SECONDS, len(customer))
        number = rng.integers(0, 1_000_000, len(customer))
        count = 1 + (rng.random(len(row)) < 0.08)
        # A book occurs once in an order: two equal lines would be a duplicate.
        once = np.unique(np.stack([row, book]), axis=1, return_index=True)[1]
        once.sort()
        row, book, count = row[once], book[once], count[once]
        self.orders.append(
            {
                "user": customer[row],
                "item": book,
                "time": (START_SECONDS + day * DAY_SECONDS + second)[row],
                "number": number[row],
                "count": count.astype(np.int64),
            }
        )

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """user, item, action, time (ms since 1970), amount (-1 = none), app; in time order."""
        names = self.pieces[0].keys()
        joined = {name: np.concatenate([piece[name] for piece in self.pieces]) for name in names}
        order = np.argsort(joined["time"], kind="stable")
        return {name: values[order] for name, values in joined.items()}

    def order_columns(self) -> dict[str, Ints]:
        """user, item, time (s), number, count of the book order lines; in time order."""
        names = self.orders[0].keys()
        joined = {name: np.concatenate([piece[name] for piece in self.orders]) for name in names}
        order = np.argsort(joined["time"], kind="stable")
        return {name: values[order] for name, values in joined.items()}

    def _append(
        self, visits: Visits, row: Ints, item: Ints, action: int, time: Ints, amount: Ints
    ) -> None:
        begin = (START_SECONDS + visits.day * DAY_SECONDS) * 1000
        self.pieces.append(
            {
                "user": visits.customer[row].astype(np.int32),
                "item": item.astype(np.int32),
                "action": np.full(len(row), action, np.int8),
                "time": begin + np.minimum(time, _DAY_MS - 1),
                "amount": amount.astype(np.int32),
                "app": visits.app[row],
            }
        )
