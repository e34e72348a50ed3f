"""The search for columns of customers that know how the log goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from propense.schemas import NO_TIME, Doubles, Ints, SplitPlan
from propense.tables.doctor.leaks.column_views import Columns, View
from propense.tables.doctor.leaks.log_states import LogSample, Quantity
from propense.tables.doctor.leaks.pairs import (
    EQUAL,
    Match,
    Pairs,
    equal_share,
    make_pairs,
    match_numbers,
    match_words,
)
from propense.times import SECONDS_PER_DAY

FEWEST: Final = 50
"""Customers at a time below which nothing can be compared."""
LATE: Final = 0.02
"""Share of customers whose cell lies after as_of from which a time is looked at."""
LEANS: Final = 0.80
"""Share of right pairs from which a late time seems to be written anew with every event."""
LEANS_SURELY: Final = 0.70
_BEFORE_END: Final = (90, 30, 7)
"""Days before the end at which flags such as "paid in the last 30 days" begin."""


@dataclass(frozen=True)
class Evidence:
    """Why a column is said to know the future."""

    column: str
    by_being_empty: bool
    ordered: bool
    """Whether the order of the cells is their own, and not one that was learned."""
    quantity: Quantity
    as_of: int
    match: Match
    equal: float
    """Share of the customers whose quantity changes after as_of that have its final value."""
    closeness: float
    """Share of any two customers that the cells order as the quantity does at the end."""


@dataclass
class Search:
    """What was found: the best evidence of each column, and times that are written anew."""

    leaks: dict[str, Evidence] = field(default_factory=dict)
    late: dict[str, Evidence] = field(default_factory=dict)

    def add(self, evidences: dict[str, Evidence], evidence: Evidence) -> None:
        best = evidences.get(evidence.column)
        if best is None or _strength(evidence) > _strength(best):
            evidences[evidence.column] = evidence


def _strength(evidence: Evidence) -> float:
    return evidence.closeness + 0.1 * evidence.match.right


def search(log: LogSample, columns: Columns, plan: SplitPlan) -> Search:
    """Compare every column, as it is seen at several times, with how the log goes on from there.

    `columns` are the customers of `log`, in its order.
    """
    result = Search()
    if not columns.names or plan.end is None or not len(log.time):
        return result
    states = list(log.states(plan.end))
    last = states[0][1]
    filled = columns.filled
    times = compared_times(log, plan)
    finals = {until: [state(until) for _, state in states] for until in _ends(times, plan)}
    for as_of in times:
        rows = np.flatnonzero((log.n_before(as_of) > 0) & filled)
        if len(rows) < FEWEST:
            continue
        views = list(columns.views(rows, as_of))
        late = {
            name for name in columns.times if columns.later(name, rows, as_of).mean() >= LATE
        }  # fmt: skip
        silence = as_of - last(as_of)[rows].astype(np.int64)
        for number, (quantity, state) in enumerate(states):
            past = state(as_of)[rows]
            for until, ends in finals.items():
                future = ends[number][rows] - past
                if until <= as_of or not future.any():
                    continue
                pairs = make_pairs(past, future, log.first[rows], silence)
                for view in views:
                    match = _match(view, pairs)
                    knows, leans = _classify(view, match, quantity, view.column in late)
                    cells = _raw(columns, view, rows)
                    equal = _equal(columns, view, quantity, cells, (past, ends[number][rows]))
                    knows = knows or equal >= EQUAL
                    if knows or leans:
                        evidence = Evidence(
                            view.column,
                            view.of == "empty",
                            view.numbers is not None,
                            quantity,
                            as_of,
                            match,
                            equal,
                            _closeness(cells, ends[number][rows]),
                        )
                        result.add(result.leaks if knows else result.late, evidence)
    return result


def compared_times(log: LogSample, plan: SplitPlan) -> list[int]:
    """Times of as_of, in seconds: two early ones, the cuts, and days before the end."""
    assert plan.end is not None
    begin = int(np.quantile(log.time, 0.1))
    end = plan.end + 1
    times = {begin + (end - begin) // 4, begin + (end - begin) // 2}
    times |= {end - days * SECONDS_PER_DAY for days in _BEFORE_END}
    times |= {cut for cut in (plan.validation_from, plan.test_from) if cut is not None}
    return sorted(time for time in times if begin <= time < end)


def _ends(times: Sequence[int], plan: SplitPlan) -> list[int]:
    """Until when the log goes on: its end, or where a file that was made before ends."""
    assert plan.end is not None
    return [plan.end + 1] if plan.test_from is None else [plan.end + 1, plan.test_from]


def _match(view: View, pairs: Pairs) -> Match:
    if view.numbers is not None:
        return match_numbers(view.numbers, pairs, view.differing)
    assert view.codes is not None
    return match_words(view.codes, pairs, view.differing)


def _classify(view: View, match: Match, quantity: Quantity, late: bool) -> tuple[bool, bool]:
    """Whether the column knows the future, and whether a late time leans to what is written anew.

    Being empty because the time is later says that the customer will be active: a first purchase
    that is still to come says nothing of the kind.
    """
    masked = late and view.of == "empty"
    knows = match.knows(view.few_values and not masked)
    leans = masked and match.certain and match.rising and match.reaches(LEANS, LEANS_SURELY)
    return knows, leans and not quantity.kind.startswith("first")


def _raw(columns: Columns, view: View, rows: Ints) -> Doubles | None:
    """The cells as they stand in the table, or what the view made of them."""
    if view.column in columns.times:
        times = columns.times[view.column][rows]
        return np.where(times == NO_TIME, np.nan, times.astype(np.float64))
    return view.numbers


def _equal(
    columns: Columns, view: View, quantity: Quantity, cells: Doubles | None,
    states: tuple[Doubles, Doubles],
) -> float:  # fmt: skip
    """How often the cells are the quantity's final value, past and final of which are `states`.

    A first time that is still to come is hidden at as_of, as it was then.
    """
    is_time = view.column in columns.times
    first = quantity.kind.startswith("first")
    if cells is None or view.of == "empty" or (is_time and first):
        return 0.0
    is_date = quantity.kind.startswith(("first", "last"))
    if is_time and not is_date:
        return 0.0
    return equal_share(cells, *states, is_date)


def _closeness(cells: Doubles | None, final: Doubles) -> float:
    """Share of random pairs of customers that the cells order as the quantity does, in one
    direction or the other."""
    if cells is None:
        return 0.5
    mixed = np.random.default_rng(0).permutation(len(cells))
    change = np.sign(cells - cells[mixed]) * np.sign(final - final[mixed])
    there = change[~np.isnan(change) & (cells != cells[mixed])]
    return float(np.abs(there.mean()) / 2 + 0.5) if len(there) else 0.5
