"""Columns that leak the label: how well each column alone predicts a goal on held-out rows.

The score of a column is an out-of-fold AUC. Its cells are grouped (words as they are, numbers
into rank bins, empty cells on their own), each group gets the smoothed positive rate of the
other folds, and the AUC of these rates is taken. Folds are assigned by hash of the customer,
so rows of one customer never reveal each other's label.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
"""An out-of-fold AUC from which a column is shown."""
MIN_POSITIVES: Final = 20
"""Fewer of either class say nothing about a single column."""
MIN_IN_PART: Final = 50
"""The same within one part."""


class ColumnScore(msgspec.Struct, frozen=True):
    """How much one column alone says about one goal."""

    goal: str
    column: str
    auc: float
    """Out-of-fold, in [0, 1]; about .5 where the column says nothing."""
    missing_auc: float
    """AUC of whether a cell is empty; .5 if no cell or every cell is."""
    ever_auc: float
    """AUC for whether the customer is positive at any time; equals `auc` with one row a customer,
    and where too few customers are always (or never) positive to compare."""
    part_auc: float
    """The highest out-of-fold AUC within one part, where that reaches KNOWS; otherwise `auc`."""
    part: str
    """That part, or nothing."""
    rows: int
    positives: int

    @property
    def best(self) -> float:
        return max(self.auc, self.ever_auc, self.part_auc)

    @property
    def knows(self) -> bool:
        """Whether no honest column is this good alone, at one time or over the whole history."""
        return self.best >= KNOWS or self.missing_auc >= KNOWS


@dataclass(frozen=True)
class RowViews:
    """What differs between the rows of one customer."""

    cells: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    """Columns that change with as_of, as each row sees them: (n_rows,)."""
    visible: npt.NDArray[np.bool_] | None = None
    """(n_rows,) whether a row sees the columns at all; None is always."""
    parts: npt.NDArray[Any] | None = None
    """(n_rows,) part of each row."""


def score_columns(
    goal: str,
    y: Doubles,
    users: Ints,
    columns: Mapping[str, npt.NDArray[Any]],
    n_users: int,
    as_of: Ints | None = None,
    rows: RowViews | None = None,
) -> list[ColumnScore]:
    """Score each column of users against a binary goal, strongest first.

    `y` (n_rows,) 0/1 with nan for "not asked"; `users` (n_rows,) indices into the columns;
    each column (n_users,), float64 with nan or objects (text) with None for empty.

    Rows may outnumber users: a customer is asked at several times, `as_of` (n_rows,). Whole lives
    are compared only among customers first asked at about the same time: those who came
    earlier had more time to turn positive, and a date of joining is no leak. A flag of one period
    tells only the rows of that period, so each part is looked at by itself too. Goals with fewer
    than MIN_POSITIVES rows of either class give no scores.

    >>> y = np.tile([0.0, 1.0], 100)
    >>> scores = score_columns("churn", y, np.arange(200), {"left": y, "zip": y * 0 + 3}, 200)
    >>> [(one.column, one.knows) for one in scores]
    [('left', True), ('zip', False)]
    """
    rows = rows or RowViews()
    asked = ~np.isnan(y)
    y, users = y[asked], users[asked]
    positives = int(y.sum())
    if min(positives, len(y) - positives) < MIN_POSITIVES:
        return []
    fold = assign_folds(n_users)
    ever = np.full(n_users, np.nan)
    ever[users] = 0.0
    ever[users[y > 0]] = 1.0
    life = np.flatnonzero(~np.isnan(ever))
    n_ever = int(ever[life].sum())
    entry = np.zeros(n_users, dtype=np.int64)
    if as_of is not None:
        entry = _entries(users, as_of[asked], n_users)
    # where nearly everybody is positive at some time, only the single times can show it
    by_row = len(life) == len(y) or min(n_ever, len(life) - n_ever) < MIN_POSITIVES
    whole = _Rows(users, y, np.zeros(len(y), np.int64), fold[users])
    lives = whole if by_row else _Rows(life, ever[life], entry[life], fold[life])
    within = [] if rows.parts is None else _within_parts(whole, rows.parts[asked])
    scores = []
    for name, cells in (*columns.items(), *rows.cells.items()):
        changes = name in rows.cells
        group, n_groups = group_cells(cells[asked] if changes else cells)
        of_row = group if changes else group[users]
        if rows.visible is not None:
            of_row = np.where(rows.visible[asked], of_row, 0)
            changes = True
        time_auc = whole.auc(of_row, n_groups)
        ever_auc = time_auc if by_row or changes else lives.auc(group[lives.users], n_groups)
        empty = (of_row if changes else group[lives.users]) == 0
        judged = whole if changes else lives
        missing_auc = judged.auc(empty.astype(np.int64), 2) if 0 < empty.mean() < 1 else 0.5
        part, part_auc = "", time_auc
        for other, there, chosen in within:
            other_auc = there.auc(of_row[chosen], n_groups)
            if other_auc >= KNOWS and other_auc > part_auc:
                part, part_auc = other, other_auc
        scores.append(
            ColumnScore(
                goal, name, time_auc, missing_auc, ever_auc, part_auc, part, len(y), positives
            )
        )
    return sorted(scores, key=lambda score: (-max(score.best, score.missing_auc), score.column))


def _within_parts(whole: _Rows, parts: npt.NDArray[Any]) -> list[tuple[str, _Rows, Ints]]:
    """The rows of each part that holds enough of both classes, and their indices in the whole."""
    within = []
    for part in sorted({str(part) for part in parts if part is not None}):
        chosen = np.flatnonzero(parts == part)
        positives = int(whole.y[chosen].sum())
        if len(chosen) < len(parts) and min(positives, len(chosen) - positives) >= MIN_IN_PART:
            within.append((part, whole.take(chosen), chosen))
    return within


def assign_folds(n_users: int, seed: str = "leakage") -> Ints:
    """(n_users,) fold of each user, by hash of its index: the same on every machine."""
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
    is_number = ~np.isnan(numbers)
    group = np.zeros(len(numbers), dtype=np.int64)
    if not is_number.any():
        return group, 1
    values, index, counts = np.unique(numbers[is_number], return_inverse=True, return_counts=True)
    if len(values) > BINS:
        middle = np.cumsum(counts) - counts / 2
        index = np.minimum((middle * BINS / counts.sum()).astype(np.int64), BINS - 1)[index]
    group[is_number] = index + 1
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


@dataclass(frozen=True)
class _Rows:
    """Rows that a column is scored on: customers, labels, strata compared within, folds."""

    users: Ints
    y: Doubles
    stratum: Ints
    fold: Ints

    def take(self, chosen: Ints) -> _Rows:
        return _Rows(self.users[chosen], self.y[chosen], self.stratum[chosen], self.fold[chosen])

    def auc(self, group: Ints, n_groups: int) -> float:
        """Out-of-fold AUC of the positive rates of each row's group, over pairs of one stratum
        and fold."""
        cell = self.fold * n_groups + group
        rows = np.bincount(cell, minlength=FOLDS * n_groups)
        positive = np.bincount(cell, weights=self.y, minlength=FOLDS * n_groups)
        rows, positive = rows.reshape(FOLDS, n_groups), positive.reshape(FOLDS, n_groups)
        rows, positive = rows.sum(0) - rows, positive.sum(0) - positive
        rate = (positive + SMOOTHING * self.y.mean()) / (rows + SMOOTHING)
        score = rate[self.fold, group]
        # a rate is the other folds', so two folds' rates differ by the very labels they predict
        compared = self.stratum * FOLDS + self.fold
        order = np.argsort(compared, kind="stable")
        starts = np.flatnonzero(np.diff(compared[order], prepend=-1))
        pairs, total = 0.0, 0.0
        for here in np.split(order, starts[1:]):
            n_positive = float(self.y[here].sum())
            weight = n_positive * (len(here) - n_positive)
            if weight:
                pairs += weight
                total += weight * auc(self.y[here], score[here])
        return total / pairs if pairs else 0.5


def _entries(users: Ints, times: Ints, n_users: int) -> Ints:
    """(n_users,) rank bin of the first time at which each customer is asked."""
    first = np.full(n_users, np.iinfo(np.int64).max)
    np.minimum.at(first, users, times)
    entry = np.zeros(n_users, dtype=np.int64)
    seen = np.unique(users)
    entry[seen] = group_cells(first[seen].astype(np.float64))[0]
    return entry


def sentence(score: ColumnScore) -> str:
    """Why a column is suspected, in words."""
    if score.missing_auc >= KNOWS and score.missing_auc >= score.best:
        return (
            f"whether {score.column!r} is empty predicts {score.goal!r} "
            f"(AUC {score.missing_auc:.3f} on held-out customers)"
        )
    if score.part_auc > max(score.auc, score.ever_auc):
        return (
            f"{score.column!r} alone predicts {score.goal!r} in the {score.part} part "
            f"(AUC {score.part_auc:.3f} on held-out customers, {score.auc:.3f} in all parts)"
        )
    if score.ever_auc > score.auc:
        return (
            f"{score.column!r} alone predicts for which customers {score.goal!r} ever comes true "
            f"(AUC {score.ever_auc:.3f} on held-out customers, {score.auc:.3f} at each time)"
        )
    return (
        f"{score.column!r} alone predicts {score.goal!r} "
        f"(AUC {score.auc:.3f} on held-out customers, {score.rows:,} rows)"
    )


def strongest(scores: Sequence[ColumnScore], at_least: float = STRONG) -> list[ColumnScore]:
    """Scores that are high enough to be shown."""
    return [score for score in scores if max(score.best, score.missing_auc) >= at_least]
