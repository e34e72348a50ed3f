"""Putting the report together from what the stages left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from propense import __version__
from propense.encoding.dataset import Dataset
from propense.evaluation.records import (
    Epoch,
    Example,
    ExampleItem,
    GoalReport,
    Number,
    RankingReport,
    Report,
    RivalNote,
)
from propense.models.shape import GOALS_GRAPH, NEXT_ITEM_GRAPH
from propense.pipeline.scoring import ModelSet, most_lists, rank_targets
from propense.schemas import FIRST_KNOWN, PARTS, TEST, VALIDATION, Account, RunFolder
from propense.settings import Settings
from propense.training.checkpoints import Training
from propense.training.downweighting import count_shilling
from propense.training.validation import K, Scores
from propense.words import Text, format_text

EXAMPLES = 6
EXAMPLE_HISTORY = 8
EXAMPLE_LIST = 8


def read_accounts(run: RunFolder) -> list[Account]:
    """What cleaning did, a table each."""
    return msgspec.json.decode((run.clean / "account.json").read_bytes(), type=list[Account])


def assemble(
    folds: list[ModelSet],
    settings: Settings,
    goals: list[GoalReport],
    ranking: RankingReport | None,
    notes: list[RivalNote],
    stage_seconds: dict[str, float],
    warnings: list[Text],
) -> Report:
    """The whole report; the page, the card and report.json are made from it."""
    first = folds[0]
    # An ensemble is drawn by its first network.
    training = first.network.notes.trainings[0]
    champion = ranking.champion.model if ranking is not None else None
    return Report(
        title=settings.name or Path(settings.folder).resolve().name,
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        settings=_summary(settings),
        accounts=read_accounts(first.dataset.run),
        plan=first.dataset.plan,
        curves=[
            Epoch(
                epoch=record.epoch + 1,
                seconds=record.seconds,
                train_loss=record.train_loss,
                validation=_judged(record.validation),
                best=_best_at(record.epoch, training),
            )
            for record in training.curves
        ],
        goals=goals,
        ranking=ranking,
        examples=show_examples(first, champion) if champion is not None else [],
        rivals=notes,
        stage_seconds=stage_seconds,
        warnings=[
            *(warning.text for warning in first.dataset.plan.warnings),
            *_training_notes(first),
            *_shilling(first),
            *_constant(first),
            *warnings,
        ],
    )


def _judged(scores: Scores) -> dict[str, Number]:
    """A pass's validation scores by the names of the page's charts."""
    named: dict[str, Number] = {f"{goal} skill": skill for goal, skill in scores.skills.items()}
    return named if scores.ndcg is None else named | {f"ndcg_at_{K}": scores.ndcg}


def _best_at(epoch: int, training: Training) -> list[str]:
    """Names of the charts whose graph keeps the weights of this pass."""
    scores = training.curves[epoch].validation
    lists = [] if scores.ndcg is None else [f"ndcg_at_{K}"]
    names = {GOALS_GRAPH: [f"{goal} skill" for goal in scores.skills], NEXT_ITEM_GRAPH: lists}
    return [
        name
        for graph, best in training.passes.items()
        if best == epoch + 1
        for name in names[graph]
    ]


def show_examples(fold: ModelSet, model: str) -> list[Example]:
    """A few test customers: what came before, and what the champion would show."""
    dataset = fold.dataset
    targets = dataset.targets.of_part(TEST)
    lengths = targets.end - dataset.histories.offsets[:-1][targets.user]
    telling = np.flatnonzero(lengths >= min(3, int(lengths.max(initial=0))))
    chosen = telling[np.linspace(0, len(telling) - 1, min(EXAMPLES, len(telling))).astype(int)]
    some = targets.take(np.unique(chosen))
    if not len(some):
        return []
    ranked = rank_targets(fold, model, some, EXAMPLE_LIST)
    examples = []
    for row in range(len(some)):
        relevant = set(some.items[some.item_offsets[row] : some.item_offsets[row + 1]].tolist())
        examples.append(
            Example(
                customer=str(dataset.histories.user_ids[some.user[row]]),
                history=_history(dataset, int(some.user[row]), int(some.end[row])),
                recommended=[
                    ExampleItem(str(dataset.content.titles[item]), hit=int(item) in relevant)
                    for item in ranked[row]
                    if item >= FIRST_KNOWN
                ],
            )
        )
    return examples


def _history(dataset: Dataset, user: int, end: int) -> list[ExampleItem]:
    histories, actions = dataset.histories, dataset.encoder.actions
    begin = max(int(histories.offsets[user]), end - EXAMPLE_HISTORY)
    return [
        ExampleItem(
            str(dataset.content.titles[item]) if item >= FIRST_KNOWN else "",
            note=actions.word(int(action)) if action >= FIRST_KNOWN else "",
        )
        for item, action in zip(histories.item[begin:end], histories.action[begin:end], strict=True)
    ]


def _training_notes(fold: ModelSet) -> list[Text]:
    notes = fold.network.notes
    texts = []
    if notes.dials is not None:
        dials = notes.dials
        values = f"{dials.learning_rate:.2g}, {dials.dropout:.2f}, {dials.table_dropout:.2f}"
        texts.append(format_text("trained.dials", values=values, n=notes.trials))
    if any(training.cut_short for training in notes.trainings):
        texts.append(format_text("trained.cut_short"))
    if notes.transferred is not None:
        report = notes.transferred
        texts.append(
            format_text(
                "trained.warm_start",
                passes=f"{report.passes:,}",
                share=f"{report.share:.0%}",
                items=f"{report.items:,}",
                n_items=f"{report.n_items:,}",
            )
        )
    if notes.n_rows == notes.n_rows_available:
        return texts
    return [
        *texts,
        format_text(
            "trained.some_rows", n=f"{notes.n_rows:,}", available=f"{notes.n_rows_available:,}"
        ),
    ]


def _shilling(fold: ModelSet) -> list[Text]:
    """How many customers count less because they push items."""
    some, much = count_shilling(fold.dataset)
    if not some:
        return []
    return [format_text("trained.shilling", n=f"{some:,}", n_much=f"{much:,}")]


def _constant(fold: ModelSet) -> list[Text]:
    """Columns that nothing is learned from because they do not vary in train."""
    encoder = fold.dataset.encoder
    names = [*encoder.profile.constant, *encoder.content.constant]
    return [format_text("trained.constant", names=", ".join(names))] if names else []


def _summary(settings: Settings) -> dict[str, Any]:
    """The settings a reader asks for first."""
    raw: dict[str, Any] = msgspec.to_builtins(settings)
    chosen = ("goals", "split", "recommend", "model", "train", "rivals", "evaluate", "features")
    return {name: raw[name] for name in chosen}


def capped_rows(folds: list[ModelSet], max_rows: int | None) -> list[Text]:
    """Says so where a part held more rows than were judged."""
    dataset = folds[0].dataset
    notes = []
    lists = most_lists(dataset, max_rows)
    for part in (VALIDATION, TEST):
        for key, available, most in (
            ("capped.moments_of_part", len(dataset.list_targets(part)), lists),
            ("capped.rows_of_part", int((dataset.rows.part == part).sum()), max_rows),
        ):
            if most is not None and available > most:
                notes.append(
                    format_text(key, most=most, available=f"{available:,}", part=PARTS[part])
                )
    return notes
