"""Points of the pictures: gains, reliability, histogram of scores."""

from __future__ import annotations

import numpy as np

from propense.evaluation.kinds import GoalKind
from propense.evaluation.metrics.intervals import estimate
from propense.evaluation.metrics.propensity import captured_at
from propense.evaluation.metrics.propensity_statistic import PropensityStatistic
from propense.evaluation.metrics.value_statistic import ValueStatistic
from propense.evaluation.records import Bin, Curve, Histogram, number, to_interval
from propense.schemas import Doubles, Ints

GAIN_SHARES = tuple(step / 50 for step in range(51))
N_HISTOGRAM_BINS = 30


def draw_gains(model: str, y: Doubles, p: Doubles) -> Curve:
    """Share of positives (or of value, negatives counted as 0) among the best shares of rows."""
    captured = captured_at(np.maximum(y, 0), p, np.array(GAIN_SHARES))
    return Curve(model=model, x=list(GAIN_SHARES), y=[number(v) for v in captured])


def read_bins(
    statistic: PropensityStatistic | ValueStatistic,
    p: Doubles,
    measured: Doubles,
    replicates: Doubles,
) -> list[Bin]:
    """The reliability curve of a statistic made with `bins=True`, lowest prediction first.

    `measured` (n_names,), `replicates` (n_resamples, n_names) as the statistic gives them.
    """
    edges = statistic.bin_starts
    if len(edges) == 0:
        return []
    ordered = np.sort(p)[::-1]
    counts: Ints = np.diff(np.append(edges, len(p)))
    predicted = (np.add.reduceat(ordered, edges) / counts)[::-1]
    first = len(statistic.names) - len(edges)
    bins = []
    for at, n_rows in enumerate(counts[::-1]):
        observed = to_interval(
            estimate(statistic, statistic.names[first + at], measured, replicates)
        )
        bins.append(Bin(n_rows=int(n_rows), predicted=float(predicted[at]), observed=observed))
    return bins


def count_scores(y: Doubles, p: Doubles, kind: GoalKind) -> Histogram:
    """Rows by score in equal steps from 0 (or the lowest value) to the kind's top of the axis.

    The last step also holds all scores above it.
    """
    if len(p) == 0:
        return Histogram(edges=[0.0, 1.0], negatives=[0], positives=[0])
    low = min(0.0, float(p.min()))
    high = kind.top_of_axis(p)
    if high <= low:
        high = low + 1.0
    edges = np.linspace(low, high, N_HISTOGRAM_BINS + 1)
    clipped = np.clip(p, low, high)
    positives, _ = np.histogram(clipped[y > 0], edges)
    negatives, _ = np.histogram(clipped[y <= 0], edges)
    return Histogram(
        edges=edges.tolist(), negatives=negatives.tolist(), positives=positives.tolist()
    )
