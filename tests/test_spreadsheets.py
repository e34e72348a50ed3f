"""Text that begins like a formula."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.spreadsheets import STARTS, neutralise, original


def neutral(text: str | None) -> str | None:
    cell: str | None = neutralise(pa.table({"a": pa.array([text], pa.string())}))["a"][0].as_py()
    return cell


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+1|cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=", "-", "+", "-a", "+ 1",
     "\uff1d1+1", "+49 30 1234\n=1", "-12.50=A1", '=HYPERLINK("http://x")'],
)  # fmt: skip
def test_a_formula_becomes_text(text: str) -> None:
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    ["-12.50", "+12,50", "-1,299.00", "-1e-05", "+5%", "+49 30 1234", "+49 (0)30/1234-5", "u1",
     "a=1", "'=1", " =1", "", None, "12", "C\u00f4te", "1-2"],
)  # fmt: skip
def test_numbers_phones_and_words_stay(text: str | None) -> None:
    assert neutral(text) == text


@given(st.lists(st.text(max_size=12) | st.sampled_from(STARTS).flatmap(
    lambda first: st.text("0123456789 .,()/-+eE%=@a", max_size=8).map(lambda rest: first + rest)
), max_size=8))  # fmt: skip
def test_a_cell_stays_or_gets_one_apostrophe(cells: list[str]) -> None:
    table = pa.table({"a": pa.array(cells, pa.string()), "n": pa.array([-1.5] * len(cells))})
    made = neutralise(table)
    assert made["n"].equals(table["n"])
    for before, after in zip(cells, made["a"].to_pylist(), strict=True):
        assert after in (before, f"'{before}")
        if not before.startswith("'"):
            assert original(after) == before
        if before[:1] and before[0] in STARTS and after == before:
            assert set(before) <= set("0123456789 .,()/+-eE%"), before
        if not before[:1] or before[0] not in STARTS:
            assert after == before
    file = io.BytesIO()
    pa_csv.write_csv(made, file)
    assert not made.column_names[0].startswith("=")


def test_names_of_columns_are_cells_too() -> None:
    assert neutralise(pa.table({"=a": [1]})).column_names == ["'=a"]
