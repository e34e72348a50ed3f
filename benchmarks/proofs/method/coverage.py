"""95 % intervals of every figure of the report, on worlds whose truth is known."""

from __future__ import annotations

from math import sqrt

import numpy as np

from benchmarks.harness.true_worlds import (
    Tally,
    amounts,
    chances,
    count_coverage,
    expectations,
    lists,
    propensities,
)
from benchmarks.proof import Proof
from propense.evaluation.metrics.amounts import Amount, amount_interval, effective_size
from propense.evaluation.metrics.scales import Estimate
from propense.schemas import Doubles

KIND = "quality"
CLAIM = (
    "95 % intervals of every figure of the report hold the truth in 92 to 98 % of samples of 500 "
    "and 2,000 rows, one or four a customer, and always their own figure; means of amounts with "
    "heavy tails do in 90 %, or have no interval"
)
REPEATS = 300
RESAMPLES = 200
LOWEST, HIGHEST = 0.92, 0.98
TAILS = 0.90
CERTAIN = 2.0
"""Standard errors of a share of `REPEATS` beyond which it is outside the bounds."""
_FEWEST = 50
"""Intervals under which a figure's share is not judged."""


def lognormal(n: int, rng: np.random.Generator) -> Doubles:
    """Amounts with the tail of ordinary baskets."""
    return rng.lognormal(0, 0.7, n)


WORLDS = {
    "chances": (
        chances, propensities, ("log_loss", "auc", "average_precision_minority", "brier"),
    ),
    "amounts": (
        amounts(lognormal, float(np.exp(0.245)), 0.4), expectations,
        ("tweedie_deviance", "gini_normalised", "spearman"),
    ),
    "lists": (chances, lists, ("ndcg_at_10",)),
}  # fmt: skip
HEAVY = {
    "lognormal 1": (1000, lambda n, rng: rng.lognormal(0, 1, n), float(np.exp(0.5))),
    "lognormal 2": (1000, lambda n, rng: rng.lognormal(0, 2, n), float(np.exp(2))),
    "Pareto 1.5": (1000, lambda n, rng: 1 + rng.pareto(1.5, n), 3.0),
    "Pareto 1.3": (300, lambda n, rng: 1 + rng.pareto(1.3, n), 1.3 / 0.3),
}


def prove() -> Proof:
    """Counts every interval; prints the figures farthest from 95 %."""
    tallies = dict(_figures())
    tails = {f"mean of {name}": _tail(name) for name in HEAVY}
    wrong = [name for name, tally in tallies.items() if _outside(tally, LOWEST, HIGHEST)]
    wrong += [name for name, tally in tails.items() if _held_or_none(tally) < TAILS]
    wrong += [name for name, tally in (tallies | tails).items() if tally.outside]
    judged = [tally.coverage for tally in tallies.values() if tally.n_intervals >= _FEWEST]
    inside = np.mean([LOWEST <= share <= HIGHEST for share in judged])
    worst = sorted(tallies, key=lambda name: -abs(tallies[name].coverage - 0.95))[:6]
    shown = "; ".join(f"{name} {_written(tallies[name])}" for name in worst)
    of_tails = "; ".join(f"{name} {_written(tally)}" for name, tally in tails.items())
    figure = (
        f"{len(judged)} figures, mean {np.mean(judged):.3f}, {inside:.0%} within {LOWEST:.0%} to "
        f"{HIGHEST:.0%}; farthest: {shown}; {of_tails}"
    )
    if wrong:
        figure = f"wrong: {', '.join(wrong)}; {figure}"
    return Proof(
        CLAIM, KIND, "fail" if wrong else "pass", figure,
        f"{LOWEST:.0%} to {HIGHEST:.0%}, give or take {CERTAIN:.0f} standard errors of {REPEATS} "
        f"samples",
    )  # fmt: skip


def _figures() -> list[tuple[str, Tally]]:
    entries = []
    for world, (draw, describe, compared) in WORLDS.items():
        for n_rows in (500, 2000):
            for each in (1, 4):
                counted = count_coverage(draw, describe, compared, n_rows, each, REPEATS, RESAMPLES)
                entries += [
                    (f"{world} {n_rows} rows, {each} a customer: {name}", tally)
                    for name, tally in counted.items()
                ]
    return entries


def _tail(name: str) -> Tally:
    n, draw, mean = HEAVY[name]
    rng, tally = np.random.default_rng(0), Tally()
    for _ in range(REPEATS):
        y = draw(n, rng)
        amount = Amount(y, np.ones(n), y != 0, effective_size(y))
        tally.add(Estimate(amount.value, *amount_interval(amount)), mean)
    return tally


def _outside(tally: Tally, low: float, high: float) -> bool:
    n = tally.n_intervals
    if n < _FEWEST:
        return False
    slack = CERTAIN * sqrt(0.95 * 0.05 / min(n, REPEATS))
    return not low - slack <= tally.coverage <= high + slack


def _held_or_none(tally: Tally) -> float:
    return (tally.held + tally.without) / (tally.n_intervals + tally.without)


def _written(tally: Tally) -> str:
    none = f", none in {tally.without}" if tally.without else ""
    return f"{tally.coverage:.3f} (below in {tally.below}, above in {tally.above}{none})"
