"""Networks of several shares and sizes before the same test customers.

A network's answers are kept as sums by customer: all that a paired bootstrap needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from propense.evaluation.judging.evidence import too_little
from propense.evaluation.kinds import KINDS, GoalKind
from propense.evaluation.metrics.intervals import (
    Weights,
    cluster,
    estimate_difference,
    measure,
    resample,
    sum_by_user,
)
from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k
from propense.evaluation.metrics.scales import Scales
from propense.evaluation.records import (
    NETWORK,
    Interval,
    LearningPoint,
    LearningTask,
    Number,
    number,
    to_interval,
)
from propense.schemas import Doubles, GoalScores, RankingScores

K: Final = 10
_NONE: Final = Interval()


class Quality:
    """Skill of a goal, or mean ndcg of the items (`kind` None), from sums by customer.

    `sums` (n_users, 4) of a goal: rows, loss, y, root of y; (n_users, 2) of the items:
    moments, ndcg. Skill is 1 - loss / loss of the best constant answer: 0 knows nothing, 1
    all. The loss is the kind's criterion.

    >>> rows = np.array([[2.0, 0.4, 1.0, 1.0], [2.0, 0.6, 1.0, 1.0]])
    >>> round(float(Quality(KINDS["binary"], rows)(np.ones((1, 2), np.uint8))[0, 0]), 4)
    0.6393
    """

    def __init__(self, kind: GoalKind | None, sums: Doubles) -> None:
        self.names = ("ndcg",) if kind is None else ("skill",)
        self.scales: Scales = {}
        self.kind = kind
        self.sums = sums

    def __call__(self, weights: Weights) -> Doubles:
        """(n_resamples, 1), nan where not defined."""
        n, *totals = (weights.astype(np.float64) @ self.sums).T
        with np.errstate(divide="ignore", invalid="ignore"):
            means = [total / n for total in totals]
            if self.kind is None:
                ndcg: Doubles = means[0]
                return ndcg[:, None]
            loss, y, root = means
            constant = self.kind.constant_loss(y, root)
            skill: Doubles = np.where(constant > 0, 1 - loss / constant, np.nan)
        return skill[:, None]


def judge_goal_task(
    validation: GoalScores, test: GoalScores, fewest: int
) -> tuple[LearningTask, Doubles]:
    """The network's numbers of one goal, and its sums by test customer.

    Both parts hold calibrated answers; where test says too little, such as under `fewest`
    customers of either outcome, there will be no verdict.
    """
    sums = _goal_sums(test)
    task = LearningTask(
        goal=test.goal.name,
        metric="skill",
        validation=_goal_numbers(validation),
        test=_goal_numbers(test),
        few=too_little(test, fewest) is not None,
    )
    return task, sums


def judge_items_task(
    validation: RankingScores, test: RankingScores, fewest: int
) -> tuple[LearningTask, Doubles]:
    """The same of the network's lists: ndcg at 10, or at their length where they are shorter."""
    k = min(K, validation.ranked[NETWORK].shape[1], test.ranked[NETWORK].shape[1])
    sums = {}
    for part, scores in (("validation", validation), ("test", test)):
        ndcg = ndcg_at_k(find_hits(scores.ranked[NETWORK], scores.item_offsets, scores.items), k)
        defined = np.isfinite(ndcg)
        columns = np.stack([defined.astype(np.float64), np.where(defined, ndcg, 0)], axis=1)
        sums[part] = sum_by_user(columns, cluster(scores.user))
    metric = f"ndcg_at_{k}"
    task = LearningTask(
        goal=None,
        metric=metric,
        validation={metric: _quality(None, sums["validation"])},
        test={metric: _quality(None, sums["test"])},
        few=bool((sums["test"][:, 0] > 0).sum() < fewest),
    )
    return task, sums["test"]


def compare_with_own(
    points: Sequence[LearningPoint],
    sums: Mapping[str, Mapping[str, Doubles]],
    kinds: Mapping[str, GoalKind | None],
    resamples: int,
    rng: np.random.Generator,
) -> list[LearningPoint]:
    """The points with every task's difference from the run's own network.

    `sums` point name -> task key -> sums by customer, the same customers in every point;
    `kinds` task key -> the goal's kind, None for the items.
    """
    own = next(point for point in points if point.own)
    gaps: dict[tuple[str, str], Interval] = {}
    for task in own.tasks:
        kind = kinds[task.key]
        with_it = [point.name for point in points if point.task_of(task.key) is not None]
        entries = {name: Quality(kind, sums[name][task.key]) for name in with_it}
        n_users = len(entries[own.name].sums)
        drawn = resample(entries, n_users, resamples, rng)
        values = {name: measure(entry, n_users) for name, entry in entries.items()}
        for name in with_it:
            estimated = estimate_difference(
                (entries[name], entries[own.name]),
                entries[name].names[0],
                (values[name], values[own.name]),
                (drawn[name], drawn[own.name]),
            )
            gaps[name, task.key] = to_interval(estimated)
    return [
        msgspec.structs.replace(
            point,
            tasks=[
                msgspec.structs.replace(task, difference=gaps.get((point.name, task.key), _NONE))
                if not point.own
                else task
                for task in point.tasks
            ],
        )
        for point in points
    ]


def _goal_sums(scores: GoalScores) -> Doubles:
    y, p = scores.y, scores.scores[NETWORK]
    loss = KINDS[scores.goal.kind].row_losses(y, p)
    columns = np.stack([np.ones(len(y)), loss, y, np.sqrt(np.maximum(y, 0))], axis=1)
    return sum_by_user(columns, cluster(scores.user))


def _goal_numbers(scores: GoalScores) -> dict[str, Number]:
    rows = cluster(scores.user)
    kind = KINDS[scores.goal.kind]
    statistic = kind.statistic(scores.y, scores.scores[NETWORK], rows)
    values = measure(statistic, rows.n_users)
    shown = {
        name: number(values[statistic.names.index(name)])
        for name in (kind.criterion, kind.order_metric)
    }
    return {"skill": _quality(kind, _goal_sums(scores)), **shown}


def _quality(kind: GoalKind | None, sums: Doubles) -> Number:
    return number(float(Quality(kind, sums)(np.ones((1, len(sums)), np.uint8))[0, 0]))
