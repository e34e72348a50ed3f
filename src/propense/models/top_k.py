"""The highest of many scores, and vectors of length 1."""

from __future__ import annotations

from typing import Final

import numpy as np

from propense.models.counts.recent_items import row_offsets
from propense.schemas import NONE, Floats, Ids, Ints

LEAST: Final = np.finfo(np.float32).min
"""The lowest score; anything below it is minus infinity."""


def best_indices(scores: Floats, k: int) -> Ints:
    """Places of the `k` highest of (n,), best first, ties to the lower one; fewer where fewer
    are above minus infinity.

    Raises ValueError where one that is not a number would be among them.

    >>> best_indices(np.array([-np.inf, .1, .3, .1], np.float32), 9).tolist()
    [2, 1, 3]
    """
    n = len(scores)
    width = min(k, n)
    if width <= 0:
        return np.zeros(0, np.int64)
    # The k-th highest of the maxima of groups is a bound that at least k reach, and few more.
    n_groups = int((n * width) ** 0.5)
    maxima = scores
    if n_groups >= 2 * width:
        size = n // n_groups
        maxima = scores[: size * n_groups].reshape(size, n_groups).max(axis=0)
    top = np.partition(maxima, len(maxima) - width)[len(maxima) - width :]
    bound = top[0]
    if not top.max() < np.inf:
        raise ValueError("a score is infinite or not a number; give numbers, or minus infinity")
    index = np.flatnonzero(scores >= max(bound, LEAST))
    order = np.argsort(-scores[index], kind="stable")[:width]
    out: Ints = index[order]
    return out


def top_items(scores: Floats, k: int) -> Ids:
    """Indices of the `k` highest of each row, best first, ties to the lower index.

    NONE where fewer than `k` scores are above minus infinity; no score may be nan.

    >>> top_items(np.array([[-np.inf, .1, .3, .1]], np.float32), 4).tolist()
    [[2, 1, 3, 0]]
    """
    n_rows, width = scores.shape[0], min(k, scores.shape[1])
    out = np.full((n_rows, k), NONE, np.int32)
    if not n_rows or not width:
        return out
    # All that reach the border compete, those that tie with the k-th too: the lower index wins.
    border = np.maximum(_reached_by(scores, width), np.finfo(scores.dtype).min)
    row, index = np.divmod(np.flatnonzero(scores >= border[:, None]), scores.shape[1])
    order = np.lexsort((index, -scores[row, index], row))
    first = row_offsets(np.bincount(row, minlength=n_rows))
    rank = np.arange(len(order)) - first[row]
    listed = rank < width
    out[row[listed], rank[listed]] = index[order][listed]
    return out


def _reached_by(scores: Floats, k: int) -> Floats:
    """(n_rows,) a bound that at least `k` scores of each row reach, and few more.

    The k-th highest of the maxima of groups: each group that reaches it holds one that does.
    """
    n_rows, n_items = scores.shape
    n_groups = int(np.sqrt(n_items * k))
    if n_groups < 2 * k:
        maxima = scores
    else:
        size = n_items // n_groups
        whole = scores[:, : size * n_groups].reshape(n_rows, size, n_groups)
        maxima = whole.max(axis=1)
    bound: Floats = np.partition(maxima, maxima.shape[1] - k, axis=1)[:, maxima.shape[1] - k]
    return bound


def unit_vectors(vectors: Floats) -> Floats:
    """Each row of (n, d) scaled to length 1; a row of zeros stays one."""
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    out: Floats = (vectors / np.where(length > 0, length, 1)).astype(np.float32)
    return out
