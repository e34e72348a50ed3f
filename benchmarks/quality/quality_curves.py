"""The learning curve of a run: what more data or a deeper network gains, and what it costs.

Training has no limit of time here, or it would decide instead of the data; the sizes are small and
base, since a large one takes hours to its end.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

import msgspec

from benchmarks.harness.example_runs import prepare
from benchmarks.harness.result_tables import machine, markdown
from benchmarks.quality.quality_runs import OUT, Part, Run, title
from propense.cli.options import apply_change
from propense.evaluation.records import LearningCurve, LearningPoint
from propense.models.shape import DIALS
from propense.pipeline import learning_curve
from propense.pipeline import run as run_pipeline
from propense.settings import parse_settings, read_toml
from propense.worlds.education.education import generate_education

CUSTOMERS = 30_000
SIZES = {size: DIALS[size] for size in ("small", "base")}
PROTOCOL = (
    "The same test customers for every point. Skill is 1 - loss / loss of the best constant "
    "answer. In brackets: 95 % of the difference from the run's own network, by paired bootstrap "
    "over customers. Seconds are of training, without the validation after each pass.\n"
)


def parts() -> dict[str, Part]:
    """One a data set."""
    worlds: dict[str, Callable[[Path], None]] = {
        "education": _make_platform, "ml-1m": partial(prepare, "ml-1m"),
    }  # fmt: skip
    return {
        f"curve-{name}": Part(1, partial(_run, name, make), partial(page, f"curve-{name}"))
        for name, make in worlds.items()
    }


def _make_platform(world: Path) -> None:
    """The platform of `propense demo`, of fewer customers, with its settings."""
    if not (world / "propense.toml").exists():
        generate_education(world, CUSTOMERS)


def _run(name: str, make: Callable[[Path], None], seed: int, more: tuple[str, ...]) -> Run:
    """A folder that a stopped run left is gone on with."""
    make(world := OUT / "work" / f"curve-{name}-{seed}")
    raw = read_toml(world / "propense.toml")
    raw["train"] = {
        key: value for key, value in raw.get("train", {}).items() if key != "max_minutes"
    } | {"seed": seed}
    raw["rivals"] = {**raw.get("rivals", {}), "goals": [], "items": ["popularity"]}
    for change in more:
        raw = apply_change(raw, change)
    settings = parse_settings(raw, folder=world)
    run_pipeline(settings, until="evaluate")
    with patch("propense.pipeline.learning_points.DIALS", SIZES):
        measured = learning_curve(settings)
    shutil.rmtree(world)
    return {"machine": machine(), "curve": msgspec.to_builtins(measured)}


def page(name: str, runs: Sequence[Run]) -> str:
    """A row a network, its quality by task, and what the report says of them."""
    (one,) = runs
    curve = msgspec.convert(one["curve"], LearningCurve)
    own = curve.own()
    tasks = {task.key: f"{task.goal or 'items'}: {task.metric}" for task in own.tasks}
    rows = [
        [
            f"{point.size}{', the run' if point.own else ''}", f"{100 * point.share:g} %",
            f"{point.n_users:,}", f"{point.n_parameters:,}", point.passes,
            round(point.seconds_a_pass, 1), round(point.seconds),
            *(_format(point, key) for key in tasks),
        ]
        for point in [*curve.shares(), *(p for p in curve.sizes() if not p.own)]
    ]  # fmt: skip
    head = ["size", "of the customers", "customers", "parameters", "passes", "s a pass", "s",
            *tasks.values()]  # fmt: skip
    sentences = [f"- {line.en}" for line in (*curve.data[:2], *curve.depth[:2], *curve.notes)]
    return "\n".join([title(name, runs), PROTOCOL, markdown(head, rows), "", *sentences])


def _format(point: LearningPoint, key: str) -> str | None:
    task = point.task_of(key)
    value = None if task is None else task.test[task.metric]
    if task is None or value is None:
        return None
    gap = task.difference
    if gap.low is None or gap.high is None:
        return f"{value:.4f}"
    return f"{value:.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
