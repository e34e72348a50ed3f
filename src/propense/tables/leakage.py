"""Columns that know the label: how well each column alone tells a goal, on rows it did not see.

The score of a column is an out-of-fold AUC. Its cells are grouped (words as they are, numbers
into rank bins, empty cells on their own), each group gets the smoothed positive rate of the
other folds, and the AUC of these rates is taken. Folds are dealt by hash of the customer, so
rows of one customer never tell each other's label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints

FOLDS: Final = 5
BINS: Final = 64
"""Rank bins of a numeric column."""
SMOOTHING: Final = 10.0
"""Rows of the mean rate that are added to each group."""
KNOWS: Final = 0.95
"""An out-of-fold AUC from which a column is said to know the label."""
STRONG: Final = 0.80
"""From here a column is worth a look."""
MIN_POSITIVES: Final = 20
"""Fewer of either class say nothing about a single column."""


class ColumnScore(msgspec.Struct, frozen=True):
    """How much one column alone says about one goal."""

    goal: str
    column: str
    auc: float
    """Out-of-fold, in [0, 1]; about .5 where the column says nothing."""
    missing_auc: float
    """Of the fact alone that a cell is empty; .5 where no cell or every cell is."""
    ever_auc: float
    """Of whether the customer is positive at any moment; equals `auc` with one row a customer,
    and where too few customers are always (or never) positive to tell."""
    rows: int
    positives: int

    @property
    def best(self) -> float:
        return max(self.auc, self.ever_auc)

    @property
    def knows(self) -> bool:
        """Whether no honest column is this good alone, at one moment or about the whole life."""
        return self.best >= KNOWS or self.missing_auc >= KNOWS


def score_columns(
    goal: str,
    y: Doubles,
    users: Ints,
    columns: Mapping[str, npt.NDArray[Any]],
    n_users: int,
) -> list[ColumnScore]:
    """Score each column of users against a binary goal, strongest first.

    `y` (n_rows,) 0/1 with nan for "not asked"; `users` (n_rows,) indices into the columns;
    each column (n_users,), float64 with nan or objects (text) with None for empty. Rows may
    outnumber users: a customer is asked at several moments. Goals with fewer than
    MIN_POSITIVES rows of either class give no scores.

    >>> y = np.tile([0.0, 1.0], 100)
    >>> told = score_columns("churn", y, np.arange(200), {"left": y, "zip": y * 0 + 3}, 200)
    >>> [(one.column, one.knows) for one in told]
    [('left', True), ('zip', False)]
    """
    asked = ~np.isnan(y)
    y, users = y[asked], users[asked]
    positives = int(y.sum())
    if min(positives, len(y) - positives) < MIN_POSITIVES:
        return []
    fold = deal_folds(n_users)
    ever = np.full(n_users, np.nan)
    ever[users] = 0.0
    ever[users[y > 0]] = 1.0
    life = np.flatnonzero(~np.isnan(ever))
    n_ever = int(ever[life].sum())
    # where nearly everybody is positive at some time, only the moments can tell
    one_row_each = len(life) == len(y) or min(n_ever, len(life) - n_ever) < MIN_POSITIVES
    whole = (users, y) if one_row_each else (life, ever[life])
    scores = []
    for name, cells in columns.items():
        group, n_groups = group_cells(cells)
        moment_auc = _out_of_fold_auc(group[users], n_groups, y, fold[users])
        ever_auc = moment_auc
        if not one_row_each:
            ever_auc = _out_of_fold_auc(group[life], n_groups, ever[life], fold[life])
        missing = (group == 0)[whole[0]].astype(np.int64)
        missing_auc = 0.5
        if 0 < missing.sum() < len(missing):
            missing_auc = _out_of_fold_auc(missing, 2, whole[1], fold[whole[0]])
        scores.append(ColumnScore(goal, name, moment_auc, missing_auc, ever_auc, len(y), positives))
    return sorted(scores, key=lambda score: (-max(score.best, score.missing_auc), score.column))


def deal_folds(n_users: int, seed: str = "leakage") -> Ints:
    """(n_users,) fold of each user, by hash of its place: the same on every machine."""
    digest = hashlib.sha256(seed.encode()).digest()
    mixed = np.arange(n_users, dtype=np.uint64) + np.uint64(int.from_bytes(digest[:7], "big"))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(FOLDS)).astype(np.int64)


def group_cells(cells: npt.NDArray[Any]) -> tuple[Ints, int]:
    """(n,) group of each cell and the number of groups; group 0 is "empty".

    Words are their own groups, numbers fall into at most BINS bins of equal weight.

    >>> group_cells(np.array([1.0, np.nan, 5.0]))[0].tolist()
    [1, 0, 2]
    """
    if cells.dtype == object:
        empty = np.array([cell is None for cell in cells], dtype=bool)
        group = np.zeros(len(cells), dtype=np.int64)
        if not empty.all():
            words, index = np.unique(cells[~empty].astype(str), return_inverse=True)
            group[~empty] = index + 1
            return group, len(words) + 1
        return group, 1
    numbers = cells.astype(np.float64)
    known = ~np.isnan(numbers)
    group = np.zeros(len(numbers), dtype=np.int64)
    if not known.any():
        return group, 1
    values, index, counts = np.unique(numbers[known], return_inverse=True, return_counts=True)
    if len(values) > BINS:
        middle = np.cumsum(counts) - counts / 2
        index = np.minimum((middle * BINS / counts.sum()).astype(np.int64), BINS - 1)[index]
    group[known] = index + 1
    return group, int(group.max()) + 1


def auc(y: Doubles, score: Doubles) -> float:
    """Chance that a positive has a higher score than a negative, ties counting half.

    >>> auc(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    _, index, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    positives = float(y.sum())
    negatives = len(y) - positives
    above = float(rank[index][y > 0].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def _out_of_fold_auc(group: Ints, n_groups: int, y: Doubles, fold: Ints) -> float:
    cell = fold * n_groups + group
    rows = np.bincount(cell, minlength=FOLDS * n_groups).reshape(FOLDS, n_groups)
    positive = np.bincount(cell, weights=y, minlength=FOLDS * n_groups).reshape(FOLDS, n_groups)
    rows, positive = rows.sum(0) - rows, positive.sum(0) - positive
    mean = y.mean()
    rate = (positive + SMOOTHING * mean) / (rows + SMOOTHING)
    return auc(y, rate[fold, group])


def sentence(score: ColumnScore) -> str:
    """Why a column is suspected, in words."""
    if score.missing_auc >= KNOWS and score.missing_auc >= score.best:
        return (
            f"whether {score.column!r} is empty tells {score.goal!r} "
            f"(AUC {score.missing_auc:.3f} on held-out customers)"
        )
    if score.ever_auc > score.auc:
        return (
            f"{score.column!r} alone tells which customers {score.goal!r} ever comes true for "
            f"(AUC {score.ever_auc:.3f} on held-out customers, {score.auc:.3f} at each moment)"
        )
    return (
        f"{score.column!r} alone tells {score.goal!r} "
        f"(AUC {score.auc:.3f} on held-out customers, {score.rows:,} rows)"
    )


def strongest(scores: Sequence[ColumnScore], at_least: float = STRONG) -> list[ColumnScore]:
    """Scores that are high enough to be shown."""
    return [score for score in scores if max(score.best, score.missing_auc) >= at_least]
