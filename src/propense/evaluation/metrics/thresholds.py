"""The probability from which a customer counts as a yes, chosen on validation."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from propense.errors import EvaluationError
from propense.evaluation.metrics.propensity import tie_ends
from propense.schemas import Doubles


class Threshold(msgspec.Struct, frozen=True):
    """Act where p >= `value`."""

    value: float
    rule: Literal["f1", "value"]
    """The best F1 on validation, or stated cost and benefit."""
    cost: float | None = None
    benefit: float | None = None


def choose_threshold(
    y: Doubles, p: Doubles, cost: float | None = None, benefit: float | None = None
) -> Threshold:
    """A threshold from validation rows, or from what acting costs and brings.

    With cost and benefit: act where p * benefit > cost, which needs no data but calibrated
    probabilities. Without: the highest F1 of the positive class, halfway between two
    neighbouring scores; of equal F1 the higher threshold. Without any positive row: 0.5.

    >>> choose_threshold(np.array([1, 1, 0, 0.0]), np.array([0.9, 0.6, 0.4, 0.1])).value
    0.5
    >>> choose_threshold(np.zeros(0), np.zeros(0), cost=1.0, benefit=4.0).value > 0.25
    True

    Raises EvaluationError if only one of cost and benefit is given or benefit is not positive.
    """
    if cost is not None or benefit is not None:
        if cost is None or benefit is None or benefit <= 0 or cost < 0:
            raise EvaluationError(
                f"a threshold by value needs cost >= 0 and benefit > 0, "
                f"got cost={cost}, benefit={benefit}"
            )
        just_above = float(np.nextafter(cost / benefit, np.inf))
        return Threshold(just_above, "value", cost, benefit)
    if not y.any():
        return Threshold(0.5, "f1")
    order = np.argsort(-p, kind="stable")
    last = tie_ends(p[order])
    true = np.cumsum(y[order])[last - 1]
    best = int(np.argmax(2 * true / (last + y.sum())))
    scores = p[order][last - 1]
    lowest = float(scores[best])
    if best + 1 == len(scores):
        return Threshold(lowest, "f1")
    between = (lowest + float(scores[best + 1])) / 2
    return Threshold(between if between > scores[best + 1] else lowest, "f1")
