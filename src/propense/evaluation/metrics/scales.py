"""95 % intervals of figures, each on the scale on which its errors are nearly even.

No figure uses the percentiles of its resamples: those are short where positives are few and, where
a figure is biased under resampling, leave out the figure itself. A share gets Wilson's interval
with as many rows as give the resampled variance (Wilson 1927; by effective size: Korn & Graubard
1998), less the bias of the resamples: average precision is too high on few positives. A loss is
even as a logarithm, a correlation as its inverse hyperbolic tangent (Fisher 1921). An amount of
money has the interval of `amounts.py`. Quantiles are Student's, with as many degrees of freedom as
customers and resamples allow. Every interval holds its own figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite, nan, sqrt
from typing import Final

import numpy as np

from propense.evaluation.metrics.amounts import Amount, amount_interval
from propense.evaluation.metrics.student import student
from propense.schemas import Doubles

_FEWEST_DEFINED: Final = 0.5


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, whose ends are nan where there is none."""

    value: float
    low: float = nan
    high: float = nan


@dataclass(frozen=True)
class Share:
    """A figure in 0 .. `unit`, taken over `customers`: the number of the rarer outcome, if any."""

    customers: float
    unit: float = 1.0


@dataclass(frozen=True)
class Loss:
    """A figure above 0."""

    customers: float = inf


@dataclass(frozen=True)
class Correlation:
    """A figure in -1 .. 1."""

    customers: float = inf


@dataclass(frozen=True)
class Signed:
    """A figure of either sign, such as a difference."""

    customers: float = inf


@dataclass(frozen=True)
class Fixed:
    """A figure whose interval does not come from resamples; nan where it has none."""

    low: float = nan
    high: float = nan


Scale = Share | Loss | Correlation | Signed | Fixed | Amount
Scales = Mapping[str, Scale]


def interval(value: float, replicates: Doubles, scale: Scale) -> Estimate:
    """The figure with its interval, from `replicates` (n_resamples,) and what kind of figure it is.

    Resamples in which the figure is not defined are left out; where that is more than half of
    them, or the figure itself is not defined, there is no interval.

    >>> even = np.random.default_rng(0).normal(0.5, 0.05, 1000)
    >>> estimate = interval(0.5, even, Share(100))
    >>> round(estimate.low, 2), round(estimate.high, 2)
    (0.41, 0.6)
    >>> interval(1.0, np.ones(100), Share(20)).low < 0.9
    True
    """
    if isinstance(scale, Fixed):
        return Estimate(value, scale.low, scale.high)
    if isinstance(scale, Amount):
        return Estimate(value, *amount_interval(scale))
    defined = replicates[np.isfinite(replicates)]
    if not isfinite(value) or len(defined) <= _FEWEST_DEFINED * len(replicates):
        return Estimate(value)
    error = float(np.std(defined, ddof=1)) if len(defined) > 1 else 0.0
    bias = float(defined.mean()) - value if isinstance(scale, Share) else 0.0
    t = student(scale.customers, len(defined))
    low, high = _ends(value - bias, error, t, scale)
    return Estimate(value, min(low, value), max(high, value))


def _ends(
    value: float, error: float, t: float, scale: Share | Loss | Correlation | Signed
) -> tuple[float, float]:
    if isinstance(scale, Share):
        return _wilson(value, error, t, scale)
    if isinstance(scale, Loss) and value > 0:
        return _even_as(np.log, np.exp, value, t * error / value)
    if isinstance(scale, Correlation) and abs(value) < 1:
        return _even_as(np.arctanh, np.tanh, value, t * error / (1 - value**2))
    return value - t * error, value + t * error


def _even_as(
    there: Callable[[float], float], back: Callable[[float], float], value: float, half: float
) -> tuple[float, float]:
    middle = there(value)
    return float(back(middle - half)), float(back(middle + half))


def _wilson(value: float, error: float, t: float, scale: Share) -> tuple[float, float]:
    share = min(max(value / scale.unit, 0.0), 1.0)
    variance = (error / scale.unit) ** 2
    n = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else scale.customers
    if n <= 0:
        return nan, nan
    middle = share + t**2 / (2 * n)
    half = t * sqrt(share * (1 - share) / n + t**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + t**2 / n) for sign in (-1, 1))
    return max(low, 0.0) * scale.unit, min(high, 1.0) * scale.unit


def difference_scale(one: Scale, other: Scale) -> Scale:
    """The kind of a figure's difference between two models on the same rows."""
    if isinstance(one, Amount) and isinstance(other, Amount):
        return one.minus(other)
    if isinstance(one, Fixed) or isinstance(other, Fixed):
        return Fixed()
    return Signed(min(_customers(one), _customers(other)))


def _customers(scale: Scale) -> float:
    return inf if isinstance(scale, Fixed | Amount) else scale.customers
