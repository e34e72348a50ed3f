"""How each goal will be answered: what `evaluate` decides and `pack` carries over."""

from __future__ import annotations

from pathlib import Path

import msgspec

from propense.evaluation.metrics.calibration import Calibrator, ValueCalibrator
from propense.evaluation.records import NETWORK, GoalReport, Report
from propense.inference.bundle import Serving
from propense.models.rivals.items.item_rival import ItemRival
from propense.pipeline.scoring import ModelSet, ScoredGoal

_FILE = "servings.json"


def write_servings(
    folder: Path, goals: list[GoalReport], scored_goals: dict[str, ScoredGoal]
) -> None:
    """Champion, calibrations and threshold of every judged goal."""
    servings = []
    for report in goals:
        scored = scored_goals[report.name]
        champion = report.champion
        rival = champion.model if champion.kind == "rival" else champion.rival
        served = {NETWORK, rival}
        calibrations = {name: fit for name, fit in scored.calibrations.items() if name in served}
        servings.append(
            Serving(
                goal=scored.test.goal,
                champion=champion.kind,
                rival=rival,
                calibrators={n: f for n, f in calibrations.items() if isinstance(f, Calibrator)},
                scales={n: f for n, f in calibrations.items() if isinstance(f, ValueCalibrator)},
                threshold=report.confusion.threshold.value if report.confusion else None,
            )
        )
    (folder / _FILE).write_bytes(msgspec.json.encode(servings))


def read_servings(folder: Path) -> list[Serving]:
    """What `write_servings` left."""
    return msgspec.json.decode((folder / _FILE).read_bytes(), type=list[Serving])


def item_champion(fold: ModelSet, report: Report) -> tuple[str, ItemRival] | None:
    """The item rival that serves the lists, None where the network does."""
    if report.ranking is None or report.ranking.champion.kind == "network":
        return None
    name = report.ranking.champion.model
    return name, fold.item_rivals[name]
