"""Proof on the written files that no part knows another's future."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis

from propense.columns import AS_OF, FOLD, PART, USER_ID
from propense.errors import LeakError
from propense.schemas import PARTS, RunFolder, SplitPlan
from propense.tables.cuts import written
from propense.tables.engine import Engine


def check_no_leak(run: RunFolder, plan: SplitPlan, engine: Engine) -> None:
    """Check parts/ against its plan.

    By time: every row lies in its part's span, and no known label's window reaches beyond
    its end. Without a cut in time, no window of events reaches beyond the last event. By user
    or group: no customer has rows in two parts or folds, nor in another than users.parquet says.
    Every customer and moment is one row.

    Raises LeakError with the first row that is wrong, by user_id and as_of.
    """
    labels = engine.read_parquet(run.parts / "labels.parquet")
    if plan.by == "time":
        _check_windows(labels, plan)
    else:
        if plan.end is not None:
            _check_end(labels, plan, plan.end)
        _check_customers(labels, "labels.parquet")
    if plan.by in ("user", "group"):
        users = engine.read_parquet(run.parts / "users.parquet")
        _check_dealt(labels, users)
    same = labels.group_by(USER_ID, AS_OF).agg(rows=ibis._.count()).filter(ibis._.rows > 1)
    _raise_first(same, "has two rows at one moment", "labels.parquet")


def _check_windows(labels: Any, plan: SplitPlan) -> None:
    """Rows in their part's span, label windows closed before the next."""
    cuts = (plan.validation_from, plan.test_from, plan.end)
    if None in cuts:
        raise LeakError(f"the plan of a split by time lacks a cut: {cuts}; run split again")
    opens = dict(zip(PARTS, (None, *cuts[:2]), strict=True))
    closes = dict(zip(PARTS, cuts, strict=True))
    unknown = labels.filter(~labels[PART].isin(PARTS) | labels[PART].isnull())
    _raise_first(unknown, "is in no part", "labels.parquet")
    for part in PARTS:
        rows = labels.filter(labels[PART] == part)
        start, stop = opens[part], closes[part]
        if start is not None:
            early = rows.filter(rows[AS_OF] < _timestamp(start))
            _raise_first(early, f"is in {part}, which opens at {written(start)}", "labels.parquet")
        for goal in plan.goals:
            if stop is None or (part == PARTS[-1] and goal.from_column):
                continue
            late = rows[AS_OF] > _timestamp(stop - (goal.within_seconds or 0))
            _raise_first(
                rows.filter(late & rows[goal.name].notnull()),
                f"is in {part}, and its label {goal.name!r} looks beyond {written(stop)}",
                "labels.parquet",
            )


def _check_end(labels: Any, plan: SplitPlan, end: int) -> None:
    """No window of events may reach beyond the last event."""
    for goal in plan.goals:
        if goal.within_seconds is None or goal.from_column:
            continue
        late = labels[AS_OF] > _timestamp(end - goal.within_seconds)
        _raise_first(
            labels.filter(late & labels[goal.name].notnull()),
            f"has a label {goal.name!r} that looks beyond the last event, {written(end)}",
            "labels.parquet",
        )


def _check_customers(labels: Any, where: str) -> None:
    """One part and one fold a customer."""
    for column in (PART, FOLD):
        spread = labels.group_by(USER_ID).agg(n=labels[column].nunique())
        _raise_first(spread.filter(spread.n > 1), f"is in more than one {column}", where)


def _check_dealt(labels: Any, users: Any) -> None:
    """Labels inherit the customer's part and fold."""
    dealt = users.select(USER_ID, dealt_part=users[PART], dealt_fold=users[FOLD])
    both = labels.left_join(dealt, USER_ID)
    for column in (PART, FOLD):
        differ = both.filter(~both[column].identical_to(both[f"dealt_{column}"]))
        _raise_first(differ, f"has another {column} than users.parquet says", "labels.parquet")


def _raise_first(wrong: Any, what: str, where: str) -> None:
    columns = [name for name in (USER_ID, AS_OF) if name in wrong.columns]
    rows = wrong.select(columns).order_by(columns).limit(1).to_pyarrow().to_pylist()
    if rows:
        at = "" if rows[0].get(AS_OF) is None else f" as of {rows[0][AS_OF]}"
        raise LeakError(f"{where}: user {rows[0][USER_ID]!r}{at} {what}; run split again")


def _timestamp(moment_seconds: int) -> Any:
    naive = dt.datetime.fromtimestamp(moment_seconds, dt.UTC).replace(tzinfo=None)
    return ibis.timestamp(naive.isoformat(sep=" "))
