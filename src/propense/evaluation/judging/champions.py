"""Who serves: the network, its best rival, or their average, chosen on validation alone.

Probabilities are compared by log loss, expected values by Tweedie deviance of power 1.5
(lowest at the true mean, fit for zeros and long tails), rankings by ndcg. These are proper
or list-wise scores of what is served; AUC would not notice probabilities that are wrong.
The best on validation wins, and of exactly equal ones the simpler: rival, network, average.
Whether it is better beyond chance is said by the verdict, on test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from propense.errors import EvaluationError
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import AVERAGE, NETWORK, RIVALS, Champion, number
from propense.schemas import Doubles, GoalScores


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
    losses = {model: kind.loss(validation.y, p) for model, p in validation.scores.items()}
    rival = _lowest({model: loss for model, loss in losses.items() if model != NETWORK})
    second = _lowest({m: loss for m, loss in losses.items() if m not in (NETWORK, rival)})
    for name, scores in averages(validation, rival, second).items():
        losses[name] = kind.loss(validation.y, scores)
    candidates = {m: losses[m] for m in (rival, NETWORK, AVERAGE) if m is not None and m in losses}
    return _champion(_lowest(candidates), (rival, second), kind.criterion, losses)


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


def pick_ranking_champion(validation: Mapping[str, float], criterion: str) -> Champion:
    """Champion of a ranking from each model's criterion on validation, higher is better.

    >>> pick_ranking_champion({"network": 0.05, "markov": 0.06, "ease": 0.04}, "ndcg_at_10").model
    'markov'
    """
    if NETWORK not in validation:
        raise EvaluationError(
            f"ranking: validation lists have no model {NETWORK!r}, only {sorted(validation)}"
        )
    loss = {model: -value for model, value in validation.items()}
    rival = _lowest({model: value for model, value in loss.items() if model != NETWORK})
    candidates = {m: loss[m] for m in (rival, NETWORK) if m is not None}
    return _champion(_lowest(candidates), (rival, None), criterion, validation)


def _lowest(losses: Mapping[str, float]) -> str | None:
    """The first of the lowest, nan last."""
    if not losses:
        return None
    return min(losses, key=lambda model: np.nan_to_num(losses[model], nan=np.inf))


def _champion(
    model: str | None,
    rivals: tuple[str | None, str | None],
    criterion: str,
    validation: Mapping[str, float],
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
        criterion=criterion,
        validation={name: number(value) for name, value in validation.items()},
    )
