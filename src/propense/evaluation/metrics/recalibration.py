"""Whether probabilities mean what they say: intercept, slope and calibration error.

Intervals are of the linearised figures, summed by customer ("sandwich"; Liang & Zeger 1986), as
resampling adds the noise of a bin to itself and cannot show an error of 0.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.evaluation.metrics.calibration import logit, sigmoid
from propense.evaluation.metrics.intervals import Clusters, sum_by_user
from propense.evaluation.metrics.propensity import CLIP, equal_mass_edges
from propense.evaluation.metrics.scales import Estimate
from propense.evaluation.metrics.student import Z, student
from propense.schemas import Doubles

_STEPS: Final = 50
_STEEPEST: Final = 200.0
_LEAST_SPREAD: Final = 1e-9
"""Standard deviation of log odds under which chances are the same."""
"""A slope beyond: the outcomes are separable and no slope is the best."""


def fit_intercept(y: Doubles, p: Doubles) -> float:
    """What must be added to every logit so that the chances add up to the positives.

    0 is right; above 0 the chances are too low. nan where all outcomes are the same. Source: Cox
    1958; Van Calster et al. 2019, BMC Medicine 17:230 ("calibration-in-the-large").

    >>> y = np.array([1, 1, 1, 0.0])
    >>> round(fit_intercept(y, np.full(4, 0.5)), 4)
    1.0986
    """
    if len(y) == 0 or y.min() == y.max():
        return nan
    return float(_fit(np.ones((len(y), 1)), y, _logits(p))[0])


def fit_slope(y: Doubles, p: Doubles) -> float:
    """b of the best P(y) = sigmoid(a + b logit(p)), unpenalised.

    1 is right; below 1 the chances are too extreme, above 1 too timid. nan where all outcomes or
    (but for rounding) all chances are the same, or one chance parts the outcomes. Source: Cox 1958.

    >>> y = np.tile([0.0, 1.0, 1.0], 100)
    >>> bool(np.isnan(fit_slope(y, np.where(np.arange(300) < 9, 0.5, 0.5 + 1e-16))))
    True
    """
    if len(y) == 0 or y.min() == y.max():
        return nan
    x, scale = _standardised(_logits(p))
    if scale < _LEAST_SPREAD:
        return nan
    slope = float(_fit(np.stack([np.ones(len(y)), x], axis=1), y, np.zeros(len(y)))[1]) / scale
    return slope if abs(slope) <= _STEEPEST else nan


def recalibrate(y: Doubles, p: Doubles, rows: Clusters) -> dict[str, Estimate]:
    """`calibration_intercept`, `calibration_slope` and `calibration_error` with their intervals.

    `calibration_error_null` is the error that right probabilities stay under in 97.5 % of samples.
    """
    if len(y) == 0:
        return {}
    x = _logits(p)
    ones = np.ones((len(y), 1))
    intercept, slope = fit_intercept(y, p), fit_slope(y, p)
    alike, scale = _standardised(x)
    both = np.concatenate([ones, alike[:, None]], axis=1)
    offset = nan
    if np.isfinite(slope):
        offset = float(_fit(ones, y, slope * x)[0])
    error, null = _calibration_error(y, p, rows)
    return {
        "calibration_intercept": _with_error(
            intercept, ones, y, sigmoid(x + np.nan_to_num(intercept)), rows
        ),
        "calibration_slope": _with_error(
            slope, both, y, sigmoid(np.nan_to_num(offset) + np.nan_to_num(slope) * x), rows, scale
        ),
        "calibration_error": error,
        "calibration_error_null": Estimate(null),
    }


def calibration_error(y: Doubles, p: Doubles) -> float:
    """Root mean square over rows of mean p - rate of the row's bin, less what chance adds.

    Bins of equal mass, at most 15; 0 where chance alone explains the gaps. The usual error (ECE) is
    never 0, and the larger the fewer the rows. Source: Kumar, Liang & Ma 2019 (NeurIPS), the
    "debiased estimator".
    """
    rows = Clusters(np.arange(len(y)), len(y))
    return _calibration_error(y, p, rows)[0].value


def _calibration_error(y: Doubles, p: Doubles, rows: Clusters) -> tuple[Estimate, float]:
    n = len(y)
    if n == 0:
        return Estimate(nan), nan
    order = np.argsort(p, kind="stable")
    ends = equal_mass_edges(p[order])
    which = np.empty(n, np.int64)
    which[order] = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    share = np.bincount(which) / n
    gap = np.bincount(which, p - y) / n / share
    gaps = np.zeros((rows.n_users, len(ends)))
    np.add.at(gaps, (rows.index, which), (p - y - gap[which]) / n)
    covariance = gaps.T @ gaps * (rows.n_users / max(rows.n_users - 1, 1))
    squared = float(share @ gap**2)
    excess = squared - float((np.diag(covariance) / share).sum())
    spread = 2 * float((covariance**2 / np.outer(share, share)).sum())
    steep = 4 * float(gap @ covariance @ gap) / squared if squared > 0 else 0.0
    return _squared_interval(excess, spread, steep), sqrt(Z * sqrt(spread))


def _squared_interval(excess: float, spread: float, steep: float) -> Estimate:
    """Root of every x for which |excess - x| <= Z sqrt(spread + steep x), held at 0."""
    middle = excess + Z**2 * steep / 2
    inside = spread + steep * excess + (Z * steep / 2) ** 2
    half = Z * sqrt(max(inside, 0.0))
    value = sqrt(max(excess, 0.0))
    low, high = (sqrt(max(middle + sign * half, 0.0)) for sign in (-1, 1))
    return Estimate(value, min(low, value), max(high, value))


def _logits(p: Doubles) -> Doubles:
    return logit(np.clip(p, CLIP, 1 - CLIP))


def _fit(x: Doubles, y: Doubles, offset: Doubles) -> Doubles:
    """Logistic coefficients by Newton's method with halved steps; nan where there is no maximum."""
    beta = np.zeros(x.shape[1])
    loss = _loss(x @ beta + offset, y)
    for _ in range(_STEPS):
        p = sigmoid(x @ beta + offset)
        hessian = (x * (p * (1 - p))[:, None]).T @ x
        try:
            step = np.linalg.solve(hessian, x.T @ (y - p))
        except np.linalg.LinAlgError:
            return np.full(x.shape[1], nan)
        size = 1.0
        while size > 1e-4 and _loss(x @ (beta + size * step) + offset, y) > loss + 1e-12:
            size /= 2
        beta = beta + size * step
        loss = _loss(x @ beta + offset, y)
        if np.abs(beta).max() > _STEEPEST:
            break
        if np.abs(size * step).max() < 1e-9:
            return beta
    return np.full(x.shape[1], nan)


def _loss(z: Doubles, y: Doubles) -> float:
    return float((np.logaddexp(0, z) - y * z).sum())


def _standardised(x: Doubles) -> tuple[Doubles, float]:
    """Mean 0 and standard deviation 1, and the deviation before; so that a step of Newton's has a
    solution where the chances hardly differ."""
    scale = float(x.std())
    return (x - x.mean()) / max(scale, _LEAST_SPREAD), scale


def _with_error(
    value: float,
    x: Doubles,
    y: Doubles,
    p: npt.NDArray[np.float64],
    rows: Clusters,
    scale: float = 1.0,
) -> Estimate:
    """The last coefficient, per `scale`, with its interval by customer."""
    if not np.isfinite(value) or rows.n_users < 2:
        return Estimate(value)
    scores = sum_by_user(x * (y - p)[:, None], rows)
    try:
        bread = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)
    except np.linalg.LinAlgError:
        # All chances are 0 or 1 to the last digit.
        return Estimate(value)
    meat = scores.T @ scores * (rows.n_users / (rows.n_users - 1))
    half = student(rows.n_users) * sqrt(float((bread @ meat @ bread)[-1, -1])) / scale
    return Estimate(value, value - half, value + half)
