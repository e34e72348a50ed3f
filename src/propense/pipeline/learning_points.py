"""The learning curve: the customer network again on shares of the data and at other sizes.

RUN/curve/SIZE-SHARE.json           a finished point, with what it was made from
RUN/curve/SIZE-SHARE.safetensors    its answers on test as sums by customer
RUN/curve/SIZE-SHARE/               the training of a point not yet finished
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from safetensors.numpy import load_file

from propense.encoding.dataset import Dataset
from propense.encoding.storage import save_arrays
from propense.evaluation.formats import format_percent
from propense.evaluation.judging.learning_curve import (
    compare_with_own,
    judge_goal_task,
    judge_items_task,
)
from propense.evaluation.judging.learning_words import describe_data, describe_depth
from propense.evaluation.kinds import KINDS, GoalKind
from propense.evaluation.records import LearningCurve, LearningPoint, LearningTask
from propense.files import replace_file
from propense.models.shape import DIALS, GOALS_GRAPH, NEXT_ITEM_GRAPH
from propense.pipeline.scoring import ModelSet, score_goals, score_rankings
from propense.progress import Progress
from propense.schemas import FIRST_KNOWN, TRAIN, Doubles
from propense.settings import Settings
from propense.training.customer_model import (
    CustomerModel,
    fit_customer_model,
    open_model,
    read_notes,
)
from propense.training.downweighting import find_successes
from propense.training.shaping import derive_shape
from propense.training.subsample import draw_users, take_share
from propense.words import Text, format_text

Size = Literal["small", "base", "large"]
SHARES: Final = (0.1, 0.25, 0.5, 1.0)
SENTENCE: Final = "Train on shares of the data and at other sizes: would more of either help?"


@dataclass(frozen=True)
class Plan:
    """One point to be made."""

    share: float
    size: Size
    own: bool

    @property
    def name(self) -> str:
        return f"{self.size}-{round(100 * self.share)}"

    @property
    def words(self) -> str:
        """For the progress bar."""
        return f"{self.size}, {format_percent(self.share)} of the customers"


class StoredPoint(msgspec.Struct, frozen=True):
    """A finished point on disk."""

    inputs_hash: str
    point: LearningPoint


Sums = dict[str, Doubles]
"""Task key -> sums by customer of test."""


def make_curve(
    dataset: Dataset,
    settings: Settings,
    trained: Path,
    folder: Path,
    inputs_hash: str,
    progress: Progress,
) -> LearningCurve:
    """Every point, the finished ones read from `folder`, and what they say together.

    `trained` is the folder of the run's own network, `inputs_hash` that of the encoded data. A
    point that was stopped continues from its last checkpoint.
    """
    plans, notes = plan_points(dataset, settings)
    # Every point averages as many networks as the run, or shares would differ in two ways.
    shape = derive_shape(dataset, settings)
    n_networks = shape.ensemble * shape.packed
    model = msgspec.structs.replace(settings.model, ensemble=n_networks)
    settings = msgspec.structs.replace(settings, model=model, tuning=None)
    own = read_notes(trained)
    if own.transferred is not None:
        notes.append(format_text("curve.warm_own"))
    dials = own.dials
    settings = settings if dials is None else dials.applied_to(settings)
    points: list[LearningPoint] = []
    sums: dict[str, Sums] = {}
    task = "learning curve"
    progress.start(task, len(plans))
    for plan in plans:
        progress.advance(task, 0, plan.words)
        point_hash = inputs_hash_of(plan, settings, trained, inputs_hash)
        evaluated = read_point(folder, plan.name, point_hash)
        if evaluated is None:
            working = folder / plan.name
            evaluated = _make_point(plan, dataset, settings, trained, working, progress, point_hash)
            write_point(folder, plan.name, point_hash, *evaluated)
            shutil.rmtree(working, ignore_errors=True)
        points.append(evaluated[0])
        sums[plan.name] = evaluated[1]
        progress.advance(task, 1, plan.words)
    progress.finish(task)
    kinds: dict[str, GoalKind | None] = {
        f"goal {goal.name}": KINDS[goal.kind] for goal in dataset.plan.goals
    }
    kinds["items"] = None
    rng = np.random.default_rng([settings.train.seed, 6])
    resamples = settings.evaluate.resamples
    compared = compare_with_own(points, sums, kinds, resamples, rng)
    curve = LearningCurve(points=compared, notes=notes, resamples=resamples)
    return msgspec.structs.replace(
        curve, data=describe_data(curve.shares()), depth=describe_depth(curve.sizes())
    )


def plan_points(dataset: Dataset, settings: Settings) -> tuple[list[Plan], list[Text]]:
    """The points by share, then by size, and what is left out with its reason."""
    own: Size = settings.model.size
    notes = []
    shares = []
    for share in SHARES:
        if share == 1 or _teaches(dataset, share, settings.train.seed):
            shares.append(share)
        else:
            notes.append(format_text("curve.nothing_to_learn", share=format_percent(share)))
    sizes = list(DIALS) if dataset.histories.n_events else [own]
    if dataset.plan.folds is not None:
        notes.append(format_text("curve.first_fold"))
    plans = [Plan(share, own, own=share == 1) for share in shares]
    return plans + [Plan(1.0, size, own=False) for size in sizes if size != own], notes


def _teaches(dataset: Dataset, share: float, seed: int) -> bool:
    """Whether a share has rows where there are goals, events that count where there are items."""
    drawn = draw_users(dataset, share, seed)
    rows = dataset.rows
    histories = dataset.histories
    event = np.flatnonzero(find_successes(dataset) & (histories.item >= FIRST_KNOWN))
    user = np.searchsorted(histories.offsets, event, side="right") - 1
    events = np.zeros(histories.n_users, np.bool_)
    events[user[event < dataset.train_end[user]]] = True
    lacks_rows = bool(dataset.plan.goals) and not drawn[rows.user[rows.part == TRAIN]].any()
    lacks_events = bool(events.any()) and not (events & drawn).any()
    return not (lacks_rows or lacks_events)


def inputs_hash_of(plan: Plan, settings: Settings, trained: Path, encoded: str) -> str:
    """What a point is made from; the run's own also from its weights."""
    digest = hashlib.sha256(encoded.encode())
    chosen = [
        plan.share, plan.size, settings.model, settings.train, settings.rivals.trials,
        settings.evaluate.max_rows, settings.evaluate.min_positives,
    ]  # fmt: skip
    digest.update(msgspec.json.encode(chosen, order="sorted"))
    if plan.own:
        for graph in (GOALS_GRAPH, NEXT_ITEM_GRAPH):
            for weights in sorted(trained.glob(f"network-*/{graph}.safetensors")):
                digest.update(weights.read_bytes())
        digest.update((trained / "customer_model.json").read_bytes())
    return digest.hexdigest()


def read_point(folder: Path, name: str, inputs_hash: str) -> tuple[LearningPoint, Sums] | None:
    """A finished point, or None where there is none that was made from the same things."""
    tensors = folder / f"{name}.safetensors"
    try:
        stored = msgspec.json.decode((folder / f"{name}.json").read_bytes(), type=StoredPoint)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    if stored.inputs_hash != inputs_hash or not tensors.is_file():
        return None
    return stored.point, load_file(tensors)


def write_point(
    folder: Path, name: str, inputs_hash: str, point: LearningPoint, sums: Sums
) -> None:
    """The JSON is written last and whole: it is the mark of a finished point."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").unlink(missing_ok=True)
    save_arrays(folder / f"{name}.safetensors", sums)
    content = msgspec.json.format(msgspec.json.encode(StoredPoint(inputs_hash, point)), indent=1)
    replace_file(folder / f"{name}.json", content, private=False)


def _make_point(
    plan: Plan,
    dataset: Dataset,
    settings: Settings,
    trained: Path,
    working: Path,
    progress: Progress,
    inputs_hash: str,
) -> tuple[LearningPoint, Sums]:
    if plan.own:
        model = open_model(dataset, settings, trained)
        return _evaluate_point(plan, dataset, settings, model)
    resized = msgspec.structs.replace(
        settings, model=msgspec.structs.replace(settings.model, size=plan.size)
    )
    share = dataset
    if plan.share < 1:
        share = take_share(dataset, plan.share, settings.train.seed)
    begun = working / "begun"
    if not (begun.is_file() and begun.read_text("utf-8") == inputs_hash):
        shutil.rmtree(working, ignore_errors=True)
        working.mkdir(parents=True)
        begun.write_text(inputs_hash, "utf-8")
    model = fit_customer_model(share, resized, working, Named(progress, plan.words))
    return _evaluate_point(plan, share, resized, model)


def _evaluate_point(
    plan: Plan, dataset: Dataset, settings: Settings, model: CustomerModel
) -> tuple[LearningPoint, Sums]:
    tasks, sums = [], {}
    for task, by_customer in _evaluate_tasks(dataset, settings, model):
        tasks.append(task)
        sums[task.key] = by_customer
    notes = model.notes
    point = LearningPoint(
        name=plan.name,
        share=plan.share,
        size=plan.size,
        own=plan.own,
        n_users=int(draw_users(dataset, 1.0, settings.train.seed).sum()),
        n_rows=notes.n_rows,
        n_rows_available=notes.n_rows_available,
        n_events=int((dataset.train_end - dataset.histories.offsets[:-1]).sum()),
        n_parameters=sum(
            weights.numel() for one in model.networks.goals for weights in one.parameters()
        ),
        passes=max(len(training.curves) for training in notes.trainings),
        best_pass=max(max(training.passes.values()) for training in notes.trainings),
        seconds=round(sum(training.seconds for training in notes.trainings), 3),
        cut_short=any(training.cut_short for training in notes.trainings),
        tasks=tasks,
    )
    return point, sums


def _evaluate_tasks(
    dataset: Dataset, settings: Settings, model: CustomerModel
) -> Iterator[tuple[LearningTask, Doubles]]:
    """On the rows and moments that the report judges, the same for every point."""
    alone = ModelSet(dataset, model, {}, {})
    most, seed = settings.evaluate.max_rows, settings.split.seed
    fewest = settings.evaluate.min_positives
    for scored in score_goals([alone], most, seed).values():
        yield judge_goal_task(scored.validation, scored.test, fewest)
    lists = score_rankings(alone, most, seed)
    if lists is not None:
        yield judge_items_task(*lists, fewest)


@dataclass(frozen=True)
class Named:
    """A progress whose tasks carry the name of the point."""

    progress: Progress
    name: str

    def stage(self, name: str, sentence: str) -> None:
        """Passed on."""
        self.progress.stage(name, sentence)

    def start(self, task: str, total: int | None) -> None:
        """Passed on, named."""
        self.progress.start(f"{self.name}: {task}", total)

    def advance(self, task: str, n: int = 1, note: str = "") -> None:
        """Passed on, named."""
        self.progress.advance(f"{self.name}: {task}", n, note)

    def finish(self, task: str) -> None:
        """Passed on, named."""
        self.progress.finish(f"{self.name}: {task}")
