"""DuckDB and Spark divide and label alike: the same files, row for row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.schemas import RunFolder
from propense.settings import parse_settings
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.split import split
from propense.tables.splitting.split_checks import check_no_leak

pytestmark = pytest.mark.spark

N, USERS = 4000, 90


@pytest.fixture(scope="module")
def engines(
    spark_engine: TableEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, TableEngine]]:
    duck = connect("duckdb", tmp_path_factory.mktemp("duckdb"))
    yield {"duckdb": duck, "spark": spark_engine}
    duck.con.disconnect()


def write_clean(run: RunFolder, zone: str | None) -> None:
    """Events with ties in every key, words of several alphabets, nulls everywhere."""
    rng = np.random.default_rng(5)
    names = np.array([*(f"u{i}" for i in range(USERS - 3)), "陈", "o'neil", "é"])
    actions = np.array(["view", "pay", "refund", "收藏"])
    action = actions[rng.choice(4, N, p=[0.7, 0.2, 0.05, 0.05])]
    day = rng.integers(0, 200, N)
    micros = 1_704_067_200_000_000 + day * 86_400_000_000 + rng.choice([0, 1, 999_999], N)
    events = pa.table({
        "user_id": names[rng.integers(0, USERS, N)],
        "item_id": pa.array(rng.choice(["a", "B", "é", "z"], N), mask=rng.random(N) < 0.3),
        "action": action,
        "event_time": pa.array(micros, pa.timestamp("us", zone)),
        "value": pa.array(rng.integers(-3, 9, N) * 500_000, mask=action == "view"),
        "count": pa.array(rng.choice([1.0, 2.0], N), mask=rng.random(N) < 0.5),
        "event_id": pa.nulls(N, pa.string()),
        "source": rng.choice(["app", "web"], N),
    })  # fmt: skip
    (run.clean / "events").mkdir(parents=True)
    pq.write_table(events.slice(0, 1500), run.clean / "events" / "a.parquet")
    pq.write_table(events.slice(1500), run.clean / "events" / "b.parquet")
    users = pa.table({
        "user_id": [*names, "silent"],
        "age": pa.array(rng.random(USERS + 1)),
        "joined": pa.array(np.arange(USERS + 1) * 86_400_000_000, pa.timestamp("us", zone)),
        "fan": pa.array(rng.random(USERS + 1) < 0.4),
        "town": [f"town {i % 12}" for i in range(USERS + 1)],
    })  # fmt: skip
    pq.write_table(users, run.clean / "users.parquet")


QUESTIONS = {
    "pay": {"action": "pay", "within": "10d", "among": "active within 30d"},
    "churn": {"absent": "*", "within": "7d", "among": "never 收藏"},
    "spend": {"value_of": "pay", "within": "30d"},
}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], str | None]] = [
    ("time", QUESTIONS, {}, None),
    ("group", QUESTIONS, {"group": "town", "fractions": [0.6, 0.2, 0.2]}, "UTC"),
    ("user", {"fan": {"column": "fan", "as_of": "joined"}}, {"by": "user", "folds": 4}, "UTC"),
]


@pytest.mark.parametrize(
    ("by", "goals", "keys", "zone"), CASES, ids=[f"{case[0]}-{case[3]}" for case in CASES]
)
def test_engines_write_the_same_files(
    tmp_path: Path,
    engines: dict[str, TableEngine],
    by: str,
    goals: dict[str, Any],
    keys: dict[str, Any],
    zone: str | None,
) -> None:
    settings = parse_settings({
        "sources": {"app": {"events": "x"}}, "users": {"path": "u"}, "goals": goals, "split": keys,
    })  # fmt: skip
    files: dict[str, dict[str, pa.Table]] = {}
    plans = {}
    for name, engine in engines.items():
        run = RunFolder(tmp_path / name)
        write_clean(run, zone)
        plans[name] = split(run, settings, engine)
        check_no_leak(run.parts, plans[name], engine)
        files[name] = {
            str(file.relative_to(run.parts)): pq.read_table(file)
            for file in sorted(run.parts.rglob("*.parquet"))
        }
    assert plans["duckdb"] == plans["spark"]
    assert plans["duckdb"].by == by
    assert files["duckdb"].keys() == files["spark"].keys()
    for name, table in files["duckdb"].items():
        assert table.schema.equals(files["spark"][name].schema), name
        assert table.equals(files["spark"][name]), name
    assert sum(count.events for count in plans["duckdb"].counts) == N
