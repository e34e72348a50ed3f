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
from propense.evaluation.judging.goals import report_from_json
from propense.evaluation.records import (
    NETWORK,
    Difference,
    GoalReport,
    Interval,
    RankingReport,
)

TIMED = {
    "online_retail": ("online_retail", "propense.toml"),
    "ml-1m": ("ml-1m", "timed.toml"),
    "ml-100k": ("ml-100k", "propense.toml"),
}
EDUCATION = "education"
METRICS = {
    "binary": ("auc", "log_loss", "ece_equal_mass"),
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
    prepare(data, place := OUT / "work" / f"{data}-timed-{seed}")
    example = ExampleRun(place, (f"train.seed={seed}", *more), settings=settings)
    done = example.propense("run", "--until", "evaluate")
    found = _keep(place / example.run / "evaluation" / "report.json")
    shutil.rmtree(place)
    return {"seconds": done.seconds, "peak_mb": done.peak_mb, "machine": machine(), **found}


def _run_education(seed: int, more: tuple[str, ...]) -> Run:
    """The platform of `propense demo`, 100,000 customers."""
    if more:
        raise SystemExit("propense demo has settings of its own; leave --set out for this part")
    place = OUT / "work" / EDUCATION
    done = measure(BIN / "propense", "demo", "--folder", place, "--no-open", "--quiet")
    if done.code:
        raise RuntimeError(f"propense demo ended with {done.code}: {done.tail}")
    found = _keep(next(place.glob("runs/*/evaluation/report.json")))
    shutil.rmtree(place)
    return {"seconds": done.seconds, "peak_mb": done.peak_mb, "machine": machine(), **found}


def _keep(file: Any) -> dict[str, Any]:
    """Of a report: every question's metrics, differences of the network and verdict."""
    report = report_from_json(file)
    questions = [(goal.name, goal.kind, goal) for goal in report.goals]
    judged: list[tuple[str, str, GoalReport | RankingReport]] = [*questions]
    if report.ranking is not None:
        judged.append(("next item", "items", report.ranking))
    return {
        "questions": [
            {
                "name": name, "kind": kind, "n_rows": found.n_rows, "n_users": found.n_users,
                "champion": found.champion.model, "verdict": found.verdict.headline.en,
                "models": {
                    entry.model: {
                        metric: msgspec.to_builtins(entry.metrics[metric])
                        for metric in METRICS[kind]
                    }
                    for entry in found.models
                },
                "differences": [
                    msgspec.to_builtins(difference) for difference in found.differences
                    if difference.model == NETWORK and difference.metric == PAIRED[kind]
                ],
            }
            for name, kind, found in judged
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
            found["rival"]: msgspec.convert(found, Difference) for found in question["differences"]
        }
        metrics = METRICS[question["kind"]]
        rows = [
            [
                model,
                *(_tell(msgspec.convert(found[metric], Interval)) for metric in metrics),
                _tell(differences[model]) if model in differences else None,
            ]
            for model, found in question["models"].items()
        ]
        head = ["model", *metrics, f"network minus it: {PAIRED[question['kind']]}"]
        said = (
            f"**{question['name']}**: {question['n_rows']:,} test rows of "
            f"{question['n_users']:,} customers. {question['verdict']} Serves, by validation: "
            f"{question['champion']}.\n"
        )
        written += [said, markdown(head, rows), ""]
    return "\n".join(written).rstrip()


def _tell(found: Interval | Difference) -> str | None:
    if found.value is None:
        return None
    return Mean(found.value, found.low, found.high, 1).tell()
