"""Where nothing predicts, nothing is praised and the base rate serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.harness.method_worlds import histories, linear_table, tables
from benchmarks.proof import Proof
from propense.evaluation.records import GoalReport, RankingReport

KIND = "truth"
CLAIM = (
    "with shuffled labels or histories the base rate or popularity serves and nothing is praised; "
    "where the logistic regression is the truth, it serves"
)
SHUFFLES = 20
"""Of the labels of each table."""
DEALS = 10
"""Of the items of all histories."""
LOGISTIC = 24
MOST_PRAISED = 0.025
FEWEST_SERVED = 0.95


def prove() -> Proof:
    """Whole small runs."""
    return conclude(SHUFFLES, DEALS, LOGISTIC)


def conclude(shuffles: int, deals: int, logistic: int) -> Proof:
    """The same with other numbers of runs."""
    judged = [*_shuffled(shuffles), *_dealt(deals)]
    served = Counter("base" if model.champion.model == model.champion.base else "learned"
                     for _, model in judged)  # fmt: skip
    praised = [name for name, r in judged if r.verdict.outcome in ("better", "together")]
    learned = [f"{name} {r.champion.model}" for name, r in judged
               if r.champion.model != r.champion.base]  # fmt: skip
    simple = Counter(
        linear_table(seed).report(seed).goals[0].champion.model for seed in range(logistic)
    )
    good = (
        len(praised) <= MOST_PRAISED * len(judged)
        and served["base"] >= FEWEST_SERVED * len(judged)
        and 2 * simple["logistic"] > logistic
    )
    figure = (
        f"{len(judged)} null runs: base served in {served['base']}, praised {len(praised)} "
        f"({', '.join(learned + praised) or 'none learned'}); logistic world: "
        + ", ".join(f"{model} {n}" for model, n in simple.most_common())
    )
    limit = "praised at most 2.5 %, base in at least 95 %, logistic in more than half"
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, limit)


def _shuffled(n: int) -> Iterator[tuple[str, GoalReport]]:
    for name, make in tables().items():
        table = make()
        for seed in range(n):
            report = table.shuffled(np.random.default_rng(seed)).report(seed)
            yield f"{name} {seed}", report.goals[0]


def _dealt(n: int) -> Iterator[tuple[str, RankingReport]]:
    for seed in range(n):
        ranking = histories(seed, tastes=False).ranking
        assert ranking is not None
        yield f"histories {seed}", ranking
