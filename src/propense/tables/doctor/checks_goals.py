"""The doctor's checks of goals: horizons, numbers of positives."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from propense.errors import LeakError, PropenseError, SettingsError, SplitError
from propense.schemas import PartCount, RunFolder, SplitPlan
from propense.settings import Settings
from propense.tables.doctor.findings import Finding, GoalCheck
from propense.tables.engine.engine import TableEngine
from propense.tables.splitting.split import split

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
