"""The test part by as-of time: whether what holds in one stretch holds in the next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from propense.evaluation.judging.evidence import count_as_of
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import Stretch, number
from propense.schemas import GoalScores

MOST_STRETCHES: Final = 12
"""More as-of times than this are joined into as many stretches with equally many of them."""


def judge_by_as_of(test: GoalScores, models: Iterable[str]) -> list[Stretch]:
    """Rate of the outcome and criterion of each model, by as-of time, earliest first.

    Empty where the rows have no time, or all have the same one.
    """
    n_as_of = count_as_of(test)
    if n_as_of is None or n_as_of < 2 or test.as_of is None:
        return []
    times, which = np.unique(test.as_of, return_inverse=True)
    stretch = np.arange(len(times)) * min(MOST_STRETCHES, len(times)) // len(times)
    of_row = stretch[which]
    kind = KINDS[test.goal.kind]
    stretches = []
    for at in range(int(stretch[-1]) + 1):
        rows = np.flatnonzero(of_row == at)
        inside = times[stretch == at]
        stretches.append(
            Stretch(
                first=int(inside[0]),
                last=int(inside[-1]),
                n_rows=len(rows),
                n_users=len(np.unique(test.user[rows])),
                rate=number(float(test.y[rows].mean())),
                criterion={
                    model: number(kind.loss(test.y[rows], test.scores[model][rows]))
                    for model in models
                },
            )
        )
    return stretches
