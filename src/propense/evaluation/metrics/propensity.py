"""Metrics of probabilities of yes-or-no outcomes: plain definitions on whole arrays.

`y` (n_rows,) 0 or 1, `p` (n_rows,) in [0, 1]. What cannot be defined (one class only,
nothing predicted, no rows) is nan, never 0. `propensity_statistic.py` holds the same definitions
under weights; tests hold the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 in the log loss."""
ECE_BINS = 15


def auc(y: Doubles, p: Doubles) -> float:
    """Area under the ROC curve: chance that a positive scores above a negative, ties half.

    Source: Mann & Whitney 1947 (midranks).

    >>> auc(np.array([0, 1, 0, 1.0]), np.array([0.1, 0.4, 0.4, 0.9]))
    0.875
    """
    n_positive = float(y.sum())
    n_negative = len(y) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    rank = midranks(p)
    above = float(rank[y == 1].sum()) - n_positive * (n_positive + 1) / 2
    return above / (n_positive * n_negative)


def average_precision(y: Doubles, p: Doubles) -> float:
    """Sum of precision times the step of recall, over distinct scores, best first.

    No interpolation; the same definition as scikit-learn's average_precision_score.

    >>> round(average_precision(np.array([1, 0, 1.0]), np.array([0.9, 0.5, 0.1])), 4)
    0.8333
    """
    n_positive = float(y.sum())
    if n_positive == 0:
        return float("nan")
    order = np.argsort(-p, kind="stable")
    last = tie_ends(p[order])
    true = np.cumsum(y[order])[last - 1]
    return float(np.diff(true, prepend=0.0) @ (true / last) / n_positive)


def minority_class(y: Doubles) -> int:
    """The rarer class: 1 unless more than half of the rows are positive."""
    return 0 if len(y) and y.mean() > 0.5 else 1


def average_precision_minority(y: Doubles, p: Doubles) -> float:
    """Average precision of the rarer class, whose scores are 1 - p if that is class 0.

    >>> y, p = np.array([1, 1, 0.0]), np.array([0.9, 0.8, 0.1])
    >>> average_precision_minority(y, p)
    1.0
    """
    return average_precision(y, p) if minority_class(y) == 1 else average_precision(1 - y, -p)


def log_losses(y: Doubles, p: Doubles) -> Doubles:
    """-log of the probability given to what happened, one value a row, p clipped by CLIP."""
    clipped = np.clip(p, CLIP, 1 - CLIP)
    return -(y * np.log(clipped) + (1 - y) * np.log1p(-clipped))


def log_loss(y: Doubles, p: Doubles) -> float:
    """Mean of `log_losses`, in nats.

    >>> round(log_loss(np.array([1.0, 0.0]), np.array([0.5, 0.5])), 4)
    0.6931
    """
    return _mean(log_losses(y, p))


def brier(y: Doubles, p: Doubles) -> float:
    """Mean squared error of the probability, of the positive class only (Brier 1950 sums both)."""
    return _mean((p - y) ** 2)


def equal_mass_edges(sorted_score: Doubles, n_bins: int = ECE_BINS) -> Ints:
    """Ends of at most `n_bins` bins with equally many rows; equal scores share a bin.

    `sorted_score` in any monotone order. Returns the (n,) exclusive ends, the last one
    n_rows; fewer than `n_bins` where scores repeat.

    >>> equal_mass_edges(np.array([0.1, 0.2, 0.2, 0.4]), 2).tolist()
    [3, 4]
    """
    n_rows = len(sorted_score)
    if n_rows == 0:
        return np.zeros(0, np.int64)
    ends = tie_ends(sorted_score)
    wanted = np.ceil(np.arange(1, n_bins + 1) * n_rows / n_bins)
    return np.unique(ends[np.searchsorted(ends, np.minimum(wanted, n_rows))])


@dataclass(frozen=True)
class Confusion:
    """Rows by what was said (p >= threshold) and what happened."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def accuracy(self) -> float:
        return _share(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def precision(self) -> float:
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        return _share(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        return _share(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of the positive class; 0 if none is found."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)


def confusion(y: Doubles, p: Doubles, threshold: float) -> Confusion:
    """Counts at `p >= threshold`.

    >>> confusion(np.array([1, 0, 1.0]), np.array([0.9, 0.5, 0.1]), 0.5)
    Confusion(tp=1, fp=1, fn=1, tn=0)
    """
    predicted, happened = p >= threshold, y == 1
    return Confusion(
        tp=int((predicted & happened).sum()),
        fp=int((predicted & ~happened).sum()),
        fn=int((~predicted & happened).sum()),
        tn=int((~predicted & ~happened).sum()),
    )


def base_rate(y: Doubles) -> float:
    """Share of positives."""
    return _mean(y)


def captured_at(y: Doubles, p: Doubles, shares: Doubles) -> Doubles:
    """Share of all positives among the best `shares` of rows: the gains curve.

    Rows that tie at the cut count as if drawn at random among them.

    >>> y, p = np.array([1, 0, 0, 1.0]), np.array([4, 3, 2, 1.0])
    >>> captured_at(y, p, np.array([0.25, 1.0])).tolist()
    [0.5, 1.0]
    """
    n_positive = float(y.sum())
    if n_positive == 0:
        return np.full(len(shares), np.nan)
    order = np.argsort(-p, kind="stable")
    last = tie_ends(p[order])
    true = np.cumsum(y[order])[last - 1]
    rows = np.concatenate([[0], last])
    captured: Doubles = np.interp(shares * len(y), rows, np.concatenate([[0.0], true]))
    return captured / n_positive


def lift_at_top(y: Doubles, p: Doubles, share: float) -> float:
    """Positives among the best `share` of rows, over what chance would find there.

    >>> lift_at_top(np.array([1, 0, 0, 1.0]), np.array([4, 3, 2, 1.0]), 0.25)
    2.0
    """
    return float(captured_at(y, p, np.array([share]))[0] / share)


def midranks(values: npt.NDArray[np.generic]) -> Doubles:
    """1-based ranks, lowest first; equal values share their mean rank.

    >>> midranks(np.array([5, 1, 5])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Doubles = (ends - (counts - 1) / 2)[inverse]
    return ranks


def tie_ends(sorted_values: npt.NDArray[np.generic]) -> Ints:
    """Exclusive end of each run of equal values.

    >>> tie_ends(np.array([3, 3, 1])).tolist()
    [2, 3]
    """
    n_rows = len(sorted_values)
    if n_rows == 0:
        return np.zeros(0, np.int64)
    changes = np.flatnonzero(sorted_values[1:] != sorted_values[:-1]) + 1
    return np.append(changes, n_rows).astype(np.int64)


def _mean(values: Doubles) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
