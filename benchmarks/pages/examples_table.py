"""The page docs/results.md: every example's network against every rival.

Run it after examples have been run, naming their folders in a clone of the project:

    python -m benchmarks.pages.examples_table FOLDER...

Each section names the commit it was made with; those of other examples stay as they are. A folder
is one where `propense run` ended; its report is read, nothing is computed anew.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.proof import ROOT
from propense.evaluation.records import (
    LOWER_IS_BETTER,
    GoalReport,
    Interval,
    RankingReport,
    Report,
)
from propense.evaluation.report.storage import report_from_json

PAGE = ROOT / "docs" / "results.md"
INTRODUCTION = """\
# Results

Folders of `examples/` run with their own `propense.toml`, on one thread: the customer network
against every rival on the same parts and encodings, wins and losses alike. Brackets hold
95 % intervals, by bootstrap over customers. Bold is the best of a column, by its value alone;
the sentence below a table says what the paired intervals allow to be said. "serves" marks what
did best on **validation** and would be deployed.

Made by `benchmarks/pages/examples_table.py`; to repeat it: `python prepare.py`, then
`propense run --set train.threads=1`, in each folder. `examples/README.md` names the data sets.
Each section names the commit it was made with; one that names none is of an earlier version.
"""
METRICS = {
    "binary": ("auc", "average_precision_minority", "log_loss"),
    "value": ("gini_normalised", "spearman", "total_ratio"),
}


def main() -> None:
    """Write the page with new sections in the place of old ones."""
    sections = read_sections(PAGE.read_text("utf-8"))
    for folder in map(Path, sys.argv[1:]):
        for page in sorted(folder.resolve().glob("runs/*/evaluation/report.json")):
            text = table(folder.resolve().name, report_from_json(page))
            sections[folder.resolve().name] = text.replace("\n", f"\n\n{made_with(folder)}\n", 1)
    PAGE.write_text("\n".join([INTRODUCTION, *sections.values()]), "utf-8")


def read_sections(page: str) -> dict[str, str]:
    """Example -> its section."""
    parts = re.split(r"^(?=## )", page, flags=re.M)[1:]
    return {part.split("\n")[0].removeprefix("## "): part.rstrip("\n") + "\n" for part in parts}


def made_with(folder: Path) -> str:
    """The commit of the clone that the folder is in, and the machine."""
    commit = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightgbm", "numpy"))
    python = platform.python_version()
    return f"Made with commit {commit} on {platform.machine()}, Python {python}, {packages}."


def table(name: str, report: Report) -> str:
    """One example: a table a goal, one for the lists."""
    parts = [f"## {name}\n"]
    for goal in report.goals:
        size = f"{goal.n_rows:,} test rows of {goal.n_users:,} customers"
        parts.append(f"**{goal.name}** ({goal.sentence.en}; {size})\n")
        parts.append(_rows(goal, METRICS[goal.kind]))
        parts.append(f"{goal.verdict.headline.en}\n")
    if report.ranking is not None:
        ranking = report.ranking
        metrics = (ranking.criterion, ranking.criterion.replace("ndcg", "recall"))
        size = f"{ranking.n_rows:,} test rows, {ranking.n_items:,} items, full ranking"
        parts.append(f"**items** ({size})\n")
        parts.append(_rows(ranking, metrics))
        parts.append(f"{ranking.verdict.headline.en}\n")
    return "\n".join(parts)


def _rows(judged: GoalReport | RankingReport, metrics: tuple[str, ...]) -> str:
    lines = [
        "| model | " + " | ".join(metrics) + " |",
        "|---|" + "---|" * len(metrics),
    ]
    best = {metric: _best(judged, metric) for metric in metrics}
    for entry in judged.models:
        cells = []
        for metric in metrics:
            text = _format(entry.metrics.get(metric, Interval()))
            cells.append(f"**{text}**" if entry.model == best[metric] else text)
        serves = " (serves)" if entry.model == judged.champion.model else ""
        lines.append(f"| {entry.model}{serves} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _best(judged: GoalReport | RankingReport, metric: str) -> str | None:
    if metric == "total_ratio":
        return None
    metrics_of = {
        entry.model: interval.value
        for entry in judged.models
        if (interval := entry.metrics.get(metric)) is not None and interval.value is not None
    }
    if not metrics_of:
        return None
    choose = min if metric in LOWER_IS_BETTER else max
    return choose(metrics_of, key=lambda model: metrics_of[model])


def _format(interval: Interval) -> str:
    if interval.value is None:
        return ""
    if interval.low is None or interval.high is None:
        return f"{interval.value:.4f}"
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"


if __name__ == "__main__":
    main()
