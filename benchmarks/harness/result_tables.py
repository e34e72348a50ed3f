"""Parts of the benchmarks' tables: means with intervals, Markdown, the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mean:
    """A mean over runs and its 95 % interval, None where one run has none."""

    value: float
    low: float | None
    high: float | None
    n: int

    def format(self, digits: int = 4) -> str:
        """Like ".0557 (.0543 to .0571)", signs kept."""
        number = f"{self.value:.{digits}f}"
        if self.low is None or self.high is None:
            return number
        return f"{number} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def mean_of(values: Sequence[float], test_to_train: float = 0.0) -> Mean:
    """The mean with Student's interval over runs.

    `test_to_train` is for runs that split the same rows again: their parts overlap, which the plain
    interval ignores. The variance of the mean is then var (1 / n + test / train), the
    corrected resampled t (Nadeau & Bengio 2003).

    >>> mean_of([1.0, 2.0, 3.0]).format(2)
    '2.00 (-0.48 to 4.48)'
    >>> mean_of([1.0]).format(2)
    '1.00'

    Raises ValueError if there is nothing.
    """
    sample = np.asarray(values, np.float64)
    n = len(sample)
    if n == 0:
        raise ValueError("no runs: a mean needs at least one")
    mean = float(sample.mean())
    if n == 1:
        return Mean(mean, None, None, 1)
    error = float(np.sqrt(sample.var(ddof=1) * (1 / n + test_to_train)))
    reach = float(stats.t.ppf(0.975, n - 1)) * error
    return Mean(mean, mean - reach, mean + reach, n)


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table: text to the left, columns of numbers alone to the right; None is an empty cell.

    >>> print(markdown(["model", "s"], [["a|b", 3], ["c", None]]))
    | model | s |
    |---|---:|
    | a\\|b | 3 |
    | c |  |

    Raises ValueError if a row is not as long as the head.
    """
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"a row of {len(row)} cells under {len(head)} columns: {list(row)}")
    rules = ["---:" if _numeric([row[at] for row in rows]) else "---" for at in range(len(head))]
    lines = [_line(head), "|" + "|".join(rules) + "|", *(_line(row) for row in rows)]
    return "\n".join(lines)


def _numeric(column: Sequence[Any]) -> bool:
    present = [cell for cell in column if cell is not None]
    return bool(present) and all(isinstance(cell, int | float) for cell in present)


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split()).replace("|", "\\|")


def seconds_to_reach(
    seconds: Sequence[float], scores: Sequence[float], wanted: float
) -> tuple[int, float] | None:
    """Passes and time so far at the first pass that scores at least `wanted`; None if none does.

    `seconds` are those of each pass.

    >>> seconds_to_reach([2.0, 3.0, 4.0], [0.1, 0.3, 0.2], 0.25)
    (2, 5.0)
    """
    spent = 0.0
    for at, (took, score) in enumerate(zip(seconds, scores, strict=True), start=1):
        spent += took
        if score >= wanted:
            return at, spent
    return None


def machine() -> dict[str, Any]:
    """Where and with what the numbers were made."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True
    ).stdout.strip()
    packages = ("propense", "torch", "lightgbm", "numpy")
    return {
        "commit": commit, "python": platform.python_version(), "system": platform.platform(),
        "processor": _processor(), "cores": len(os.sched_getaffinity(0)),
        **{package: version(package) for package in packages},
    }  # fmt: skip


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def format_machine(of: dict[str, Any]) -> str:
    """One line."""
    return ", ".join(f"{key} {value}" for key, value in of.items())


def write_json(path: Path, record: Any) -> None:
    """Whole or not at all: a killed run leaves the file that was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    fresh.replace(path)
