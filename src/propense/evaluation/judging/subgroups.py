"""The champion on each group of the sensitive columns."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.intervals import cluster, estimate, measure, resample
from propense.evaluation.metrics.thresholds import Threshold
from propense.evaluation.records import Interval, Subgroup, to_interval
from propense.schemas import Doubles, GoalScores, Words
from propense.words import format_text

FEWEST_CUSTOMERS: Final = 30
FEWEST_OUTCOMES: Final = 10
"""Fewest customers with a positive and, for yes-or-no goals, with a negative."""
MOST_GROUPS: Final = 30
"""Most groups of one column; the rest are judged together, as one group named by their number."""


def judge_subgroups(
    test: GoalScores,
    p: Doubles,
    threshold: Threshold | None,
    resamples: int,
    rng: np.random.Generator,
) -> list[Subgroup]:
    """Every group of every column of `test.groups`, largest first, columns in order.

    A group has metrics from 30 customers on, 10 of them with each outcome.
    """
    subgroups = []
    for column, words in test.groups.items():
        names = name_groups(words)
        distinct, counts = np.unique(names, return_counts=True)
        for group in distinct[np.argsort(-counts, kind="stable")]:
            chosen = names == group
            part = _take(test, chosen)
            drawn = 0 if _too_few(part) else resamples
            subgroups.append(
                _judge_group(column, str(group), part, p[chosen], threshold, drawn, rng)
            )
    return subgroups


def name_groups(words: Words) -> npt.NDArray[np.str_]:
    """Groups as text: missing ones named, those beyond MOST_GROUPS joined into one.

    >>> name_groups(np.array(["a", None, float("nan")], dtype=object)).tolist()
    ['a', 'missing', 'missing']
    """
    missing = (words == np.array(None)) | (words != words)
    names = np.where(
        missing.astype(np.bool_), format_text("missing_group").en, words.astype(np.str_)
    )
    distinct, counts = np.unique(names, return_counts=True)
    if len(distinct) <= MOST_GROUPS:
        return names
    order = np.argsort(-counts, kind="stable")
    small = distinct[order[MOST_GROUPS - 1 :]]
    joined = format_text("other_groups", n=str(len(small))).en
    return np.where(np.isin(names, small), joined, names)


def _take(test: GoalScores, chosen: npt.NDArray[np.bool_]) -> GoalScores:
    return GoalScores(test.goal, test.user[chosen], test.y[chosen], {})


def _too_few(part: GoalScores) -> bool:
    n_positive, n_negative = part.count_customers()
    rarer = KINDS[part.goal.kind].rarer(n_positive, n_negative)
    return len(np.unique(part.user)) < FEWEST_CUSTOMERS or rarer < FEWEST_OUTCOMES


def _judge_group(
    column: str,
    group: str,
    part: GoalScores,
    p: Doubles,
    threshold: Threshold | None,
    resamples: int,
    rng: np.random.Generator,
) -> Subgroup:
    """One group; without resamples it is too small for metrics."""
    rows = cluster(part.user)
    metrics: dict[str, Interval] = {}
    if resamples:
        kind = KINDS[part.goal.kind]
        statistic = kind.statistic(part.y, p, rows, threshold)
        value = measure(statistic, rows.n_users)
        drawn = resample({"p": statistic}, rows.n_users, resamples, rng)["p"]
        for name in kind.subgroup_metrics:
            metrics[name] = to_interval(estimate(statistic, name, value, drawn))
    return Subgroup(
        column=column,
        group=group,
        n_rows=len(part.y),
        n_users=rows.n_users,
        too_few=not resamples,
        metrics=metrics,
    )
