"""Labels of customers at many as-of times, from their events alone.

A customer's events are sorted by time, so what happened in [a, b) is a difference of running
sums at the positions of a and b. Positions of all as-of times come from one count per customer and
grid step: nothing is ever as large as customers x times x events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from propense.schemas import Ints
from propense.tables.splitting.cuts import Grid
from propense.tables.splitting.eligibility import Clause
from propense.times import MICROS_PER_SECOND

CELLS: Final = 1_000_000
"""Customers x times labelled at once: bounds the memory."""

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
    words: tuple[str, ...]

    @property
    def n_users(self) -> int:
        return len(self.offsets) - 1

    def block(self, first: int, last: int) -> Ledger:
        """Customers first..last-1."""
        opens, closes = self.offsets[first], self.offsets[last]
        chosen = slice(opens, closes)
        return Ledger(
            self.offsets[first : last + 1] - opens,
            self.time_us[chosen], self.action[chosen], self.value[chosen], self.words,
        )  # fmt: skip

    def of(self, actions: tuple[str, ...]) -> Bools:
        """Which events are one of `actions`; "*" is every action."""
        if "*" in actions:
            return np.ones(len(self.action), dtype=np.bool_)
        codes = [code for code, word in enumerate(self.words) if word in actions]
        return np.isin(self.action, codes)


@dataclass(frozen=True)
class Question:
    """A goal that the events answer."""

    name: str
    ask: Literal["action", "absent", "value_of"]
    action: str
    """ "*" is any action."""
    within: int
    """Seconds."""
    among: tuple[Clause, ...]
    refunds: tuple[str, ...] = ()
    """Actions whose values are taken off, whatever their sign."""


@dataclass(frozen=True)
class Answers:
    """Labelled rows, by customer and as-of time."""

    user: Ints
    """(n_rows,) customer's index in the ledger."""
    time_index: Ints
    """(n_rows,) index into the grid."""
    y: tuple[Ints, ...]
    """One (n_rows,) array a question: 0/1 or micro-units."""
    labelled: tuple[Bools, ...]
    """One (n_rows,) array a question: asked of this customer, and the window is closed."""


def answer(
    ledger: Ledger, grid: Grid, questions: tuple[Question, ...], closed: tuple[Bools, ...]
) -> Iterator[Answers]:
    """Rows of every customer and as-of time where at least one question has an answer.

    `closed` has one (grid.n,) mask a question: the times whose label window ends before the
    part's end. Yields blocks of customers in the ledger's order.
    """
    step = max(1, CELLS // grid.n)
    for first in range(0, ledger.n_users, step):
        block = ledger.block(first, min(first + step, ledger.n_users))
        answers = _answer_block(block, grid, questions, closed)
        if len(answers.user):
            yield Answers(answers.user + first, answers.time_index, answers.y, answers.labelled)


def positions(ledger: Ledger, grid: Grid, shift: int) -> Ints:
    """(n_users, grid.n) index of the customer's first event at or after time + shift.

    Events before it are those earlier than time + shift. `shift` is in seconds.

    >>> times = np.array([5_000_000, 20_000_000])
    >>> ledger = Ledger(np.array([0, 2]), times, np.zeros(2, np.int32), np.zeros(2, int), ("a",))
    >>> positions(ledger, Grid(first=10, every=10, n=3), shift=0).tolist()
    [[1, 1, 2]]
    """
    n_users = ledger.n_users
    since = ledger.time_us - (grid.first + shift) * MICROS_PER_SECOND
    slot = np.clip(since // (grid.every * MICROS_PER_SECOND) + 1, 0, grid.n)
    user = np.repeat(np.arange(n_users), np.diff(ledger.offsets))
    counts = np.bincount(user * (grid.n + 1) + slot, minlength=n_users * (grid.n + 1))
    table = counts.reshape(n_users, grid.n + 1)[:, : grid.n]
    return np.asarray(np.cumsum(table, axis=1) + ledger.offsets[:-1, None], dtype=np.int64)


def _answer_block(
    ledger: Ledger, grid: Grid, questions: tuple[Question, ...], closed: tuple[Bools, ...]
) -> Answers:
    shifts: dict[int, Ints] = {}

    def at(shift: int) -> Ints:
        if shift not in shifts:
            shifts[shift] = positions(ledger, grid, shift)
        return shifts[shift]

    labelled = [
        _asked(ledger, at, question.among) & mask
        for question, mask in zip(questions, closed, strict=True)
    ]
    chosen = np.logical_or.reduce(labelled)
    user, time_index = np.nonzero(chosen)
    now = at(0)[chosen]
    y = []
    for question in questions:
        then = at(question.within)[chosen]
        running = _running(ledger, question)
        sums = running[then] - running[now]
        if question.ask == "action":
            sums = (sums > 0).astype(np.int64)
        elif question.ask == "absent":
            sums = (sums == 0).astype(np.int64)
        y.append(sums)
    return Answers(user, time_index, tuple(y), tuple(mask[chosen] for mask in labelled))


def _running(ledger: Ledger, question: Question) -> Ints:
    """(n_events + 1,) sums before each event of what the question counts."""
    counted = ledger.of((question.action,)).astype(np.int64)
    if question.ask == "value_of":
        refund = ledger.of(question.refunds)
        counted = np.where(refund, -np.abs(ledger.value), counted * ledger.value)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counted)])


def _asked(ledger: Ledger, at: Callable[[int], Ints], among: tuple[Clause, ...]) -> Bools:
    """(n_users, grid.n) where every clause holds."""
    now = at(0)
    start = ledger.offsets[:-1, None]
    holds: Bools = now > start
    for clause in among:
        if clause.action is not None:
            running = np.concatenate([[0], np.cumsum(ledger.of((clause.action,)))])
            ever = running[now] - running[start] > 0
            holds &= ever if clause.kind == "ever" else ~ever
        elif clause.within is not None:
            holds &= now > at(-clause.within)
    return holds


def capped(user: Ints, part: Ints, cap: int) -> Bools:
    """Which rows stay when a customer keeps at most `cap` in a part, spread evenly to the last.

    Rows are sorted by user and time, parts do not decrease within a user.

    >>> capped(np.array([7, 7, 7, 7, 7]), np.array([0, 0, 0, 0, 1]), cap=2).tolist()
    [False, True, False, True, True]
    """
    if not len(user):
        return np.zeros(0, dtype=np.bool_)
    new = np.flatnonzero(np.diff(user, prepend=-1) | np.diff(part, prepend=-1))
    sizes = np.diff(new, append=len(user))
    n = np.repeat(sizes, sizes)
    from_last = np.repeat(new + sizes, sizes) - 1 - np.arange(len(user))
    n_capped = np.minimum(n, cap)
    stays: Bools = (from_last * n_capped) // n > ((from_last - 1) * n_capped) // n
    return stays
