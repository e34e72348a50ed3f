"""Traditional machine learning on the same parts and the same encodings as the network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from propense.encoding.dataset import Dataset
from propense.encoding.design import MAX_LEVELS
from propense.evaluation.records import MAJORITY, POPULARITY, RivalNote
from propense.models.rivals.goal_rival import GoalRival, load_goal_rival
from propense.models.rivals.goals.fitting import fit_goal_rival, fitter_of
from propense.models.rivals.goals.problem import RivalSetup
from propense.models.rivals.item_loading import load_item_rival
from propense.models.rivals.item_rivals import fit_item_rival
from propense.models.rivals.items.item_rival import ItemRival
from propense.models.rivals.notes import RivalNotes
from propense.pipeline.scoring import ModelSet, draw_rows, is_raw
from propense.progress import Progress
from propense.schemas import TRAIN, VALIDATION, GoalPlan
from propense.settings import Settings
from propense.training.customer_model import item_setup
from propense.training.thread_pool import run_in_threads
from propense.training.train import set_threads

MEMBERS = 4
"""Averaged models of a rival whose fit has chance in it: as honest as the network's members."""
MOST_AT_ONCE = 4
MOST_RERANKED = 200_000
"""Items of a catalogue whose candidates are still found within hours."""
"""Each may hold a matrix of a gigabyte; threads beyond these are shared among them."""
TUNED_ON = 25_000
"""Validation rows at most that settings are chosen on."""


def fit_rivals(dataset: Dataset, settings: Settings, folder: Path, progress: Progress) -> None:
    """Fit every goal rival and item rival; each ends in a folder of its own.

    Several are fitted at a time, one a core: most of them cannot use a second. A rival that
    is already there, from a run that was stopped, is not fitted again.
    """
    fits = [*_goal_fits(dataset, settings, folder), *_item_fits(dataset, settings, folder)]
    threads = set_threads(settings.train.threads)
    at_once = max(1, min(len(fits), threads, MOST_AT_ONCE))
    share = threads // at_once

    def make(fit: Fit, halted: threading.Event) -> None:
        progress.advance("rivals", 0, fit.name)
        fit.make(share)
        progress.advance("rivals", 1, fit.name)

    progress.start("rivals", len(fits))
    with threadpool_limits(share):
        run_in_threads([partial(make, fit) for fit in fits], at_once, threads)
    progress.finish("rivals")


@dataclass(frozen=True)
class Fit:
    """One rival to be fitted, by so many threads."""

    name: str
    make: Callable[[int], None]


def _item_fits(dataset: Dataset, settings: Settings, folder: Path) -> Iterator[Fit]:
    if settings.recommend is None or not len(dataset.targets):
        return
    setup, targets = item_setup(dataset, settings), dataset.list_targets(VALIDATION)

    def make(name: str, rival_folder: Path, threads: int) -> None:
        fit_item_rival(
            name, dataset.histories, dataset.train_end, dataset.encoder.items.size, setup, targets,
            dataset.weight,
        ).save(rival_folder)  # fmt: skip

    for name in _with_base(POPULARITY, settings.rivals.items):
        rival_folder = folder / "items" / name
        # Where nobody takes an item again, what was taken says only what to leave out.
        if name == "frequency" and not dataset.encoder.repeat:
            continue
        if name in ("popular_now", "reranker") and not dataset.histories.timed:
            continue
        if name == "reranker" and dataset.encoder.items.size > MOST_RERANKED:
            continue
        if not (rival_folder / "items.safetensors").exists():
            yield Fit(name, partial(make, name, rival_folder))


def _goal_fits(dataset: Dataset, settings: Settings, folder: Path) -> Iterator[Fit]:
    if not dataset.plan.goals:
        return
    rng = np.random.default_rng([settings.split.seed, 4])
    # As wide as a matrix gets: words become a column each.
    names = dataset.encoder.numeric_names
    width = len(names) + sum(min(size, MAX_LEVELS) for size in dataset.encoder.cardinalities)
    wanted = _with_base(MAJORITY, settings.rivals.goals)
    rows = {name: settings.rivals.rows_of(name, width) for name in wanted}
    most = max(rows.values())
    train = draw_rows(dataset.rows, TRAIN, most, rng)
    validation = draw_rows(dataset.rows, VALIDATION, TUNED_ON, rng)
    made = dataset.features_of(train), dataset.features_of(validation)
    raw = dataset.raw_features_of(train), dataset.raw_features_of(validation)

    def make(number: int, goal: GoalPlan, name: str, rival_folder: Path, threads: int) -> None:
        setup = RivalSetup(
            kind=goal.kind,
            bins=None if is_raw(name) else dataset.encoder.bins,
            trials=settings.rivals.trials,
            max_rows=rows[name],
            rows_available=int((dataset.rows.part == TRAIN).sum()),
            seed=settings.train.seed,
            row_seed=settings.split.seed,
            threads=threads,
            members=MEMBERS,
        )
        features = raw if is_raw(name) else made
        fit_goal_rival(
            name, features[0], train.y[:, number], features[1],
            validation.y[:, number], setup, train.user,
        ).save(rival_folder)  # fmt: skip

    for number, goal in enumerate(dataset.plan.goals):
        for name in wanted:
            rival_folder = folder / "goals" / goal.name / name
            if not (rival_folder / "model.onnx").exists():
                # Loads the library, here where there is but one thread.
                fitter_of(name)
                yield Fit(
                    f"{name} for {goal.name}", partial(make, number, goal, name, rival_folder)
                )


def _with_base(base: str, names: Iterable[str]) -> list[str]:
    """What every other model has to beat is always there, whatever [rivals] names."""
    return list(dict.fromkeys([*names, base]))


def open_rivals(folder: Path) -> tuple[dict[str, dict[str, GoalRival]], dict[str, ItemRival]]:
    """What `fit_rivals` left: goal -> name -> rival, and item rivals by name."""
    goals = {
        goal.name: {
            rival_folder.name: load_goal_rival(rival_folder, threads=2)
            for rival_folder in sorted(goal.iterdir())
        }
        for goal in sorted((folder / "goals").glob("*"))
    }
    items = {
        rival_folder.name: load_item_rival(rival_folder)
        for rival_folder in sorted((folder / "items").glob("*"))
    }
    return goals, items


def rival_notes(folds: list[ModelSet]) -> list[RivalNote]:
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
