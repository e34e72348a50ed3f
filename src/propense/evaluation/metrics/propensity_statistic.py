"""The metrics of propensity.py under user weights, fast.

Scores are sorted once. Under weights every metric is then sums over the sorted rows, so a
resample of 200,000 rows costs about a millisecond a model.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.evaluation.metrics.intervals import Clusters, Weights, sum_by_user
from propense.evaluation.metrics.propensity import equal_mass_edges, log_losses, minority_class
from propense.evaluation.metrics.recalibration import recalibrate
from propense.evaluation.metrics.scales import Fixed, Loss, Scale, Scales, Share, Signed
from propense.evaluation.metrics.sorted_scores import SortedScores, running_sums
from propense.evaluation.metrics.thresholds import Threshold
from propense.schemas import Doubles, Ints

TOP_SHARES: Final = (0.01, 0.05, 0.10, 0.20)
PROPENSITY_NAMES: Final = (
    "auc", "average_precision", "average_precision_minority", "log_loss", "brier",
    "calibration_intercept", "calibration_slope", "calibration_error", "calibration_error_null",
    "base_rate", "mean_p", "accuracy", "precision", "recall", "f1",
    "specificity", "net_value", "lift_top_1", "lift_top_5", "lift_top_10", "lift_top_20",
)  # fmt: skip


class PropensityStatistic:
    """All metrics of one model's probabilities; names are PROPENSITY_NAMES.

    Where `threshold` is None the metrics of a decision are nan; `net_value` (of acting, per
    row: benefit * true positives - cost * all acted on) needs a threshold by value. With
    `bins` the names end with `rate_bin_00` .., the rate of positives in each bin of the
    reliability curve (bins fixed on the unweighted rows, lowest p first).
    """

    def __init__(
        self,
        y: Doubles,
        p: Doubles,
        rows: Clusters,
        threshold: Threshold | None = None,
        *,
        bins: bool = False,
    ) -> None:
        self.n_users = rows.n_users
        self._sorted = SortedScores(p, rows)
        self._y = y[self._sorted.order]
        self._positive = np.flatnonzero(self._y)
        self._before = np.concatenate([[0], np.cumsum(self._y > 0)]).astype(np.int64)
        self._minority = minority_class(y)
        start, end = self._sorted.start, self._sorted.end
        n_true = self._before[end] - self._before[start]
        self._true_runs = self._runs(n_true > 0)
        self._false_runs = self._runs((n_true < end - start) & (self._minority == 0))
        self._edges = len(y) - equal_mass_edges(self._sorted.score[::-1])[::-1]
        self._threshold = threshold
        self._sums = sum_by_user(_row_sums(y, p, threshold), rows)
        self._bins = bins
        rates = tuple(f"rate_bin_{b:02d}" for b in range(len(self._edges))) if bins else ()
        self.names = PROPENSITY_NAMES + rates
        self._calibration = recalibrate(y, p, rows)

    @property
    def bin_starts(self) -> Ints:
        """Places in the order best first where each reliability bin begins."""
        return self._edges

    @cached_property
    def scales(self) -> Scales:
        """Shares with the customers they are taken over, losses, and what has its own interval."""
        n, _, _, _, tp, fp, fn, tn = self._sums.T
        n_true, n_false = float((tp + fn > 0).sum()), float((fp + tn > 0).sum())
        rate = float((tp + fn).sum() / n.sum()) if n.sum() > 0 else 0.0
        scales: dict[str, Scale] = {
            "auc": Share(min(n_true, n_false)),
            "average_precision": Share(n_true),
            "average_precision_minority": Share(min(n_true, n_false)),
            "log_loss": Loss(min(n_true, n_false)),
            "brier": Loss(min(n_true, n_false)),
            "base_rate": Share(self.n_users),
            "mean_p": Share(self.n_users),
            "accuracy": Share(self.n_users),
            "precision": Share(float((tp + fp > 0).sum())),
            "recall": Share(n_true),
            "f1": Share(float((tp + fp + fn > 0).sum())),
            "specificity": Share(n_false),
            "net_value": Signed(float((tp + fp > 0).sum())),
        }
        for share in TOP_SHARES:
            best = self._sorted.users[: max(round(share * len(self._y)), 1)]
            unit = 1 / rate if rate > 0 else np.inf
            scales[f"lift_top_{round(100 * share)}"] = Share(len(np.unique(best)), unit)
        for name, estimate in self._calibration.items():
            scales[name] = Fixed(estimate.low, estimate.high)
        if self._bins:
            ends = np.append(self._edges, len(self._y))[1:]
            for at, (start, end) in enumerate(zip(self._edges, ends, strict=True)):
                customers = len(np.unique(self._sorted.users[start:end]))
                scales[self.names[-1 - at]] = Share(customers)
        return scales

    def __call__(self, weights: Weights) -> Doubles:
        out = np.full((len(weights), len(self.names)), np.nan)
        if len(self._sorted) == 0:
            return out
        column = {name: at for at, name in enumerate(self.names)}
        for name, estimate in self._calibration.items():
            out[:, column[name]] = estimate.value
        self._fill_sums(weights.astype(np.float64) @ self._sums, out, column)
        for at, drawn in enumerate(weights):
            self._fill_sorted(drawn[self._sorted.users], out[at], column)
        return out

    def _runs(self, chosen: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, Ints, Ints]:
        """Start and end of the chosen runs, and how many positives come before each."""
        start, end = self._sorted.start[chosen], self._sorted.end[chosen]
        return start, end, self._before[start], self._before[end]

    def _fill_sums(self, sums: Doubles, out: Doubles, column: dict[str, int]) -> None:
        n, loss, brier, p, tp, fp, fn, tn = sums.T
        ratios = {
            "log_loss": (loss, n),
            "brier": (brier, n),
            "mean_p": (p, n),
            "base_rate": (tp + fn, n),
        }
        if self._threshold is not None:
            ratios |= {
                "accuracy": (tp + tn, n),
                "precision": (tp, tp + fp),
                "recall": (tp, tp + fn),
                "f1": (2 * tp, 2 * tp + fp + fn),
                "specificity": (tn, tn + fp),
            }
            cost, benefit = self._threshold.cost, self._threshold.benefit
            if cost is not None and benefit is not None:
                ratios["net_value"] = (benefit * tp - cost * (tp + fp), n)
        for name, (top, bottom) in ratios.items():
            np.divide(top, bottom, out=out[:, column[name]], where=bottom > 0)

    def _fill_sorted(self, w: Weights, out: Doubles, column: dict[str, int]) -> None:
        """AUC, average precision, lift and bins of sorted row weights `w`."""
        total = running_sums(w)
        true = running_sums(w[self._positive])
        all_rows, n_positive = int(total[-1]), int(true[-1])
        if all_rows == 0:
            return
        n_negative = all_rows - n_positive
        start, end, before_start, before_end = self._true_runs
        above, through = total[start], total[end]
        true_above, true_through = true[before_start], true[before_end]
        gained = true_through - true_above
        if n_positive and n_negative:
            false_above = above - true_above
            tied = through - above - gained
            below = gained @ (n_negative - false_above - 0.5 * tied)
            out[column["auc"]] = below / (n_positive * n_negative)
        if n_positive:
            precision = true_through / np.maximum(through, 1)
            out[column["average_precision"]] = gained @ precision / n_positive
            self._fill_lift(total, true, out, column)
        out[column["average_precision_minority"]] = (
            out[column["average_precision"]] if self._minority == 1
            else self._average_precision_of_zero(total, true)
        )  # fmt: skip
        if self._bins:
            self._fill_bins(w, total, true, out)

    def _average_precision_of_zero(self, total: Ints, true: Ints) -> float:
        start, end, before_start, before_end = self._false_runs
        n_rows, n_negative = int(total[-1]), int(total[-1] - true[-1])
        if n_negative == 0:
            return float("nan")
        above = total[start]
        false_above = above - true[before_start]
        gained = total[end] - true[before_end] - false_above
        negatives_below = n_negative - false_above
        rows_below = n_rows - above
        return float(gained @ (negatives_below / np.maximum(rows_below, 1)) / n_negative)

    def _fill_lift(self, total: Ints, true: Ints, out: Doubles, column: dict[str, int]) -> None:
        wanted = np.array(TOP_SHARES) * total[-1]
        ends = total[self._sorted.end]
        run = np.minimum(np.searchsorted(ends, wanted), len(ends) - 1)
        start, end = self._sorted.start[run], self._sorted.end[run]
        share = (wanted - total[start]) / np.maximum(total[end] - total[start], 1)
        low, high = true[self._before[start]], true[self._before[end]]
        captured = low + share * (high - low)
        first = column["lift_top_1"]
        out[first : first + len(TOP_SHARES)] = captured / true[-1] / TOP_SHARES

    def _fill_bins(self, w: Weights, total: Ints, true: Ints, out: Doubles) -> None:
        ends = np.append(self._edges, len(w))
        n = np.diff(total[ends])
        positive = np.diff(true[self._before[ends]])
        rate = np.divide(positive, n, out=np.full(len(n), np.nan), where=n > 0)
        out[len(PROPENSITY_NAMES) :] = rate[::-1]


def _row_sums(y: Doubles, p: Doubles, threshold: Threshold | None) -> Doubles:
    """(n_rows, 8) what is only added up: n, log loss, Brier, p, tp, fp, fn, tn."""
    predicted = p >= (0.5 if threshold is None else threshold.value)
    happened = y > 0
    columns = (
        np.ones(len(y)), log_losses(y, p), (p - y) ** 2, p,
        predicted & happened, predicted & ~happened, ~predicted & happened, ~predicted & ~happened,
    )  # fmt: skip
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
