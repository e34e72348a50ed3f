"""Runs the small files with other people's faults that are kept in tests/trials/inputs."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from propense.cli import main

INPUTS = Path(__file__).resolve().parents[1] / "trials" / "inputs"


@dataclass
class Outcome:
    """What a command ended with."""

    code: int
    out: str
    error: str
    folder: Path
    accounts: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    set_aside: list[dict[str, Any]] = field(default_factory=list)

    @property
    def record(self) -> Any:
        """What was printed with --json."""
        return json.loads(self.out)

    @property
    def money(self) -> float:
        """Net amount of the clean events, in units of the currency."""
        return round(sum(row["value"] or 0 for row in self.events) / 1e6, 2)

    def rules(self, table: str = "events") -> dict[str, int]:
        """Rule -> rows that it set aside or corrected."""
        account = next(one for one in self.accounts if one["table"] == table)
        counts = {
            rule["name"]: rule.get("dropped", 0) + rule.get("mended", 0)
            for rule in account.get("rules", [])
        }
        return {name: count for name, count in counts.items() if count}


def prepare(name: str, folder: Path, settings: str = "") -> Path:
    """A copy of one trial; `settings` is appended to its propense.toml."""
    target = folder / name
    shutil.copytree(INPUTS / name, target)
    if settings:
        with (target / "propense.toml").open("a", encoding="utf-8") as file:
            file.write(settings)
    return target


def command(folder: Path, *words: str) -> Outcome:
    """Run one command line in `folder`, whose propense.toml it reads or writes."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main([*words, "--settings", str(folder / "propense.toml")])
    outcome = Outcome(code, out.getvalue(), error.getvalue(), folder)
    clean = folder / "runs" / "main" / "clean"
    if (clean / "account.json").exists():
        outcome.accounts = json.loads((clean / "account.json").read_text("utf-8"))
        outcome.events = _rows(clean / "events")
        outcome.set_aside = _rows(clean / "set_aside" / "events.parquet")
    return outcome


def cleaned(name: str, folder: Path, settings: str = "", *words: str) -> Outcome:
    """`propense clean` of one trial with its own settings."""
    return command(prepare(name, folder, settings), "clean", "--json", *words)


def _rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist() if path.exists() else []
