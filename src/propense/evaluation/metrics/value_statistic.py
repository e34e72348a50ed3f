"""The metrics of value.py under user weights, fast: scores are sorted once."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np

from propense.evaluation.metrics.amounts import FEWEST_EFFECTIVE, Amount, effective_size
from propense.evaluation.metrics.intervals import Clusters, Weights, sum_by_user
from propense.evaluation.metrics.propensity import equal_mass_edges
from propense.evaluation.metrics.scales import Correlation, Fixed, Scale, Scales
from propense.evaluation.metrics.sorted_scores import SortedScores, running_sums
from propense.evaluation.metrics.value import deviance_floor, tweedie_deviances
from propense.schemas import Doubles, Ints

VALUE_NAMES: Final = (
    "tweedie_deviance", "gini_normalised", "spearman", "mae", "rmse", "total_ratio",
    "mean_value", "mean_p",
)  # fmt: skip


class ValueStatistic:
    """All metrics of one model's expected values; names are VALUE_NAMES.

    With `bins` the names end with `rate_bin_00` .., the mean outcome of each tenth by
    prediction, lowest first.
    """

    def __init__(self, y: Doubles, p: Doubles, rows: Clusters, *, bins: bool = False) -> None:
        self.n_users = rows.n_users
        self._by_p = SortedScores(p, rows)
        self._by_y = SortedScores(y, rows)
        self._y_of_p = y[self._by_p.order]
        run_of_y = np.repeat(np.arange(len(self._by_y.end)), self._by_y.end - self._by_y.start)
        back = np.empty(len(y), np.int64)
        back[self._by_y.order] = run_of_y
        self._run_of_y_by_p = back[self._by_p.order]
        self._run_of_p = np.repeat(
            np.arange(len(self._by_p.end)), self._by_p.end - self._by_p.start
        )
        loss = tweedie_deviances(y, p, deviance_floor(y))
        columns = (np.ones(len(y)), loss, np.abs(y - p), (y - p) ** 2, y, p)
        self._sums = sum_by_user(np.stack(columns, axis=1), rows)
        self._edges = len(y) - equal_mass_edges(self._by_p.score[::-1], 10)[::-1]
        self._bins = bins
        rates = tuple(f"rate_bin_{b:02d}" for b in range(len(self._edges))) if bins else ()
        self.names = VALUE_NAMES + rates

    @property
    def bin_starts(self) -> Ints:
        """Places in the order best first where each tenth begins."""
        return self._edges

    @cached_property
    def scales(self) -> Scales:
        """Means of amounts; the order is a correlation, of as many customers as pay enough.

        The deviance decides verdicts, so it has an interval wherever the amounts have: what a
        verdict lacks is then said once, of the amounts.
        """
        n, loss, absolute, squared, y, p = self._sums.T
        paid = y != 0
        effective = effective_size(y)

        def amount(top: Doubles, bottom: Doubles, root: bool = False) -> Amount:
            least = min(effective, effective_size(top))
            return Amount(top, bottom, paid, least, root)

        scales: dict[str, Scale] = {
            "tweedie_deviance": Amount(loss, n, paid, effective),
            "gini_normalised": Correlation(effective) if effective >= FEWEST_EFFECTIVE else Fixed(),
            "spearman": Correlation(self.n_users),
            "mae": amount(absolute, n),
            "rmse": amount(squared, n, root=True),
            "total_ratio": amount(p, y),
            "mean_value": amount(y, n),
            "mean_p": amount(p, n),
        }
        if self._bins:
            ends = np.append(self._edges, len(self._y_of_p))[1:]
            for at, (start, end) in enumerate(zip(self._edges, ends, strict=True)):
                users, index = np.unique(self._by_p.users[start:end], return_inverse=True)
                columns = (self._y_of_p[start:end], np.ones(end - start))
                top, rows = sum_by_user(np.stack(columns, axis=1), Clusters(index, len(users))).T
                scales[self.names[-1 - at]] = Amount(top, rows, top != 0, effective_size(top))
        return scales

    def __call__(self, weights: Weights) -> Doubles:
        out = np.full((len(weights), len(self.names)), np.nan)
        if len(self._by_p) == 0:
            return out
        n, loss, absolute, squared, y, p = (weights.astype(np.float64) @ self._sums).T
        ratios = ((0, loss, n), (3, absolute, n), (4, squared, n), (6, y, n), (7, p, n), (5, p, y))
        for at, top, bottom in ratios:
            np.divide(top, bottom, out=out[:, at], where=bottom != 0)
        out[:, 4] = np.sqrt(out[:, 4])
        for at, drawn in enumerate(weights):
            self._fill_order(drawn, out[at])
        return out

    def _fill_order(self, drawn: Weights, out: Doubles) -> None:
        """Gini and Spearman from weighted midranks around their mean."""
        w = drawn[self._by_p.users].astype(np.float64)
        total_p = running_sums(drawn[self._by_p.users])
        total_y = running_sums(drawn[self._by_y.users])
        if total_p[-1] == 0:
            return
        rank_p = _central_midranks(total_p, self._by_p)[self._run_of_p]
        rank_y = _central_midranks(total_y, self._by_y)[self._run_of_y_by_p]
        weighted_y = w * self._y_of_p
        best = float(weighted_y @ rank_y)
        if best > 0:
            out[1] = float(weighted_y @ rank_p) / best
        weighted_rank = w * rank_p
        scale = float(np.sqrt((weighted_rank @ rank_p) * ((w * rank_y) @ rank_y)))
        if scale > 0:
            out[2] = float(weighted_rank @ rank_y) / scale
        if self._bins:
            n = np.diff(total_p[np.append(self._edges, len(w))])
            observed = np.add.reduceat(weighted_y, self._edges)
            rate = np.divide(observed, n, out=np.full(len(n), np.nan), where=n > 0)
            out[len(VALUE_NAMES) :] = rate[::-1]


def _central_midranks(total: Ints, scores: SortedScores) -> Doubles:
    """Midrank of each run, ascending in score, minus the mean midrank."""
    middle: Doubles = (total[-1] - total[scores.start] - total[scores.end]) / 2
    return middle
