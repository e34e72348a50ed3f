"""DuckDB and Spark clean alike: the same rows out, the same rows aside, the same accounts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from propense.schemas import Account, RunFolder
from propense.settings import Settings, parse_settings
from propense.tables.cleaning.clean import clean
from propense.tables.doctor.raw_counts import Fact, count_facts
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.sources.reading import read

N = 3000


def write_world(folder: Path) -> Settings:
    """Three dirty sources (CSV, JSON lines, Parquet), people of several ids, tables."""
    rng = np.random.default_rng(11)
    start = 1_704_067_200
    seconds = start + rng.integers(0, 60 * 86_400, N)
    lines = ["invoice,customer,sku,when,qty,price,seen"]
    for n in range(N // 3):
        user = rng.choice(["1001.0", "1002.0", "1003.0", "", "nan", "1004.0"])
        when = np.datetime64(int(seconds[n]), "s").astype(str)
        when = rng.choice([when, when.replace("T", " "), when[:10].replace("-", "/"), "soon"],
                          p=[0.4, 0.4, 0.18, 0.02])  # fmt: skip
        qty = int(rng.choice([1, 2, 3, -1, -2, 0]))
        invoice = f"C{n}" if qty < 0 and n % 3 else str(n)
        price = rng.choice(["2.50", "¥1,200.00", "0", "x"], p=[0.8, 0.15, 0.04, 0.01])
        cells = [invoice, user, f"i{rng.integers(4)}", when, str(qty), f'"{price}"', "课程"]
        lines.append(",".join(cells))
        if n % 17 == 0:
            lines.append(lines[-1])
    (folder / "shop.csv").write_text("\n".join(lines), encoding="gb18030")
    events = []
    for n in range(N // 3):
        events.append(json.dumps({
            "uid": f"d{rng.integers(12)}", "properties": {"course": f"i{rng.integers(6)}"},
            "act": str(rng.choice(["View", "view", "view", "Favourite", "favourite"])),
            "ts": int(seconds[n]) * 1000 + int(rng.integers(0, 2000)), "id": f"e{n // 2 * 2}",
        }))  # fmt: skip
    (folder / "app.jsonl").write_text("\n".join([*events, "{broken", events[0]]))
    micros = (seconds[: N // 3] * 1_000_000 + rng.integers(0, 999_999, N // 3)).tolist()
    repeated = rng.integers(0, N // 3, N // 3)
    table = pa.table({
        "user_id": pa.array(rng.integers(1000, 1010, N // 3)),
        "action": rng.choice(["view", "pay", "refund"], N // 3),
        "event_time": pa.array(micros, pa.timestamp("us")),
        "value": pa.array(np.round(rng.normal(20, 15, N // 3), 2), mask=rng.random(N // 3) < 0.3),
    }).take(pa.array(repeated))  # fmt: skip
    near = table.slice(0, 40)
    times = pa.array(pc.cast(near["event_time"], pa.int64()).to_numpy() + 7_000_000)
    near = near.set_column(2, "event_time", times.cast(pa.timestamp("us")))
    table = pa.concat_tables([table, near])
    pq.write_table(table.slice(0, 400), folder / "web-1.parquet")
    pq.write_table(table.slice(400), folder / "web-2.parquet")
    (folder / "ids.csv").write_text("user_id,alias\n1001,d1\nd1,d2\n1002,1003\n,d9\n")
    users = ["user_id,City,joined,age,vip"]
    cities = ["Paris", "paris ", "PARIS", "Lyon"]
    for n in range(60):
        age, vip = (n if n % 40 else "old"), ["true", "False"][n % 2]
        users.append(f"{1000 + n % 9},{cities[n % 4]},{n % 28 + 1}/1/2023,{age},{vip}")
    (folder / "users.csv").write_text("\n".join(users))
    (folder / "items.tsv").write_text("item_id:token\tlevel\ni0\t1\ni1\t2\ni2\t\ni0\t3\n")
    raw: dict[str, Any] = {
        "time_zone": "Asia/Shanghai",
        "sources": {
            "shop": {
                "events": "shop.csv", "action": "pay",
                "columns": {"user_id": "customer", "item_id": "sku", "event_time": "when",
                            "count": "qty", "price": "price"},
                "cancelled": {"column": "invoice", "starts_with": "C"},
            },
            "app": {
                "events": "app.jsonl",
                "columns": {"user_id": "uid", "item_id": "properties.course", "action": "act",
                            "event_time": "ts", "event_id": "id"},
            },
            "web": {"events": "web-*.parquet", "time_zone": "UTC"},
        },
        "identities": {"path": "ids.csv"}, "users": {"path": "users.csv"},
        "items": {"path": "items.tsv"},
        "clean": {
            "unknown_items": "drop", "max_events_per_day": 9, "duplicate_window": "30s",
            "negative_values": "drop",
        },
    }  # fmt: skip
    return parse_settings(raw, folder)


def outcome(
    engine: TableEngine, settings: Settings, run: RunFolder
) -> tuple[list[Account], dict[str, list[Any]], list[Fact]]:
    """Accounts, every written table as sorted rows, and facts."""
    raw = read(settings, engine)
    accounts = clean(raw, settings, engine, run)
    tables = {}
    for path in sorted([*run.clean.iterdir(), *(run.clean / "set_aside").iterdir()]):
        if list(path.glob("*.parquet")) and path.name != "set_aside":
            table = pq.ParquetDataset(path).read()
            rows = [tuple(zip(table.column_names, row.values(), strict=True))
                    for row in table.to_pylist()]  # fmt: skip
            name = str(path.relative_to(run.clean))
            tables[name] = sorted(rows, key=repr)
            tables[name + " schema"] = [(f.name, str(f.type)) for f in table.schema]
    return accounts, tables, count_facts(raw, engine)


@pytest.fixture(scope="module")
def on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("world")
    settings = write_world(folder)
    engine = connect("duckdb", folder / "scratch")
    outcomes = outcome(engine, settings, RunFolder(folder / "run"))
    engine.con.disconnect()
    return folder, settings, outcomes


def test_the_world_is_dirty(on_duckdb: Any) -> None:
    _, _, (accounts, _, _) = on_duckdb
    events = accounts[0]
    applied = {rule.name for rule in events.rules if rule.dropped}
    assert applied >= {
        "broken row", "no user id", "unreadable time", "duplicate", "near duplicate",
        "impossible value", "bot", "unknown item",
    }  # fmt: skip
    assert {rule.name for rule in events.rules if rule.mended} >= {
        "user ids written as decimals", "spelling of actions", "identities", "sign of refunds",
        "cancellation",
    }  # fmt: skip


@pytest.mark.spark
def test_spark_cleans_as_duckdb_does(on_duckdb: Any, spark_engine: TableEngine) -> None:
    folder, settings, (accounts, tables, facts) = on_duckdb
    other = outcome(spark_engine, settings, RunFolder(folder / "run-spark"))
    assert other[0] == accounts
    assert other[2] == facts
    assert other[1].keys() == tables.keys()
    for name, rows in tables.items():
        assert other[1][name] == rows, name
