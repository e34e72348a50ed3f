"""How near the network came to the truth, where the data is a made world that knows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from propense.encoding.batches import visible_end
from propense.evaluation.calibration import fit_calibrator
from propense.evaluation.records import NETWORK, Number, number
from propense.pipeline.contest import Contestants, rank_with
from propense.schemas import FIRST_KNOWN, TEST, VALIDATION, Doubles, Ids
from propense.settings import Settings
from propense.worlds.truth import GOALS, Predictions, compare_with_truth

LIST_LENGTH = 10


def truth_folder(settings: Settings) -> Path | None:
    """Where the truth of a made world lies beside its settings; None for real data."""
    folder = Path(settings.folder) / "truth"
    return folder if (folder / "propensity.parquet").is_file() else None


def compare_with_world(fold: Contestants, folder: Path) -> dict[str, dict[str, Number]]:
    """The network's test answers against the true chances: a row a goal, and "items".

    See `propense.worlds.truth.compare_with_truth` for the columns.
    """
    found: dict[str, dict[str, float]] = {}
    rows = {
        part: fold.dataset.rows.take(fold.dataset.rows.part == part) for part in (VALIDATION, TEST)
    }
    answers = {part: fold.network.score_goals(fold.dataset, rows[part]) for part in rows}
    for place, goal in enumerate(fold.dataset.plan.goals):
        if goal.name not in GOALS:
            continue
        asked = {part: np.isfinite(rows[part].y[:, place]) for part in rows}
        if not all(one.any() for one in asked.values()):
            continue
        calibrator = fit_calibrator(
            answers[VALIDATION][asked[VALIDATION], place],
            rows[VALIDATION].y[asked[VALIDATION], place].astype(np.float64),
        )
        p: Doubles = calibrator.apply(answers[TEST][asked[TEST], place])
        user = rows[TEST].user[asked[TEST]]
        said = Predictions(
            fold.dataset.histories.user_ids[user], rows[TEST].as_of[asked[TEST]], {goal.name: p}
        )
        found |= compare_with_truth(folder, said)
    if fold.network.ranker is not None and (folder / "preference.parquet").is_file():
        found |= compare_with_truth(folder, _lists(fold, folder))
    return {
        name: {column: number(value) for column, value in columns.items()}
        for name, columns in found.items()
    }


def _lists(fold: Contestants, folder: Path) -> Predictions:
    """What the network would show at every test moment whose true preferences are known."""
    dataset = fold.dataset
    known = pq.read_table(folder / "preference.parquet", columns=["user_id"])["user_id"]
    told = np.isin(
        dataset.histories.user_ids.astype(str), np.unique(known.to_numpy().astype(str))
    )  # fmt: skip
    test = (dataset.rows.part == TEST) & told[dataset.rows.user]
    rows = dataset.rows.take(test)
    end = visible_end(dataset.histories, rows.user, rows.as_of)
    ranked = rank_with(fold, NETWORK, rows.user, end, LIST_LENGTH)
    return Predictions(
        dataset.histories.user_ids[rows.user], rows.as_of, ranked=_words(fold, ranked)
    )


def _words(fold: Contestants, ranked: Ids) -> np.ndarray:
    """(n_rows, k) item ids as text, "" where a list is short."""
    distinct, place = np.unique(ranked, return_inverse=True)
    words = [
        fold.dataset.encoder.items.word(int(item)) if item >= FIRST_KNOWN else ""
        for item in distinct
    ]
    return np.array(words, dtype=object)[place].reshape(ranked.shape)
