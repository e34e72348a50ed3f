"""From statistics and their resamples to records: metrics of models, paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from propense.evaluation.metrics.intervals import Statistic, estimate, estimate_difference
from propense.evaluation.metrics.thresholds import Threshold
from propense.evaluation.records import (
    AVERAGE,
    MAJORITY,
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
    """The network with every rival; the champion with network, best rivals and base rate."""
    rivals = [model for model in models if model not in (NETWORK, AVERAGE)]
    pairs = [(NETWORK, rival) for rival in rivals]
    if champion.model != NETWORK:
        others = [NETWORK, champion.rival, *(m for m in (RIVALS, MAJORITY) if m in rivals)]
        pairs += [(champion.model, m) for m in others if m is not None and m != champion.model]
    return list(dict.fromkeys(pairs))


def take_differences(
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[str],
    statistics: Mapping[str, Statistic],
    values: Mapping[str, Doubles],
    replicates: Mapping[str, Doubles],
) -> list[Difference]:
    """Model minus rival of each metric, within each resample."""
    entries = []
    for model, rival in pairs:
        for metric in metrics:
            estimated = estimate_difference(
                (statistics[model], statistics[rival]),
                metric,
                (values[model], values[rival]),
                (replicates[model], replicates[rival]),
            )
            entries.append(
                Difference(
                    metric=metric,
                    model=model,
                    rival=rival,
                    value=number(estimated.value),
                    low=number(estimated.low),
                    high=number(estimated.high),
                )
            )
    return entries
