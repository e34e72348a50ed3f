"""A synthetic world's truth beside what was found of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.encoding.batches import visible_end
from propense.evaluation.records import AVERAGE, NETWORK, Report, number
from propense.pipeline.scoring import ModelSet, ScoredGoal, rank_with
from propense.schemas import FIRST_KNOWN
from propense.worlds.truth import GOALS, Predictions, compare_with_truth

NOTE = (
    "This platform is synthetic and its truth is known. AUC_TRUTH is what the true chances "
    "themselves reach on the same rows: no model can do better but by luck."
)


def with_truth(
    report: Report, fold: ModelSet, scored_goals: dict[str, ScoredGoal], folder: Path
) -> Report:
    """The report with its truth section, where `folder` holds the truth of a world."""
    if not (folder / "propensity.parquet").is_file():
        return report
    rows: dict[str, dict[str, float]] = {}
    for judged in report.goals:
        if judged.name in GOALS:
            scored = scored_goals[judged.name]
            rival = judged.champion.rival
            for model in (NETWORK, rival):
                if model is not None and model != AVERAGE:
                    name = judged.name if model == NETWORK else f"{judged.name} ({model})"
                    rows[name] = _compare_goal(fold, scored, judged.name, model, folder)
    if report.ranking is not None and (folder / "preference.parquet").is_file():
        for model in dict.fromkeys([NETWORK, report.ranking.champion.rival]):
            if model is not None:
                name = "items" if model == NETWORK else f"items ({model})"
                rows[name] = _compare_items(fold, model, folder)
    truth = {
        name: {column: number(value) for column, value in row.items()} for name, row in rows.items()
    }
    return msgspec.structs.replace(report, truth=truth, truth_note=NOTE)


def _compare_goal(
    fold: ModelSet, scored: ScoredGoal, goal: str, model: str, folder: Path
) -> dict[str, float]:
    test = scored.test
    assert test.as_of is not None
    users = fold.dataset.histories.user_ids[test.user]
    predictions = Predictions(users, test.as_of, {goal: test.scores[model]})
    return compare_with_truth(folder, predictions)[goal]


def _compare_items(fold: ModelSet, model: str, folder: Path) -> dict[str, float]:
    """Top tens at the truth's own moments of the test part."""
    dataset = fold.dataset
    preferences = pq.read_table(folder / "preference.parquet", columns=["user_id", "as_of"])
    if dataset.plan.test_from is not None:
        late = pc.greater_equal(preferences["as_of"], dataset.plan.test_from)
        preferences = preferences.filter(late)
    index_of = {word: i for i, word in enumerate(dataset.histories.user_ids.tolist())}
    user = np.array(
        [index_of.get(word, -1) for word in preferences["user_id"].to_pylist()], np.int32
    )
    as_of = preferences["as_of"].to_numpy()[user >= 0].astype(np.int64)
    user = user[user >= 0]
    end = visible_end(dataset.histories, user, as_of)
    ranked = rank_with(fold, model, user, end, as_of, 10)
    words = np.array(["", "", *dataset.encoder.items.words], object)
    listed = words[np.where(ranked >= FIRST_KNOWN, ranked, 0)]
    predictions = Predictions(dataset.histories.user_ids[user], as_of, ranked=listed)
    return compare_with_truth(folder, predictions)["items"]
