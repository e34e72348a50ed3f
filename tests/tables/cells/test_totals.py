"""Words of totals, and the rows that have them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propense.tables.cells.totals import TOTAL_WORDS, is_total, may_hold_total_word, total_row
from propense.tables.engine.engine import TableEngine

COLUMNS = {"user_id": "u", "item_id": "i", "event_time": "t", "value": "v"}


def totals(engine: TableEngine, rows: list[dict[str, Any]], columns: dict[str, str]) -> list[bool]:
    names = list(rows[0])
    table = engine.table_of(pa.table({name: [row[name] for row in rows] for name in names}), "rows")
    return list(
        table.select(total=total_row(table, columns, names, False))
        .to_pyarrow()["total"]
        .to_pylist()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Total", True), (" TOTAL: ", True), ("Summe", True), ("Grand\u00a0Total (12)", True),
     ("合计：", True),
     ("** Gesamt **", True), ("Total 2024", True), ("Итого", True), ("Total Cereal", False),
     ("totally", False), ("Subtotals", True), ("", False), (None, False), ("2024", False),
     ("--", False)],
)  # fmt: skip
def test_words(duckdb_engine: TableEngine, text: str | None, expected: bool) -> None:
    table = duckdb_engine.table_of(pa.table({"text": pa.array([text], pa.string())}), "text")
    assert table.select(total=is_total(table.text)).to_pyarrow()["total"].to_pylist() == [expected]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(
    word=st.sampled_from(TOTAL_WORDS), capitals=st.sampled_from([str.upper, str.title, str.lower]),
    index=st.sampled_from(["u", "i", "t", "first"]),
    empty=st.sampled_from(["", None, " ", "-", "NULL"]),
)  # fmt: skip
def test_a_total_is_found_wherever_it_stands(
    duckdb_engine: TableEngine, word: str, capitals: Any, index: str, empty: str | None
) -> None:
    row: dict[str, Any] = {"first": "x", "u": empty, "i": empty, "t": empty, "v": "12.50"}
    row[index] = capitals(word)
    events = [
        {**row, "u": "u1", "t": "2024-01-01", "i": "i1"},
        {"first": "x", "u": empty, "i": empty, "t": empty, "v": "1"},
        {"first": "x", "u": capitals(word), "i": "i1", "t": "2024-01-01", "v": "1"},
    ]
    assert totals(duckdb_engine, [row, *events], COLUMNS) == [True, False, False, False]


def test_every_total_word_passes_the_quick_look(duckdb_engine: TableEngine) -> None:
    cells = duckdb_engine.table_of(pa.table({"cell": list(TOTAL_WORDS)}), "cells")
    looked = cells.select(may=may_hold_total_word(cells["cell"]), whole=is_total(cells["cell"]))
    assert all(row["may"] and row["whole"] for row in looked.to_pyarrow().to_pylist())
