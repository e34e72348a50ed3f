"""Goals, the network beside trees of three libraries: plain tables and histories.

A resampled part (telco_churn, online_shoppers, hillstrom) splits the customers 80/15/5 and trains
again with every seed. A part by folds, and one by the split of its own example, is run once.
All models read the same encodings and are calibrated on validation; those with chance in their
fit are averages of 4 members. LightGBM's settings are searched in every run, those of CatBoost
and XGBoost once a data set, by as many trials; their seconds leave that search out. TabM stands
beside the folds of the smallest table, with its authors' settings.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.harness.example_runs import ExampleRun, prepare
from benchmarks.harness.result_tables import Mean, machine, markdown, mean_of
from benchmarks.proof import measure
from benchmarks.quality.quality_runs import (
    HERE,
    OUT,
    Part,
    Run,
    interpreter,
    models_of,
    paired,
    title,
    values,
)
from propense.cli.options import Common, load_settings
from propense.encoding.dataset import Dataset
from propense.evaluation.judging.goals import judge_goal
from propense.evaluation.metrics.calibration import fit_calibrator
from propense.evaluation.records import AVERAGE, NETWORK, RIVALS
from propense.pipeline import model_sets
from propense.pipeline.rival_fitting import MEMBERS, rival_notes
from propense.pipeline.scoring import ModelSet, draw_rows, score_goals
from propense.schemas import TEST, TRAIN, VALIDATION, Doubles

RESAMPLED = ("telco_churn", "online_shoppers", "hillstrom")
OWN = ("xuetangx", "oulad")
FRACTIONS = (0.80, 0.15, 0.05)
METRICS = ("auc", "log_loss", "average_precision_minority", "calibration_error")
LIBRARIES = ("catboost", "xgboost")
TABM_TOO = ("telco_churn-folds",)
"""Where TabM is a peer too: it takes minutes a fit here, half an hour and more on hillstrom."""
TRIALS, FEWER_TRIALS = 30, 10
"""Trials of a search for settings; the smaller number is for data with histories."""
SEEDS_PROTOCOL = (
    "In brackets: 95 % of the mean over {n} splits, with the correction for parts that overlap "
    "(Nadeau & Bengio 2003)."
)
ONCE_PROTOCOL = "{rows:,} test rows; in brackets: 95 % by bootstrap over customers."
SAME = (
    "All models have the network's encodings and are calibrated on validation; boosted trees learn "
    "from at most 600,000 of its train rows (100,000 up to commit b4e9306), logistic from 100,000; "
    "LightGBM, CatBoost and XGBoost are averages of 4 members with settings of {trials} trials, "
    "searched on at most 30,000 rows: LightGBM's in every run, the others' once a data set, by "
    "the first run's validation rows, some of which later runs are tested on. TabM, where it is "
    "there, is one fit of 32 members with its authors' settings. Seconds are of "
    "training on one thread, the others' without their search; one tree fit is the mean of all "
    "of LightGBM's."
)


def parts() -> dict[str, Part]:
    """The tables split ten times, the same by folds, and examples with their own split."""

    def part(name: str, data: str, seeds: int, split: Callable[[int], tuple[str, ...]]) -> Part:
        return Part(seeds, partial(run, name, data, split), partial(page, name))

    return {
        **{data: part(data, data, 10, _resampled) for data in RESAMPLED},
        **{f"{data}-folds": part(f"{data}-folds", data, 1, _folds) for data in RESAMPLED},
        **{data: part(data, data, 1, _own) for data in OWN},
    }


def _resampled(seed: int) -> tuple[str, ...]:
    return f"split.seed={seed}", f"split.fractions={json.dumps(FRACTIONS)}"


def _folds(seed: int) -> tuple[str, ...]:
    return f"split.seed={seed}", "split.folds=5"


def _own(seed: int) -> tuple[str, ...]:
    return ()


def run(
    name: str,
    data: str,
    split: Callable[[int], tuple[str, ...]],
    seed: int,
    more: tuple[str, ...] = (),
) -> Run:
    """One run's numbers, peers included."""
    prepare(data, folder := OUT / "work" / f"{name}-{seed}")
    changes = (
        f"train.seed={seed}", *split(seed), 'rivals.goals=["lightgbm", "logistic"]',
        f"rivals.trials={_trials(data)}", "train.threads=1", *more,
    )  # fmt: skip
    example = ExampleRun(folder, changes)
    done = example.propense("run", "--until", "rivals")
    settings = load_settings(
        Common(settings=folder / "propense.toml"), (*changes, f"run={example.run}")
    )
    folds = model_sets(settings)
    (goal, scored), *_ = score_goals(folds, None, seed).items()
    scores_of = {VALIDATION: scored.validation, TEST: scored.test}
    seconds = _seconds(folds, _trials(data) + MEMBERS)
    for library in (*LIBRARIES, *(("tabm",) if name in TABM_TOO else ())):
        answers, took = _ask(library, data, folds, folder, seed)
        seconds[library] = took
        for part, measured in answers.items():
            scores_of[part].scores[library] = measured
    rng = np.random.default_rng([seed, 3])
    judged = judge_goal(
        scores_of[VALIDATION], scores_of[TEST], settings.goals[goal], settings.evaluate, rng
    )
    shutil.rmtree(folder)
    shown = [entry for entry in judged.models if entry.model not in (AVERAGE, RIVALS)]
    return {
        "data": data, "seconds": done.seconds, "peak_mb": done.peak_mb, "machine": machine(),
        "passes": [training.passes for fold in folds for training in fold.network.notes.trainings],
        "training_seconds": seconds, "n_rows": judged.n_rows, "champion": judged.champion.model,
        "verdict": judged.verdict.headline.en,
        "models": {
            entry.model: {metric: msgspec.to_builtins(entry.metrics[metric]) for metric in METRICS}
            for entry in shown
        },
        "differences": [
            msgspec.to_builtins(measured) for measured in judged.differences
            if measured.metric in METRICS and measured.model == NETWORK
        ],
    }  # fmt: skip


def _trials(data: str) -> int:
    return FEWER_TRIALS if data in OWN else TRIALS


def _seconds(folds: Sequence[ModelSet], tree_fits: int) -> dict[str, float]:
    """Seconds of training over all folds: the network, each rival, and the mean of a tree fit."""
    trainings = [one for fold in folds for one in fold.network.notes.trainings]
    measured = {NETWORK: sum(one.seconds for one in trainings)}
    for note in (note for fold in folds for note in rival_notes([fold])):
        measured[note.model] = measured.get(note.model, 0.0) + (note.seconds or 0.0)
    measured["one tree fit"] = measured["lightgbm"] / (tree_fits * len(folds))
    return {model: round(took, 2) for model, took in measured.items()}


def _ask(
    library: str, data: str, folds: Sequence[ModelSet], folder: Path, seed: int
) -> tuple[dict[int, Doubles], float]:
    """A peer's calibrated answers to the rows of `score_goals`, and seconds of its training."""
    calibrated: dict[int, list[Doubles]] = {VALIDATION: [], TEST: []}
    seconds = 0.0
    for fold in folds:
        y = _write_table(fold.dataset, folder / "table.npz")
        answers = folder / f"{library}.npz"
        done = measure(
            *_command(library, data), folder / "table.npz", answers,
            "--seed", str(seed), "--threads", "1",
        )  # fmt: skip
        if done.code:
            raise RuntimeError(f"{library} on {data} ended with {done.code}: {done.tail}")
        answer = json.loads(done.tail)
        seconds += answer["seconds_fit"] * answer["members"]
        measured = np.load(answers)
        calibrator = fit_calibrator(measured["validation"], y)
        for part, name in ((VALIDATION, "validation"), (TEST, "test")):
            calibrated[part].append(calibrator.apply(measured[name]))
    return {part: np.concatenate(pieces) for part, pieces in calibrated.items()}, round(seconds, 2)


def _command(library: str, data: str) -> tuple[Path | str, ...]:
    """The command of a peer; the settings that it searched are saved for the data set."""
    peers = HERE / "peers"
    if library == "tabm":
        return interpreter("tabm"), peers / "tabm_table.py"
    settings = OUT / "boosting" / f"{data}-{library}.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    return (
        interpreter("boosting"), peers / "boosting.py", library,
        "--settings", settings, "--trials", str(_trials(data)),
    )  # fmt: skip


def _write_table(dataset: Dataset, file: Path) -> Doubles:
    """The encoded rows of the first goal for a peer; the labels of validation."""
    # As the report's rivals have them.
    rng = np.random.default_rng([dataset.settings.train.seed, 4])
    columns: dict[str, list[Any]] = {"numeric": [], "categorical": [], "y": [], "part": []}
    most = dataset.settings.rivals.rows_of("lightgbm", len(dataset.encoder.numeric_names))
    for part in (TRAIN, VALIDATION, TEST):
        rows = draw_rows(dataset.rows, part, most if part == TRAIN else None, rng)
        rows = rows.take(np.flatnonzero(np.isfinite(rows.y[:, 0])))
        features = dataset.features_of(rows)
        columns["numeric"].append(features.numeric)
        columns["categorical"].append(features.categorical)
        columns["y"].append(rows.y[:, 0])
        columns["part"].append(np.full(len(rows), part))
    joined = {name: np.concatenate(pieces) for name, pieces in columns.items()}
    np.savez(file, **joined)
    labels: Doubles = joined["y"][joined["part"] == VALIDATION].astype(np.float64)
    return labels


def page(part: str, runs: Sequence[Run]) -> str:
    """Each model's metrics, the network's paired differences from it, what training took."""
    once = len(runs) == 1
    overlap = FRACTIONS[2] / FRACTIONS[0]
    rows: list[list[Any]] = []
    for model in models_of(runs):
        cells: list[Any] = [model]
        for metric in METRICS[:-1]:
            cells.append(
                _interval(runs[0]["models"][model][metric]).format()
                if once
                else mean_of(values(runs, model, metric), overlap).format()
            )
        cells.append(round(mean_of(values(runs, model, METRICS[-1])).value, 4))
        for metric in METRICS[:2]:
            cells.append(_difference(runs, model, metric, overlap))
        took = [one["training_seconds"][model] for one in runs if model in one["training_seconds"]]
        cells.append(round(mean_of(took).value, 1) if took else None)
        rows.append(cells)
    head = [
        "model", "AUC", "log loss", "average precision", "calibration error",
        "network minus it: AUC",
        "network minus it: log loss", "s",
    ]  # fmt: skip
    fit = mean_of([one["training_seconds"]["one tree fit"] for one in runs]).value
    ours = mean_of([one["training_seconds"][NETWORK] for one in runs]).value
    protocol = (
        ONCE_PROTOCOL.format(rows=runs[0]["n_rows"]) if once else SEEDS_PROTOCOL.format(n=len(runs))
    )
    served = ", ".join(f"{model} {n}" for model, n in _count([one["champion"] for one in runs]))
    costs = (
        f"\nOne tree fit takes {fit:.2f} s, the network {ours / fit:.0f} times as long. Best on "
        f"validation: {served}."
    )
    same = SAME.format(trials=_trials(runs[0]["data"]))
    written = [title(part, runs), f"{protocol} {same}\n", markdown(head, rows), costs]
    return "\n".join(written)


def _difference(runs: Sequence[Run], model: str, metric: str, overlap: float) -> str | None:
    """The network's metric minus the model's, with its interval."""
    if model == NETWORK:
        return None
    if len(runs) > 1:
        return mean_of(paired(runs, NETWORK, model, metric), overlap).format()
    for measured in runs[0]["differences"]:
        if (measured["metric"], measured["rival"]) == (metric, model):
            return _interval(measured).format()
    return None


def _interval(measured: dict[str, Any]) -> Mean:
    return Mean(measured["value"], measured["low"], measured["high"], 1)


def _count(words: Sequence[str]) -> list[tuple[str, int]]:
    return [(word, words.count(word)) for word in dict.fromkeys(words)]
