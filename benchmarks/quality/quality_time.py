"""Global time split: everything before a moment is learned from, what comes after is asked.

Examples with the settings of their own folder, and the education platform, against every rival of
the report; the differences are paired, by bootstrap over customers.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from benchmarks.harness.example_runs import ExampleRun, prepare
from benchmarks.harness.result_tables import Mean, machine, markdown
from benchmarks.proof import BIN, measure
from benchmarks.quality.quality_runs import OUT, Part, Run, title
from propense.evaluation.records import (
    NETWORK,
    Difference,
    GoalReport,
    Interval,
    RankingReport,
)
from propense.evaluation.report.storage import report_from_json

TIMED = {
    "online_retail": ("online_retail", "propense.toml"),
    "ml-1m": ("ml-1m", "timed.toml"),
    "ml-100k": ("ml-100k", "propense.toml"),
}
EDUCATION = "education"
METRICS = {
    "binary": ("auc", "log_loss", "calibration_error"),
    "value": ("gini_normalised", "spearman", "total_ratio"),
    "items": ("ndcg_at_10", "recall_at_10"),
}
PAIRED = {"binary": "log_loss", "value": "gini_normalised", "items": "ndcg_at_10"}
PROTOCOL = (
    "Split by time, nothing later is learned from. In brackets: 95 % by bootstrap over customers; "
    "the last column is paired, row by row.\n"
)
DEMO = (
    "With the settings of `propense demo`, made to end in minutes: size small, little time to "
    "train, few rows and trials for the rivals.\n"
)


def parts() -> dict[str, Part]:
    """One a data set."""
    examples = {name: partial(_run_example, *where) for name, where in TIMED.items()}
    runs = {**examples, EDUCATION: _run_education}
    return {f"{name}-by-time": Part(1, run, partial(page, name)) for name, run in runs.items()}


def _run_example(data: str, settings: str, seed: int, more: tuple[str, ...]) -> Run:
    prepare(data, folder := OUT / "work" / f"{data}-timed-{seed}")
    example = ExampleRun(folder, (f"train.seed={seed}", *more), settings=settings)
    done = example.propense("run", "--until", "evaluate")
    task = _keep(folder / example.run / "evaluation" / "report.json")
    shutil.rmtree(folder)
    return {"seconds": done.seconds, "peak_mb": done.peak_mb, "machine": machine(), **task}


def _run_education(seed: int, more: tuple[str, ...]) -> Run:
    """The platform of `propense demo`, 100,000 customers."""
    if more:
        raise SystemExit("propense demo has settings of its own; leave --set out for this part")
    folder = OUT / "work" / EDUCATION
    done = measure(BIN / "propense", "demo", "--folder", folder, "--no-open", "--quiet")
    if done.code:
        raise RuntimeError(f"propense demo ended with {done.code}: {done.tail}")
    task = _keep(next(folder.glob("runs/*/evaluation/report.json")))
    shutil.rmtree(folder)
    return {"seconds": done.seconds, "peak_mb": done.peak_mb, "machine": machine(), **task}


def _keep(file: Any) -> dict[str, Any]:
    """Metrics, differences of the network and verdict of every question of a report."""
    report = report_from_json(file)
    questions = [(goal.name, goal.kind, goal) for goal in report.goals]
    judged: list[tuple[str, str, GoalReport | RankingReport]] = [*questions]
    if report.ranking is not None:
        judged.append(("next item", "items", report.ranking))
    return {
        "questions": [
            {
                "name": name, "kind": kind, "n_rows": task.n_rows, "n_users": task.n_users,
                "champion": task.champion.model, "verdict": task.verdict.headline.en,
                "models": {
                    entry.model: {
                        metric: msgspec.to_builtins(entry.metrics[metric])
                        for metric in METRICS[kind]
                    }
                    for entry in task.models
                },
                "differences": [
                    msgspec.to_builtins(difference) for difference in task.differences
                    if difference.model == NETWORK and difference.metric == PAIRED[kind]
                ],
            }
            for name, kind, task in judged
        ]
    }  # fmt: skip


def page(name: str, runs: Sequence[Run]) -> str:
    """A table a question."""
    (one,) = runs
    written = [title(f"{name}, by time", runs), PROTOCOL]
    if name == EDUCATION:
        written.append(DEMO)
    for question in one["questions"]:
        differences = {
            task["rival"]: msgspec.convert(task, Difference) for task in question["differences"]
        }
        metrics = METRICS[question["kind"]]
        rows = [
            [
                model,
                *(_format(msgspec.convert(task[metric], Interval)) for metric in metrics),
                _format(differences[model]) if model in differences else None,
            ]
            for model, task in question["models"].items()
        ]
        head = ["model", *metrics, f"network minus it: {PAIRED[question['kind']]}"]
        heading = (
            f"**{question['name']}**: {question['n_rows']:,} test rows of "
            f"{question['n_users']:,} customers. {question['verdict']} Serves, by validation: "
            f"{question['champion']}.\n"
        )
        written += [heading, markdown(head, rows), ""]
    return "\n".join(written).rstrip()


def _format(task: Interval | Difference) -> str | None:
    if task.value is None:
        return None
    return Mean(task.value, task.low, task.high, 1).format()
