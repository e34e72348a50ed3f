"""Where nothing predicts, nothing is praised and the base rate serves."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain

import numpy as np

from benchmarks.harness.method_worlds import histories, linear_table, tables
from benchmarks.proof import Proof
from propense.evaluation.judging.overall import overall_verdict
from propense.evaluation.records import GoalReport, RankingReport, Verdict
from tests.support.judging.null_worlds import RIVALS, draw_goal, report_on

KIND = "truth"
CLAIM = (
    "with shuffled labels or histories the base rate or popularity serves and nothing is praised, "
    "nor with eight questions about noise at once; "
    "where the logistic regression is the truth, it serves"
)
SHUFFLES = 20
"""Of the labels of each table."""
HISTORIES = 10
"""Of the items of all histories."""
LOGISTIC = 24
SETS = 100
"""Of eight questions about noise, answered by models that are the best of several on validation."""
MOST_WRONG = 0.05
MOST_PRAISED = 0.025
FEWEST_SERVED = 0.95


def prove() -> Proof:
    """Whole small runs."""
    return conclude(SHUFFLES, HISTORIES, LOGISTIC, SETS)


def conclude(shuffles: int, shuffled_histories: int, logistic: int, sets: int) -> Proof:
    """The same with other numbers of runs."""
    judged = []
    for name, report in chain(_shuffled(shuffles), _histories(shuffled_histories)):
        print(f"{name}: {report.champion.model}, {report.verdict.outcome}", file=sys.stderr)
        judged.append((name, report))
    wrong = [
        f"{name}: {report.champion.model}"
        for name, report in judged
        if report.champion.model != report.champion.base
    ]
    praised = [name for name, r in judged if r.verdict.outcome in ("better", "together")]
    served = Counter(
        linear_table(seed).report(seed).goals[0].champion.model for seed in range(logistic)
    )
    overall = Counter(_eight_questions(seed).outcome for seed in range(sets))
    n_wrong = sets - overall["nothing"] - overall["level"] - overall["worse"]
    good = (
        n_wrong <= MOST_WRONG * sets
        and len(praised) <= MOST_PRAISED * len(judged)
        and len(wrong) <= (1 - FEWEST_SERVED) * len(judged)
        and 2 * served["logistic"] > logistic
    )
    figure = (
        f"of {len(judged)} null runs {len(praised)} praise the network, {len(wrong)} serve more "
        f"than the base ({', '.join(wrong)}); {sets} sets of eight null goals: "
        + ", ".join(f"{outcome} {n}" for outcome, n in overall.most_common())
        + "; logistic world: "
        + ", ".join(f"{model} {n}" for model, n in served.most_common())
    )
    limit = (
        "praised at most 2.5 %, base in at least 95 %, of eight at once at most 5 %, logistic in "
        "more than half"
    )
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


def _eight_questions(seed: int) -> Verdict:
    rng = np.random.default_rng(seed)
    nothing = {"network": 0.0, **dict.fromkeys(RIVALS, 0.0)}
    goals = [report_on(draw_goal(rng, nothing, n_users=200), rng) for _ in range(8)]
    return overall_verdict(goals, None)
