"""The written files of a split are checked, and a leak is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.errors import LeakError
from propense.schemas import TRAIN, RunFolder
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.splitting import labelled_rows
from propense.tables.splitting.split import split
from propense.tables.splitting.split_checks import check_no_leak
from support.split_worlds import VIEW, settings_of, visits, write_clean

EVEN = (0.5, 0.25, 0.25)


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


def rewrite_labels(run: RunFolder, change: Any) -> None:
    file = run.parts / "labels.parquet"
    table = pq.read_table(file)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)


def test_a_leak_in_the_files_is_found_with_its_row(tmp_path: Path, duck: TableEngine) -> None:
    settings = settings_of(VIEW)

    def late_label(rows: list[dict[str, Any]]) -> None:
        row = max((row for row in rows if row["part"] == "train"), key=lambda row: row["as_of"])
        row["as_of"] += np.timedelta64(1, "D").astype(object)

    def wrong_part(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row["part"] == "train")["part"] = "test"

    def no_part(rows: list[dict[str, Any]]) -> None:
        rows[5]["part"] = None

    def twice(rows: list[dict[str, Any]]) -> None:
        rows.append(rows[3])

    for name, change, message in (
        ("late", late_label, r"user 'u\d' as of .* is in train.*'view' looks beyond"),
        ("wrong", wrong_part, r"user 'u\d' as of .* is in test, which opens at"),
        ("none", no_part, "is in no part"),
        ("twice", twice, "has two rows of one as-of time"),
    ):
        run = write_clean(tmp_path / name, visits())
        plan = split(run, settings, duck)
        check_no_leak(run.parts, plan, duck)
        rewrite_labels(run, change)
        with pytest.raises(LeakError, match=message):
            check_no_leak(run.parts, plan, duck)


def test_a_customer_in_two_parts_is_found(tmp_path: Path, duck: TableEngine) -> None:
    settings = settings_of(VIEW, split={"by": "user", "fractions": EVEN})

    def move_one(rows: list[dict[str, Any]]) -> None:
        rows[0]["part"] = "test" if rows[0]["part"] != "test" else "train"

    def move_all(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["part"] = "test"

    def beyond(rows: list[dict[str, Any]]) -> None:
        rows[0]["as_of"] += np.timedelta64(500, "D").astype(object)

    for name, change, message in (
        ("one", move_one, r"user 'u\d+' is in more than one part"),
        ("all", move_all, r"user 'u\d+' as of .* has another part than users.parquet"),
        ("beyond", beyond, r"user 'u\d+' .*looks beyond the last event"),
    ):
        run = write_clean(tmp_path / name, visits(n_users=20))
        plan = split(run, settings, duck)
        check_no_leak(run.parts, plan, duck)
        rewrite_labels(run, change)
        with pytest.raises(LeakError, match=message):
            check_no_leak(run.parts, plan, duck)


def test_events_out_of_order_are_found(tmp_path: Path, duck: TableEngine) -> None:
    run = write_clean(tmp_path, visits())
    plan = split(run, settings_of(VIEW), duck)
    file = next(iter(sorted((run.parts / "shards").glob("*.parquet"))))
    table = pq.read_table(file)

    def rewrite(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        events = [change(row) for row in table["events"].to_pylist()]
        changed = pa.array(events, table.schema.field("events").type)
        pq.write_table(table.set_column(1, "events", changed), file)

    rewrite(lambda events: events[::-1])
    with pytest.raises(LeakError, match=r"events of user 'u\d+' are not in order of time"):
        check_no_leak(run.parts, plan, duck)
    later = np.timedelta64(900, "D").astype(object)
    rewrite(lambda events: [{**one, "event_time": one["event_time"] + later} for one in events])
    with pytest.raises(LeakError, match=r"events of user 'u\d+' go beyond the last event, 20"):
        check_no_leak(run.parts, plan, duck)


def test_a_split_that_leaks_writes_nothing(
    tmp_path: Path, duck: TableEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The written files are checked by `split` itself."""
    right = labelled_rows.labels_table

    def wrong(rows: Any, user_ids: Any, goals: Any) -> Any:
        return right(replace(rows, part=np.full_like(rows.part, TRAIN)), user_ids, goals)

    monkeypatch.setattr("propense.tables.splitting.split.labels_table", wrong)
    run = write_clean(tmp_path, visits())
    with pytest.raises(LeakError, match=r"user 'u\d+' as of .* looks beyond"):
        split(run, settings_of(VIEW), duck)
    assert not run.parts.exists()
