"""From statistics and their resamples to records: metrics of models, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from propense.evaluation.metrics.intervals import (
    Statistic,
    estimate,
    estimate_difference,
    measure,
)
from propense.evaluation.metrics.student import Z
from propense.evaluation.metrics.thresholds import Threshold
from propense.evaluation.records import (
    AVERAGE,
    NETWORK,
    RIVALS,
    Champion,
    Difference,
    ModelMetrics,
    number,
    to_interval,
)
from propense.schemas import Doubles


def describe_models(
    statistics: Mapping[str, Statistic],
    values: Mapping[str, Doubles],
    replicates: Mapping[str, Doubles],
    thresholds: Mapping[str, Threshold | None],
) -> list[ModelMetrics]:
    """Every model's metrics with intervals; names that start with rate_bin are left out."""
    described = []
    for model, statistic in statistics.items():
        metrics = {}
        for name in statistic.names:
            if name.startswith("rate_bin"):
                continue
            metrics[name] = to_interval(estimate(statistic, name, values[model], replicates[model]))
        threshold = thresholds.get(model)
        described.append(
            ModelMetrics(
                model=model,
                metrics=metrics,
                threshold=None if threshold is None else threshold.value,
            )
        )
    return described


def pairs_to_compare(champion: Champion, models: Iterable[str]) -> list[tuple[str, str]]:
    """The network with every rival; the champion with the network and the base rate, with the best
    rivals where it is one, with every rival where it is the average."""
    rivals = [model for model in models if model not in (NETWORK, AVERAGE)]
    pairs = [(NETWORK, rival) for rival in rivals]
    if champion.kind == "average":
        pairs += [(AVERAGE, other) for other in (NETWORK, *rivals)]
    elif champion.model != NETWORK:
        others = [NETWORK, champion.rival, *(m for m in (RIVALS, champion.base) if m in rivals)]
        pairs += [(champion.model, m) for m in others if m is not None and m != champion.model]
    return list(dict.fromkeys(pairs))


def take_differences(
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[str],
    statistics: Mapping[str, Statistic],
    values: Mapping[str, Doubles],
    replicates: Mapping[str, Doubles],
    chance: Mapping[str, Chance] | None = None,
) -> list[Difference]:
    """Model minus rival of each metric, within each resample.

    `chance` model -> that of its training, which widens its intervals against rivals.
    """
    entries = []
    for model, rival in pairs:
        for metric in metrics:
            estimated = estimate_difference(
                (statistics[model], statistics[rival]),
                metric,
                (values[model], values[rival]),
                (replicates[model], replicates[rival]),
            )
            ends = estimated.low, estimated.high
            if chance is not None and model in chance and rival not in chance:
                ends = chance[model].widen(metric, estimated.value, ends)
            entries.append(
                Difference(
                    metric=metric,
                    model=model,
                    rival=rival,
                    value=number(estimated.value),
                    low=number(ends[0]),
                    high=number(ends[1]),
                )
            )
    return entries


@dataclass(frozen=True)
class Chance:
    """What the chance of training adds to the error of a model that averages several trainings.

    Initial weights and the order of the data differ among them, so their spread on the same test
    rows estimates it (Bouthillier et al. 2021, Accounting for variance in machine learning
    benchmarks).
    """

    n: int
    """Number of trainings."""
    errors: Mapping[str, float]
    """Metric -> standard error of the mean of so many trainings."""

    def widen(self, metric: str, value: float, ends: tuple[float, float]) -> tuple[float, float]:
        """An interval with both errors in it, by the t quantile of Welch and Satterthwaite."""
        error = self.errors.get(metric, 0.0)
        if not error > 0 or not np.isfinite(ends).all():
            return ends
        low, high = (_widen(abs(value - end), error, self.n - 1) for end in ends)
        return value - low, value + high


def measure_chance(
    trainings: Sequence[Statistic], n_users: int, metrics: Sequence[str]
) -> Chance | None:
    """The chance of training, from each training's own statistic; None with fewer than two."""
    if len(trainings) < 2:
        return None
    values = np.stack([measure(statistic, n_users) for statistic in trainings])
    spread = values.std(axis=0, ddof=1) / np.sqrt(len(trainings))
    names = trainings[0].names
    return Chance(len(trainings), {name: float(spread[names.index(name)]) for name in metrics})


_FREEDOM: Final = np.array([1, 2, 3, 4, 5, 7, 10, 20, 40, 1e9])
_QUANTILES: Final = np.array([12.706, 4.303, 3.182, 2.776, 2.571, 2.365, 2.228, 2.086, 2.021, Z])
"""Student's t at 97.5 %; between them straight in 1 / degrees of freedom, within half a per cent
from 2 on."""


def _widen(reach: float, error: float, freedom: int) -> float:
    own, added = (reach / Z) ** 2, error**2
    degrees = (own + added) ** 2 / (added**2 / freedom)
    quantile = np.exp(np.interp(-1 / degrees, -1 / _FREEDOM, np.log(_QUANTILES)))
    return float(quantile * np.sqrt(own + added))
