"""The store behind the live tables: its version, its state, its kinds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from propense.errors import SourceError
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, Decision, LiveEvent
from propense.history.store import StoreOptions
from propense.pipeline import STAGES
from propense.pipeline.resume.inputs import input_hashes
from propense.settings import parse_settings
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.live import is_live, resolve_live, view_state_token
from propense.tables.sources.reading import read
from support.live_tables import asked, cleaned, event, log, rows_of, store


def test_only_a_changed_store_makes_cleaning_run_again(tmp_path: Path) -> None:
    settings = asked(tmp_path, identities={"path": "live"})
    absent = input_hashes(STAGES, settings)["clean"]
    file = store(tmp_path, [event("ann", "c3", 1, "m1")])
    first = input_hashes(STAGES, settings)["clean"]
    file.touch()  # the same rows in a file that was written again
    with closing(sqlite3.connect(file)) as con:
        con.execute("vacuum")
    assert input_hashes(STAGES, settings)["clean"] == first != absent
    with closing(sqlite3.connect(file)) as con, con:
        con.execute("update kept_events set user_id = 'bob'")
    second = input_hashes(STAGES, settings)["clean"]
    store(tmp_path, names=[("ann", "anon-1")])
    assert len({first, second, input_hashes(STAGES, settings)["clean"]}) == 3


def test_a_company_database_counts_by_its_file(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as con, con:
        con.execute("create table log (user_id)")
    settings = parse_settings(
        {"sources": {"shop": {"events": "sqlite:///shop.db?table=log"}}}, tmp_path
    )
    before = input_hashes(STAGES, settings)["clean"]
    with closing(sqlite3.connect(tmp_path / "shop.db")) as con, con:
        con.executemany("insert into log values (?)", [("x" * 1000,)] * 100)
    assert input_hashes(STAGES, settings)["clean"] != before


def test_the_word_follows_the_settings_of_the_service(tmp_path: Path) -> None:
    def address(role: str = "events", **serve: str) -> str:
        return resolve_live("live", role, parse_settings(raw | {"serve": serve}, tmp_path))

    raw = {"sources": {"live": {"events": "live"}}}
    assert address() == "sqlite:///live/history.db?table=live_events"
    assert address(data="/var/p", role="users") == "sqlite:////var/p/history.db?table=live_users"
    assert address(store="postgresql://u:s@h/d", role="impressions") == (
        "postgresql://u:s@h/d?table=live_impressions&schema=history"
    )
    exported = address(store="redis://h:6379/0")
    assert exported == str(tmp_path / "runs/main/scratch/live/live_events.parquet")
    assert all(map(is_live, ("live", exported, address())))
    assert not is_live("./live") and not is_live("sqlite:///shop.db?table=log")
    with pytest.raises(SourceError, match="has only events, identities, users, impressions"):
        address("items")


def test_a_store_of_another_version_is_told(tmp_path: Path, engine: TableEngine) -> None:
    file = store(tmp_path)
    with closing(sqlite3.connect(file)) as con, con:
        con.execute("drop view live_events")
    with pytest.raises(SourceError, match="has no view 'live_events'"):
        read(asked(tmp_path), engine)


def test_the_store_itself_is_read(tmp_path: Path, engine: TableEngine) -> None:
    log(
        tmp_path, "app.csv", "user_id,item_id,action,event_time,event_id",
        "ann,c1,view,2024-03-01 16:30:01,m1", "ben,c2,view,2024-03-02 16:30:00,e2",
    )  # fmt: skip
    settings = asked(
        tmp_path, identities={"path": "live"}, users={"path": "live"},
        impressions={"path": "live"}, serve={"consent": False},
    )  # fmt: skip
    time = 1_709_281_800_250_000  # 2024-03-01 08:30:00.25 UTC
    options = StoreOptions(durable="process", suppression_hash=str.encode, remember_seconds=60)
    with closing(open_store("sqlite", tmp_path / "live", options)) as live_store:
        assert input_hashes(STAGES, settings)["clean"] == input_hashes(STAGES, settings)["clean"]
        basket = tuple(
            LiveEvent(time, "pay", item, 12_500_000, 2.0, "web") for item in ("c1", "c2")
        )
        updates = [
            CustomerUpdate(message_id="m1", user_id="anon-7", received=time,
                 events=(LiveEvent(time, "view", "c1"),)),
            CustomerUpdate(message_id="m2", user_id="ann", previous_id="anon-7", received=time,
                 traits={"city": "Lyon"}),
            CustomerUpdate(message_id="m3", user_id="ann", received=time, events=basket),
            CustomerUpdate(message_id="m4", user_id="eve", received=time, events=basket,
                 consent={"train": False}),
            CustomerUpdate(message_id="m5", user_id="verify:1", received=time, events=basket),
        ]  # fmt: skip
        before = input_hashes(STAGES, settings)["clean"]
        assert live_store.append(updates) == ["kept"] * 5
        live_store.log_decisions(
            [
                Decision(
                    user_id="ann",
                    time=time,
                    scenario="default",
                    bundle="b",
                    policy="network",
                    items=("c1", "c2"),
                    p_action=(0.5, 0.5),
                )
            ]
        )
        after = input_hashes(STAGES, settings)["clean"]
        run, accounts = cleaned(settings, engine)
        assert before != after == input_hashes(STAGES, settings)["clean"]
        assert view_state_token(resolve_live("live", "events", settings), tmp_path).startswith(
            "state "
        )
        live_store.erase("eve")  # who did not take part
        live_store.append(
            [CustomerUpdate(message_id="m6", user_id="verify:1", received=time, events=basket)]
        )
        assert input_hashes(STAGES, settings)["clean"] == after
        live_store.erase("ann")
        assert input_hashes(STAGES, settings)["clean"] != after
    rows = sorted((row["user_id"], row["item_id"], row["action"], row["value"], row["source"])
                   for row in rows_of(run, "events") if row["user_id"] == "ann")  # fmt: skip
    assert rows == [("ann", "c1", "pay", 12_500_000, "web"), ("ann", "c1", "view", None, "app"),
                     ("ann", "c2", "pay", 12_500_000, "web")]  # fmt: skip
    assert accounts["events"].n_in == 5 and accounts["events"].n_out == 4
    assert rows_of(run, "users.parquet") == [{"user_id": "ann", "city": "Lyon"}]
    assert [row["position"] for row in rows_of(run, "impressions.parquet")] == [1.0, 2.0]
