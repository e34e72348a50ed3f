"""The service's own history as a source of the next run."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from propense.errors import SourceError
from propense.history.training_views import message_key
from propense.settings import parse_settings
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.live import resolve_live
from propense.tables.sources.reading import read
from support.live_tables import asked, cleaned, event, log, note, rows_of, store


def test_live_events_are_read_beside_a_log_under_their_own_source(
    tmp_path: Path, engine: TableEngine
) -> None:
    store(tmp_path, [event("ann", "c3", 1, "m1", action="pay", value=12.5, count=2.0),
                     event("eve", "c1", 2, "m2", source=None)])  # fmt: skip
    run, accounts = cleaned(asked(tmp_path), engine)
    rows = {row["event_id"]: row for row in rows_of(run, "events")}
    assert set(rows) == {"e1", "e2", "m1", "m2"}
    assert rows["m1"]["value"] == 12_500_000 and rows["m1"]["count"] == 2.0
    assert rows["m1"]["event_time"].isoformat() == "2024-03-01T08:30:00.250000"
    assert [rows[key]["source"] for key in ("e1", "m1", "m2")] == ["app", "web", "live"]
    assert note(accounts["events"]) == "2 rows of sqlite://live/history.db"
    assert accounts["events"].balances


@pytest.mark.parametrize("there", [False, True])
def test_a_store_that_is_absent_or_empty_is_no_error_and_is_told(
    tmp_path: Path, engine: TableEngine, there: bool
) -> None:
    if there:
        store(tmp_path)
    log(tmp_path, "users.csv", "user_id,age", "ann,31")
    settings = asked(
        tmp_path, identities={"path": "live"}, impressions={"path": "live"},
        users={"path": ["users.csv", "live"], "features": ["age", "city"]},
    )  # fmt: skip
    run, accounts = cleaned(settings, engine)
    assert len(rows_of(run, "events")) == 2
    for table in ("events", "identities", "impressions", "users"):
        assert note(accounts[table]).startswith("0 rows of sqlite://live/history.db")
    assert rows_of(run, "users.parquet") == [{"user_id": "ann", "age": 31.0, "city": None}]


def test_nothing_but_an_empty_store_says_what_to_do(tmp_path: Path, engine: TableEngine) -> None:
    settings = parse_settings({"sources": {"live": {"events": "live"}}}, tmp_path)
    with pytest.raises(SourceError, match=r"0 rows of sqlite://live/history.db; let the service"):
        read(settings, engine)


def test_an_anonymous_visitor_and_the_customer_are_one_person(
    tmp_path: Path, engine: TableEngine
) -> None:
    store(tmp_path, [event("anon-7", "c3", 1, "m1"), event("ann", "c4", 2, "m2")],
          names=[("ann", "anon-7")])  # fmt: skip
    run, _ = cleaned(asked(tmp_path, identities={"path": "live"}), engine)
    rows = sorted((row["user_id"], row["event_id"]) for row in rows_of(run, "events"))
    assert rows == [("ann", "e1"), ("ann", "m1"), ("ann", "m2"), ("ben", "e2")]


@pytest.mark.few(1)
@pytest.mark.parametrize("digested", [False, True])
def test_an_event_of_a_log_and_of_the_store_counts_once(
    tmp_path: Path, engine: TableEngine, digested: bool
) -> None:
    # e1 came live under the visitor's id and another source; e2 is another system's number.
    log(
        tmp_path, "app.csv", "user_id,item_id,action,event_time,event_id",
        "ann,c1,view,2024-03-01 16:30:01,e1", "ben,c2,view,2024-03-02 16:30:00,e2",
    )  # fmt: skip
    first = f"{message_key('e1').hex()}-0" if digested else "e1"
    store(tmp_path, [event("anon-7", "c1", 1, first), event("zoe", "c9", 2, "e2"),
                     event("zoe", "c9", 3, "m3")], names=[("ann", "anon-7")])  # fmt: skip
    run, accounts = cleaned(asked(tmp_path, identities={"path": "live"}), engine)
    rows = sorted(
        (row["event_id"], row["user_id"], row["source"]) for row in rows_of(run, "events")
    )
    assert rows == [
        ("e1", "ann", "app"), ("e2", "ben", "app"), ("e2", "zoe", "web"), ("m3", "zoe", "web"),
    ]  # fmt: skip
    rules = {rule.name: rule.dropped for rule in accounts["events"].rules}
    assert rules["duplicate"] == 1
    aside = rows_of(run, "set_aside/events.parquet")
    assert [(row["user_id"], row["reason"]) for row in aside] == [("anon-7", "duplicate")]


def test_history_that_was_brought_along_counts_once(tmp_path: Path, engine: TableEngine) -> None:
    # The log has no ids, so the service gave its rows ids of its own on their import.
    log(
        tmp_path, "app.csv", "user_id,item_id,action,event_time,event_id",
        "ann,c1,view,2024-03-01 16:30:00.250,", "ann,c1,pay,2024-03-01 16:30:00.250,",
        "ben,c2,view,2024-03-02 16:30:00.250,b-1",
    )  # fmt: skip
    store(tmp_path, [event("ann", "c1", 1, "m1", source="app"),
                     event("ben", "c2", 2, "m2", source="app"),
                     event("ben", "c3", 2, "m3", source="app"),
                     event("ben", "c2", 3, "m4", source="app")])  # fmt: skip
    run, accounts = cleaned(asked(tmp_path), engine)
    rows = sorted((row["user_id"], row["item_id"], row["action"]) for row in rows_of(run, "events"))
    assert rows == [
        ("ann", "c1", "pay"), ("ann", "c1", "view"), ("ben", "c2", "view"), ("ben", "c2", "view"),
        ("ben", "c3", "view"),
    ]  # fmt: skip
    rules = {rule.name: rule.dropped for rule in accounts["events"].rules}
    assert rules["duplicate"] == 2 and accounts["events"].balances


def test_live_traits_are_laid_over_the_row_of_the_file(tmp_path: Path, engine: TableEngine) -> None:
    log(tmp_path, "users.csv", "user_id,age,city", "ann,31,Beijing", "ben,40,Xi'an", "ben,41,")
    traits = [
        ("ann", json.dumps({"city": "Shanghai", "level": 3, "email": "a@b.c", "age": None})),
        ("ben", "{}"), ("eve", json.dumps({"age": 19, "new": True})), ("anon-7", '{"level": 4}'),
    ]  # fmt: skip
    store(tmp_path, traits=traits, names=[("ann", "anon-7")])
    users = {"path": ["users.csv", "live"]}
    run, accounts = cleaned(asked(tmp_path, users=users, identities={"path": "live"}), engine)
    rows = {row.pop("user_id"): row for row in rows_of(run, "users.parquet")}
    assert rows == {
        "ann": {"age": 31.0, "city": "Shanghai", "level": 4.0, "new": None},
        "ben": {"age": 40.0, "city": "Xi'an", "level": None, "new": None},
        "eve": {"age": 19.0, "city": None, "level": None, "new": True},
    }
    rules = {rule.name: rule.dropped for rule in accounts["users"].rules}
    assert rules["duplicate"] == 1 and rules["merged live row"] == 3 and accounts["users"].balances
    assert "traits left out: email" in note(accounts["users"])


def test_traits_take_the_type_of_a_parquet_file(tmp_path: Path, engine: TableEngine) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"user_id": ["ann"], "age": [31]}), tmp_path / "users.parquet")
    store(tmp_path, traits=[("ann", '{"age": "32"}'), ("ben", '{"age": 20}')])
    run, _ = cleaned(asked(tmp_path, users={"path": ["users.parquet", "live"]}), engine)
    rows = {row["user_id"]: row["age"] for row in rows_of(run, "users.parquet")}
    assert rows == {"ann": 32.0, "ben": 20.0}


@pytest.mark.parametrize("word", ["left", "Left", "LEFT"])
def test_nobody_sets_a_label_from_outside(tmp_path: Path, engine: TableEngine, word: str) -> None:
    log(tmp_path, "users.csv", "user_id,left", "ann,no", "ben,yes")
    store(tmp_path, traits=[("ann", json.dumps({word: "yes"}))])
    settings = asked(
        tmp_path, users={"path": ["users.csv", "live"]},
        goals={"left": {"column": "left", "positive": "yes"}},
    )  # fmt: skip
    run, _ = cleaned(settings, engine)
    assert {row["user_id"]: row["left"] for row in rows_of(run, "users.parquet")} == {
        "ann": "no", "ben": "yes",
    }  # fmt: skip


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "word", ["_code", "_live", "_file_index", "_file", "_broken", "file_row_number", "User_ID"]
)
def test_no_trait_stops_the_cleaning(tmp_path: Path, engine: TableEngine, word: str) -> None:
    log(tmp_path, "users.csv", "user_id,age", "ann,31", "ben,40")
    store(tmp_path, traits=[("ann", json.dumps({word: "x", "age": 32})), ("eve", '{"age": 5}')])
    run, _ = cleaned(asked(tmp_path, users={"path": ["users.csv", "live"]}), engine)
    rows = {row["user_id"]: row for row in rows_of(run, "users.parquet")}
    assert {user: row["age"] for user, row in rows.items()} == {"ann": 32, "ben": 40, "eve": 5}
    assert all(set(row) == {"user_id", "age"} for row in rows.values())


def test_a_trait_spelt_otherwise_is_the_files_column(tmp_path: Path, engine: TableEngine) -> None:
    log(tmp_path, "users.csv", "user_id,City", "ann,Beijing", "ben,Lyon")
    store(tmp_path, traits=[("ann", '{"city": "Shanghai"}')])
    run, _ = cleaned(asked(tmp_path, users={"path": ["users.csv", "live"]}), engine)
    rows = {row["user_id"]: row["City"] for row in rows_of(run, "users.parquet")}
    assert rows == {"ann": "Shanghai", "ben": "Lyon"}


def test_a_postgresql_on_a_socket_is_asked_as_the_service_asks_it(tmp_path: Path) -> None:
    settings = asked(
        tmp_path, users={"path": "live"}, serve={"store": "postgresql:///shop?host=/run/pg"}
    )
    address = resolve_live("live", "users", settings)
    assert address.startswith("postgresql:///shop?host=/run/pg&table=")


def test_impressions_are_read(tmp_path: Path, engine: TableEngine) -> None:
    store(
        tmp_path,
        shown=[
            ("ann", "c1", 1, 0.5, "network", "2024-03-01T00:00:00Z", None),
            ("ann", "c2", 2, 0.25, "network", "2024-03-01T00:00:00Z", None),
        ],
    )
    run, accounts = cleaned(asked(tmp_path, impressions={"path": "live"}), engine)
    assert [row["p_action"] for row in rows_of(run, "impressions.parquet")] == [0.5, 0.25]
    assert accounts["impressions"].n_out == 2


def test_live_rows_take_the_names_and_types_of_the_files(
    tmp_path: Path, engine: TableEngine
) -> None:
    import pyarrow as pa

    time = pa.array([1_709_251_200_000_000], pa.timestamp("us", "UTC"))
    shown = {"user_id": ["ben"], "item_id": ["c1"], "position": [3], "time": time}
    pq.write_table(pa.table(shown), tmp_path / "impressions.parquet")
    log(tmp_path, "app.csv", "uid,course,act,ts,id", "ann,c1,view,2024-02-01 10:00:00,e1")
    log(tmp_path, "names.csv", "alias,customer,source", "bk7,ben,")
    store(
        tmp_path, [event("bk7", "c3", 1, "m1")], names=[("ann", "anon-7")],
        shown=[("ann", "c2", 1, 0.5, "network", "2024-03-01T00:00:00Z", None)],
    )  # fmt: skip
    own = {"user_id": "uid", "item_id": "course", "action": "act", "event_time": "ts",
           "event_id": "id"}  # fmt: skip
    settings = asked(
        tmp_path, sources={"app": {"events": ["live", "app.csv"], "columns": own}},
        identities={"path": ["names.csv", "live"], "columns": {"user_id": "customer"}},
        impressions={"path": ["impressions.parquet", "live"]},
    )  # fmt: skip
    run, _ = cleaned(settings, engine)
    rows = sorted((row["user_id"], row["item_id"], str(row["event_time"]), row["source"])
                   for row in rows_of(run, "events"))  # fmt: skip
    assert rows == [("ann", "c1", "2024-02-01 02:00:00", "app"),
                     ("ben", "c3", "2024-03-01 08:30:00.250000", "web")]  # fmt: skip
    rows = sorted((row["user_id"], row["position"], str(row["time"]))
                   for row in rows_of(run, "impressions.parquet"))  # fmt: skip
    assert rows == [("ann", 1.0, "2024-03-01 00:00:00"), ("ben", 3.0, "2024-03-01 00:00:00")]
