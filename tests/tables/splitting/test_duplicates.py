"""Who is there twice is found, and who only looks like others is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting.duplicates import Duplicates, find_duplicates
from propense.tables.splitting.hashes import MISSING, hash_cells
from propense.tables.splitting.shards import partition
from support.split_worlds import Event, write_clean

Columns = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


def find(
    folder: Path, duck: TableEngine, columns: Columns | None = None,
    events: list[Event] | None = None,
) -> Duplicates:  # fmt: skip
    users = None
    if columns is not None:
        n_users = len(next(iter(columns.values())))
        users = pa.table({"user_id": [f"u{n:05d}" for n in range(n_users)], **columns})
    run = write_clean(folder, events, users)
    return find_duplicates(partition(duck, run.clean, folder / "p"), list(columns or {}))


def table(n: int, measured: int, coarse: int, words: int = 4, seed: int = 0) -> Columns:
    rng = np.random.default_rng(seed)
    columns = {f"x{k}": np.round(rng.normal(size=n), 3) for k in range(measured)}
    return columns | {f"c{k}": rng.integers(0, words, n).astype(float) for k in range(coarse)}


def twice(columns: Columns, n: int) -> Columns:
    """The table and its first `n` rows again."""
    return {name: np.concatenate([column, column[:n]]) for name, column in columns.items()}


@pytest.mark.parametrize(("measured", "coarse"), [(5, 0), (8, 8), (0, 30), (2, 3), (1, 3), (0, 10)])
def test_everyone_twice_is_found_in_rich_and_in_coarser_tables(
    tmp_path: Path, duck: TableEngine, measured: int, coarse: int
) -> None:
    columns = table(1_000, measured, coarse)
    assert find(tmp_path / "honest", duck, columns).customers == 0
    groups = find(tmp_path / "twice", duck, twice(columns, 1_000))
    assert groups.customers == 2_000 and 980 <= groups.groups <= 1_000


def test_a_few_are_found_where_nobody_is_like_another(tmp_path: Path, duck: TableEngine) -> None:
    groups = find(tmp_path, duck, twice(table(1_000, 4, 4), 7))
    assert (groups.customers, groups.groups) == (14, 7)


def test_a_row_number_and_an_address_do_not_hide_duplicates(
    tmp_path: Path, duck: TableEngine
) -> None:
    columns = twice(table(300, 4, 4), 30)
    columns["row"] = np.arange(330)
    columns["mail"] = np.array([f"person{n}@shop.example" for n in range(330)])
    assert find(tmp_path, duck, columns).groups == 30


@pytest.mark.parametrize("words", [2, 5])
def test_people_of_one_age_band_and_country_are_not_the_same(
    tmp_path: Path, duck: TableEngine, words: int
) -> None:
    assert find(tmp_path / "a", duck, table(2_000, 0, 4, words)).customers == 0
    # Columns that repeat each other say no more than one of them does.
    band = np.random.default_rng(1).integers(0, 40, 2_000)
    columns = {f"c{k}": (band * 7 + k).astype(float) for k in range(30)}
    assert find(tmp_path / "b", duck, columns).customers == 0


def test_what_many_have_is_a_default_and_binds_nobody(tmp_path: Path, duck: TableEngine) -> None:
    columns = table(1_000, 3, 30)
    for column in columns.values():
        column[:400] = 0
    assert find(tmp_path / "a", duck, columns).customers == 0
    for column in columns.values():
        column[:400] = np.nan
    assert find(tmp_path / "b", duck, columns).customers == 0


def history(user: str, rng: np.random.Generator, n: int, grain: float) -> list[Event]:
    days = np.round(rng.uniform(0, 90, n) / grain) * grain
    return [
        Event(user, "buy", float(day), item_id=f"i{rng.integers(20)}", value=int(rng.integers(9)))
        for day in days
    ]


def test_histories_are_compared_as_a_whole(tmp_path: Path, duck: TableEngine) -> None:
    rng = np.random.default_rng(0)
    logs = [history(f"u{n}", rng, int(rng.integers(5, 15)), 1e-5) for n in range(300)]
    events = [event for log in logs for event in log]
    assert find(tmp_path / "a", duck, events=events).customers == 0
    copies = [
        Event(f"copy of {event.user_id}", event.action, event.time, event.value, event.item_id)
        for log in logs[:20] for event in reversed(log)
    ]  # fmt: skip
    assert find(tmp_path / "b", duck, events=events + copies).groups == 20
    # One event more, and they are two people.
    copies += [Event(f"copy of u{n}", "buy", 3.0, item_id="i1") for n in range(5)]
    assert find(tmp_path / "c", duck, events=events + copies).groups == 15


def test_short_histories_of_a_day_meet_by_chance(tmp_path: Path, duck: TableEngine) -> None:
    rng = np.random.default_rng(0)
    events = [
        Event(f"u{n}", "visit", float(rng.integers(30)), item_id=f"i{rng.integers(4)}")
        for n in range(1_500)
    ]
    assert find(tmp_path, duck, events=events).customers == 0


def test_cells_are_equal_as_their_values_are() -> None:
    numbers = hash_cells(pa.array([1, 2, None, 1]))
    assert numbers[0] == numbers[3] != numbers[1] and numbers[2] == MISSING
    assert hash_cells(pa.array([1.0]))[0] == numbers[0]
    zeros = hash_cells(pa.array([0.0, -0.0, np.nan]))
    assert zeros[0] == zeros[1] and zeros[2] == MISSING
    words = ["", "a", "b", "ab", "ba", "aa", "é", "\x00", None]
    hashes = hash_cells(pa.chunked_array([words[:4], words[4:]]))
    assert len(set(hashes.tolist())) == len(words) and hashes[-1] == MISSING
    assert (hash_cells(pa.array(words).dictionary_encode()) == hashes).all()
    lists = hash_cells(pa.array([["a", "b"], ["ab"], ["a", "b"], None]))
    assert lists[0] == lists[2] != lists[1] and lists[3] == MISSING
    for kind in (pa.timestamp("us"), pa.date32(), pa.bool_(), pa.null(), pa.string()):
        assert len(hash_cells(pa.chunked_array([], kind))) == 0


def test_a_group_goes_by_the_key_of_its_first() -> None:
    groups = Duplicates(np.array([-1, 1, 0, -1, 1, 0]), np.array([4, 2]))
    keys = np.array(["z", "d", "c", "y", "b", "e"], object)
    assert groups.same_key(keys).tolist() == ["z", "b", "c", "y", "b", "c"]
    assert groups.of_partition(0).to_pylist() == [None, 1, 0, None]
    assert groups.of_partition(1).to_pylist() == [1, 0]
