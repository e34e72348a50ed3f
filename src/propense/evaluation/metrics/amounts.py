"""Intervals of means of amounts, whose tails are heavy: a few customers are most of the money.

The percentile interval of such a mean covers the truth in three quarters of the samples or fewer,
always from below. Here the mean of a small resample, m of n customers, is divided by its own
standard error, and the quantiles of that ratio make the interval ("m out of n bootstrap-t", as
logarithms). It is right also where the variance is infinite (Romano & Wolf 1999, Econometric Theory
15:824; Hall & LePage 1996). Under 30 effective customers there is no interval: what they spend says
nothing of those who were not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.evaluation.metrics.student import Z, student
from propense.schemas import Doubles

FEWEST_EFFECTIVE: Final = 30
"""Effective customers below which a mean of amounts has no interval."""
RESAMPLES: Final = 1000
_POWER: Final = 0.6
"""A resample has n ** 0.6 of n customers: small enough for infinite variance, measured by
`benchmarks/proofs/method/coverage.py`."""
_MOST_UNDEFINED: Final = 0.1


def effective_size(amounts: Doubles) -> float:
    """How many equal amounts would say as much: (sum of |y|)^2 / sum of y^2.

    `amounts` (n_customers,). Source: Kish 1965.

    >>> effective_size(np.array([1.0, 1.0, 1.0, 0.0])), effective_size(np.array([9.0, 0.0]))
    (3.0, 1.0)
    """
    squares = float((amounts**2).sum())
    return float(np.abs(amounts).sum()) ** 2 / squares if squares > 0 else 0.0


@dataclass(frozen=True)
class Amount:
    """The sum of `top` over the sum of `bottom`, both (n_customers,); its root where `root`.

    `paid` (n_customers,) marks the customers whose outcome is not 0: they are few and decide the
    tail, so they are drawn one by one. `effective` is the least effective size behind the figure.
    """

    top: Doubles
    bottom: Doubles
    paid: npt.NDArray[np.bool_]
    effective: float
    root: bool = False
    signed: bool = False

    def minus(self, other: Amount) -> Amount:
        """The difference of two figures with the same `bottom`.

        Its tails are on both sides and its skewness is chance, so its interval is even.
        """
        return Amount(
            self.top - other.top,
            self.bottom,
            self.paid,
            min(self.effective, other.effective),
            signed=True,
        )

    @cached_property
    def value(self) -> float:
        """The ratio before its root; nan where its bottom is 0."""
        bottom = float(self.bottom.sum())
        return float(self.top.sum()) / bottom if bottom != 0 else nan


def amount_interval(amount: Amount) -> tuple[float, float]:
    """Ends of the 95 % interval, (nan, nan) under 30 effective customers.

    The same draws whenever it is asked: it depends on the data alone.
    """
    value = amount.value
    if not np.isfinite(value) or amount.effective < FEWEST_EFFECTIVE:
        return nan, nan
    totals = (*_power_sums(amount.top, amount.bottom), float(len(amount.top)))
    error = float(_standard_errors(*(np.array([total]) for total in totals))[1][0])
    if error == 0:
        low = high = value
    else:
        low, high = _studentised(amount, value, error * student(amount.effective) / Z)
    low, high = min(low, value), max(high, value)
    if amount.root:
        return float(np.sqrt(max(low, 0.0))), float(np.sqrt(max(high, 0.0)))
    return low, high


def _studentised(amount: Amount, value: float, error: float) -> tuple[float, float]:
    drawn, errors = _standard_errors(*_draw_sums(amount))
    if value > 0 and not amount.signed:
        defined = (drawn > 0) & (errors > 0)
        if defined.mean() >= 1 - _MOST_UNDEFINED:
            t = np.log(drawn[defined] / value) / (errors[defined] / drawn[defined])
            low, high = value * np.exp(-error / value * np.quantile(t, [0.975, 0.025]))
            return float(low), float(high)
    defined = errors > 0
    if defined.mean() < 1 - _MOST_UNDEFINED:
        return nan, nan
    t = (drawn[defined] - value) / errors[defined]
    if amount.signed:
        half = error * float(np.quantile(np.abs(t), 0.95))
        return value - half, value + half
    low, high = value - error * np.quantile(t, [0.975, 0.025])
    return float(low), float(high)


def _power_sums(top: Doubles, bottom: Doubles) -> tuple[float, ...]:
    return (
        float(top.sum()), float(bottom.sum()), float(top @ top), float(top @ bottom),
        float(bottom @ bottom),
    )  # fmt: skip


def _standard_errors(
    top: Doubles, bottom: Doubles, top_2: Doubles, both: Doubles, bottom_2: Doubles, n: Doubles
) -> tuple[Doubles, Doubles]:
    """Ratios and their standard errors, linearised, from sums over `n` customers."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = top / bottom
        squares = top_2 - 2 * ratio * both + ratio**2 * bottom_2
        error = np.sqrt(np.maximum(squares, 0) * n / (n - 1)) / np.abs(bottom)
    return np.nan_to_num(ratio), np.nan_to_num(error, posinf=0.0)


def _draw_sums(amount: Amount) -> tuple[Doubles, ...]:
    """(RESAMPLES,) sums of resamples of m of n customers, Poisson, and their numbers.

    Customers without an outcome are many and alike: their sum is drawn from a normal distribution.
    """
    rng = np.random.default_rng(0)
    paid, rest = np.flatnonzero(amount.paid), np.flatnonzero(~amount.paid)
    rate = len(paid) ** (_POWER - 1)
    drawn = rng.poisson(rate * len(paid), RESAMPLES)
    chosen = paid[rng.integers(0, len(paid), int(drawn.sum()))]
    resample = np.repeat(np.arange(RESAMPLES), drawn)
    top, bottom = amount.top[chosen], amount.bottom[chosen]
    sums: list[Doubles] = [
        np.bincount(resample, column, minlength=RESAMPLES).astype(np.float64)
        for column in (top, bottom, top**2, top * bottom, bottom**2)
    ]
    n = drawn.astype(np.float64)
    if len(rest):
        more = rng.poisson(rate * len(rest), RESAMPLES).astype(np.float64)
        top, bottom = amount.top[rest], amount.bottom[rest]
        means = np.array(_power_sums(top, bottom)) / len(rest)
        spread = np.linalg.cholesky(
            np.cov(top, bottom, bias=True) + 1e-12 * np.eye(2) * (means[2] + means[4] + 1e-300)
        ) if len(rest) > 1 else np.zeros((2, 2))  # fmt: skip
        noise = np.sqrt(more)[:, None] * (rng.normal(size=(RESAMPLES, 2)) @ spread.T)
        for at, mean in enumerate(means):
            sums[at] = sums[at] + more * mean + (noise[:, at] if at < 2 else 0)
        n = n + more
    return (*sums, n)
