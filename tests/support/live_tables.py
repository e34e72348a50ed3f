"""A live store as the next run reads it: its views in a SQLite file, and a log beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from propense.schemas import Account, RunFolder
from propense.settings import Settings, parse_settings
from propense.tables.cleaning.clean import clean
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import read

EVENTS = "user_id, item_id, action, event_time, value, count, source, event_id"
IMPRESSIONS = "user_id, item_id, position, p_action, policy, time, outcome"
Row = tuple[Any, ...]


def store(
    folder: Path, events: Sequence[Row] = (), names: Sequence[Row] = (), traits: Sequence[Row] = (),
    shown: Sequence[Row] = (),
) -> Path:  # fmt: skip
    """A SQLite file with the four views of a live store; earlier rows stay."""
    file = folder / "live" / "history.db"
    file.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(file)) as con, con:
        for view, columns in (
            ("events", EVENTS), ("identities", "user_id, alias"), ("users", "user_id, traits"),
            ("impressions", IMPRESSIONS),
        ):  # fmt: skip
            con.execute(f"create table if not exists kept_{view} ({columns})")
            con.execute(f"create view if not exists live_{view} as select * from kept_{view}")
        con.executemany("insert into kept_events values (?, ?, ?, ?, ?, ?, ?, ?)", events)
        con.executemany("insert into kept_identities values (?, ?)", names)
        con.executemany("insert into kept_users values (?, ?)", traits)
        con.executemany("insert into kept_impressions values (?, ?, ?, ?, ?, ?, ?)", shown)
    return file


def event(user: str, item: str, day: int, event_id: str, **more: Any) -> Row:
    time = f"2024-03-{day:02d}T08:30:00.250000Z"
    values = {"action": "view", "value": None, "count": None, "source": "web"} | more
    return (
        user, item, values["action"], time, values["value"], values["count"],
        values["source"], event_id,
    )  # fmt: skip


def log(folder: Path, name: str, header: str, *rows: str) -> None:
    (folder / name).write_text("\n".join([header, *rows]) + "\n", "utf-8")


def asked(folder: Path, **more: Any) -> Settings:
    if not (folder / "app.csv").exists():
        log(
            folder, "app.csv", "user_id,item_id,action,event_time,event_id",
            "ann,c1,view,2024-02-01 10:00:00,e1", "ben,c2,view,2024-02-02 10:00:00,e2",
        )  # fmt: skip
    raw: dict[str, Any] = {
        "time_zone": "Asia/Shanghai",
        "sources": {"app": {"events": "app.csv"}, "live": {"events": "live"}},
    }
    return parse_settings(raw | more, folder)


def cleaned(settings: Settings, engine: TableEngine) -> tuple[RunFolder, dict[str, Account]]:
    run = RunFolder(Path(settings.folder) / "run")
    accounts = clean(read(settings, engine), settings, engine, run)
    return run, {account.table: account for account in accounts}


def rows_of(run: RunFolder, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run.clean / table).to_pylist()
    return rows


def note(account: Account) -> str:
    return next(rule.note for rule in account.rules if rule.name == "live history")
