"""The doctor's search for columns of items that hold sales of the whole log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.columns import ACTION, EVENT_TIME, ITEM_ID, VALUE
from propense.encoding.arrow import as_words, one_array
from propense.schemas import Doubles, RunFolder, SplitPlan
from propense.settings import TableSource
from propense.tables.doctor.leaks.column_views import read_columns
from propense.tables.doctor.leaks.log_states import MOST_ACTIONS, Quantity
from propense.tables.doctor.leaks.pairs import make_pairs, match_numbers
from propense.tables.engine.engine import TableEngine

FEWEST: Final = 30
"""Items below which nothing can be compared."""
FOLLOWS: Final = 0.90
"""Share of any two items that a column orders as the whole log does."""
PAIRS: Final = 50_000
"""Pairs of items that are compared, at least; all where there are few items."""
CLOSER: Final = 0.005
"""How much better it must follow the whole log than its first half."""


@dataclass(frozen=True)
class Followed:
    """A column of items, and the quantity of the whole log that it follows."""

    column: str
    quantity: Quantity
    share: float
    """Share of any two items that it orders as the quantity does."""


def find_snapshots(
    run: RunFolder, plan: SplitPlan, source: TableSource, names: list[str], engine: TableEngine
) -> list[Followed]:
    """Number columns among `names` that follow what happened to each item in the whole log.

    They are compared with the log as it was in the middle of its time, too: a column made before
    then follows that better.
    """
    if plan.end is None or plan.validation_from is None or not names:
        return []
    items = engine.read_parquet(run.clean / "items.parquet").select(ITEM_ID, *names).to_pyarrow()
    columns = read_columns(items, source, ITEM_ID, names)
    if not columns.numbers:
        return []
    events = engine.read_parquet(run.clean / "events")
    ids = one_array(as_words(columns.ids))
    states = _states(events, plan, ids)
    snapshots = []
    for name, cells in columns.numbers.items():
        then, now = 0.5, Followed(name, Quantity("events"), 0.5)
        knows = False
        for quantity, early, whole in states:
            rows = np.flatnonzero(whole > 0)
            if len(rows) < FEWEST:
                continue
            own, past, final = cells[rows], early[rows], whole[rows]
            nothing = np.zeros(len(rows), np.int64)
            pairs = make_pairs(past, final - past, nothing, nothing)
            knows = knows or match_numbers(own, pairs).knows(few_values=False)
            then = max(then, ordered_alike(own, past))
            if (share := ordered_alike(own, final)) > now.share:
                now = Followed(name, quantity, share)
        if now.share >= then + CLOSER and (now.share >= FOLLOWS or knows):
            snapshots.append(now)
    return snapshots


def _states(events: Any, plan: SplitPlan, ids: Any) -> list[tuple[Quantity, Doubles, Doubles]]:
    """Counts and money of each item, (n_items,), in the first half of the time and in all of it."""
    events = events.filter(events[ITEM_ID].notnull())
    span = events.aggregate(begin=events[EVENT_TIME].min(), end=events[EVENT_TIME].max())
    begin, end = (span.to_pyarrow()[name][0].as_py() for name in ("begin", "end"))
    if begin is None:
        return []
    middle = ibis.timestamp((begin + (end - begin) / 2).replace(tzinfo=None).isoformat(sep=" "))
    early = (events[EVENT_TIME] < middle).ifelse(1, 0)
    actions = events[ACTION].value_counts(name="n").order_by(ibis.desc("n"), ACTION)
    words = actions.limit(MOST_ACTIONS).to_pyarrow()[ACTION].to_pylist()
    weights: list[tuple[Quantity, Any]] = [(Quantity("events"), ibis.literal(1))]
    if len(words) > 1:
        weights += [
            (Quantity("count_of", word), (events[ACTION] == word).ifelse(1, 0)) for word in words
        ]
    weights.append((Quantity("money"), events[VALUE].fill_null(0).cast("float64")))
    sums = {f"whole{n}": weight.sum() for n, (_, weight) in enumerate(weights[1:], 1)}
    sums |= {f"early{n}": (weight * early).sum() for n, (_, weight) in enumerate(weights[1:], 1)}
    table = events.group_by(ITEM_ID).agg(whole0=events.count(), early0=early.sum(), **sums)
    made = table.to_pyarrow()
    index = pc.index_in(ids, value_set=one_array(as_words(made[ITEM_ID])))
    states = []
    for number, (quantity, _) in enumerate(weights):
        ends = [_column(made[f"{when}{number}"], index) for when in ("early", "whole")]
        states.append((quantity, ends[0], ends[1]))
    return states


def _column(column: Any, index: Any) -> Doubles:
    cells = pc.fill_null(one_array(column).take(index).cast(pa.float64()), 0.0)
    return np.asarray(cells.to_numpy(zero_copy_only=False), np.float64)


def ordered_alike(cells: Doubles, others: Doubles) -> float:
    """Share of pairs that both order in the same way, of those that differ in both.

    >>> ordered_alike(np.arange(50.0), np.arange(50.0) ** 2)
    1.0
    """
    n = len(cells)
    order = np.random.default_rng(0).permutation(n)
    cells, others = cells[order], others[order]
    right = differing = 0
    for shift in range(1, min(n - 1, 1 + PAIRS // max(n, 1)) + 1):
        signs = np.sign(cells - np.roll(cells, shift)) * np.sign(others - np.roll(others, shift))
        right += int(np.count_nonzero(signs > 0))
        differing += int(np.count_nonzero(np.abs(signs) > 0))
    return right / differing if differing else 0.5
