"""What a report is made of: plain records that become JSON.

A number that cannot be defined is None (null), never 0 and never NaN. Texts are in two languages.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final, Literal

import msgspec

from propense.evaluation.cut_records import CutRow
from propense.evaluation.metrics.scales import Estimate
from propense.evaluation.metrics.student import two_sided_p
from propense.evaluation.metrics.thresholds import Threshold
from propense.schemas import Account, SplitPlan
from propense.words import Text

NETWORK: Final = "network"
AVERAGE: Final = "average"
RIVALS: Final = "rivals"
"""The average of the two best rivals: what the network's own average has to beat."""
MAJORITY: Final = "majority"
POPULARITY: Final = "popularity"

Number = float | None

LOWER_IS_BETTER: Final = frozenset(
    {"log_loss", "brier", "calibration_error", "tweedie_deviance", "mae", "rmse"}
)
VerdictOutcome = Literal[
    "better", "together", "level", "worse", "nothing", "mixed", "no_verdict", "no_rival"
]
"""The network against every rival on test. "together": not better alone, but its average with
the best rival, which serves, is better than every rival and than the average of two rivals.
"nothing": what serves is not better than the base rate. "mixed": better on some questions, which
only the verdict over all of them can be."""


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all report records."""


class Interval(msgspec.Struct, frozen=True):
    """A number and its 95 % bootstrap interval over users."""

    value: Number = None
    low: Number = None
    high: Number = None


class ModelMetrics(Frozen, frozen=True):
    """One model on test."""

    model: str
    metrics: dict[str, Interval]
    threshold: Number = None
    """Its own, chosen on validation."""


class Difference(Frozen, frozen=True):
    """`model` minus `rival` on the same test rows, by paired bootstrap."""

    metric: str
    model: str
    rival: str
    value: Number
    low: Number
    high: Number

    @property
    def outcome(self) -> Literal["better", "level", "worse"] | None:
        """How the model does; level where the interval holds 0, None where there is none."""
        if self.low is None or self.high is None:
            return None
        if self.low <= 0 <= self.high:
            return "level"
        rises = self.low > 0
        return "better" if rises != (self.metric in LOWER_IS_BETTER) else "worse"

    @property
    def p(self) -> Number:
        """Two-sided p-value: below 0.05 where the interval leaves 0 out."""
        if self.value is None or self.low is None or self.high is None:
            return None
        return two_sided_p(self.value, self.low, self.high)


class Champion(Frozen, frozen=True):
    """What serves: chosen on validation alone by `criterion`."""

    kind: Literal["network", "rival", "average"]
    model: str
    rival: str | None
    """The best rival; the average is of it and the network. A simpler one may serve."""
    criterion: str
    validation: dict[str, Number]
    """Every model's criterion on validation."""
    second: str | None = None
    """The next best rival."""
    base: str | None = None
    """What whoever serves has to beat: the base rate or popularity, where it was fitted."""
    close: bool = False
    """Whether a standard error decided that it serves, or that something else does."""


class Verdict(Frozen, frozen=True):
    """Whether the network is worth using, in words."""

    outcome: VerdictOutcome
    headline: Text
    sentences: list[Text] = []
    p: Number = None
    """Where the network is worth using: the p-value of that, over all comparisons it needs."""
    close: bool = False
    """Whether another seed, or other customers, may well end in another outcome."""


class Confusion(Frozen, frozen=True):
    """The champion's decisions on test."""

    tp: int
    fp: int
    fn: int
    tn: int
    threshold: Threshold


class Bin(Frozen, frozen=True):
    """Rows of similar prediction: mean prediction and mean outcome."""

    n_rows: int
    predicted: float
    observed: Interval


class Curve(Frozen, frozen=True):
    """A line of points of one model."""

    model: str
    x: list[float]
    y: list[Number]


class Histogram(Frozen, frozen=True):
    """Rows by the champion's score, `edges` one longer than the counts."""

    edges: list[float]
    negatives: list[int]
    positives: list[int]


class Stretch(Frozen, frozen=True):
    """The test rows of one as-of time, or of a stretch of them."""

    first: int
    last: int
    """As-of times in seconds since 1970."""
    n_rows: int
    n_users: int
    rate: Number
    """Mean outcome."""
    criterion: dict[str, Number]
    """Model -> the criterion on these rows."""


class Subgroup(Frozen, frozen=True):
    """The champion on the test rows of one group.

    No metrics under 30 customers, or under 10 of an outcome.
    """

    column: str
    group: str
    n_rows: int
    n_users: int
    too_few: bool
    metrics: dict[str, Interval] = {}


class GoalReport(Frozen, frozen=True):
    """One goal, judged."""

    name: str
    kind: Literal["binary", "value"]
    sentence: Text
    within_seconds: int | None
    n_rows: int
    n_users: int
    n_positives: int
    """Test rows with y = 1, or above zero for value goals."""
    n_validation_rows: int
    minority_class: int
    models: list[ModelMetrics]
    differences: list[Difference]
    champion: Champion
    verdict: Verdict
    confusion: Confusion | None
    """None for value goals."""
    reliability: dict[str, list[Bin]]
    """The network's and the champion's: 15 bins of equal mass, tenths for value goals."""
    gains: list[Curve]
    """Share of customers (best first) against share of positives or of value."""
    histogram: Histogram
    subgroups: list[Subgroup] = []
    warnings: list[Text] = []
    resamples: int = 0
    n_as_of: int | None = None
    """As-of times in test; None where rows have no time."""
    by_as_of: list[Stretch] = []
    """The network, the champion and the best rival by as-of time."""

    def metrics_of(self, model: str) -> Mapping[str, Interval]:
        """The test metrics of one model, empty if it was not judged."""
        return next((entry.metrics for entry in self.models if entry.model == model), {})


class RankingReport(Frozen, frozen=True):
    """What to show next, judged over the full catalogue."""

    n_rows: int
    n_users: int
    n_items: int
    ks: list[int]
    criterion: str
    models: list[ModelMetrics]
    differences: list[Difference]
    champion: Champion
    verdict: Verdict
    seconds: dict[str, float] = {}
    """Time each model took to rank the test rows."""
    warnings: list[Text] = []
    resamples: int = 0
    by_cut: list[CutRow] = []


class Epoch(Frozen, frozen=True):
    """One pass over the train part."""

    epoch: int
    seconds: Number
    train_loss: Number
    validation: dict[str, Number] = {}
    best: list[str] = []
    """Keys of `validation` whose task is judged with the weights of this epoch."""


class RivalNote(Frozen, frozen=True):
    """How a rival was fitted."""

    model: str
    goal: str | None = None
    """None for item rivals."""
    trials: int = 0
    rows: int = 0
    seconds: Number = None
    note: str = ""


class ExampleItem(Frozen, frozen=True):
    """An item by its title, with what happened (history) or whether it came true (top list)."""

    title: str
    note: str = ""
    hit: bool | None = None


class Example(Frozen, frozen=True):
    """A test customer: what came before, what is recommended."""

    customer: str
    history: list[ExampleItem]
    """Newest last."""
    recommended: list[ExampleItem]
    """Best first."""


class LearningTask(Frozen, frozen=True):
    """One goal, or the items, as one trained network does it."""

    goal: str | None
    """None for the items."""
    metric: str
    """What is compared and drawn: "skill", or ndcg."""
    validation: dict[str, Number]
    test: dict[str, Number]
    few: bool = False
    """Too few positives in test for a verdict."""
    difference: Interval = Interval()
    """`metric` on test of this network minus that of the run's own, by paired bootstrap."""

    @property
    def key(self) -> str:
        """Unique among the tasks of one network."""
        return "items" if self.goal is None else f"goal {self.goal}"


class LearningPoint(Frozen, frozen=True):
    """One network of the learning curve: of how much data, how large, at what cost."""

    name: str
    share: float
    """Share of the customers of the train part."""
    size: Literal["small", "base", "large"]
    own: bool
    """The network of the run itself: read, not trained again."""
    n_users: int
    n_rows: int
    """Train rows learned from."""
    n_rows_available: int
    n_events: int
    n_parameters: int
    passes: int
    best_pass: int
    seconds: float
    """Time of all passes, without the validation after each."""
    cut_short: bool = False
    """[train] max_minutes ended it."""
    tasks: list[LearningTask] = []

    @property
    def seconds_a_pass(self) -> float:
        return self.seconds / max(self.passes, 1)

    def task_of(self, key: str) -> LearningTask | None:
        """The task of that key, None where it was not judged."""
        return next((task for task in self.tasks if task.key == key), None)


class LearningCurve(Frozen, frozen=True):
    """Whether more data or a deeper network would help, and what it would cost."""

    points: list[LearningPoint]
    """By share, then by size."""
    data: list[Text] = []
    """What the shares say: a headline, the cost, then a sentence a task."""
    depth: list[Text] = []
    """What the sizes say: likewise, the tasks of each other size one after the other."""
    notes: list[Text] = []
    resamples: int = 0

    def own(self) -> LearningPoint:
        """The network of the run."""
        return next(point for point in self.points if point.own)

    def shares(self) -> list[LearningPoint]:
        """The points of the run's own size, by share."""
        size = self.own().size
        return [point for point in self.points if point.size == size]

    def sizes(self) -> list[LearningPoint]:
        """The points on all of the data, by size."""
        order = ("small", "base", "large")
        return sorted(
            (point for point in self.points if point.share == 1), key=lambda p: order.index(p.size)
        )


class Report(Frozen, frozen=True):
    """Everything report.json holds and the page and the card are drawn from."""

    title: str
    version: str
    """Version of propense."""
    made: str | None = None
    """When, as text; given by the caller."""
    settings: dict[str, Any] = {}
    accounts: list[Account] = []
    plan: SplitPlan | None = None
    curves: list[Epoch] = []
    goals: list[GoalReport] = []
    ranking: RankingReport | None = None
    examples: list[Example] = []
    rivals: list[RivalNote] = []
    stage_seconds: dict[str, float] = {}
    truth: dict[str, dict[str, Number]] = {}
    """For synthetic worlds: row -> column -> number, for example the scores of the true chances."""
    truth_note: str = ""
    warnings: list[str | Text] = []
    learning_curve: LearningCurve | None = None
    """None unless it was asked for."""
    verdict: Verdict | None = None
    """Over all goals and the ranking; filled when the report is written."""
    format: int = 1


def to_interval(estimate: Estimate) -> Interval:
    """The estimate as it is written; what is not finite is None."""
    return Interval(number(estimate.value), number(estimate.low), number(estimate.high))


def number(value: float) -> Number:
    """None for what is not finite.

    >>> number(float("nan")), number(2)
    (None, 2.0)
    """
    return float(value) if isfinite(value) else None
