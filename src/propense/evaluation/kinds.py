"""The kinds of goals: how each is scored, chosen by, calibrated and shown.

The rest of evaluation and the report asks no goal for its kind; ARCHITECTURE.md says what else a
new kind needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Literal, final

import numpy as np
import numpy.typing as npt

from propense.evaluation.metrics import propensity
from propense.evaluation.metrics.calibration import (
    Calibrator,
    ValueCalibrator,
    fit_calibrator,
    fit_value_calibrator,
    logit,
    sigmoid,
)
from propense.evaluation.metrics.intervals import Clusters
from propense.evaluation.metrics.propensity_statistic import PropensityStatistic
from propense.evaluation.metrics.thresholds import Threshold, choose_threshold
from propense.evaluation.metrics.value import (
    deviance_floor,
    gini_normalised,
    mae,
    tweedie_deviance,
    tweedie_deviances,
)
from propense.evaluation.metrics.value_statistic import ValueStatistic
from propense.schemas import Doubles

Calibration = Calibrator | ValueCalibrator
Mask = npt.NDArray[np.bool_]


class GoalKind(ABC):
    """One kind of goal. `y` are labels and `p` answers, both (n_rows,) float64."""

    name: ClassVar[Literal["binary", "value"]]
    """As in `GoalPlan.kind`."""
    criterion: ClassVar[str]
    """Metric that chooses the champion on validation; lower is better, so it stands in
    `records.LOWER_IS_BETTER`."""
    criterion_name: ClassVar[str]
    """The criterion in words."""
    order_metric: ClassVar[str]
    """Metric of the order alone: the verdict states it beside the criterion."""
    order_suffices: ClassVar[bool]
    """Whether an order beyond chance is enough against the base rate: where a few large labels
    decide the criterion, its interval says little."""
    rate_metric: ClassVar[str]
    """Metric of the labels alone."""
    rate_is_share: ClassVar[bool]
    """Whether it is shown in per cent."""
    compared: ClassVar[tuple[str, ...]]
    """Metrics of which paired differences are taken."""
    panels: ClassVar[tuple[str, ...]]
    """Metrics with a picture of their own in the report."""
    card_metrics: ClassVar[tuple[str, ...]]
    """Metrics in the model card."""
    subgroup_metrics: ClassVar[tuple[str, ...]]
    """Metrics of sensitive groups."""
    column_prefix: ClassVar[str]
    """Beginning of the name of a goal's column in a table of scores."""
    highest: ClassVar[float]
    """The highest possible answer."""
    needs_negatives: ClassVar[bool]
    """Whether a verdict also needs customers whose label is not above 0."""
    is_amount: ClassVar[bool]
    """Whether a few customers can be most of the outcome."""
    label_rule: ClassVar[str]
    """The labels allowed, in words."""
    answer_rule: ClassVar[str]
    """The answers allowed, in words."""
    counts_key: ClassVar[str]
    """Key of the sentence on the test rows; this and the following are keys of `words`."""
    method_key: ClassVar[str]
    reliability_key: ClassVar[str]
    gains_key: ClassVar[str]
    negative_key: ClassVar[str]
    positive_key: ClassVar[str]

    @abstractmethod
    def loss(self, y: Doubles, p: Doubles) -> float:
        """The criterion."""

    @abstractmethod
    def row_losses(self, y: Doubles, p: Doubles) -> Doubles:
        """The criterion of each row."""

    @abstractmethod
    def constant_loss(self, y_mean: Doubles, root_mean: Doubles) -> Doubles:
        """The criterion of the best constant answer, from the means of y and of its root."""

    @abstractmethod
    def average(self, one: Doubles, other: Doubles) -> Doubles:
        """The average of two models' answers, as it is served."""

    @abstractmethod
    def statistic(
        self,
        y: Doubles,
        p: Doubles,
        rows: Clusters,
        threshold: Threshold | None = None,
        bins: bool = False,
    ) -> PropensityStatistic | ValueStatistic:
        """Every metric, to be resampled; `bins` adds the points of the reliability curve."""

    @abstractmethod
    def calibrate(self, p: Doubles, y: Doubles) -> Calibration:
        """The calibration of a model from its answers on validation."""

    @abstractmethod
    def choose_threshold(
        self, y: Doubles, p: Doubles, cost: float | None, benefit: float | None
    ) -> Threshold | None:
        """The answer from which a customer counts as a yes, None where that has no meaning."""

    @abstractmethod
    def bad_labels(self, y: Doubles) -> Mask:
        """Where a label breaks `label_rule`."""

    @abstractmethod
    def bad_answers(self, p: Doubles) -> Mask:
        """Where an answer breaks `answer_rule`."""

    @abstractmethod
    def top_of_axis(self, p: Doubles) -> float:
        """Where the histogram of answers ends."""

    @abstractmethod
    def measure_served(self, y: Doubles, p: Doubles) -> dict[str, float]:
        """The metrics by which a deployed model is held against its report."""

    @abstractmethod
    def rounding_scale(self, y: Doubles) -> float:
        """How many times the usual rounding those metrics are allowed to differ."""

    def rarer(self, n_positive: int, n_negative: int) -> int:
        """The number of customers that decides whether a verdict is possible."""
        return min(n_positive, n_negative) if self.needs_negatives else n_positive


@final
class BinaryKind(GoalKind):
    """Whether something happens: labels 0 and 1, answers are probabilities, log loss."""

    name = "binary"
    criterion = "log_loss"
    criterion_name = "log loss"
    order_metric = "auc"
    order_suffices = False
    rate_metric = "base_rate"
    rate_is_share = True
    compared = ("log_loss", "auc", "average_precision_minority", "brier")
    panels = ("log_loss", "auc", "average_precision_minority", "lift_top_10")
    card_metrics = (
        "auc", "average_precision_minority", "log_loss", "calibration_slope", "calibration_error",
        "accuracy", "precision", "recall", "f1", "lift_top_10",
    )  # fmt: skip
    subgroup_metrics = ("base_rate", "mean_p", "auc", "precision", "recall")
    column_prefix = "p_"
    highest = 1.0
    needs_negatives = True
    is_amount = False
    label_rule = "0 or 1"
    answer_rule = "in [0, 1]"
    counts_key = "goal_counts"
    method_key = "how_goal"
    reliability_key = "reliability"
    gains_key = "gains_y"
    negative_key = "negative"
    positive_key = "positive"

    def loss(self, y: Doubles, p: Doubles) -> float:
        return propensity.log_loss(y, p)

    def row_losses(self, y: Doubles, p: Doubles) -> Doubles:
        return propensity.log_losses(y, p)

    def constant_loss(self, y_mean: Doubles, root_mean: Doubles) -> Doubles:
        out: Doubles = -(y_mean * np.log(y_mean) + (1 - y_mean) * np.log1p(-y_mean))
        return out

    def average(self, one: Doubles, other: Doubles) -> Doubles:
        """The average of the logits.

        >>> BinaryKind().average(np.array([0.2]), np.array([0.8])).round(6).tolist()
        [0.5]
        """
        return sigmoid((logit(_inside(one)) + logit(_inside(other))) / 2)

    def statistic(
        self,
        y: Doubles,
        p: Doubles,
        rows: Clusters,
        threshold: Threshold | None = None,
        bins: bool = False,
    ) -> PropensityStatistic:
        return PropensityStatistic(y, p, rows, threshold, bins=bins)

    def calibrate(self, p: Doubles, y: Doubles) -> Calibrator:
        return fit_calibrator(p, y)

    def choose_threshold(
        self, y: Doubles, p: Doubles, cost: float | None, benefit: float | None
    ) -> Threshold:
        return choose_threshold(y, p, cost, benefit)

    def bad_labels(self, y: Doubles) -> Mask:
        return ~np.isin(y, (0, 1))

    def bad_answers(self, p: Doubles) -> Mask:
        return ~(np.isfinite(p) & (p >= 0) & (p <= 1))

    def top_of_axis(self, p: Doubles) -> float:
        return float(p.max())

    def measure_served(self, y: Doubles, p: Doubles) -> dict[str, float]:
        return {
            "auc": propensity.auc(y, p),
            "average_precision_minority": propensity.average_precision_minority(y, p),
            "log_loss": propensity.log_loss(y, p),
        }

    def rounding_scale(self, y: Doubles) -> float:
        return 1.0


@final
class ValueKind(GoalKind):
    """How much: labels and answers are amounts, Tweedie deviance of power 1.5."""

    name = "value"
    criterion = "tweedie_deviance"
    criterion_name = "Tweedie deviance 1.5"
    order_metric = "gini_normalised"
    order_suffices = True
    rate_metric = "mean_value"
    rate_is_share = False
    compared = ("tweedie_deviance", "gini_normalised", "spearman")
    panels = ("tweedie_deviance", "gini_normalised", "spearman", "mae")
    card_metrics = ("tweedie_deviance", "gini_normalised", "spearman", "mae", "total_ratio")
    subgroup_metrics = ("mean_value", "mean_p", "total_ratio", "gini_normalised")
    column_prefix = "expected_"
    highest = np.inf
    needs_negatives = False
    is_amount = True
    label_rule = "finite"
    answer_rule = "finite"
    counts_key = "value_counts"
    method_key = "how_value"
    reliability_key = "reliability_value"
    gains_key = "gains_y_value"
    negative_key = "zero"
    positive_key = "above_zero"

    def loss(self, y: Doubles, p: Doubles) -> float:
        return tweedie_deviance(y, p)

    def row_losses(self, y: Doubles, p: Doubles) -> Doubles:
        return tweedie_deviances(y, p, deviance_floor(y))

    def constant_loss(self, y_mean: Doubles, root_mean: Doubles) -> Doubles:
        out: Doubles = 4 * (2 * np.sqrt(y_mean) - 2 * root_mean)
        return out

    def average(self, one: Doubles, other: Doubles) -> Doubles:
        """The average of the amounts.

        >>> ValueKind().average(np.array([2.0]), np.array([4.0])).tolist()
        [3.0]
        """
        return (one + other) / 2

    def statistic(
        self,
        y: Doubles,
        p: Doubles,
        rows: Clusters,
        threshold: Threshold | None = None,
        bins: bool = False,
    ) -> ValueStatistic:
        return ValueStatistic(y, p, rows, bins=bins)

    def calibrate(self, p: Doubles, y: Doubles) -> ValueCalibrator:
        return fit_value_calibrator(p, y)

    def choose_threshold(
        self, y: Doubles, p: Doubles, cost: float | None, benefit: float | None
    ) -> None:
        return None

    def bad_labels(self, y: Doubles) -> Mask:
        return ~np.isfinite(y)

    def bad_answers(self, p: Doubles) -> Mask:
        return ~np.isfinite(p)

    def top_of_axis(self, p: Doubles) -> float:
        """The 99th percentile: the last step holds all above."""
        return float(np.quantile(p, 0.99))

    def measure_served(self, y: Doubles, p: Doubles) -> dict[str, float]:
        return {"mae": mae(y, p), "gini_normalised": gini_normalised(y, p)}

    def rounding_scale(self, y: Doubles) -> float:
        return 10 * max(float(np.abs(y).mean()), 1.0)


KINDS: Final[dict[str, GoalKind]] = {kind.name: kind for kind in (BinaryKind(), ValueKind())}
"""By `GoalPlan.kind`."""


def _inside(p: Doubles) -> Doubles:
    """Away from 0 and 1, whose logits are infinite and would silence the other model."""
    return np.clip(p, propensity.CLIP, 1 - propensity.CLIP)
