"""Samples of worlds whose every figure is known, and how often its interval holds it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np

from propense.evaluation.metrics.calibration import sigmoid
from propense.evaluation.metrics.intervals import (
    Statistic,
    cluster,
    estimate,
    estimate_difference,
    mean_of_rows,
    measure,
    resample,
)
from propense.evaluation.metrics.propensity_statistic import PropensityStatistic
from propense.evaluation.metrics.ranking import (
    find_hits,
    hit_at_k,
    mrr_at_k,
    ndcg_at_k,
    recall_at_k,
)
from propense.evaluation.metrics.scales import Estimate
from propense.evaluation.metrics.thresholds import Threshold
from propense.evaluation.metrics.value_statistic import ValueStatistic
from propense.schemas import Doubles, Ints

THRESHOLD = Threshold(0.3, "value", 1.0, 3.0)
LARGE = 400_000
"""Rows from which the truth is read."""


@dataclass(frozen=True)
class Sample:
    """Rows of customers: outcomes, what is to be expected of each row, two models' answers."""

    user: Ints
    y: Doubles
    mean: Doubles
    """The true chance or expected amount."""
    scores: dict[str, Doubles]


World = Callable[[int, int, np.random.Generator], Sample]
"""Customers and rows of each -> a sample."""


def chances(n_users: int, rows_each: int, rng: np.random.Generator) -> Sample:
    """Outcomes of known chance, alike within a customer; "right" answers it, "wrong" does not."""
    user = np.repeat(np.arange(n_users), rows_each)
    x = -1.8 + 1.2 * _alike(user, 0.5, rng)
    chance = sigmoid(x)
    level = np.sort(np.random.default_rng(0).normal(size=100_000))
    drawn = np.searchsorted(level, _alike(user, 0.3, rng)) / len(level)
    wrong = sigmoid(0.3 + 1.4 * x + 0.8 * rng.normal(size=len(x)))
    y = (drawn < chance).astype(np.float64)
    return Sample(user, y, chance, {"right": chance, "wrong": wrong})


def amounts(tail: Callable[[int, np.random.Generator], Doubles], mean: float, rate: float) -> World:
    """Amounts whose tail is drawn by `tail` (of that mean), above 0 in about `rate` of the rows."""

    def draw(n_users: int, rows_each: int, rng: np.random.Generator) -> Sample:
        user = np.repeat(np.arange(n_users), rows_each)
        x = 0.5 * _alike(user, 0.5, rng)
        chance = np.minimum(rate * np.exp(x - 0.125), 1.0)
        scale = np.exp(0.4 * x)
        y = np.where(rng.random(len(user)) < chance, scale * tail(len(user), rng), 0.0)
        expected = chance * scale * mean
        wrong = 1.2 * expected * np.exp(0.4 * rng.normal(size=len(user)))
        return Sample(user, y, expected, {"right": expected, "wrong": wrong})

    return draw


def _alike(user: Ints, share: float, rng: np.random.Generator) -> Doubles:
    """Standard normal, correlated by `share` within a customer."""
    own = rng.normal(size=int(user[-1]) + 1)[user]
    return np.sqrt(share) * own + np.sqrt(1 - share) * rng.normal(size=len(user))


def propensities(sample: Sample, model: str) -> PropensityStatistic:
    """All figures of a model's probabilities."""
    rows = cluster(sample.user)
    return PropensityStatistic(sample.y, sample.scores[model], rows, THRESHOLD, bins=True)


def expectations(sample: Sample, model: str) -> ValueStatistic:
    """All figures of a model's expected amounts."""
    return ValueStatistic(sample.y, sample.scores[model], cluster(sample.user), bins=True)


def lists(sample: Sample, model: str) -> Statistic:
    """Figures of top lists: a row's chance is that of finding its one or two items."""
    rng = np.random.default_rng(int(1e6 * sample.mean.sum()))
    n_rows = len(sample.y)
    ranked = np.argsort(rng.random((n_rows, 40)), axis=1)[:, :20].astype(np.int32) + 2
    n_items = 1 + rng.integers(0, 2, n_rows)
    offsets = np.concatenate([[0], np.cumsum(n_items)])
    items = rng.integers(2, 42, offsets[-1]).astype(np.int32)
    rank = np.minimum((20 * sample.scores[model]).astype(int), 19)
    estimated = sample.y > 0
    items[offsets[:-1][estimated]] = ranked[estimated, 19 - rank[estimated]]
    hits = find_hits(ranked, offsets.astype(np.int64), items)
    metrics = {"ndcg": ndcg_at_k, "recall": recall_at_k, "mrr": mrr_at_k, "hit": hit_at_k}
    names = [f"{name}_at_{k}" for name in metrics for k in (5, 10, 20)]
    values = [metric(hits, k) for metric in metrics.values() for k in (5, 10, 20)]
    return mean_of_rows(names, np.stack(values, axis=1), cluster(sample.user))


Describe = Callable[[Sample, str], Statistic]


@dataclass
class Tally:
    """Of the intervals of one figure: how many held the truth, lay below it, above it, are none."""

    held: int = 0
    below: int = 0
    above: int = 0
    without: int = 0
    outside: int = 0
    """Intervals that leave out their own figure."""

    def add(self, estimated: Estimate, truth: float) -> None:
        """Count one interval."""
        if not (isfinite(estimated.low) and isfinite(estimated.high)):
            self.without += 1
            return
        self.held += estimated.low <= truth <= estimated.high
        self.below += estimated.high < truth
        self.above += estimated.low > truth
        self.outside += not estimated.low <= estimated.value <= estimated.high

    @property
    def n_intervals(self) -> int:
        """How many figures had an interval."""
        return self.held + self.below + self.above

    @property
    def coverage(self) -> float:
        """Share of the intervals that hold the truth."""
        return self.held / self.n_intervals if self.n_intervals else float("nan")


def count_coverage(
    world: World,
    describe: Describe,
    compared: tuple[str, ...],
    n_rows: int,
    rows_each: int,
    repeats: int,
    resamples: int,
    seed: int = 0,
) -> Mapping[str, Tally]:
    """Figure -> how often its interval held the truth, over `repeats` samples of a world."""
    rng = np.random.default_rng([seed, n_rows, rows_each])
    large = world(LARGE, 1, rng)
    truths = {}
    for model in large.scores:
        statistic = describe(large, model)
        values = measure(statistic, LARGE)
        truths[model] = dict(zip(statistic.names, values.tolist(), strict=True))
        if isinstance(statistic, ValueStatistic):
            truths[model] |= {"mean_value": float(large.mean.mean())}
    tallies: dict[str, Tally] = defaultdict(Tally)
    for _ in range(repeats):
        sample = world(n_rows // rows_each, rows_each, rng)
        n_users = n_rows // rows_each
        statistics = {model: describe(sample, model) for model in sample.scores}
        drawn = resample(statistics, n_users, resamples, rng)
        values_of = {model: measure(entry, n_users) for model, entry in statistics.items()}
        for model, statistic in statistics.items():
            truth = truths[model] | _truth_of_bins(statistic, sample, large, model)
            for name in statistic.names:
                estimated = estimate(statistic, name, values_of[model], drawn[model])
                label = "rate_bin" if name.startswith("rate_bin") else name
                if isfinite(estimated.value) and name != "calibration_error_null":
                    tallies[f"{model} {label}"].add(estimated, truth[name])
        for name in compared:
            estimated = estimate_difference(
                (statistics["wrong"], statistics["right"]), name,
                (values_of["wrong"], values_of["right"]), (drawn["wrong"], drawn["right"]),
            )  # fmt: skip
            tallies[f"difference {name}"].add(
                estimated, truths["wrong"][name] - truths["right"][name]
            )
    return tallies


def _truth_of_bins(
    statistic: Statistic, sample: Sample, large: Sample, model: str
) -> dict[str, float]:
    """The rate and the calibration error in the bins of a sample, from the large one."""
    if not isinstance(statistic, (PropensityStatistic, ValueStatistic)):
        return {}
    ordered = np.sort(sample.scores[model])[::-1]
    starts = statistic.bin_starts
    cuts = (ordered[starts[1:] - 1] + ordered[starts[1:]]) / 2
    which = np.searchsorted(cuts[::-1], large.scores[model])
    counts = np.bincount(which, minlength=len(starts))
    rates = np.bincount(which, large.mean, minlength=len(starts)) / counts
    out = {f"rate_bin_{at:02d}": float(rate) for at, rate in enumerate(rates)}
    expected = np.bincount(which, large.scores[model], minlength=len(starts)) / counts
    share = np.diff(np.append(starts, len(ordered)))[::-1] / len(ordered)
    return out | {"calibration_error": float(np.sqrt(share @ (rates - expected) ** 2))}
