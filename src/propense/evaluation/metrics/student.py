"""Quantiles of Student's t, without SciPy, which the service does not have."""

from __future__ import annotations

from math import inf
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
