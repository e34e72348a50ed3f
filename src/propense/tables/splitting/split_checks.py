"""Check of the written files: no part sees another's future."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from propense.columns import AS_OF, EVENT_TIME, FOLD, PART, USER_ID
from propense.errors import LeakError
from propense.schemas import PARTS, SplitPlan
from propense.tables.engine.engine import TableEngine
from propense.tables.splitting.cuts import written
from propense.times import MICROS_PER_SECOND

Faults = list[tuple[Any, str]]
"""Conditions on a row that must never hold, and what the message says about it."""


def check_no_leak(parts: Path, plan: SplitPlan, engine: TableEngine) -> None:
    """Check the written files of a split against its plan.

    Labels: in a split by time every row is in its part's span, and the window of a known label
    ends before the part does. No window of events reaches out of the time in which its action is
    observed. In a split by user or group no customer has rows in two parts or folds, nor in another
    part than users.parquet says. Every customer and as-of time is one row.

    Events: those of a customer are in order of time, on which every "before as_of" relies, and
    none is later than the plan's end.

    Raises LeakError with the first row that is wrong, by user_id and as_of.
    """
    check_events(parts / "shards", plan)
    labels = engine.read_parquet(parts / "labels.parquet")
    faults = _beyond_cuts(labels, plan) if plan.by == "time" else _beyond_end(labels, plan)
    _raise_first(labels, [*faults, *_before_begin(labels, plan)])
    if plan.by != "time":
        each = labels.group_by(USER_ID).agg(
            n_parts=labels[PART].nunique(), n_folds=labels[FOLD].nunique()
        )
        _raise_first(each, [(each.n_parts > 1, "is in more than one part"),
                            (each.n_folds > 1, "is in more than one fold")])  # fmt: skip
    if plan.by in ("user", "group"):
        users = engine.read_parquet(parts / "users.parquet")
        assigned = users.select(USER_ID, assigned_part=users[PART], assigned_fold=users[FOLD])
        both = labels.left_join(assigned, USER_ID)
        others = [
            (~both[column].identical_to(both[f"assigned_{column}"]),
             f"has another {column} than users.parquet says")
            for column in (PART, FOLD)
        ]  # fmt: skip
        _raise_first(both, others)
    same = labels.group_by(USER_ID, AS_OF).agg(rows=ibis._.count())
    _raise_first(same, [(same.rows > 1, "has two rows of one as-of time")])


def check_events(shards: Path, plan: SplitPlan) -> None:
    """Raise LeakError if a customer's events are out of order, or after the plan's last one."""
    if not plan.timed:
        return
    for file in sorted(shards.glob("*.parquet")):
        with pq.ParquetFile(file) as opened:
            table = opened.read(columns=[USER_ID, f"events.list.element.{EVENT_TIME}"])
        events = table["events"].combine_chunks()
        times = events.flatten().field(EVENT_TIME).cast(pa.int64()).to_numpy()
        owner = np.repeat(np.arange(len(events)), np.diff(events.offsets.to_numpy()))
        wrong = np.flatnonzero((np.diff(times) < 0) & (np.diff(owner) == 0)) + 1
        what = "are not in order of time"
        if not len(wrong) and plan.end is not None:
            wrong = np.flatnonzero(times >= (plan.end + 1) * MICROS_PER_SECOND)
            what = f"go beyond the last event, {written(plan.end)}"
        if len(wrong):
            user = table[USER_ID][int(owner[wrong[0]])].as_py()
            raise LeakError(f"{file.name}: events of user {user!r} {what}; run split again")


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
            end = min(stop, plan.spans.get(goal.name, (0, stop))[1])
            late = labels[AS_OF] > _timestamp(end - (goal.within_seconds or 0))
            faults.append((
                here & late & labels[goal.name].notnull(),
                f"is in {part}, and its label {goal.name!r} looks beyond {written(end)}",
            ))  # fmt: skip
    return faults


def _beyond_end(labels: Any, plan: SplitPlan) -> Faults:
    """Windows of events that reach beyond the time in which their action is observed."""
    faults: Faults = []
    for goal in plan.goals:
        if goal.name in plan.spans and goal.within_seconds is not None:
            end = plan.spans[goal.name][1]
            late = labels[AS_OF] > _timestamp(end - goal.within_seconds)
            what = f"has a label {goal.name!r} that looks beyond the last event, {written(end)}"
            faults.append((late & labels[goal.name].notnull(), what))
    return faults


def _before_begin(labels: Any, plan: SplitPlan) -> Faults:
    """Labels of as-of times before their action was observed."""
    return [
        (
            (labels[AS_OF] < _timestamp(begin)) & labels[name].notnull(),
            f"has a label {name!r} from before {written(begin)}, when its action is first observed",
        )
        for name, (begin, _) in plan.spans.items()
    ]


def _raise_first(table: Any, faults: Faults) -> None:
    """One pass for all faults: each row's first fault, then the first such row."""
    if not faults:
        return
    fault = ibis.cases(*((condition, index) for index, (condition, _) in enumerate(faults)))
    columns = [name for name in (USER_ID, AS_OF) if name in table.columns]
    wrong = table.select(*columns, fault=fault)
    wrong = wrong.filter(wrong.fault.notnull())
    rows = wrong.order_by(*columns).limit(1).to_pyarrow().to_pylist()
    if rows:
        at = "" if rows[0].get(AS_OF) is None else f" as of {rows[0][AS_OF]}"
        what = faults[rows[0]["fault"]][1]
        raise LeakError(f"labels.parquet: user {rows[0][USER_ID]!r}{at} {what}; run split again")


def _timestamp(seconds: int) -> Any:
    naive = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=None)
    return ibis.timestamp(naive.isoformat(sep=" "))
