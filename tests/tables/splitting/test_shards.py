"""Shards: every customer once, every event once, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.folds import unit_hash
from propense.errors import SplitError
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.shards import SHARD_SCHEMA, SHARD_SEED, Partitions, partition
from propense.tables.splitting.split import split
from support.split_worlds import EVENT_SCHEMA, Event, settings_of, shards_of, write_clean


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


def plain(event: Event) -> dict[str, Any]:
    row = event.row()
    return {key: row[key] for key in ("action", "item_id", "value", "count", "source")}


EVENTS = st.lists(
    st.builds(
        Event,
        user_id=st.sampled_from(["ann", "bøb", "陈", "d'ee", ""]),
        action=st.sampled_from(["view", "pay", "Übung"]),
        time=st.integers(0, 4).map(float),
        value=st.sampled_from([None, -1, 0, 5]),
        item_id=st.sampled_from([None, "a", "B", "é"]),
        count=st.sampled_from([None, 1.0, 2.0]),
        source=st.sampled_from(["app", "web"]),
    ),
    min_size=1,
    max_size=40,
)


def sort_key(event: Event) -> tuple[Any, ...]:
    """(event_time, action, item_id, value), nulls first, words by their bytes."""

    def nulls_first(value: Any) -> tuple[bool, Any]:
        return (value is not None, value.encode() if isinstance(value, str) else value or 0)

    return (
        event.micros, nulls_first(event.action), nulls_first(event.item_id),
        nulls_first(event.value), nulls_first(event.count), event.source.encode(),
    )  # fmt: skip


@settings(deadline=None, max_examples=8, derandomize=True)
@given(events=EVENTS, shuffled=st.randoms())
def test_shards_hold_every_event_once_in_order_whatever_the_order_of_arrival(
    duck: TableEngine, tmp_path_factory: pytest.TempPathFactory, events: list[Event], shuffled: Any
) -> None:
    rows = []
    for _ in range(2):
        run = write_clean(tmp_path_factory.mktemp("run"), events)
        split(run, settings_of(split={"by": "leave_one_out"}), duck)
        rows.append(shards_of(run))
        shuffled.shuffle(events)
    assert rows[0] == rows[1]
    assert len(rows[0]) == len({row["user_id"] for row in rows[0]})
    for row in rows[0]:
        mine = sorted((e for e in events if e.user_id == row["user_id"]), key=sort_key)
        assert [{**e, "event_time": None} for e in row["events"]] == [
            {**plain(event), "event_time": None} for event in mine
        ]
        times = [event["event_time"] for event in row["events"]]
        assert times == sorted(times)


def test_a_customer_lies_in_the_shard_of_the_hash(tmp_path: Path, duck: TableEngine) -> None:
    names = [f"user {i}" for i in range(300)]
    events = [Event(name, "view", i % 50) for i, name in enumerate(names)]
    run = write_clean(tmp_path, events, pa.table({"user_id": ["only profile"], "age": [30.0]}))
    split(run, settings_of(), duck)
    files = sorted((run.parts / "shards").iterdir())
    assert [file.name for file in files] == [f"shard-{i:03d}.parquet" for i in range(8)]
    expected = (unit_hash([*names, "only profile"], SHARD_SEED, "shard") * 8).astype(int)
    shard_of = dict(zip([*names, "only profile"], expected.tolist(), strict=True))
    for number, file in enumerate(files):
        table = pq.read_table(file)
        assert table.schema.equals(SHARD_SCHEMA)
        assert all(shard_of[name] == number for name in table["user_id"].to_pylist())
    rows = shards_of(run)
    assert len(rows) == 301
    assert [row["user_id"] for row in rows if row["events"] == []] == ["only profile"]
    users = pq.read_table(run.parts / "users.parquet")
    assert users["user_id"].to_pylist() == [row["user_id"] for row in rows]
    ages = dict(zip(users["user_id"].to_pylist(), users["age"].to_pylist(), strict=True))
    assert ages["only profile"] == 30.0
    assert ages["user 0"] is None


def test_times_with_a_zone_are_read_as_utc(tmp_path: Path, duck: TableEngine) -> None:
    events = [Event(f"u{i % 3}", "view", i) for i in range(30)]
    run = write_clean(tmp_path / "naive", events)
    split(run, settings_of(), duck)
    zoned = write_clean(tmp_path / "zoned", events)
    for file in (zoned.clean / "events").iterdir():
        table = pq.read_table(file)
        times = table["event_time"].cast(pa.timestamp("us", "UTC"))
        pq.write_table(table.set_column(3, "event_time", times), file)
    split(zoned, settings_of(), duck)
    assert shards_of(run) == shards_of(zoned)


def test_order_stands_in_for_time(tmp_path: Path, duck: TableEngine) -> None:
    events = [Event("u", f"a{9 - i}", None, order=i) for i in (3, 0, 2, 1)]
    run = write_clean(tmp_path, events)
    plan = split(run, settings_of(), duck)
    assert (plan.by, plan.timed, plan.end) == ("leave_one_out", False, None)
    assert [event["action"] for event in shards_of(run)[0]["events"]] == ["a9", "a8", "a7", "a6"]
    assert [count.events for count in plan.counts] == [2, 1, 1]


def test_some_events_without_time_are_refused(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, [Event("u", "view", 1.0), Event("u", "view", None)])
    with pytest.raises(SplitError, match="1 of 2 events have no event_time"):
        split(run, settings_of(), duck)


def test_nothing_to_split(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path)
    with pytest.raises(SplitError, match=r"nothing to split.*users.parquet"):
        split(run, settings_of(), duck)
    assert not run.parts.exists()


def test_the_nth_moment_is_exact(tmp_path: Path, duck: TableEngine) -> None:
    rng = np.random.default_rng(0)
    days = np.round(rng.random(500) * 30 * 86_400) / 86_400
    run = write_clean(tmp_path, [Event(f"u{i % 9}", "view", day) for i, day in enumerate(days)])
    partitions: Partitions = partition(duck, run.clean, tmp_path / "partitions")
    times = sorted(Event("u", "view", day).micros // 10**6 for day in days)
    clock = partitions.clock
    for n in (0, 1, 250, 498, 499):
        assert clock.nth(n) == times[n]
    assert (clock.begin, clock.end, clock.n_events) == (times[0], times[-1], 500)


def test_columns_that_events_lack_are_null(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, [])
    table = pa.Table.from_pylist(
        [Event("u", "view", float(day)).row() for day in range(20)], schema=EVENT_SCHEMA
    ).select(["user_id", "action", "event_time"])
    pq.write_table(table, run.clean / "events" / "part-1.parquet")
    (run.clean / "events" / "part-0.parquet").unlink()
    split(run, settings_of(), duck)
    assert {event["source"] for event in shards_of(run)[0]["events"]} == {None}
