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
    Text,
)
from propense.models.shape import GOALS_GRAPH, NEXT_ITEM_GRAPH
from propense.pipeline.scoring import ModelSet, rank_with
from propense.schemas import FIRST_KNOWN, PARTS, TEST, VALIDATION, Account, RunFolder
from propense.settings import Settings
from propense.training.checkpoints import Training
from propense.training.downweighting import count_shilling
from propense.training.validation import K, Scores

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
        warnings=[*_learned_from(first), *_shilling(first, settings), *warnings],
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
    ranked = rank_with(fold, model, some.user, some.end, EXAMPLE_LIST)
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


def _learned_from(fold: ModelSet) -> list[Text]:
    notes = fold.network.notes
    said = []
    if notes.dials is not None:
        dials = notes.dials
        values = f"{dials.learning_rate:.2g}, {dials.dropout:.2f}, {dials.table_dropout:.2f}"
        said.append(
            Text(
                f"Learning rate and dropout of the sequence and tabular parts ({values}) were "
                f"chosen by {notes.trials} trials on validation.",
                f"学习率、序列部分与表格部分的 dropout（{values}）"
                f"由 {notes.trials} 次试验在验证集上选定。",
            )
        )
    if any(training.cut_short for training in notes.trainings):
        said.append(
            Text(
                "[train] max_minutes ended the training before validation said stop: with more "
                "time the network may be better.",
                "[train] max_minutes 在验证集叫停之前结束了训练：给更多时间，网络可能更好。",
            )
        )
    if notes.transferred is not None:
        report = notes.transferred
        said.append(
            Text(
                f"The network began where the run's last training on less data had ended, after "
                f"{report.passes:,} passes: {report.share:.0%} of its weights, the vectors of "
                f"{report.items:,} of {report.n_items:,} items among them.",
                f"网络从本流程上一次训练（数据较少，共 {report.passes:,} 轮）结束处开始："
                f"沿用 {report.share:.0%} 的权重，"
                f"其中包括 {report.n_items:,} 个物品中 {report.items:,} 个的向量。",
            )
        )
    if notes.n_rows == notes.n_rows_available:
        return said
    return [
        *said,
        Text(
            f"The network learned its goals from {notes.n_rows:,} of "
            f"{notes.n_rows_available:,} train rows, drawn by chance.",
            f"网络从 {notes.n_rows_available:,} 行训练数据中随机抽取 {notes.n_rows:,} 行学习目标。",
        ),
    ]


def _shilling(fold: ModelSet, settings: Settings) -> list[Text]:
    """Customers that push items, by the data set as it was before they were weighed."""
    some, much = count_shilling(Dataset.open(fold.dataset.run), settings)
    if not some:
        return []
    return [
        Text(
            f"{some:,} customers push single items more than is usual here and count less for "
            f"what is shown to others, {much:,} of them less than half ([train] trust).",
            f"{some:,} 位客户对个别物品的偏向超出常态，在推荐学习中权重降低，"
            f"其中 {much:,} 位不足一半（[train] trust）。",
        )
    ]


def _summary(settings: Settings) -> dict[str, Any]:
    """The settings a reader asks for first."""
    raw: dict[str, Any] = msgspec.to_builtins(settings)
    chosen = ("goals", "split", "recommend", "model", "train", "rivals", "evaluate", "features")
    return {name: raw[name] for name in chosen}


def capped_rows(folds: list[ModelSet], max_rows: int | None) -> list[Text]:
    """Says so where a part held more rows than were judged."""
    dataset = folds[0].dataset
    notes = []
    for part in (VALIDATION, TEST):
        moments = int((dataset.targets.part == part).sum())
        if max_rows is not None and moments > max_rows:
            notes.append(
                Text(
                    f"[evaluate] max_rows = {max_rows}: of {moments:,} {PARTS[part]} moments of "
                    f"lists, those of customers drawn by chance were judged.",
                    f"[evaluate] max_rows = {max_rows}：{PARTS[part]} 共 {moments:,} 个推荐时刻，"
                    f"随机抽取整个客户后评判。",
                )
            )
        available = int((dataset.rows.part == part).sum())
        if max_rows is not None and available > max_rows:
            notes.append(
                Text(
                    f"[evaluate] max_rows = {max_rows}: of {available:,} {PARTS[part]} rows, "
                    f"those of customers drawn by chance were judged.",
                    f"[evaluate] max_rows = {max_rows}：{PARTS[part]} 共 {available:,} 行，"
                    f"随机抽取整个客户后评判。",
                )
            )
    return notes
