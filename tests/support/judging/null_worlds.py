"""Scores of models that know nothing, or something, as a run would judge them.

Every model is the best of several on validation and is calibrated there, as rivals are tuned and
the network is stopped: what validation says of them is flattered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from propense.evaluation.judging.goals import judge_goal
from propense.evaluation.judging.rankings import judge_ranking
from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.calibration import sigmoid
from propense.evaluation.records import GoalReport, RankingReport
from propense.schemas import GoalPlan, GoalScores, RankingScores
from propense.settings import Evaluate, Goal

RIVALS = ("logistic", "tree", "svm", "mlp", "lightgbm", "lightgbm_raw")
PLAN = GoalPlan("pay", "binary", 30 * 86_400, "pays within 30 days")
PAY = Goal(action="pay", within="30d")
TRIED = 8
"""Settings, or passes, that each model is the best of on validation."""


def draw_goal(
    rng: np.random.Generator,
    sees: Mapping[str, float],
    n_users: int = 400,
    rows_each: int = 2,
    rate: float = 0.3,
    trainings: int | None = None,
) -> tuple[GoalScores, GoalScores]:
    """(validation, test) of models that `sees` the true logit with that weight, 0 not at all.

    Customers differ, so that rows of one customer go together. What a model does not see it makes
    up, a different thing in each of its TRIED trials.
    """
    parts = []
    for _ in range(2):
        user = np.repeat(np.arange(n_users, dtype=np.int32), rows_each)
        own = rng.normal(size=n_users)[user]
        signal = 0.8 * own + 0.6 * rng.normal(size=len(user))
        y = (rng.random(len(user)) < sigmoid(signal + np.log(rate / (1 - rate)))).astype(np.float64)
        parts.append((user, signal, y, {}))
    for model, weight in sees.items():
        trials = []
        for _ in range(TRIED):
            made_up = [
                0.8 * rng.normal(size=n_users)[user] + 0.6 * rng.normal(size=len(user))
                for user, _, _, _ in parts
            ]
            p = [
                sigmoid(np.log(rate / (1 - rate)) + weight * signal + 0.3 * (1 - weight) * noise)
                for (_, signal, _, _), noise in zip(parts, made_up, strict=True)
            ]
            calibrator = KINDS["binary"].calibrate(p[0], parts[0][2])
            trials.append([calibrator.apply(each) for each in p])
        best = min(trials, key=lambda each: KINDS["binary"].loss(parts[0][2], each[0]))
        for part, p in zip(parts, best, strict=True):
            part[3][model] = p
    for _, _, y, scores in parts:
        scores["majority"] = np.full(len(y), parts[0][2].mean())
    validation, test = (GoalScores(PLAN, user, y, scores) for user, _, y, scores in parts)
    return validation, replace(test, trainings=trainings)


def report_on(
    parts: tuple[GoalScores, GoalScores], rng: np.random.Generator, resamples: int = 100
) -> GoalReport:
    """The report of one goal."""
    return judge_goal(*parts, PAY, Evaluate(resamples=resamples), rng)


def draw_lists(
    rng: np.random.Generator, finds: Mapping[str, float], n_users: int = 250, n_items: int = 60
) -> tuple[RankingScores, RankingScores]:
    """(validation, test) lists: popularity's top 20, and models that reorder it by chance.

    `finds` model -> in what share of the rows it puts the item that is chosen next first.
    """
    chance = 1 / np.arange(1, n_items - 1)
    chance /= chance.sum()
    popularity = np.concatenate([[0, 0], chance])
    parts = []
    for _ in range(2):
        user = np.repeat(np.arange(n_users, dtype=np.int32), 3)
        items = rng.choice(n_items - 2, len(user), p=chance).astype(np.int32) + 2
        parts.append((user, items, {}))
    for model, share in finds.items():
        noise = rng.normal(size=(TRIED, n_items - 2)) * 0.3
        trials = []
        for own in noise:
            order = np.argsort(-np.log(chance) - own, kind="stable")[:20].astype(np.int32) + 2
            trials.append([np.tile(order, (len(user), 1)) for user, _, _ in parts])
        best = max(trials, key=lambda each: float((each[0][:, :3] == parts[0][1][:, None]).mean()))
        for (_, items, ranked), lists in zip(parts, best, strict=True):
            lists[:, 0] = np.where(rng.random(len(items)) < share, items, lists[:, 0])
            ranked[model] = lists
    top = np.arange(2, 22, dtype=np.int32)
    scores = []
    for user, items, ranked in parts:
        ranked["popularity"] = np.tile(top, (len(user), 1))
        scores.append(
            RankingScores(
                user=user, item_offsets=np.arange(len(user) + 1), items=items, ranked=ranked,
                n_items=n_items, popularity=popularity,
            )
        )  # fmt: skip
    return scores[0], scores[1]


def report_on_lists(
    parts: tuple[RankingScores, RankingScores], rng: np.random.Generator
) -> RankingReport:
    """The report of the lists."""
    return judge_ranking(*parts, Evaluate(resamples=100), rng)
