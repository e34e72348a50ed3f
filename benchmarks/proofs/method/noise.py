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
HISTORIES = 10
"""Of the items of all histories."""
LOGISTIC = 24
MOST_PRAISED = 0.025
FEWEST_SERVED = 0.95


def prove() -> Proof:
    """Whole small runs."""
    return conclude(SHUFFLES, HISTORIES, LOGISTIC)


def conclude(shuffles: int, shuffled_histories: int, logistic: int) -> Proof:
    """The same with other numbers of runs."""
    judged = [*_shuffled(shuffles), *_histories(shuffled_histories)]
    wrong = [
        f"{name}: {report.champion.model}"
        for name, report in judged
        if report.champion.model != report.champion.base
    ]
    praised = [name for name, r in judged if r.verdict.outcome in ("better", "together")]
    served = Counter(
        linear_table(seed).report(seed).goals[0].champion.model for seed in range(logistic)
    )
    good = (
        len(praised) <= MOST_PRAISED * len(judged)
        and len(wrong) <= (1 - FEWEST_SERVED) * len(judged)
        and 2 * served["logistic"] > logistic
    )
    figure = (
        f"of {len(judged)} null runs {len(praised)} praise the network, {len(wrong)} serve more "
        f"than the base ({', '.join(wrong)}); logistic world: "
        + ", ".join(f"{model} {n}" for model, n in served.most_common())
    )
    limit = "praised at most 2.5 %, base in at least 95 %, logistic in more than half"
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, limit)


def _shuffled(n: int) -> Iterator[tuple[str, GoalReport]]:
    for name, make in tables().items():
        table = make()
        for seed in range(n):
            report = table.shuffled(np.random.default_rng(seed)).report(seed)
            yield f"{name} {seed}", report.goals[0]


def _histories(n: int) -> Iterator[tuple[str, RankingReport]]:
    for seed in range(n):
        ranking = histories(seed, tastes=False).ranking
        assert ranking is not None
        yield f"histories {seed}", ranking
