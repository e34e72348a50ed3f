"""What says nothing new about the customers does not change the verdict, or it is called close."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.harness.method_worlds import Table, histories, tables
from benchmarks.proof import Proof
from propense.evaluation.records import GoalReport, RankingReport

KIND = "truth"
CLAIM = (
    "the verdict is the same for three seeds, with ids renamed, columns permuted, a constant or "
    "noise columns added, a number scaled and all times shifted, unless it is called close"
)
SEEDS = (0, 1, 2)
NOISE_COLUMNS = 30


def prove() -> Proof:
    """Every table and one world of histories, as they are and changed."""
    return conclude(tuple(tables()))


def conclude(names: tuple[str, ...]) -> Proof:
    """The same on some of the tables."""
    lines = []
    for name in names:
        lines.append(_compare(name, dict(_table_runs(tables()[name]()))))
    lines.append(_compare("histories", dict(_history_runs())))
    good = not any(line.endswith("unstable") for line in lines)
    return Proof(CLAIM, KIND, "pass" if good else "fail", "; ".join(lines), "same, or close")


def _compare(name: str, runs: dict[str, GoalReport | RankingReport]) -> str:
    first = next(iter(runs.values()))
    others = {c: r for c, r in runs.items() if r.verdict.outcome != first.verdict.outcome}
    warned = {c for c, report in others.items() if first.verdict.close or report.verdict.close}
    start = f"{name} ({first.verdict.outcome}, {first.champion.model} serves): "
    listed = ", ".join(
        f"{change}: {report.verdict.outcome}, {report.champion.model} serves"
        + " (called close)" * (change in warned)
        for change, report in others.items()
    )
    end = (
        "unstable"
        if set(others) - warned
        else f"{len(runs) - len(others)} of {len(runs)} runs same"
    )
    return f"{start}{listed}{' - ' if listed else ''}{end}"


def _table_runs(table: Table) -> Iterator[tuple[str, GoalReport]]:
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        yield f"seed {seed}", table.report(seed).goals[0]
    columns = table.columns
    n = len(columns[table.key])
    numeric = next(name for name, cells in columns.items() if _is_decimal(cells))
    noise = {f"noise{at}": [f"{x:.4f}" for x in rng.normal(size=n)] for at in range(NOISE_COLUMNS)}
    changed = {
        "ids renamed": columns | {table.key: [f"c-{cell}" for cell in columns[table.key]]},
        "columns permuted": dict(reversed(columns.items())),
        "a constant": columns | {"constant": ["7"] * n},
        f"{NOISE_COLUMNS} noise columns": columns | noise,
        "a number scaled": columns | {numeric: [_scaled(cell) for cell in columns[numeric]]},
    }
    for change, cells in changed.items():
        yield change, replace(table, columns=cells).report().goals[0]


def _history_runs() -> Iterator[tuple[str, RankingReport]]:
    changes = {
        "as they are": histories(0, tastes=True),
        "times shifted": histories(0, tastes=True, shift_weeks=3),
        "ids renamed": histories(0, tastes=True, prefix="customer "),
    }
    for change, report in changes.items():
        assert report.ranking is not None
        yield change, report.ranking


def _is_decimal(cells: list[str]) -> bool:
    return all("." in cell and _is_number(cell) for cell in cells[:20])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _scaled(cell: str) -> str:
    return f"{float(cell) * 1000:.6g}" if _is_number(cell) else cell
