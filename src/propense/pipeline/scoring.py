"""The network and its rivals before the same rows: everyone's scores, ready to be judged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from propense.encoding.dataset import Dataset
from propense.evaluation.kinds import KINDS, Calibration
from propense.evaluation.metrics.intervals import draw_whole_users
from propense.evaluation.records import NETWORK
from propense.models.rivals.goal_rival import GoalRival, predict_all
from propense.models.rivals.items.item_rival import ItemRival
from propense.schemas import (
    FIRST_KNOWN,
    TEST,
    VALIDATION,
    AsOfRows,
    Doubles,
    GoalPlan,
    GoalScores,
    Ids,
    Ints,
    RankingScores,
    Targets,
)
from propense.training.customer_model import CustomerModel

LIST_LENGTH = 20
MOST_LISTS = 20_000
"""Lists of one part that are judged, of whole customers drawn by chance."""


@dataclass(frozen=True)
class ModelSet:
    """One fold's models and the data they were fitted on."""

    dataset: Dataset
    network: CustomerModel
    goal_rivals: dict[str, dict[str, GoalRival]]
    """Goal -> rival name -> rival."""
    item_rivals: dict[str, ItemRival]


def is_raw(name: str) -> bool:
    """Whether the rival reads raw columns instead of made features."""
    return name.endswith("_raw")


Calibrations = dict[str, Calibration]
"""Each model's calibration for one goal."""


@dataclass(frozen=True)
class ScoredGoal:
    """One goal's answers by all models, calibrated on validation.

    With several folds their rows are put together: each was judged by models that had not
    seen it. `calibrations` are those of the first fold, whose models are packed.
    """

    validation: GoalScores
    test: GoalScores
    calibrations: Calibrations


def score_goals(
    folds: Sequence[ModelSet], max_rows: int | None, seed: int, with_trainings: bool = False
) -> dict[str, ScoredGoal]:
    """Every goal that has labelled validation and test rows.

    `with_trainings` adds the answers on test of each training that the network averages.
    """
    pieces: dict[str, list[ScoredGoal]] = {}
    several = len(folds) > 1
    for number, fold in enumerate(folds):
        rows = {
            part: judged_rows(fold.dataset.rows, part, max_rows, seed, number)
            for part in (VALIDATION, TEST)
        }
        raw = {part: _predict(fold, rows[part]) for part in rows}
        trainings = fold.network.trainings(fold.dataset) if with_trainings else []
        members = [model.score_goals(fold.dataset, rows[TEST]) for model in trainings]
        for index, goal in enumerate(fold.dataset.plan.goals):
            validation, test = (
                _labelled(fold.dataset, rows[part], index, goal, raw[part]) for part in rows
            )
            if len(validation.y) and len(test.y):
                labelled = np.isfinite(rows[TEST].y[:, index])
                test = replace(
                    test,
                    members=tuple(p[labelled, index].astype(np.float64) for p in members),
                    trainings=max(len(members), 1) if with_trainings else None,
                    fold=np.full(len(test.y), number) if several else None,
                )
                pieces.setdefault(goal.name, []).append(_calibrate(validation, test))
    return {
        name: ScoredGoal(
            _join([part.validation for part in parts]),
            _join([part.test for part in parts]),
            parts[0].calibrations,
        )
        for name, parts in pieces.items()
    }


def judged_rows(
    rows: AsOfRows, part: int, max_rows: int | None, seed: int, fold: int = 0
) -> AsOfRows:
    """The rows of a part that are judged: the same ones whenever it is asked."""
    return draw_rows(rows, part, max_rows, np.random.default_rng([seed, 3, fold, part]))


def judged_targets(dataset: Dataset, part: int, max_rows: int | None, seed: int) -> Targets:
    """The moments of a part whose lists are judged, likewise."""
    some, most = dataset.list_targets(part), most_lists(dataset, max_rows)
    if most is None:
        return some
    return some.take(draw_lists(some.user, most, np.random.default_rng([seed, 4, part])))


def most_lists(dataset: Dataset, max_rows: int | None) -> int | None:
    """How many lists of a part are judged: under a split by time, where a customer has many, at
    most MOST_LISTS."""
    if dataset.plan.by != "time":
        return max_rows
    return MOST_LISTS if max_rows is None else min(max_rows, MOST_LISTS)


def draw_lists(user: Ids, most: int, rng: np.random.Generator) -> Ints:
    """Indices of at most `most` rows, of whole customers drawn by chance, ascending; one who has
    more rows than are left is passed over, so that one heavy customer does not leave few lists."""
    if len(user) <= most:
        return np.arange(len(user))
    distinct, index = np.unique(user, return_inverse=True)
    size = np.bincount(index)
    drawn = np.zeros(len(distinct), bool)
    left = max(most, int(size.min()))
    for one in rng.permutation(len(distinct)):
        if size[one] <= left:
            drawn[one] = True
            left -= int(size[one])
    return np.flatnonzero(drawn[index])


def draw_rows(
    rows: AsOfRows, part: int, max_rows: int | None, rng: np.random.Generator
) -> AsOfRows:
    """The rows of a part; above `max_rows` those of whole users drawn by chance."""
    chosen = np.flatnonzero(rows.part == part)
    if max_rows is not None:
        chosen = chosen[draw_whole_users(rows.user[chosen], max_rows, rng)]
    return rows.take(chosen)


def _predict(fold: ModelSet, rows: AsOfRows) -> dict[str, dict[str, Doubles]]:
    """Goal -> model -> answers, before calibration."""
    dataset = fold.dataset
    answers = fold.network.score_goals(dataset, rows)
    out = {
        goal.name: {NETWORK: answers[:, number]} for number, goal in enumerate(dataset.plan.goals)
    }
    entries = [
        (goal, name, rival)
        for goal, rivals in fold.goal_rivals.items()
        for name, rival in rivals.items()
    ]
    for raw in (False, True):
        some = [each for each in entries if is_raw(each[1]) == raw]
        if not some:
            continue
        features = dataset.raw_features_of(rows) if raw else dataset.features_of(rows)
        predictions = predict_all([rival for _, _, rival in some], features)
        for (goal, name, _), answer in zip(some, predictions, strict=True):
            out[goal][name] = answer
    return out


def _labelled(
    dataset: Dataset,
    rows: AsOfRows,
    number: int,
    goal: GoalPlan,
    answers: dict[str, dict[str, Doubles]],
) -> GoalScores:
    labelled = np.flatnonzero(np.isfinite(rows.y[:, number]))
    user = rows.user[labelled]
    return GoalScores(
        goal,
        user,
        rows.y[labelled, number].astype(np.float64),
        {name: p[labelled].astype(np.float64) for name, p in answers[goal.name].items()},
        {column: words[user] for column, words in dataset.profiles.sensitive.items()},
        rows.as_of[labelled],
    )


def _calibrate(validation: GoalScores, test: GoalScores) -> ScoredGoal:
    """Every model's answers as they would be served."""
    fit = KINDS[test.goal.kind].calibrate
    calibrations = {name: fit(p, validation.y) for name, p in validation.scores.items()}
    on_validation, on_test = (
        replace(
            part,
            scores={name: calibrations[name].apply(p) for name, p in part.scores.items()},
            members=tuple(calibrations[NETWORK].apply(p) for p in part.members),
        )
        for part in (validation, test)
    )
    return ScoredGoal(on_validation, on_test, calibrations)


def _join(parts: list[GoalScores]) -> GoalScores:
    first = parts[0]
    if len(parts) == 1:
        return first
    members = zip(*(part.members for part in parts), strict=False)
    return replace(
        first,
        user=np.concatenate([part.user for part in parts]),
        y=np.concatenate([part.y for part in parts]),
        scores={
            name: np.concatenate([part.scores[name] for part in parts]) for name in first.scores
        },
        groups={
            name: np.concatenate([part.groups[name] for part in parts]) for name in first.groups
        },
        as_of=np.concatenate([part.as_of for part in parts if part.as_of is not None]),
        members=tuple(np.concatenate(each) for each in members),
        fold=None
        if first.fold is None
        else np.concatenate([part.fold for part in parts if part.fold is not None]),
    )


def score_rankings(
    fold: ModelSet, max_rows: int | None, seed: int
) -> tuple[RankingScores, RankingScores] | None:
    """(validation, test) top lists of all models; None where nothing is recommended."""
    if fold.network.ranker is None or fold.dataset.settings.recommend is None:
        return None
    both = [judged_targets(fold.dataset, part, max_rows, seed) for part in (VALIDATION, TEST)]
    if not all(len(targets) for targets in both):
        return None
    validation, test = (_rank(fold, targets) for targets in both)
    members = tuple(
        model.rank_targets(fold.dataset, both[1], LIST_LENGTH)
        for model in fold.network.trainings(fold.dataset)
    )
    return validation, replace(test, members=members, trainings=max(len(members), 1))


def _rank(fold: ModelSet, targets: Targets) -> RankingScores:
    ranked: dict[str, Ids] = {}
    seconds: dict[str, float] = {}
    for name in (NETWORK, *fold.item_rivals):
        began = time.perf_counter()
        ranked[name] = rank_targets(fold, name, targets, LIST_LENGTH)
        seconds[name] = round(time.perf_counter() - began, 3)
    return RankingScores(
        targets.user, targets.item_offsets, targets.items, ranked,
        FIRST_KNOWN + int(fold.dataset.shown.sum()), fold.dataset.popularity, seconds,
    )  # fmt: skip


def rank_targets(fold: ModelSet, name: str, targets: Targets, k: int) -> Ids:
    """One model's best `k` items of each row, for rows whose items are to be guessed."""
    as_of = targets.as_of(fold.dataset.histories)
    return rank_with(fold, name, targets.user, targets.end, as_of, k)


def rank_with(fold: ModelSet, name: str, user: Ids, end: Ints, as_of: Ints | None, k: int) -> Ids:
    """One model's best `k` items of each row at its time in seconds."""
    dataset = fold.dataset
    if name == NETWORK:
        return fold.network.rank(dataset, user, end, as_of, k)
    rival = fold.item_rivals[name]
    exclude: Literal["none", "seen"] = "none" if dataset.encoder.repeat else "seen"
    return rival.rank(
        dataset.histories, user, end, k, exclude, fold.network.owned, dataset.shown, as_of
    )
