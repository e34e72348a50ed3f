"""Users, items, exposures, impressions: types by content, one row a person."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from propense.errors import SourceError
from propense.schemas import Account, RunFolder
from propense.settings import parse_settings
from propense.tables.cleaning.clean import clean
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.sources.reading import read


def run(
    engine: TableEngine, folder: Path, **tables: Any
) -> tuple[dict[str, Account], dict[str, list[dict[str, Any]]]]:
    tables.setdefault("users", {"path": "users.csv"})
    settings = parse_settings({"time_zone": "Asia/Shanghai", **tables}, folder)
    out = RunFolder(folder / "run")
    accounts = {one.table: one for one in clean(read(settings, engine), settings, engine, out)}
    rows = {}
    for name in accounts:
        if (out.clean / f"{name}.parquet").is_dir():
            rows[name] = engine.read_parquet(out.clean / f"{name}.parquet").to_pyarrow().to_pylist()
    return accounts, rows


def test_columns_are_typed_by_what_they_hold(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    lines = ["user_id,age,zip,vip,joined,city,about"]
    for n in range(40):
        age = "unknown" if n == 0 else str(n)
        city = ["Paris", "paris", "Lyon ", ""][n % 4] if n != 1 else "Paris"
        joined = f"2023-02-{n % 28 + 1:02d}"
        lines.append(
            f"{n + 1}.0,{age},0{n:04d},{'true' if n % 2 else 'FALSE'},{joined},{city},x{n}"
        )
    (tmp_path / "users.csv").write_text("\n".join(lines))
    accounts, rows = run(duckdb_engine, tmp_path)
    first = next(row for row in rows["users"] if row["user_id"] == "1")
    assert first == {
        "user_id": "1", "age": None, "zip": "00000", "vip": False,
        "joined": datetime(2023, 1, 31, 16), "city": "Paris", "about": "x0",
    }  # fmt: skip
    assert {row["city"] for row in rows["users"]} == {"Paris", "Lyon", None}
    mended = {rule.name: rule.mended for rule in accounts["users"].rules if rule.mended}
    assert mended == {"unreadable cells": 1, "spelling": 9, "ids written as decimals": 40}


def test_the_fullest_row_of_a_user_stays_else_the_last(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    (tmp_path / "users.csv").write_text(
        "user_id,a,b\nu,1,2\nu,3,\nv,1,\nv,2,\n,5,5\nnull,6,6\nw,1,1\n"
    )
    accounts, rows = run(duckdb_engine, tmp_path)
    assert sorted((row["user_id"], row["a"], row["b"]) for row in rows["users"]) == [
        ("u", 1.0, 2.0), ("v", 2.0, None), ("w", 1.0, 1.0),
    ]  # fmt: skip
    dropped = {rule.name: rule.dropped for rule in accounts["users"].rules if rule.dropped}
    assert dropped == {"no id": 2, "duplicate": 2} and accounts["users"].balances


def test_users_without_ids_are_numbered(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("Churn,tenure\nYes,1\nNo,2\nNo,2\n")
    _, rows = run(duckdb_engine, tmp_path)
    assert [(row["user_id"], row["Churn"], row["tenure"]) for row in rows["users"]] == [
        ("1", "Yes", 1.0), ("2", "No", 2.0), ("3", "No", 2.0),
    ]  # fmt: skip


def test_declared_types_go_before_contents(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id,level,since\nu,1,20240131\nv,2,20240201\n")
    _, rows = run(
        duckdb_engine, tmp_path,
        users={"path": "users.csv", "types": {"level": "categorical"}, "valid_from": "since"},
    )  # fmt: skip
    assert sorted((row["level"], row["since"]) for row in rows["users"]) == [
        ("1", datetime(2024, 1, 30, 16)), ("2", datetime(2024, 1, 31, 16)),
    ]  # fmt: skip


def test_campaigns_and_impressions(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id\nu\nv\n")
    (tmp_path / "campaigns.csv").write_text(
        "user_id,campaign,arm,treated,exposure_time,p_treated\n"
        "u,spring,mail,1,2024-01-01,0.5\nu,spring,mail,1,2024-01-01,0.5\nv,spring,none,0,2024-01-01,x\n"
    )
    (tmp_path / "shown.csv").write_text(
        "uid,item_id,position,p_action,policy,time,outcome\nu,a,1,0.25,random,1704067200,1\n"
    )
    accounts, rows = run(
        duckdb_engine, tmp_path, exposures={"path": "campaigns.csv"},
        impressions={"path": "shown.csv", "columns": {"user_id": "uid"}},
    )  # fmt: skip
    assert accounts["exposures"].n_out == 2 and accounts["exposures"].dropped == 1
    treated = {row["user_id"]: (row["treated"], row["p_treated"]) for row in rows["exposures"]}
    assert treated == {"u": (True, 0.5), "v": (False, None)}
    assert rows["impressions"] == [{
        "user_id": "u", "item_id": "a", "position": 1.0, "p_action": 0.25, "policy": "random",
        "time": datetime(2024, 1, 1), "outcome": 1.0,
    }]  # fmt: skip


def test_items_need_their_id(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("user_id\nu\n")
    (tmp_path / "items.csv").write_text("itemid,level\na,1\n")
    with pytest.raises(SourceError, match=r"\[items\] path: items.csv has no column 'item_id'"):
        run(duckdb_engine, tmp_path, items={"path": "items.csv"})


def test_a_wide_table_needs_little_memory(tmp_path: Path) -> None:
    names = [f"v{n}" for n in range(16)]
    lines = [";".join([f"u{n}", *[f"{n},50 €"] * 16]) for n in range(10, 30)]
    (tmp_path / "users.csv").write_text("\n".join([";".join(["user_id", *names]), *lines]), "utf-8")
    engine = connect("duckdb", tmp_path / "scratch", "700MB")
    _, tables = run(engine, tmp_path)
    row = next(one for one in tables["users"] if one["user_id"] == "u10")
    assert row == {"user_id": "u10", **dict.fromkeys(names, 10.5)}
