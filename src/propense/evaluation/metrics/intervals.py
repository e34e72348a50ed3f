"""95 % intervals by bootstrap over users.

Whole users are drawn, so that rows of one user stay together. A resample is a weight for
each user (Poisson with mean 1, the bootstrap of large samples: Chamandy et al. 2012), every
statistic is evaluated under the same weights, and a difference of two models is the
difference within each resample. `scales.py` makes an interval of the resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from propense.errors import EvaluationError
from propense.evaluation.metrics.scales import (
    Estimate,
    Scales,
    Share,
    Signed,
    difference_scale,
    interval,
)
from propense.schemas import Doubles

Weights = npt.NDArray[np.uint8]
"""(n_resamples, n_users) how often each user was drawn."""
Index = npt.NDArray[np.intp]

_BLOCK_WEIGHTS: Final = 8_000_000


class Statistic(Protocol):
    """Numbers of the rows, each user counted as often as its weight says."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def scales(self) -> Scales:
        """Name -> what kind of figure it is, which decides its interval; Signed where missing."""
        ...

    def __call__(self, weights: Weights) -> Doubles:
        """(n_resamples, n_names), nan where not defined."""
        ...


@dataclass(frozen=True)
class Clusters:
    """Rows by user: `index` (n_rows,) in 0 .. n_users - 1."""

    index: Index
    n_users: int


def cluster(user: npt.NDArray[np.generic]) -> Clusters:
    """Number the users of rows from 0.

    >>> cluster(np.array([7, 3, 7])).index.tolist()
    [1, 0, 1]
    """
    distinct, index = np.unique(user, return_inverse=True)
    return Clusters(index.astype(np.intp), len(distinct))


def draw_whole_users(
    user: npt.NDArray[np.generic], max_rows: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Indices of the rows of whole users drawn by chance, ascending.

    At most `max_rows` of them, but one user at least; all where there are no more.

    >>> draw_whole_users(np.array([7, 3, 7]), 2, np.random.default_rng(0)).tolist()
    [1]
    """
    if len(user) <= max_rows:
        return np.arange(len(user))
    rows = cluster(user)
    order = rng.permutation(rows.n_users)
    total = np.cumsum(np.bincount(rows.index, minlength=rows.n_users)[order])
    drawn = np.zeros(rows.n_users, np.bool_)
    drawn[order[: max(int(np.searchsorted(total, max_rows, side="right")), 1)]] = True
    return np.flatnonzero(drawn[rows.index])


def draw_weights(n_users: int, resamples: int, rng: np.random.Generator) -> Iterator[Weights]:
    """Blocks of Poisson(1) weights, together `resamples` rows.

    Drawn by inverting the distribution at 16 random bits, so a chance is a multiple of 2**-16.
    """
    table = _poisson_table()
    block = int(np.clip(_BLOCK_WEIGHTS // max(n_users, 1), 1, 64))
    for start in range(0, resamples, block):
        shape = (min(block, resamples - start), n_users)
        yield table[rng.integers(0, 65_536, shape, dtype=np.uint16)]


def _poisson_table() -> Weights:
    chances, chance = [], exp(-1)
    for drawn in range(12):
        chances.append(chance)
        chance /= drawn + 1
    at = (np.arange(65_536) + 0.5) / 65_536
    return np.searchsorted(np.cumsum(chances), at).astype(np.uint8)


def resample(
    statistics: Mapping[str, Statistic], n_users: int, resamples: int, rng: np.random.Generator
) -> dict[str, Doubles]:
    """Each statistic under the same weights: name -> (resamples, n_names)."""
    blocks: dict[str, list[Doubles]] = {name: [] for name in statistics}
    for weights in draw_weights(n_users, resamples, rng):
        for name, statistic in statistics.items():
            blocks[name].append(statistic(weights))
    return {
        name: np.concatenate(parts) if parts else np.zeros((0, len(statistics[name].names)))
        for name, parts in blocks.items()
    }


def measure(statistic: Statistic, n_users: int) -> Doubles:
    """The statistic of the rows as they are: (n_names,)."""
    values: Doubles = statistic(np.ones((1, n_users), np.uint8))[0]
    return values


def estimate(statistic: Statistic, name: str, value: Doubles, replicates: Doubles) -> Estimate:
    """One figure with its interval: `value` (n_names,), `replicates` (n_resamples, n_names)."""
    at = statistic.names.index(name)
    scale = statistic.scales.get(name, Signed())
    return interval(float(value[at]), replicates[:, at], scale)


def estimate_difference(
    pair: tuple[Statistic, Statistic],
    name: str,
    values: tuple[Doubles, Doubles],
    replicates: tuple[Doubles, Doubles],
) -> Estimate:
    """How much more of a figure the first model has than the second, within each resample."""
    columns = [statistic.names.index(name) for statistic in pair]
    one, other = (statistic.scales.get(name, Signed()) for statistic in pair)
    value, drawn = (
        first[..., columns[0]] - second[..., columns[1]] for first, second in (values, replicates)
    )
    return interval(float(value), drawn, difference_scale(one, other))


class RatioOfSums:
    """Means: the weighted sum of each numerator column over that of its denominator.

    `numerators`, `denominators` (n_rows, n_names). Rows are added up by user first, so a
    resample is one product of matrices. A mean is a share where every row lies in 0 .. 1.
    """

    def __init__(
        self, names: Sequence[str], numerators: Doubles, denominators: Doubles, rows: Clusters
    ) -> None:
        self.names = tuple(names)
        shares: npt.NDArray[np.bool_] = np.all(
            (numerators >= 0) & (numerators <= denominators), axis=0
        )
        self._sums = np.concatenate(
            [sum_by_user(numerators, rows), sum_by_user(denominators, rows)], axis=1
        )
        customers = (self._sums[:, len(self.names) :] > 0).sum(axis=0)
        self.scales: Scales = {
            name: Share(float(n)) if share else Signed(float(n))
            for name, share, n in zip(self.names, shares, customers, strict=True)
        }

    def __call__(self, weights: Weights) -> Doubles:
        sums = weights.astype(np.float64) @ self._sums
        top, bottom = np.split(sums, 2, axis=1)
        means = np.full(top.shape, np.nan)
        np.divide(top, bottom, out=means, where=bottom != 0)
        return means


def mean_of_rows(names: Sequence[str], values: Doubles, rows: Clusters) -> RatioOfSums:
    """Means of the columns of `values` (n_rows, n_names) over the rows that are not nan."""
    defined = np.isfinite(values)
    return RatioOfSums(names, np.where(defined, values, 0), defined.astype(np.float64), rows)


def sum_by_user(values: Doubles, rows: Clusters) -> Doubles:
    """(n_users, n_columns) sums of `values` (n_rows, n_columns)."""
    out = np.empty((rows.n_users, values.shape[1]))
    for column in range(values.shape[1]):
        out[:, column] = np.bincount(rows.index, values[:, column], minlength=rows.n_users)
    return out


class Judged(Protocol):
    """Makes the statistic of one model's scores."""

    def __call__(self, scores: Doubles, rows: Clusters) -> Statistic: ...


def paired_difference(
    metric: Judged,
    a: Doubles,
    b: Doubles,
    user: npt.NDArray[np.generic],
    *,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """How much `a` has more than `b` of each of the metric's names, on the same resamples.

    `metric` makes a `Statistic` of scores (n_rows,) and users, for example
    `lambda scores, rows: PropensityStatistic(y, scores, rows)`.

    >>> y = np.tile([0.0, 1.0], 100)
    >>> def share_right(scores, rows):
    ...     return mean_of_rows(["accuracy"], ((scores > 0.5) == y)[:, None] * 1.0, rows)
    >>> better = paired_difference(share_right, y, 1 - y, np.arange(200), resamples=100,
    ...                            rng=np.random.default_rng(0))
    >>> better["accuracy"]
    Estimate(value=1.0, low=1.0, high=1.0)
    """
    if len(a) != len(b) or len(a) != len(user):
        raise EvaluationError(
            f"paired scores need the same rows, got {len(a)}, {len(b)} and {len(user)} users"
        )
    rows = cluster(user)
    pair = {"a": metric(a, rows), "b": metric(b, rows)}
    drawn = resample(pair, rows.n_users, resamples, rng)
    values = measure(pair["a"], rows.n_users), measure(pair["b"], rows.n_users)
    return {
        name: estimate_difference((pair["a"], pair["b"]), name, values, (drawn["a"], drawn["b"]))
        for name in pair["a"].names
    }
