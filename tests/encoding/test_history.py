"""Shards and live events give the same histories."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.event_log import read_log
from propense.encoding.history import EventIndex, Indexer, history_of, index_log, slice_users
from propense.encoding.vocabulary import Vocabulary
from propense.errors import SourceError
from propense.schemas import Histories
from support.encoding_runs import EVENT, MICROS, event, write_shards


class Words(msgspec.Struct, frozen=True):
    timed: bool = True
    actions: Vocabulary = Vocabulary(("view", "pay"))
    items: Vocabulary = Vocabulary(("i1", "i2"))
    sources: Vocabulary = Vocabulary(("app",))


FIELDS = ("offsets", "time", "action", "item", "source", "value", "count")

EVENTS = st.builds(
    lambda micros, action, item, value, count, source: {
        "event_time": micros, "action": action, "item_id": item, "value": value, "count": count,
        "source": source,
    },
    st.integers(0, 3 * MICROS), st.sampled_from(["view", "pay", "fly"]),
    st.sampled_from([None, "i1", "i2", "数"]), st.none() | st.integers(-3, 3),
    st.none() | st.sampled_from([1.0, 2.5]), st.sampled_from([None, "app", "web"]),
)  # fmt: skip


def assert_same(one: Histories, other: Histories) -> None:
    assert one.user_ids.tolist() == other.user_ids.tolist()
    for name in FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype, name
        assert a.tobytes() == b.tobytes(), name


def shards(folder: Path, logs: dict[str, list[dict[str, Any]]], n_shards: int = 1) -> Path:
    write_shards(folder / "shards", logs, n_shards)
    return folder


def load_histories(parts: Path, encoder: Indexer) -> Histories:
    """Histories of every user of `parts/shards`."""
    return index_log(read_log(parts, encoder.timed), encoder)


def test_shards_become_sparse_rows(tmp_path: Path) -> None:
    logs = {
        "ann": [event(5, "pay", "i2", value=12_500_000), event(3, "view", "i1", count=4.0)],
        "bob": [],
        "cat": [event(9, "fly", "new", source="web"), event(9, "view", None, source=None)],
    }
    made = load_histories(shards(tmp_path, logs), Words())
    assert made.user_ids.tolist() == ["ann", "bob", "cat"]
    assert made.offsets.tolist() == [0, 2, 2, 4]
    assert made.time.tolist() == [3, 5, 9, 9]
    assert made.action.tolist() == [2, 3, 1, 2]
    assert made.item.tolist() == [2, 3, 1, 0]
    assert made.source.tolist() == [2, 2, 1, 0]
    assert made.value.tolist()[1] == 12.5 and np.isnan(made.value[[0, 2, 3]]).all()
    assert made.count.tolist() == [4, 1, 1, 1]
    assert (made.action.dtype, made.item.dtype) == (np.int16, np.int32)


def test_shards_are_read_in_order_of_name_and_words_unified(tmp_path: Path) -> None:
    logs = {f"u{k}": [event(k, "view", f"i{k % 3}")] for k in range(7)}
    made = load_histories(shards(tmp_path, logs, 3), Words())
    assert made.user_ids.tolist() == ["u0", "u3", "u6", "u1", "u4", "u2", "u5"]
    assert made.item.tolist() == [1, 1, 1, 2, 2, 3, 3]


def test_times_before_1970_are_floored(tmp_path: Path) -> None:
    logs = {"a": [{**event(0), "event_time": -1}]}
    assert load_histories(shards(tmp_path, logs), Words()).time.tolist() == [-1]
    assert history_of(logs["a"], Words()).time.tolist() == [-1]


@settings(deadline=None, max_examples=40)
@given(st.lists(EVENTS, max_size=8), st.randoms(use_true_random=False))
def test_live_equals_shards_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict[str, Any]], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "shards").mkdir()
    rows = [{name: row[name] for name in EVENT.names} for row in events]
    table = pa.table({"user_id": ["u"], "events": pa.array([rows], pa.list_(EVENT))})
    pq.write_table(table, folder / "shards" / "shard-000.parquet")
    offline = load_histories(folder, Words())
    random.shuffle(events)
    assert_same(history_of(events, Words(), ["u"]), offline)


def test_ties_are_ordered_by_words_missing_first() -> None:
    events = [
        event(1, "view", "i2"), event(1, "pay", "i1"), event(1, "view", None),
        event(1, "view", "i1", value=2 * MICROS), event(1, "view", "i1"),
    ]  # fmt: skip
    made = history_of(events, Words())
    assert made.action.tolist() == [3, 2, 2, 2, 2]
    assert made.item.tolist() == [2, 0, 2, 2, 3]
    assert np.isnan(made.value[2]) and made.value[3] == 2


def test_live_times_come_in_three_forms() -> None:
    time = dt.datetime(2026, 2, 1, 8, 30, tzinfo=dt.timezone(dt.timedelta(hours=8)))
    seconds = int(time.timestamp())
    for form in (time, "2026-02-01T08:30:00+08:00", "2026-02-01T00:30:00Z", seconds * MICROS):
        assert history_of([{**event(0), "event_time": form}], Words()).time.tolist() == [seconds]


def test_several_customers_at_once_are_each_as_alone() -> None:
    events = [
        {**event(k, "view", f"i{k % 3}"), "user_id": f"u{k % 2}"} for k in (5, 2, 9, 1, 4)
    ]  # fmt: skip
    together = history_of(events, Words(), ["u1", "nobody", "u0"])
    assert together.offsets.tolist() == [0, 3, 3, 5]
    alone = history_of([e for e in events if e["user_id"] == "u0"], Words())
    assert_same(
        alone,
        Histories(
            alone.user_ids, np.array([0, 2]), *(getattr(together, n)[3:] for n in FIELDS[1:])
        ),
    )


def test_nobody_and_nothing() -> None:
    assert history_of([], Words()).n_users == 0
    empty = history_of([], Words(), ["new"])
    assert empty.offsets.tolist() == [0, 0] and empty.n_events == 0


def test_order_only_keeps_the_given_order(tmp_path: Path) -> None:
    logs = {"a": [event(None, "view", "i2"), event(None, "view", "i1")], "b": [event(None)]}
    made = load_histories(shards(tmp_path, logs), Words(timed=False))
    assert not made.timed
    assert made.time.tolist() == [0, 1, 0]
    assert made.item.tolist() == [3, 2, 0]
    assert_same(history_of(logs["a"], Words(timed=False), ["a"]), slice_users(made, 0, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_time": "soon"}, "'soon' is not a date or time"),
        ({"event_time": 1.5}, "1.5 is neither a datetime"),
        ({"event_time": None}, "1 events have no event_time"),
        ({"value": 2.5}, "value 2.5 is no whole number"),
        ({"value": "9"}, "value '9' is not a number"),
        ({"user_id": "eve"}, "event of user 'eve'"),
    ],
)
def test_bad_live_events_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        history_of([{**event(3), "user_id": "ann", **change}], Words(), ["ann"])


def test_missing_shards_and_fields_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no shards in"):
        load_histories(tmp_path, Words())
    (tmp_path / "shards").mkdir()
    bad = pa.table({"user_id": ["a"], "events": [[{"action": "view"}]]})
    pq.write_table(bad, tmp_path / "shards" / "shard-000.parquet")
    with pytest.raises(SourceError, match="no field 'event_time'"):
        load_histories(tmp_path, Words())
    (tmp_path / "shards" / "shard-000.parquet").write_bytes(b"torn")
    with pytest.raises(SourceError, match=r"shard-000.parquet' cannot be read"):
        load_histories(tmp_path, Words())


def test_missing_times_among_others_are_refused(tmp_path: Path) -> None:
    logs = {"a": [event(1)], "b": [event(None)]}
    with pytest.raises(SourceError, match="1 events have no event_time"):
        load_histories(shards(tmp_path, logs), Words())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.integers(-5, 5), max_size=5), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)), max_size=8),
    st.booleans(),
)
def test_moments_are_found_as_by_counting(
    times: list[list[int]], asked: list[tuple[int, int]], huge: bool
) -> None:
    scale = 1 << 58 if huge else 1  # spans that no composite key could hold
    lists = [sorted(t * scale for t in user) for user in times]
    offsets = np.concatenate([[0], np.cumsum([len(t) for t in lists])]).astype(np.int64)
    time = np.array([t for user in lists for t in user], np.int64)
    some = np.zeros(len(time), np.float32)
    none = some.astype(np.int16)
    histories = Histories(
        np.array([str(k) for k in range(len(lists))], object), offsets, time, none,
        none.astype(np.int32), none, some, some,
    )  # fmt: skip
    asked = [(user % len(lists), at * scale // 2) for user, at in asked]
    first = EventIndex(histories).before(
        np.array([u for u, _ in asked], np.int32), np.array([at for _, at in asked], np.int64)
    )
    expected = [offsets[u] + sum(t < at for t in lists[u]) for u, at in asked]
    assert first.tolist() == expected
