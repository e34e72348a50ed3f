"""How close predictions come to the truth of a world."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.errors import SourceError
from propense.schemas import Doubles, Ints

_BINS: Final = 20_000
GOALS: Final = ("pay", "churn")


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model for customers as of given times.

    `user_id` (n,) text and `as_of` (n,) int64 seconds name the rows; `p` has one (n,) array of
    probabilities a goal; `ranked` (n, k) item ids as text, best first, "" where a list is short.
    Rows that are not in the truth are left out of the comparison.
    """

    user_id: npt.NDArray[Any]
    as_of: Ints
    p: dict[str, Doubles] = field(default_factory=dict)
    ranked: npt.NDArray[Any] | None = None


def compare_with_truth(
    truth_folder: Path | str, predictions: Predictions
) -> dict[str, dict[str, float]]:
    """How close predictions are to the truth, for each goal and for "items".

    A goal gives n, pearson and spearman with the true probability, calibration_slope (of the
    truth on the logit of the prediction; 1 is right, below 1 is over-confident), and where the
    outcomes are known auc, auc_truth (the ceiling on the same rows) and auc_to_ceiling (the part
    of the way from .5 to the ceiling). "items" gives the mean true preference captured by the
    first ten, and the same for the ideal list, for one list by popularity, and for chance.

    Raises SourceError if a file is missing, a goal is unknown or no row is in the truth.
    """
    folder = Path(truth_folder)
    result: dict[str, dict[str, float]] = {}
    if predictions.p:
        truth = _read(folder / "propensity.parquet")
        mine, theirs = _match(predictions, truth)
        for goal, p in predictions.p.items():
            if f"p_{goal}" not in truth.column_names:
                goals = [name[2:] for name in truth.column_names if name.startswith("p_")]
                raise SourceError(f"goal {goal!r} has no truth in {folder}; it has {goals}")
            outcome = truth[goal].to_numpy()[theirs] if goal in truth.column_names else None
            p_true = truth[f"p_{goal}"].to_numpy()[theirs]
            result[goal] = compare_probabilities(p[mine], p_true, outcome)
    if predictions.ranked is not None:
        result["items"] = _compare_lists(folder, predictions)
    return result


def compare_uplift(
    truth_folder: Path | str, predictions: Predictions
) -> dict[str, dict[str, float]]:
    """Pearson and Spearman correlation of predicted with true uplift, for each campaign.

    `predictions.p` has one array for each campaign; `as_of` is the time of the exposure.
    Raises SourceError as `compare_with_truth`.
    """
    truth = _read(Path(truth_folder) / "uplift.parquet")
    result = {}
    for campaign, uplift in predictions.p.items():
        part = truth.filter(pc.equal(truth["campaign"], campaign))
        mine, theirs = _match(predictions, part.rename_columns({"exposure_time": "as_of"}))
        p_true = part["uplift"].to_numpy()[theirs]
        result[campaign] = {
            "n": float(len(mine)),
            "pearson": _pearson(uplift[mine], p_true),
            "spearman": _pearson(_ranks(uplift[mine]), _ranks(p_true)),
        }
    return result


def compare_probabilities(p: Doubles, p_true: Doubles, outcome: Doubles | None) -> dict[str, float]:
    """The numbers of one goal; `outcome` is nan where it is not known yet."""
    result = {
        "n": float(len(p)),
        "pearson": _pearson(p, p_true),
        "spearman": _pearson(_ranks(p), _ranks(p_true)),
        "calibration_slope": calibration_slope(p_true, p),
    }
    settled = np.zeros(len(p), bool) if outcome is None else ~np.isnan(outcome)
    if outcome is not None and 0 < np.nansum(outcome[settled]) < settled.sum():
        result["auc"] = auc(outcome[settled], p[settled])
        result["auc_truth"] = auc(outcome[settled], p_true[settled])
        result["auc_to_ceiling"] = (result["auc"] - 0.5) / (result["auc_truth"] - 0.5)
    return result


def auc(outcome: Doubles, score: Doubles) -> float:
    """Area under the ROC curve, ties counted half.

    >>> auc(np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    positives = float(outcome.sum())
    negatives = len(outcome) - positives
    rank = _ranks(score)
    above = float(rank[outcome > 0].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def calibration_slope(target: Doubles, p: Doubles) -> float:
    """Slope of a logistic regression of `target` (outcomes or true chances) on logit(p)."""
    clipped = np.clip(p, 1e-6, 1 - 1e-6)
    x = np.log(clipped / (1 - clipped))
    spread = float(x.std())
    if spread < 1e-12:
        return float("nan")
    design = np.stack([np.ones(len(x)), (x - x.mean()) / spread])
    weight = np.zeros(2)
    for _ in range(50):
        guess = 1 / (1 + np.exp(-np.clip(weight @ design, -35, 35)))
        curve = (design * (guess * (1 - guess) + 1e-12)) @ design.T
        step = np.linalg.solve(curve, design @ (target - guess))
        weight = weight + step
        if float(np.abs(step).max()) < 1e-9:
            break
    return float(weight[1]) / spread


class Ceiling:
    """AUC of the true probabilities against the outcomes, from counts of constant size."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[int, npt.NDArray[np.int64]]] = {goal: {} for goal in GOALS}

    def add(self, table: pa.Table) -> None:
        """Count the rows of one truth table; rows without an outcome are left out."""
        for goal in GOALS:
            settled = table.filter(pc.is_valid(table[goal]))
            times = settled["as_of"].to_numpy()
            bins = np.rint(settled[f"p_{goal}"].to_numpy() * _BINS).astype(np.int64)
            outcome = settled[goal].to_numpy().astype(np.int64)
            for as_of in np.unique(times).tolist():
                here = times == as_of
                empty = np.zeros((2, _BINS + 1), np.int64)
                counts = self._counts[goal].setdefault(as_of, empty)
                np.add.at(counts, (outcome[here], bins[here]), 1)

    def auc(self) -> dict[str, float]:
        """AUC over all times together, for each goal."""
        return {
            goal: _auc_of_counts(sum(counts.values(), np.zeros((2, _BINS + 1), np.int64)))
            for goal, counts in self._counts.items()
        }

    def by_time(self) -> dict[str, dict[str, float]]:
        """goal -> as_of (seconds, as text) -> AUC."""
        return {
            goal: {str(as_of): round(_auc_of_counts(each), 6) for as_of, each in counts.items()}
            for goal, counts in self._counts.items()
        }


def _auc_of_counts(counts: npt.NDArray[np.int64]) -> float:
    negatives, positives = counts.astype(np.float64)
    if negatives.sum() == 0 or positives.sum() == 0:
        return float("nan")
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum() / (positives.sum() * negatives.sum()))


def _compare_lists(folder: Path, predictions: Predictions) -> dict[str, float]:
    truth = _read(folder / "preference.parquet")
    n_courses = int(json.loads((folder / "world.json").read_text(encoding="utf-8"))["n_courses"])
    mine, theirs = _match(predictions, truth)
    items = pc.dictionary_encode(truth["items"].combine_chunks().flatten())
    n_listed = len(items) // len(truth)
    words = {word: index for index, word in enumerate(items.dictionary.to_pylist())}
    truth_items = items.indices.to_numpy().reshape(len(truth), n_listed)[theirs]
    p = truth["p"].combine_chunks().flatten().to_numpy().reshape(len(truth), n_listed)[theirs]
    ranked = np.asarray(predictions.ranked)[mine][:, :10]
    distinct, index = np.unique(ranked.astype(str), return_inverse=True)
    code = np.array([words.get(word, -1) for word in distinct.tolist()])[index]
    code = code.reshape(ranked.shape)
    total = np.bincount(truth_items.ravel(), p.ravel(), len(words))
    popular = np.tile(np.argsort(-total, kind="stable")[:10], (len(p), 1))
    return {
        "n": float(len(p)),
        "captured_at_10": _captured(code, truth_items, p),
        "ideal": float(p[:, :10].sum(axis=1).mean()),
        "popularity": _captured(popular, truth_items, p),
        "random": 10 / n_courses,
    }


def _captured(code: Ints, truth_items: Ints, p: Doubles) -> float:
    """Mean over rows of the true probability of the listed items; an item counts once a list."""
    total = np.zeros(len(p))
    for index in range(code.shape[1]):
        item = code[:, index : index + 1]
        again = (code[:, :index] == item).any(axis=1) if index else np.zeros(len(p), bool)
        total += np.where(again, 0.0, ((truth_items == item) * p).sum(axis=1))
    return float(total.mean())


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise SourceError(f"truth file {path} does not exist; generate the world first")
    return pq.read_table(path)


def _match(predictions: Predictions, truth: pa.Table) -> tuple[Ints, Ints]:
    """Row numbers of predictions and of truth with the same user and time."""
    n = len(predictions.user_id)
    for name, values in (("as_of", predictions.as_of), *predictions.p.items()):
        if len(values) != n:
            raise SourceError(f"predictions: {name!r} has {len(values)} rows, user_id has {n}")
    predicted = pa.table(
        {
            "user_id": pa.array(predictions.user_id, pa.string()),
            "as_of": pa.array(predictions.as_of, pa.int64()),
            "mine": np.arange(n),
        }
    )
    true = pa.table(
        {"user_id": truth["user_id"], "as_of": truth["as_of"], "theirs": np.arange(len(truth))}
    )
    both = predicted.join(true, ["user_id", "as_of"], join_type="inner").sort_by("mine")
    if len(both) == 0:
        first = f"{predictions.user_id[0]} at {predictions.as_of[0]}" if n else "none"
        raise SourceError(
            f"no prediction is in the truth (predictions begin with {first}, the "
            f"truth with {truth['user_id'][0]} at {truth['as_of'][0]}); "
            "as_of must be on the weekly grid"
        )
    return both["mine"].to_numpy(), both["theirs"].to_numpy()


def _pearson(a: Doubles, b: Doubles) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else float("nan")


def _ranks(values: Doubles) -> Doubles:
    """1-based ranks, ties sharing their mean."""
    _, index, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Doubles = (np.cumsum(count) - (count - 1) / 2)[index]
    return ranks
