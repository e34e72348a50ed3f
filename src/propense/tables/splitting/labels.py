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

from propense.schemas import Ints
from propense.tables.splitting.cuts import Grid
from propense.tables.splitting.eligibility import Clause
from propense.tables.splitting.ledger import Bools, Ledger, positions
from propense.tables.splitting.netting import count_returned

CELLS: Final = 1_000_000
"""Customers x times labelled at once: bounds the memory."""


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
    """Actions that give back: their values are taken off whatever their sign, and an event that
    they take back whole within the window does not count."""


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


def _answer_block(
    ledger: Ledger, grid: Grid, questions: tuple[Question, ...], closed: tuple[Bools, ...]
) -> Answers:
    shifts: dict[int, Ints] = {}

    def at(shift: int) -> Ints:
        if shift not in shifts:
            shifts[shift] = positions(ledger.offsets, ledger.time_us, grid, shift)
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
        if question.ask != "value_of" and question.action != "*" and question.refunds:
            bought, back = ledger.of((question.action,)), ledger.of(question.refunds)
            returned = count_returned(ledger, bought, back, grid, question.within)
            sums = sums if returned is None else sums - returned[chosen]
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
