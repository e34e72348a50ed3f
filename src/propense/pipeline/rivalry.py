"""Traditional machine learning on the same parts and the same encodings as the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from propense.encoding.dataset import Dataset
from propense.evaluation.records import RivalNote
from propense.inference.rival import load_goal_rival
from propense.models.rivals.goal_rival import GoalRival
from propense.models.rivals.goals import fit_goal_rival
from propense.models.rivals.item_rivals import fit_item_rival, load_item_rival
from propense.models.rivals.items import ItemRival
from propense.models.rivals.notes import RivalNotes
from propense.models.rivals.problem import RivalSetup
from propense.pipeline.contest import Contestants, draw_rows, is_raw
from propense.progress import Progress
from propense.schemas import TRAIN, VALIDATION
from propense.settings import Settings
from propense.training.learned import item_setup

MEMBERS = 4
"""Averaged models of a rival whose fit has chance in it: as honest as the network's members."""
TUNED_ON = 25_000
"""Validation rows at most that settings are chosen on."""


def fit_rivals(dataset: Dataset, settings: Settings, folder: Path, progress: Progress) -> None:
    """Fit every goal rival and item rival; each ends in a folder of its own.

    A rival that is already there, from a run that was stopped, is not fitted again.
    """
    goals, items = settings.rivals.goals, settings.rivals.items
    total = len(dataset.plan.goals) * len(goals) + len(items)
    progress.start("rivals", total)
    if dataset.plan.goals and goals:
        _fit_goals(dataset, settings, folder, progress)
    if settings.recommend is not None and len(dataset.targets):
        for name in items:
            progress.advance("rivals", 0, name)
            place = folder / "items" / name
            if not (place / "items.safetensors").exists():
                fit_item_rival(
                    name, dataset.histories, dataset.train_end, dataset.encoder.items.size,
                    item_setup(dataset, settings), dataset.targets.of_part(VALIDATION),
                ).save(place)  # fmt: skip
            progress.advance("rivals", 1, name)
    progress.finish("rivals")


def _fit_goals(dataset: Dataset, settings: Settings, folder: Path, progress: Progress) -> None:
    rng = np.random.default_rng([settings.train.seed, 4])
    train = draw_rows(dataset.rows, TRAIN, settings.rivals.max_rows, rng)
    validation = draw_rows(dataset.rows, VALIDATION, TUNED_ON, rng)
    made = dataset.features_of(train), dataset.features_of(validation)
    raw = dataset.raw_features_of(train), dataset.raw_features_of(validation)
    for number, goal in enumerate(dataset.plan.goals):
        for name in settings.rivals.goals:
            progress.advance("rivals", 0, f"{name} for {goal.name}")
            place = folder / "goals" / goal.name / name
            if not (place / "model.onnx").exists():
                setup = RivalSetup(
                    kind=goal.kind,
                    bins=None if is_raw(name) else dataset.encoder.bins,
                    trials=settings.rivals.trials,
                    max_rows=settings.rivals.max_rows,
                    seed=settings.train.seed,
                    threads=settings.train.threads or 2,
                    members=MEMBERS,
                )
                features = raw if is_raw(name) else made
                fit_goal_rival(
                    name, features[0], train.y[:, number], features[1],
                    validation.y[:, number], setup, train.user,
                ).save(place)  # fmt: skip
            progress.advance("rivals", 1, f"{name} for {goal.name}")


def open_rivals(folder: Path) -> tuple[dict[str, dict[str, GoalRival]], dict[str, ItemRival]]:
    """What `fit_rivals` left: goal -> name -> rival, and item rivals by name."""
    goals = {
        goal.name: {
            place.name: load_goal_rival(place, threads=2) for place in sorted(goal.iterdir())
        }
        for goal in sorted((folder / "goals").glob("*"))
    }
    items = {place.name: load_item_rival(place) for place in sorted((folder / "items").glob("*"))}
    return goals, items


def rival_notes(folds: list[Contestants]) -> list[RivalNote]:
    """How each rival of the first fold was fitted, for the report."""
    first = folds[0]
    notes = [
        _note(name, goal, rival.notes)
        for goal, rivals in first.goal_rivals.items()
        for name, rival in rivals.items()
    ]
    return notes + [_note(name, None, rival.notes) for name, rival in first.item_rivals.items()]


def _note(name: str, goal: str | None, notes: RivalNotes) -> RivalNote:
    chosen = ", ".join(f"{key} = {value}" for key, value in notes.settings.items())
    return RivalNote(
        model=name, goal=goal, trials=notes.trials, rows=notes.rows,
        seconds=round(notes.seconds, 2),
        note="; ".join(part for part in (chosen, *notes.remarks) if part),
    )  # fmt: skip
