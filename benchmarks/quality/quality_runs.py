"""Shared by the parts of the quality benchmark: a part, saved runs, means over runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.result_tables import format_machine, mean_of
from benchmarks.peers.environments import interpreter
from benchmarks.proof import ROOT

HERE = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "bench"
__all__ = [
    "HERE", "OUT", "Part", "Run", "interpreter", "models_of", "paired", "title", "values",
]  # fmt: skip

Run = dict[str, Any]
"""The numbers of one run, as saved in JSON."""


@dataclass(frozen=True)
class Part:
    """One table of the benchmark."""

    seeds: int
    """Runs of it, from seed 0."""
    run: Callable[[int, tuple[str, ...]], Run]
    """(seed, settings laid over all others) -> its numbers."""
    page: Callable[[Sequence[Run]], str]


def values(runs: Sequence[Run], model: str, metric: str) -> list[float]:
    """A metric of every run that has the model and a number."""
    measured = [one["models"][model][metric]["value"] for one in runs if model in one["models"]]
    return [value for value in measured if value is not None]


def paired(runs: Sequence[Run], model: str, rival: str, metric: str) -> list[float]:
    """`model` minus `rival`, run by run, where a run has both."""
    both = [
        (one["models"][model][metric]["value"], one["models"][rival][metric]["value"])
        for one in runs
        if model in one["models"] and rival in one["models"]
    ]
    return [ours - theirs for ours, theirs in both if ours is not None and theirs is not None]


def models_of(runs: Sequence[Run]) -> list[str]:
    """Every model that a run has, in order of appearance."""
    return list(dict.fromkeys(model for one in runs for model in one["models"]))


def title(part: str, runs: Sequence[Run]) -> str:
    """The head of a part's page: machine, seconds, memory, settings that are not its own."""
    machines = dict.fromkeys(format_machine(one["machine"]) for one in runs)
    took = ""
    if "seconds" in runs[0]:
        seconds = mean_of([one["seconds"] for one in runs]).value
        peak = max(one["peak_mb"] for one in runs)
        took = f" A run took {seconds:.0f} s, at most {peak:.0f} MB."
    of_runs: dict[str, list[int]] = {}
    for one in runs:
        for change in one["more"]:
            of_runs.setdefault(change, []).append(one["seed"])
    changes = [
        change
        if len(seeds) == len(runs)
        else f"{change} (seeds {', '.join(map(str, seeds))} alone)"
        for change, seeds in sorted(of_runs.items())
    ]
    changed = f" Changed settings: {'; '.join(changes)}." if changes else ""
    return f"## {part}\n\n{'; '.join(machines)}.{took}{changed}\n"
