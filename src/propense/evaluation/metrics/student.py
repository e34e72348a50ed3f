"""Quantiles of Student's t and p-values, without SciPy, which the service does not have."""

from __future__ import annotations

from math import erfc, inf, sqrt
from typing import Final

Z: Final = 1.959964
"""97.5 % of a standard normal distribution lie below."""


def student(customers: float, resamples: float = inf) -> float:
    """97.5 % quantile of t whose error was measured on so many customers and resamples.

    By the expansion of Fisher & Cornish 1960; under 5 degrees of freedom it is that of 5.

    >>> round(student(31), 3), round(student(inf), 3)
    (2.042, 1.96)
    """
    freedom = 1 / max(1 / max(customers - 1, 1) + 1 / max(resamples - 1, 1), 1e-12)
    freedom = max(freedom, 5.0)
    first = (Z**3 + Z) / (4 * freedom)
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / (96 * freedom**2)
    return Z + first + second


def two_sided_p(value: float, low: float, high: float) -> float:
    """The p-value of "it is 0" that a 95 % interval implies: below 0.05 where that leaves 0 out.

    The end of the interval on the side of 0 is taken as 1.96 standard errors away.

    >>> round(two_sided_p(0.2, 0.1, 0.4), 5), round(two_sided_p(0.2, 0.0, 0.3), 2)
    (9e-05, 0.05)
    """
    reach = value - low if value > 0 else high - value
    if value == 0 or reach <= 0:
        return float(low <= 0 <= high)
    return erfc(Z * abs(value) / reach / sqrt(2))
