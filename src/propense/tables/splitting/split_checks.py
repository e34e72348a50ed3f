"""Proof on the written files that no part knows another's future."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis

from propense.columns import AS_OF, FOLD, PART, USER_ID
from propense.errors import LeakError
from propense.schemas import PARTS, RunFolder, SplitPlan
from propense.tables.engine.engine import TableEngine
from propense.tables.splitting.cuts import written

Faults = list[tuple[Any, str]]
"""Conditions on a row that must never hold, and what to say of it."""


def check_no_leak(run: RunFolder, plan: SplitPlan, engine: TableEngine) -> None:
    """Check parts/ against its plan.

    By time: every row lies in its part's span, and no known label's window reaches beyond
    its end. Without a cut in time, no window of events reaches beyond the last event. By user
    or group: no customer has rows in two parts or folds, nor in another than users.parquet says.
    Every customer and moment is one row.

    Raises LeakError with the first row that is wrong, by user_id and as_of.
    """
    labels = engine.read_parquet(run.parts / "labels.parquet")
    faults = _beyond_cuts(labels, plan) if plan.by == "time" else _beyond_end(labels, plan)
    _raise_first(labels, faults)
    if plan.by != "time":
        each = labels.group_by(USER_ID).agg(
            parts=labels[PART].nunique(), folds=labels[FOLD].nunique()
        )
        _raise_first(each, [(each.parts > 1, "is in more than one part"),
                            (each.folds > 1, "is in more than one fold")])  # fmt: skip
    if plan.by in ("user", "group"):
        users = engine.read_parquet(run.parts / "users.parquet")
        assigned = users.select(USER_ID, dealt_part=users[PART], dealt_fold=users[FOLD])
        both = labels.left_join(assigned, USER_ID)
        others = [
            (~both[column].identical_to(both[f"dealt_{column}"]),
             f"has another {column} than users.parquet says")
            for column in (PART, FOLD)
        ]  # fmt: skip
        _raise_first(both, others)
    same = labels.group_by(USER_ID, AS_OF).agg(rows=ibis._.count())
    _raise_first(same, [(same.rows > 1, "has two rows at one moment")])


def _beyond_cuts(labels: Any, plan: SplitPlan) -> Faults:
    """Rows outside their part's span, and label windows that reach into the next."""
    if plan.validation_from is None or plan.test_from is None or plan.end is None:
        raise LeakError("the plan of a split by time lacks a cut; run split again")
    opens = (None, plan.validation_from, plan.test_from)
    closes = (plan.validation_from, plan.test_from, plan.end)
    faults: Faults = [(labels[PART].isnull() | ~labels[PART].isin(PARTS), "is in no part")]
    for part, start, stop in zip(PARTS, opens, closes, strict=True):
        here = labels[PART] == part
        if start is not None:
            early = labels[AS_OF] < _timestamp(start)
            faults.append((here & early, f"is in {part}, which opens at {written(start)}"))
        for goal in plan.goals:
            if part == PARTS[-1] and goal.from_column:
                continue
            late = labels[AS_OF] > _timestamp(stop - (goal.within_seconds or 0))
            faults.append((
                here & late & labels[goal.name].notnull(),
                f"is in {part}, and its label {goal.name!r} looks beyond {written(stop)}",
            ))  # fmt: skip
    return faults


def _beyond_end(labels: Any, plan: SplitPlan) -> Faults:
    """Windows of events that reach beyond the last event."""
    return [
        (
            (labels[AS_OF] > _timestamp(plan.end - goal.within_seconds))
            & labels[goal.name].notnull(),
            f"has a label {goal.name!r} that looks beyond the last event, {written(plan.end)}",
        )
        for goal in plan.goals
        if plan.end is not None and goal.within_seconds is not None and not goal.from_column
    ]


def _raise_first(table: Any, faults: Faults) -> None:
    """One pass for all faults: each row's first fault, then the first such row."""
    if not faults:
        return
    fault = ibis.cases(*((condition, place) for place, (condition, _) in enumerate(faults)))
    columns = [name for name in (USER_ID, AS_OF) if name in table.columns]
    wrong = table.select(*columns, fault=fault)
    wrong = wrong.filter(wrong.fault.notnull())
    rows = wrong.order_by(*columns).limit(1).to_pyarrow().to_pylist()
    if rows:
        at = "" if rows[0].get(AS_OF) is None else f" as of {rows[0][AS_OF]}"
        what = faults[rows[0]["fault"]][1]
        raise LeakError(f"labels.parquet: user {rows[0][USER_ID]!r}{at} {what}; run split again")


def _timestamp(moment_seconds: int) -> Any:
    naive = dt.datetime.fromtimestamp(moment_seconds, dt.UTC).replace(tzinfo=None)
    return ibis.timestamp(naive.isoformat(sep=" "))
