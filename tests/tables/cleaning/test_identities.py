"""Which ids are one person: groups of pairs, against a plain union-find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.schemas import RunFolder
from propense.settings import parse_settings
from propense.tables.cleaning.clean import clean
from propense.tables.cleaning.identities import components
from propense.tables.engine.engine import TableEngine
from propense.tables.sources.reading import read

PAIRS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20)


@given(PAIRS)
@settings(deadline=None, max_examples=200)
def test_components_are_those_of_union_find(pairs: list[tuple[int, int]]) -> None:
    parent = list(range(12))

    def find(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for left, right in pairs:
        a, b = sorted((find(left), find(right)))
        parent[b] = a
    edges = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    label = components(edges[:, 0], edges[:, 1], 12)
    assert label.tolist() == [find(node) for node in range(12)]


def test_a_long_chain_is_one_group() -> None:
    n = 50_000
    order = np.random.default_rng(3).permutation(n)
    assert not components(order[:-1], order[1:], n).any()


def test_ids_over_sources_become_one(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    (tmp_path / "app.csv").write_text(
        "user_id,action,event_time\nalice,view,2024-01-01\n7,view,2024-01-02\nx,view,2024-01-03\n"
    )
    (tmp_path / "web.csv").write_text(
        "user_id,action,event_time\n7,view,2024-01-04\nphone,view,2024-01-05\n"
    )
    (tmp_path / "ids.csv").write_text(
        "user_id,alias,source\nalice,7,web\nbob,7,app\nalice,mail,\nmail,phone,\n,lost,\n"
    )
    (tmp_path / "users.csv").write_text("user_id,city\nphone,Rome\nalice,\nbob,Oslo\n")
    config = parse_settings(
        {
            "sources": {"app": {"events": "app.csv"}, "web": {"events": "web.csv"}},
            "identities": {"path": "ids.csv"}, "users": {"path": "users.csv"},
        }, tmp_path,
    )  # fmt: skip
    run = RunFolder(tmp_path / "run")
    accounts = {
        account.table: account
        for account in clean(read(config, duckdb_engine), config, duckdb_engine, run)
    }
    events = duckdb_engine.read_parquet(run.clean / "events").to_pyarrow().to_pylist()
    assert sorted((row["event_time"].day, row["user_id"]) for row in events) == [
        (1, "alice"), (2, "bob"), (3, "x"), (4, "alice"), (5, "alice"),
    ]  # fmt: skip
    assert {rule.name: rule.mended for rule in accounts["events"].rules}["identities"] == 3
    assert (accounts["identities"].n_in, accounts["identities"].n_out) == (5, 4)
    users = duckdb_engine.read_parquet(run.clean / "users.parquet").to_pyarrow().to_pylist()
    assert sorted((row["user_id"], row["city"]) for row in users) == [
        ("alice", "Rome"), ("bob", "Oslo"),
    ]  # fmt: skip


def test_rows_without_a_customer_use_the_anonymous_id(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    (tmp_path / "app.csv").write_text(
        "userId,anonymousId,action,event_time\n"
        ",a1,view,2024-01-01\n"  # a1 is alice, as a later row tells
        "alice,a1,view,2024-01-02\n"
        ",a2,view,2024-01-03\n"  # nobody ever logged in on a2
        ",shared,view,2024-01-04\n"  # two customers used it: it is neither
        "alice,shared,view,2024-01-05\n"
        "bob,shared,view,2024-01-06\n"
        "bob,alice,view,2024-01-07\n"  # an id that is another customer's joins nobody
        ",,view,2024-01-08\n"
        "undefined,a1,view,2024-01-09\n"
    )
    config = parse_settings(
        {"sources": {"app": {
            "events": "app.csv", "columns": {"user_id": "userId", "anonymous_id": "anonymousId"},
        }}}, tmp_path,
    )  # fmt: skip
    run = RunFolder(tmp_path / "run")
    (account,) = clean(read(config, duckdb_engine), config, duckdb_engine, run)
    events = pq.read_table(run.clean / "events").sort_by("event_time")
    assert events["user_id"].to_pylist() == [
        "alice", "alice", "a2", "shared", "alice", "bob", "bob", "alice",
    ]  # fmt: skip
    mended = {rule.name: rule.mended for rule in account.rules if rule.mended}
    assert mended == {
        "anonymous_id where user_id is missing": 2, "identities from rows with both ids": 2,
    }  # fmt: skip
    assert {rule.name: rule.dropped for rule in account.rules}["no user id"] == 1


def test_a_column_called_anonymous_id_is_no_fallback_by_itself(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    (tmp_path / "app.csv").write_text(
        "user_id,anonymous_id,action,event_time\n,a1,view,2024-01-01\nb,a1,view,2024-01-02\n"
    )
    config = parse_settings({"sources": {"app": {"events": "app.csv"}}}, tmp_path)
    run = RunFolder(tmp_path / "run")
    (account,) = clean(read(config, duckdb_engine), config, duckdb_engine, run)
    assert (account.n_in, account.n_out) == (2, 1)


def test_fallbacks_are_read_where_the_column_is_empty(
    duckdb_engine: TableEngine, tmp_path: Path
) -> None:
    (tmp_path / "log.csv").write_text(
        "user_id,action,event_time,paid,back,other\n"
        "a,pay,2024-01-01,10,,\nb,refund,2024-01-02,,4,9\nc,view,2024-01-03, ,,\n"
        "d,pay,2024-01-04,,,7\n"
    )
    config = parse_settings(
        {"sources": {"log": {
            "events": "log.csv", "columns": {"value": "paid"},
            "fallbacks": {"value": ["back", "other"]},
        }}}, tmp_path,
    )  # fmt: skip
    run = RunFolder(tmp_path / "run")
    clean(read(config, duckdb_engine), config, duckdb_engine, run)
    events = pq.read_table(run.clean / "events").sort_by("event_time")
    assert events["value"].to_pylist() == [10_000_000, -4_000_000, None, 7_000_000]


def test_an_identities_table_says_since_when(duckdb_engine: TableEngine, tmp_path: Path) -> None:
    days = range(1, 9)
    lines = [f"{name},view,2024-01-0{day} 10:00:07" for name in ("ann", "d1", "d2") for day in days]
    (tmp_path / "app.csv").write_text("\n".join(["user_id,action,event_time", *lines]))
    (tmp_path / "ids.csv").write_text("user_id,alias,linked\nann,d1,2024-01-05\nann,d2,\n")
    config = parse_settings(
        {
            "sources": {"app": {"events": "app.csv"}},
            "identities": {"path": "ids.csv", "valid_from": "linked"},
        },
        tmp_path,
    )
    run = RunFolder(tmp_path / "run")
    accounts = clean(read(config, duckdb_engine), config, duckdb_engine, run)
    (row,) = pq.read_table(run.clean / "hindsight.parquet").to_pylist()
    assert row["user_id"] == "ann"
    assert (row["begin"].isoformat(), row["end"].isoformat()) == (
        "2024-01-01T10:00:07", "2024-01-05T00:00:00",
    )  # fmt: skip
    notes = [rule.note for account in accounts for rule in account.rules]
    assert "1 links count as known at all times: have no time" in notes
