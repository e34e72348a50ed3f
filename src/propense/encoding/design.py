"""Features as one matrix: for straight-line models and for trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from propense.schemas import UNSEEN, Floats, Ids, TableFeatures

MAX_LEVELS: Final = 64
"""One-hot levels of a categorical column; rarer words share the unseen level."""
FEW_BINS: Final = 16
"""Up to so many edges a column is looked at again."""
_STEP: Final = np.float32(1e-12)

Bins = Sequence[Floats]
"""One ascending array of at least two edges a numeric column."""


def fit_bins(numeric: Floats, max_bins: int = 48) -> tuple[Floats, ...]:
    """Quantile edges of each column, missing values left out, repeated edges once.

    Where few values hold most rows, such as many zeros, quantiles say little of the others: those
    get quantiles of their own. A column with one value or none gets a bin without width, which is
    a step at it.

    >>> [edges.tolist() for edges in fit_bins(np.array([[0, 1], [2, 1]], np.float32), 2)]
    [[0.0, 1.0, 2.0], [1.0, 1.0]]
    >>> mostly_zero = np.array([0.0] * 97 + [1, 2, 9], np.float32)[:, None]
    >>> fit_bins(mostly_zero, 4)[0].tolist()
    [0.0, 1.0, 2.0, 9.0]
    """
    bins = []
    for column in numeric.T:
        finite = np.sort(column[np.isfinite(column)])
        if not len(finite):
            finite = np.zeros(1, np.float32)
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, max_bins + 1)).astype(np.float32))
        if len(edges) <= min(FEW_BINS, max_bins):
            edges = _edges_of_rest(finite, max_bins)
        bins.append(np.repeat(edges, 2) if len(edges) == 1 else edges)
    return tuple(bins)


def _edges_of_rest(finite: Floats, max_bins: int) -> Floats:
    """Every value that fills a bin alone, and quantiles of the others; `finite` ascends."""
    value, n_rows = np.unique(finite, return_counts=True)
    alone = n_rows >= len(finite) / max_bins
    rest = np.repeat(value[~alone], n_rows[~alone])
    if not len(rest):
        return value.astype(np.float32)
    spread = np.quantile(rest, np.linspace(0, 1, min(FEW_BINS, max_bins)), method="nearest")
    return np.unique(np.concatenate([value[alone], value[[0, -1]], spread]).astype(np.float32))


def padded_edges(bins: Bins) -> Floats:
    """(n_numeric, most) edges, short rows filled with their last edge (bins without width)."""
    most = max((len(edges) for edges in bins), default=2)
    rows = [np.pad(edges, (0, most - len(edges)), mode="edge") for edges in bins]
    return np.array(rows, np.float32).reshape(len(bins), most)


def piecewise_linear(numeric: Floats, bins: Bins) -> Floats:
    """(n, sum of bins + n_numeric) share of each bin filled, 0..1, then the missing flags.

    The same arithmetic as the network's: a bin without width is 1 from its edge on; a
    missing value fills nothing and raises its flag.

    >>> piecewise_linear(np.array([[1.5], [np.nan]], np.float32), [np.array([0, 1, 2])]).tolist()
    [[1.0, 0.5, 0.0], [0.0, 0.0, 1.0]]

    Source: Gorishniy et al. 2022, On embeddings for numerical features.
    """
    n_rows, n_numeric = numeric.shape
    sizes = [len(edges) - 1 for edges in bins]
    out = np.empty((n_rows, sum(sizes) + n_numeric), np.float32)
    column_start = 0
    for column, edges in enumerate(bins):
        missing = np.isnan(numeric[:, column])
        value = np.where(missing, np.float32(0), numeric[:, column])[:, None]
        ends = np.asarray(edges, np.float32)
        low, high = ends[:-1], ends[1:]
        width = high - low
        filled = value - low
        filled /= np.maximum(width, _STEP)
        np.clip(filled, 0, 1, out=filled)
        if (width <= _STEP).any():
            filled = np.where(width > _STEP, filled, value >= high)
        filled[missing] = 0
        out[:, column_start : column_start + len(width)] = filled
        column_start += len(width)
        out[:, sum(sizes) + column] = missing
    return out


def one_hot(
    categorical: Ids, cardinalities: Sequence[int], max_levels: int = MAX_LEVELS
) -> Floats:  # fmt: skip
    """(n, sum of levels) indicators; indices from `max_levels` on share the unseen level.

    >>> one_hot(np.array([[2], [9]], np.int32), [10], max_levels=3).tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    levels = [min(size, max_levels) for size in cardinalities]
    out = np.zeros((len(categorical), sum(levels)), np.float32)
    row, column_start = np.arange(len(categorical)), 0
    for column, n_levels in enumerate(levels):
        index = categorical[:, column]
        index = np.where(index < n_levels, index, UNSEEN)
        out[row, column_start + index] = 1
        column_start += n_levels
    return out


def design_matrix(
    features: TableFeatures, kind: Literal["linear", "trees"], bins: Bins
) -> Floats:  # fmt: skip
    """(n, columns) float32. Linear: piecewise-linear numbers, missing flags, one-hot words.
    Trees: the numbers with nan for missing, then the vocabulary indices as numbers."""
    if kind == "trees":
        return np.concatenate(
            [features.numeric, features.categorical.astype(np.float32)], axis=1
        )  # fmt: skip
    return np.concatenate(
        [
            piecewise_linear(features.numeric, bins),
            one_hot(features.categorical, features.cardinalities),
        ],
        axis=1,
    )
