"""The report's numbers, computed again from the live service's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from propense.evaluation.kinds import KINDS
from propense.evaluation.metrics import propensity
from propense.evaluation.metrics.ranking import (
    find_hits,
    hit_at_k,
    mrr_at_k,
    ndcg_at_k,
    recall_at_k,
)
from propense.evaluation.records import GoalReport, ModelMetrics, RankingReport
from propense.schemas import Doubles, Ids, Targets

CLOSE: Final = 1e-5
"""A live probability may differ so much from the one computed offline."""
CLOSE_TREES: Final = 1e-4
"""Likewise where trees answer, and of expected values relative to their size."""
ROUNDING: Final = 2e-5
"""A metric may differ so much from the report's, and by two rows beside a threshold."""


@dataclass(frozen=True)
class Check:
    """One number that had to be met."""

    name: str
    expected: float
    live: float
    allowed: float

    @property
    def is_met(self) -> bool:
        """Whether the live number is the expected one; two undefined numbers are alike."""
        if np.isnan(self.expected) and np.isnan(self.live):
            return True
        return bool(abs(self.expected - self.live) <= self.allowed)


def check_goal(report: GoalReport, y: Doubles, p: Doubles) -> list[Check]:
    """The served model's metrics of a goal against the report's."""
    served = _served(report.models, report.champion.model)
    allowed = ROUNDING + 2 / max(len(y), 1)
    kind = KINDS[report.kind]
    measured = kind.measure_served(y, p)
    if report.confusion is None:
        allowed *= kind.rounding_scale(y)
        return [
            _check(report.name, served, name, value, allowed) for name, value in measured.items()
        ]
    table = propensity.confusion(y, p, report.confusion.threshold.value)
    measured |= {
        "accuracy": table.accuracy, "precision": table.precision,
        "recall": table.recall, "f1": table.f1,
    }  # fmt: skip
    # One row more or less among the few predicted positives moves these further.
    few = max(min(table.tp + table.fp, table.tp + table.fn), 1)
    return [
        _check(report.name, served, name, value,
               allowed if name in ("auc", "accuracy", "log_loss") else allowed + 2 / few)
        for name, value in measured.items()
    ]  # fmt: skip


def check_lists(report: RankingReport, targets: Targets, ranked: Ids) -> list[Check]:
    """The served lists' metrics against the report's."""
    served = _served(report.models, report.champion.model)
    hits = find_hits(ranked, targets.item_offsets, targets.items)
    allowed = ROUNDING + 5 / max(len(targets), 1)
    checks = []
    for k in report.ks:
        for name, metric in (
            ("recall", recall_at_k), ("ndcg", ndcg_at_k), ("mrr", mrr_at_k), ("hit", hit_at_k),
        ):  # fmt: skip
            values = metric(hits, k)
            mean = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
            checks.append(_check("recommendations", served, f"{name}_at_{k}", mean, allowed))
    return checks


def check_answers(name: str, offline: Doubles, live: Doubles, allowed: float) -> Check:
    """The largest difference between the live and the offline answers."""
    difference = float(np.abs(offline - live).max(initial=0.0))
    return Check(f"{name}: largest difference from offline", 0.0, difference, allowed)


def _check(task: str, served: ModelMetrics, name: str, live: float, allowed: float) -> Check:
    reported = served.metrics.get(name)
    value = None if reported is None else reported.value
    return Check(f"{task}: {name}", float("nan") if value is None else value, live, allowed)


def _served(models: list[ModelMetrics], model: str) -> ModelMetrics:
    return next(entry for entry in models if entry.model == model)
