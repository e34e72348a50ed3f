"""Who serves, chosen on validation alone: the simplest model that is as good as the best.

Probabilities are compared by log loss, expected values by Tweedie deviance of power 1.5
(lowest at the true mean, fit for zeros and long tails), rankings by ndcg. These are proper
or list-wise scores of what is served; AUC would not notice probabilities that are wrong.

Two rules, both on paired differences with standard errors over customers:

- A model has to beat the base rate (for lists: popularity) beyond chance. As many models try,
  it is the chance that the best of them does, which is little more than that of one where their
  answers are alike (Hothorn, Bretz and Westfall 2008). Where none does, the base rate serves.
- Of those that do, the simplest within one standard error of the best serves (Breiman,
  Friedman, Olshen and Stone 1984), in the order of SIMPLEST_FIRST. Everything learned was
  stopped, tuned and calibrated on validation too, and what is complex gains most by that.

Whether what serves is better beyond chance is said by the verdict, on test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from propense.errors import EvaluationError
from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics.intervals import cluster
from propense.evaluation.records import (
    AVERAGE,
    MAJORITY,
    NETWORK,
    POPULARITY,
    RIVALS,
    Champion,
    number,
)
from propense.schemas import Doubles, GoalScores
from propense.words import Text, format_text

SIMPLEST_FIRST: Final = (
    MAJORITY, "logistic", "tree", "svm", "lightgbm", "lightgbm_raw", "mlp",
    POPULARITY, "popular_now", "frequency", "markov", "item_knn", "ease",
    "reranker",
)  # fmt: skip
"""Rivals of goals, then of lists. Others follow, then the network, then its average."""
LEVEL: Final = 0.05
_DRAWS: Final = 50_000
Users = npt.NDArray[np.generic]


def pick_goal_champion(validation: GoalScores) -> Champion:
    """Champion of a goal from its validation scores.

    Raises EvaluationError without the network's scores or without any row.
    """
    if NETWORK not in validation.scores:
        raise EvaluationError(
            f"goal {validation.goal.name!r}: validation scores have no model {NETWORK!r}, "
            f"only {sorted(validation.scores)}"
        )
    if len(validation.y) == 0:
        raise EvaluationError(
            f"goal {validation.goal.name!r}: the validation part has no labelled row to choose "
            f"by; shorten its horizon, or widen [split] fractions"
        )
    kind = KINDS[validation.goal.kind]
    rows = {model: kind.row_losses(validation.y, p) for model, p in validation.scores.items()}
    losses = {model: float(loss.mean()) for model, loss in rows.items()}
    rival = _lowest({model: loss for model, loss in losses.items() if model != NETWORK})
    second = _lowest({m: loss for m, loss in losses.items() if m not in (NETWORK, rival)})
    for name, scores in averages(validation, rival, second).items():
        rows[name] = kind.row_losses(validation.y, scores)
        losses[name] = float(rows[name].mean())
    model, close = _choose(rows, MAJORITY, validation.user, {NETWORK, rival})
    return _champion(model, (rival, second), MAJORITY, kind.criterion, losses, close)


def disagreeing_folds(validation: GoalScores, test: GoalScores, champion: Champion) -> Text | None:
    """Said where a fold, without its test customers, would have chosen another champion.

    Every customer is validation in one fold and test in another. So what all of validation chose
    was chosen on those it is judged on; where each fold's choice without them is the same, its
    numbers are those of a nested choice.
    """
    if test.fold is None:
        return None
    folds = np.unique(test.fold)
    choices = []
    for fold in folds:
        without = ~np.isin(validation.user, test.user[test.fold == fold])
        if without.any():
            choices.append(pick_goal_champion(validation.take(np.flatnonzero(without))))
    own = (champion.model, champion.rival if champion.kind == "average" else None)
    others = [c for c in choices if (c.model, c.rival if c.kind == "average" else None) != own]
    if not others:
        return None
    return format_text("verdict.folds_differ", n=len(others), folds=len(folds))


def averages(part: GoalScores, rival: str | None, second: str | None) -> dict[str, Doubles]:
    """The average of network and best rival, and that of the two best rivals.

    Almost any two models are better averaged than alone. So what the network brings to an
    average is what it brings beyond a second rival in its place.
    """
    pairs = {AVERAGE: (NETWORK, rival), RIVALS: (rival, second)}
    return {
        name: KINDS[part.goal.kind].average(part.scores[one], part.scores[other])
        for name, (one, other) in pairs.items()
        if one is not None and other is not None
    }


def pick_ranking_champion(
    validation: Mapping[str, Doubles], user: Users, criterion: str
) -> Champion:
    """Champion of a ranking from each model's criterion on the rows of validation.

    Higher is better; rows that are nan are left out. `user` (n_rows,).

    >>> lists = {"network": np.full(9, 0.05), "markov": np.full(9, 0.06)}
    >>> pick_ranking_champion(lists, np.arange(9), "ndcg_at_10").model
    'markov'
    """
    if NETWORK not in validation:
        raise EvaluationError(
            f"ranking: validation lists have no model {NETWORK!r}, only {sorted(validation)}"
        )
    defined = np.isfinite(validation[NETWORK])
    rows = {model: -values[defined] for model, values in validation.items()}
    loss = {m: float(row.mean()) if len(row) else float("nan") for m, row in rows.items()}
    rival = _lowest({model: value for model, value in loss.items() if model != NETWORK})
    model, close = None, False
    if defined.any():
        model, close = _choose(rows, POPULARITY, user[defined], set())
    reached = {model: -value for model, value in loss.items()}
    return _champion(model, (rival, None), POPULARITY, criterion, reached, close)


def measure_gap(one: Doubles, other: Doubles, user: Users) -> tuple[float, float]:
    """Mean of `one` - `other` over rows, and its standard error over customers.

    The error is that of a ratio of sums, linearised: rows of one customer count together.

    >>> measure_gap(np.array([1.0, 1.0, 3.0, 3.0]), np.zeros(4), np.array([1, 1, 2, 2]))
    (2.0, 1.0)
    """
    gap = one - other
    mean = float(gap.mean())
    rows = cluster(user)
    sums = np.bincount(rows.index, gap - mean, minlength=rows.n_users)
    shrink = max(rows.n_users - 1, 1) / rows.n_users
    return mean, float(np.sqrt((sums**2).sum() / shrink) / len(gap))


def _choose(
    rows: Mapping[str, Doubles], base: str, user: Users, averaged: Set[str | None]
) -> tuple[str, bool]:
    """The simplest of those as good as the best, and whether one standard error decided between
    the base and something else; `rows` are losses.

    The average serves only where both that are `averaged` beat the base themselves: two that know
    nothing, each the best of many, look good together.
    """
    good, close = [model for model in rows if model not in (base, RIVALS)], False
    if base in rows:
        gains = {model: measure_gap(rows[base], rows[model], user) for model in good}
        least = _least([rows[base] - rows[model] for model in good], user)
        good = [model for model, (gain, error) in gains.items() if gain > least * error]
        most = max((gain / error for gain, error in gains.values() if error > 0), default=0.0)
        close = abs(most - least) < 1
        if not averaged <= set(good):
            good = [model for model in good if model != AVERAGE]
        if not good:
            return base, close
    best = min(good, key=lambda model: float(rows[model].mean()))
    for model in sorted(good, key=_complexity):
        gap, error = measure_gap(rows[model], rows[best], user)
        if gap <= error:
            return model, close
    return best, close


def _least(gaps: Sequence[Doubles], user: Users) -> float:
    """Standard errors that the best of `gaps` of mean 0 passes in half of `LEVEL`.

    From the greatest of as many normal numbers, correlated as the gaps are over customers.
    """
    rows = cluster(user)
    sums = [np.bincount(rows.index, gap - gap.mean(), minlength=rows.n_users) for gap in gaps]
    sizes = [max(float(np.sqrt((each**2).sum())), 1e-300) for each in sums]
    alike = np.array([each / size for each, size in zip(sums, sizes, strict=True)])
    values, vectors = np.linalg.eigh(alike @ alike.T)
    root = vectors * np.sqrt(np.maximum(values, 0))
    drawn = np.random.default_rng(0).standard_normal((_DRAWS, len(gaps))) @ root.T
    return float(np.quantile(drawn.max(axis=1), 1 - LEVEL / 2))


def _complexity(model: str) -> int:
    last = len(SIMPLEST_FIRST)
    if model in (NETWORK, AVERAGE):
        return last + 1 + (model == AVERAGE)
    return SIMPLEST_FIRST.index(model) if model in SIMPLEST_FIRST else last


def _lowest(losses: Mapping[str, float]) -> str | None:
    """The first of the lowest, nan last."""
    if not losses:
        return None
    return min(losses, key=lambda model: np.nan_to_num(losses[model], nan=np.inf))


def _champion(
    model: str | None,
    rivals: tuple[str | None, str | None],
    base: str,
    criterion: str,
    validation: Mapping[str, float],
    close: bool,
) -> Champion:
    chosen = NETWORK if model is None else model
    kind: Literal["network", "rival", "average"] = (
        "network" if chosen == NETWORK else "average" if chosen == AVERAGE else "rival"
    )
    return Champion(
        kind=kind,
        model=chosen,
        rival=rivals[0],
        second=rivals[1],
        base=base if base in validation else None,
        criterion=criterion,
        validation={name: number(value) for name, value in validation.items()},
        close=close,
    )
