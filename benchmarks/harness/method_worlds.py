"""Small tables and histories, as they are or with their labels shuffled, run to the report."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.proof import ROOT
from propense.evaluation.records import Report
from propense.pipeline import run
from propense.settings import read_settings

DATA: Final = Path(os.environ.get("PROPENSE_DATA", ROOT.parent / "shared" / "data"))
ROWS: Final = 1600
QUICK: Final = """
[model]
size = "small"
ensemble = 3
[train]
max_epochs = 5
seed = {seed}
[rivals]
trials = 2
[evaluate]
resamples = 200
"""
"""Settings that make a run a matter of seconds; every rival is fitted."""
_TABLE: Final = """
[users]
path = "rows.csv"
columns = {{ user_id = "{key}" }}
features = [{features}]
[split]
by = "user"
fractions = [0.5, 0.25, 0.25]
[goals.label]
column = "{label}"
positive = "{positive}"
"""
_HISTORIES: Final = """
[sources.shop]
events = "events.csv"
[recommend]
"""


@dataclass(frozen=True)
class Table:
    """One row a customer; cells are text."""

    columns: dict[str, list[str]]
    key: str
    label: str
    positive: str

    def shuffled(self, rng: np.random.Generator) -> Table:
        """The labels dealt anew: nothing predicts them."""
        labels = rng.permutation(self.columns[self.label]).tolist()
        return replace(self, columns=self.columns | {self.label: labels})

    def report(self, seed: int = 0) -> Report:
        """The report of a quick run."""
        features = ", ".join(
            f'"{name}"' for name in self.columns if name not in (self.key, self.label)
        )
        text = _TABLE.format(
            key=self.key, features=features, label=self.label, positive=self.positive
        )
        return report_on(text + QUICK.format(seed=seed), "rows.csv", self.columns)


def report_on(settings: str, file: str, columns: dict[str, list[str]]) -> Report:
    """The report of a run on one file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / file).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        (folder / "propense.toml").write_text(settings, "utf-8")
        report = run(read_settings(folder / "propense.toml"), until="evaluate").report
    assert report is not None
    return report


def tables() -> dict[str, Callable[[], Table]]:
    """Two generated, and two real ones where the data is there."""
    makers = {"linear": linear_table, "rules": rules_table}
    if (DATA / "telco_churn").is_dir():
        makers["telco_churn"] = telco_table
    if (DATA / "online_shoppers").is_dir():
        makers["online_shoppers"] = shoppers_table
    return makers


def linear_table(seed: int = 0) -> Table:
    """The logit is linear in three of eight numbers: the logistic regression is the truth."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(ROWS, 8))
    logit = numbers[:, :3] @ np.array([0.8, -0.6, 0.4]) - 1
    return _generated(rng, numbers, logit, [])


def rules_table(seed: int = 1) -> Table:
    """A word and a number act together, and another number acts alone.

    The two alone are lost to every model among 30 columns of noise: 800 rows do not show them.
    """
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(ROWS, 5))
    words = rng.choice(["a", "b", "c", "d"], (2, ROWS), p=[0.4, 0.3, 0.2, 0.1])
    logit = np.where(words[0] == "a", 1.5, -1.0) * np.sign(numbers[:, 0])
    logit += 0.8 * numbers[:, 1] - 0.5
    return _generated(rng, numbers, logit, [each.tolist() for each in words])


def telco_table() -> Table:
    """Some of the customers of a telephone company."""
    file = DATA / "telco_churn" / "WA_Fn-UseC_-Telco-Customer-Churn.csv"
    return Table(_read(file), "customerID", "Churn", "Yes")


def shoppers_table() -> Table:
    """Some of the sessions of a shop."""
    columns = _read(DATA / "online_shoppers" / "online_shoppers_intention.csv")
    keys = [f"s{number:05d}" for number in range(len(columns["Revenue"]))]
    return Table({"session_id": keys, **columns}, "session_id", "Revenue", "TRUE")


def _generated(
    rng: np.random.Generator, numbers: np.ndarray, logit: np.ndarray, words: list[list[str]]
) -> Table:
    columns = {"user_id": [f"u{row:05d}" for row in range(len(logit))]}
    columns |= {f"x{at}": [f"{x:.4f}" for x in numbers[:, at]] for at in range(numbers.shape[1])}
    columns |= {f"word{at}": each for at, each in enumerate(words)}
    happened = rng.random(len(logit)) < 1 / (1 + np.exp(-logit))
    columns["label"] = ["yes" if yes else "no" for yes in happened]
    return Table(columns, "user_id", "label", "yes")


def _read(file: Path) -> dict[str, list[str]]:
    with file.open(encoding="utf-8") as stream:
        rows = list(csv.reader(line.replace(";", ",") for line in stream))
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows) - 1)[:ROWS]) + 1
    return {name: [rows[row][at] for row in chosen] for at, name in enumerate(rows[0])}


def histories(seed: int, tastes: bool, shift_weeks: int = 0, prefix: str = "u") -> Report:
    """The report on 300 customers' purchases.

    With `tastes` half of what a customer buys next follows from what was bought last; without,
    items are assigned to the same events at random, so that nobody's past says what is next.
    """
    n_users, n_items = 300, 40
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(2, n_items + 2)
    popularity /= popularity.sum()
    seconds, users, items = [], [], []
    for user in range(n_users):
        times = np.sort(rng.integers(0, 120 * 86_400, 5 + int(rng.poisson(10))))
        drawn = rng.choice(n_items, len(times), p=popularity)
        follows = rng.random(len(times)) < 0.5
        for at in np.flatnonzero(follows[1:]) + 1:
            drawn[at] = (drawn[at - 1] * 7 + 3) % n_items
        seconds += times.tolist()
        users += [f"{prefix}{user}"] * len(times)
        items += drawn.tolist()
    if not tastes:
        items = rng.permutation(items).tolist()
    start = np.datetime64("2025-01-06T00:00:00") + np.timedelta64(7 * shift_weeks, "D")
    columns = {
        "user_id": users,
        "item_id": [f"i{item}" for item in items],
        "action": ["buy"] * len(users),
        "event_time": [str(start + np.timedelta64(second, "s")) for second in seconds],
    }
    return report_on(_HISTORIES + QUICK.format(seed=0), "events.csv", columns)
