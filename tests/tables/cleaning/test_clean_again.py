"""Rows balance whatever the dirt, and cleaning clean tables changes nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.errors import SourceError
from propense.schemas import Account, RunFolder
from propense.settings import parse_settings
from propense.tables.cleaning.clean import clean
from propense.tables.engine.engine import TableEngine, connect
from propense.tables.sources.reading import read

USERS = st.sampled_from(["u1", "u1", "u2", "17.0", "18.0", "", "null", " u2 "])
ITEMS = st.sampled_from(["a", "a", "b", "", "1.0", "1.5"])
ACTIONS = st.sampled_from(["view", "View", "pay", "pay", "refund", "", "PAY "])
TIMES = st.sampled_from([
    "2024-01-01 10:00:00", "2024-01-01 10:00:00.5", "2024-01-01T10:00:01Z", "2024-01-02",
    "2024/3/1 7:05", "1704103200", "1704103200500", "2099-01-01", "1970-05-05", "soon", "",
])  # fmt: skip
VALUES = st.sampled_from(["", "5", "-5", "12.345678", "inf", "nan", "$7", "x", "9e99", "3000000"])
COUNTS = st.sampled_from(["", "1", "1", "2", "0", "-1"])
LOGS = st.lists(
    st.tuples(USERS, ITEMS, ACTIONS, TIMES, VALUES, COUNTS, st.sampled_from(["", "", "e1", "e2"])),
    min_size=1, max_size=60,
)  # fmt: skip
RULES = st.fixed_dictionaries({
    "exact_duplicates": st.sampled_from(["drop", "keep"]),
    "negative_values": st.sampled_from(["drop", "keep"]),
    "duplicate_window": st.sampled_from(["1s", "1d"]),
    "max_events_per_day": st.sampled_from([3, 5000]),
})  # fmt: skip
HEADER = ("user_id", "item_id", "action", "event_time", "value", "count", "event_id")


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


def clean_once(
    engine: TableEngine, source: dict[str, Any], rules: dict[str, Any], folder: Path, name: str
) -> tuple[Account, list[dict[str, Any]], RunFolder]:
    config = parse_settings({"sources": {"log": source}, "clean": rules}, folder)
    run = RunFolder(folder / name)
    account = clean(read(config, engine), config, engine, run)[0]
    rows = engine.read_parquet(run.clean / "events").to_pyarrow().to_pylist()
    return account, sorted(rows, key=repr), run


@given(LOGS, RULES)
@settings(deadline=None, max_examples=2)
def test_cleaning_again_changes_nothing(
    duck: TableEngine, log: list[tuple[str, ...]], rules: dict[str, Any]
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        text = io.StringIO()
        csv.writer(text).writerows([HEADER, *log])
        (folder / "log.csv").write_text(text.getvalue())
        try:
            account, rows, run = clean_once(duck, {"events": "log.csv"}, rules, folder, "once")
        except SourceError as error:
            assert "cleaning leaves none" in str(error) or "cannot be read" in str(error)
            return
        assert account.balances and account.n_in == len(log)
        aside = duck.read_parquet(run.clean / "set_aside" / "events.parquet").to_pyarrow()
        assert len(aside) == account.dropped and account.n_out == len(rows)
        again = {
            "events": str(run.clean / "events"), "time_zone": "UTC", "value_unit": 1e-6,
        }  # fmt: skip
        second, same, _ = clean_once(duck, again, rules, folder, "twice")
        assert same == rows
        assert second.dropped == 0 and not any(rule.mended for rule in second.rules)
