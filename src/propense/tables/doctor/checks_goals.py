"""The doctor's checks of goals: horizons, numbers of positives, columns that leak the label."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.columns import AS_OF, USER_ID
from propense.errors import LeakError, PropenseError, SettingsError, SplitError
from propense.schemas import Doubles, PartCount, RunFolder, SplitPlan, Words
from propense.settings import Settings
from propense.tables.doctor.findings import Finding, GoalCheck
from propense.tables.doctor.target_leakage import ColumnScore, score_columns, sentence, strongest
from propense.tables.engine.engine import TableEngine
from propense.tables.splitting.split import split

LEAK_USERS: Final = 200_000
"""At most this many customers are searched for leaks; the finding says if it is a sample."""
RARE: Final = 0.01
"""A share of positives below which a goal is called rare."""


def preview_split(
    run: RunFolder, settings: Settings, engine: TableEngine
) -> tuple[SplitPlan | None, list[Finding]]:
    """Split in `run`, and where that fails, find the goals at fault and split without them.

    Each goal that the split refuses gives one error whose sentence is the split's own, which
    names the longest horizon that fits.
    """
    try:
        return split(run, settings, engine), []
    except (SplitError, SettingsError) as error:
        together = error
    findings = []
    good = {}
    for name, goal in settings.goals.items():
        try:
            split(run, _with_goals(settings, {name: goal}), engine)
            good[name] = goal
        except (SplitError, SettingsError) as error:
            findings.append(_unfit(error, name, goal.within))
    if not findings:
        findings.append(_unfit(together))
    if len(good) < len(settings.goals) and (good or settings.recommend is not None):
        try:
            return split(run, _with_goals(settings, good), engine), findings
        except (SplitError, SettingsError) as error:
            if all(finding.sentence != str(error) for finding in findings):
                findings.append(_unfit(error))
    return None, findings


def _with_goals(settings: Settings, goals: dict[str, Any]) -> Settings:
    return msgspec.structs.replace(settings, goals=goals)


def _unfit(error: PropenseError, goal: str = "", within: str | None = None) -> Finding:
    """An error of the split as a finding."""
    code, remedy = "split", ""
    if isinstance(error, LeakError):
        code, remedy = "leak", "remove the label from features"
    elif "longest horizon" in str(error) or "no horizon fits" in str(error):
        code = "horizon"
        remedy = f"shorten [goals.{goal}] within = {within!r}, or add data of a longer period"
    elif goal:
        remedy = f"correct or remove [goals.{goal}]"
    return Finding(
        code=code, severity="error", table="goals", column=goal, sentence=str(error),
        remedy=remedy,
    )  # fmt: skip


def check_balance(plan: SplitPlan, settings: Settings) -> tuple[list[GoalCheck], list[Finding]]:
    """Rows and positives of each goal in each part, and whether they are enough."""
    checks, findings = [], []
    for goal in plan.goals:
        rows = {count.part: count.labelled.get(goal.name, 0) for count in plan.counts}
        positives = {count.part: count.positives.get(goal.name, 0) for count in plan.counts}
        check = GoalCheck(goal.name, goal.sentence, rows, positives)
        checks.append(check)
        findings += _few(check, plan.counts, settings.evaluate.min_positives)
        if goal.kind == "binary":
            findings += _rare(check)
    for warning in plan.warnings:
        if warning.code == "duplicate_customers":
            # check_duplicates tells of them, with examples.
            continue
        sentence, _, remedy = warning.text.en.rstrip(".").rpartition(". ")
        findings.append(
            Finding(
                code=warning.code, severity="warning", table="goals", column=warning.goal,
                sentence=sentence, remedy=remedy,
            )
        )  # fmt: skip
    return checks, findings


def _few(check: GoalCheck, counts: list[PartCount], enough: int) -> list[Finding]:
    """Too few of the rarer outcome in a part: nothing to learn from, or no verdict."""
    findings = []
    for count in counts:
        n, rows = check.positives[count.part], check.rows[count.part]
        rarer = min(n, rows - n)
        if rarer >= enough:
            continue
        word = "positives" if n <= rows - n else "negatives"
        needed = "to train" if count.part == "train" else "for a verdict"
        findings.append(
            Finding(
                code="few_positives",
                severity="error" if rarer == 0 else "warning",
                table="goals",
                column=check.goal,
                count=rarer,
                sentence=f"{check.goal!r} has {rarer:,} {word} among {rows:,} rows of "
                f"{count.part}; at least {enough} are needed {needed}",
                remedy="ask about more customers with `among`, change the horizon, shorten "
                "[split] as_of_every, or raise its fractions",
            )
        )
    return findings or [
        Finding(
            code="enough_positives", severity="ok", table="goals", column=check.goal,
            count=min(min(check.positives[p], check.rows[p] - check.positives[p])
                      for p in check.rows),
            sentence=f"{check.goal!r} has at least {enough} rows of each outcome in every part",
        )
    ]  # fmt: skip


def _rare(check: GoalCheck) -> list[Finding]:
    share = check.share
    if RARE <= share <= 1 - RARE:
        return []
    return [
        Finding(
            code="imbalance",
            severity="info",
            table="goals",
            column=check.goal,
            sentence=f"{check.goal!r} comes true in {share:.2%} of the rows: judge it by average "
            "precision and lift, not by accuracy",
        )
    ]


def check_leaks(run: RunFolder, plan: SplitPlan, settings: Settings) -> list[Finding]:
    """Profile columns that leak a goal's label, scored on the labels of the split in `run`.

    An error where the column would be learned from, a remark where it is only in the file.
    """
    profile = run.clean / "users.parquet"
    if not profile.exists() or not plan.goals:
        return []
    features = settings.users.features if settings.users is not None else None
    labels = {goal.column for goal in settings.goals.values() if goal.column is not None}
    users = _read(profile)
    n_all = users.num_rows
    if n_all > LEAK_USERS:
        step = -(-n_all // LEAK_USERS)
        users = users.sort_by(USER_ID).take(pa.array(range(0, n_all, step)))
    columns = {
        name: cells_of(users[name]) for name in users.column_names
        if name != USER_ID and name not in labels
    }  # fmt: skip
    asked = _read(run.parts / "labels.parquet")
    index = pc.index_in(asked[USER_ID], value_set=users[USER_ID].combine_chunks())
    is_customer = pc.is_valid(index)
    asked, row = asked.filter(is_customer), index.filter(is_customer).to_numpy().astype(np.int64)
    times = None
    if not asked[AS_OF].null_count:
        times = asked[AS_OF].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    findings: list[Finding] = []
    for goal in plan.goals:
        y = asked[goal.name].to_numpy(zero_copy_only=False).astype(np.float64)
        if goal.kind == "value":
            y = np.where(np.isnan(y), np.nan, (y > 0).astype(np.float64))
        scores = score_columns(goal.name, y, row, columns, users.num_rows, times)
        leaks = [
            _leak_finding(one, features is None or one.column in features)
            for one in strongest(scores)
        ]
        findings += leaks
        if scores and not leaks:
            best = scores[0]
            findings.append(
                Finding(
                    code="no_leak",
                    severity="ok",
                    table="users",
                    column=best.column,
                    sentence=f"no column alone gives {goal.name!r} away; the strongest is "
                    f"{best.column!r} (AUC {best.best:.2f})",
                )
            )
    if n_all > users.num_rows and findings:
        findings.append(
            Finding(
                code="leak_sample",
                severity="info",
                table="users",
                count=users.num_rows,
                sentence=f"the search for columns that leak a label used {users.num_rows:,} of "
                f"{n_all:,} customers",
            )
        )
    return findings


def _leak_finding(score: ColumnScore, is_feature: bool) -> Finding:
    text = sentence(score)
    if not score.knows:
        return Finding(
            code="strong_column",
            severity="info",
            table="users",
            column=score.column,
            sentence=f"{text}: a strong column, but not certainly a leak",
            remedy="check that its value is known before as_of",
        )
    if is_feature:
        return Finding(
            code="knows_label",
            severity="error",
            table="users",
            column=score.column,
            sentence=f"{text}: it restates the label, or was filled in afterwards",
            remedy=f"remove {score.column!r} from [users] features",
        )
    return Finding(
        code="knows_label",
        severity="info",
        table="users",
        column=score.column,
        sentence=f"{text}; it is not among the features, so no model reads it",
    )


def _read(path: Path) -> pa.Table:
    return pq.read_table(path)


def cells_of(column: pa.ChunkedArray) -> Doubles | Words:
    """A profile column as float64 with nan (numbers, yes/no, times) or objects with None."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers: Doubles = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return numbers
    words: Words = np.array(column.cast(pa.string()).to_pylist(), dtype=object)
    return words
