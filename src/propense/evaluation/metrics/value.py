"""Metrics of expected values, such as money within 90 days: plain definitions.

`y` (n_rows,) what came, `p` (n_rows,) what was expected, both in units of the currency.
Predictions are of the mean, so they are judged by what the mean minimises
(`tweedie_deviance`, `total_ratio`) and by order (`gini_normalised`, `spearman`).
"""

from __future__ import annotations

import numpy as np

from propense.evaluation.metrics.propensity import midranks
from propense.schemas import Doubles

FLOOR = 1e-3
"""In the deviance a prediction is at least this share of the mean outcome."""


def mae(y: Doubles, p: Doubles) -> float:
    """Mean absolute error. The median minimises it, so the mean of a skewed value does not."""
    return _mean(np.abs(y - p))


def rmse(y: Doubles, p: Doubles) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(_mean((y - p) ** 2)))


def tweedie_deviances(y: Doubles, p: Doubles, floor: float) -> Doubles:
    """Unit deviance of power 1.5, one value a row: 4 (sqrt y - sqrt p)^2 / sqrt p.

    Lowest in the mean where p is the true expected value, whatever the distribution, and
    fit for values with many zeros and a long tail. `p` is lifted to `floor`; a negative y
    (refunds) counts linearly, its own root left out. Source: Jørgensen 1987.

    >>> tweedie_deviances(np.array([0.0, 4.0]), np.array([1.0, 4.0]), 1e-9).tolist()
    [4.0, 0.0]
    """
    root = np.sqrt(np.maximum(p, floor))
    deviance: Doubles = 4 * (y / root - 2 * np.sqrt(np.maximum(y, 0)) + root)
    return deviance


def tweedie_deviance(y: Doubles, p: Doubles) -> float:
    """Mean of `tweedie_deviances`, predictions lifted to FLOOR times the mean of y."""
    return _mean(tweedie_deviances(y, p, deviance_floor(y)))


def deviance_floor(y: Doubles) -> float:
    """FLOOR times the mean outcome; where that is not positive, a tiny number."""
    mean = _mean(y)
    return FLOOR * mean if mean > 0 else 1e-12


def gini_normalised(y: Doubles, p: Doubles) -> float:
    """Gini of the order by p over the Gini of the perfect order: 1 perfect, 0 chance.

    Ties share their mean rank. nan where all outcomes are equal.

    >>> gini_normalised(np.array([0, 1, 5.0]), np.array([1, 2, 3.0]))
    1.0
    """
    if len(y) == 0:
        return float("nan")
    middle = (len(y) + 1) / 2
    best = float(y @ (midranks(y) - middle))
    return float(y @ (midranks(p) - middle)) / best if best > 0 else float("nan")


def spearman(y: Doubles, p: Doubles) -> float:
    """Pearson's correlation of midranks; nan where either side is constant.

    >>> round(spearman(np.array([1, 2, 3.0]), np.array([1, 3, 2.0])), 6)
    0.5
    """
    if len(y) == 0:
        return float("nan")
    middle = (len(y) + 1) / 2
    of_y, of_p = midranks(y) - middle, midranks(p) - middle
    scale = float(np.sqrt((of_y @ of_y) * (of_p @ of_p)))
    return float(of_y @ of_p) / scale if scale > 0 else float("nan")


def total_ratio(y: Doubles, p: Doubles) -> float:
    """Expected total over the total that came: 1 is right, above 1 promises too much."""
    total = float(y.sum())
    return float(p.sum()) / total if total != 0 else float("nan")


def _mean(values: Doubles) -> float:
    return float(values.mean()) if len(values) else float("nan")
