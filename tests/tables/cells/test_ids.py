"""Ids as expressions agree with `propense.ids`, which the service uses."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from propense.errors import SourceError
from propense.ids import PLACEHOLDER_IDS, is_placeholder, tidy_id
from propense.tables.cells.ids import IdEvidence, changed, read_id, survey_ids
from propense.tables.engine.engine import ROW, TableEngine, connect

CELLS = [
    "u1", " u1", "u1\u00a0", "\u200bu1", '="00123"', "Anna@Shop.Example", "A@B", "17850.0", "1.50",
    "a\u3000b", "undefined", "[object Object]", "Guest", "0", "00", "0.0", "\ufeff", "用户1009",
    "=1", "<a@b.example>", "MailTo:A@b.example", '"Ann" <a@B.example>', "Ju\u0308rgen", "Jürgen",
    "0000000", "\u1100\u1161", "<x>",
]  # fmt: skip


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


class Located:
    """Stands for a table that locates rows."""

    def locate(self, row: int) -> str:
        return f"log.csv row {row}"


def read(
    engine: TableEngine, cells: list[str], words: tuple[str, ...] = PLACEHOLDER_IDS
) -> tuple[list[str | None], IdEvidence]:
    rows = engine.table_of(pa.table({ROW: list(range(len(cells))), "x": cells}), "ids")
    evidence = survey_ids(rows, {"x": words}, Located())["x"]
    flags = changed(rows["x"], evidence)
    out = rows.select(ROW, x=read_id(rows["x"], words, evidence), **flags).order_by(ROW)
    counts = {name: sum(out.to_pyarrow()[name].to_pylist()) for name in flags}
    assert counts == {name: getattr(evidence, name) for name in flags}
    return out.to_pyarrow()["x"].to_pylist(), evidence


def expected(cell: str) -> str | None:
    tidy = tidy_id(cell)
    whole, point, zeros = tidy.partition(".")
    if point and whole.isascii() and whole.isdigit() and zeros and not zeros.strip("0"):
        tidy = whole
    return None if is_placeholder(tidy) else tidy


def test_ids_as_the_service_has_them(duck: TableEngine) -> None:
    ids, evidence = read(duck, CELLS)
    assert ids == [expected(cell) for cell in CELLS]
    assert evidence == IdEvidence(untidy=11, capitals=3, floating=2, decomposed=2)
    assert read(duck, ["u1", "u2"])[1] == IdEvidence(0, 0, 0)


@pytest.mark.spark
def test_spark_reads_the_same(spark_engine: TableEngine) -> None:
    ids, _ = read(spark_engine, CELLS)
    assert ids == [expected(cell) for cell in CELLS]


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(
        st.text(st.sampled_from('aB@.=",0 \t\u00a0\u200b\ufeff\u3000ü用\u0308u<>:')),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_agrees(duck: TableEngine, cells: list[str]) -> None:
    assert read(duck, cells)[0] == [expected(cell) for cell in cells]


def test_digits_that_a_spreadsheet_lost_are_refused(duck: TableEngine) -> None:
    with pytest.raises(SourceError, match=r"log.csv row 1, column 'x': 1 ids are .*'1.23E\+05'"):
        read(duck, ["123456", "1.23E+05"])
    assert read(duck, ["12e5", "1.23E+05"], ("", "1.23e+05"))[0] == ["12e5", None]


def test_ids_that_are_rounded_floats_are_refused(duck: TableEngine) -> None:
    for number, is_exact in ((17850.0, True), (2.0**53 - 1, True), (1.2345678901234567e18, False)):
        rows = duck.table_of(pa.table({ROW: [0], "x": [number]}), "float_ids")
        if is_exact:
            survey_ids(rows, {"x": PLACEHOLDER_IDS}, Located())
            continue
        with pytest.raises(SourceError, match=r"log\.csv row 0, column 'x': 1 ids are decimals"):
            survey_ids(rows, {"x": PLACEHOLDER_IDS}, Located())
