"""The best of many scores, and vectors of length 1."""

from __future__ import annotations

from typing import Final

import numpy as np

from propense.schemas import Floats, Ints

LEAST: Final = np.finfo(np.float32).min
"""No score is lower; what is, is minus infinity."""


def best_places(worth: Floats, k: int) -> Ints:
    """Places of the `k` highest of (n,), best first, ties to the lower one; fewer where fewer
    are above minus infinity.

    Raises ValueError where one that is not a number would be among them.

    >>> best_places(np.array([-np.inf, .1, .3, .1], np.float32), 9).tolist()
    [2, 1, 3]
    """
    n = len(worth)
    width = min(k, n)
    if width <= 0:
        return np.zeros(0, np.int64)
    # The k-th highest of the maxima of groups is a bound that at least k reach, and few more.
    n_groups = int((n * width) ** 0.5)
    maxima = worth
    if n_groups >= 2 * width:
        size = n // n_groups
        maxima = worth[: size * n_groups].reshape(size, n_groups).max(axis=0)
    top = np.partition(maxima, len(maxima) - width)[len(maxima) - width :]
    bound = top[0]
    if not top.max() < np.inf:
        raise ValueError("a score is infinite or not a number; give numbers, or minus infinity")
    place = np.flatnonzero(worth >= max(bound, LEAST))
    order = np.argsort(-worth[place], kind="stable")[:width]
    out: Ints = place[order]
    return out


def unit_vectors(vectors: Floats) -> Floats:
    """Each row of (n, d) scaled to length 1; a row of zeros stays one."""
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    out: Floats = (vectors / np.where(length > 0, length, 1)).astype(np.float32)
    return out
