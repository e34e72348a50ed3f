"""Numbers in any usual writing, and whether a column has decimal points or commas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from propense.tables.cells.number_formats import (
    InferredFormats,
    infer_formats,
    survey_numbers,
)
from propense.tables.cells.numbers import (
    SUSPICIOUS,
    NumberFormat,
    add_numbers,
    currency_code,
    currency_of,
    number_of,
)
from propense.tables.engine.engine import FILE_SHIFT, ROW, TableEngine, connect


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


@dataclass
class Files:
    """A source of one column, as the judge sees it."""

    rows: Table
    live: frozenset[int] = frozenset()

    def locate(self, row: int) -> str:
        return f"file {row >> FILE_SHIFT} row {row & ((1 << FILE_SHIFT) - 1)}"


def source(engine: TableEngine, *files: list[str]) -> Files:
    numbers = [(n << FILE_SHIFT) + i for n, file in enumerate(files) for i in range(len(file))]
    cells = [cell for file in files for cell in file]
    return Files(engine.table_of(pa.table({ROW: numbers, "x": cells}), "numbers"))


def infer(table: Files, decimal: str = "auto", units: bool = False) -> InferredFormats:
    evidence = [survey_numbers(table.rows, "x", units, table.live)]
    return infer_formats(evidence, table, "sources.s.decimal", decimal)


def read(table: Files, form: NumberFormat, units: bool = False) -> list[float | None]:
    """The numbers in the order of the rows, read in steps and as one expression."""
    rows = add_numbers(table.rows, {"n": ("x", form, units)})
    whole = number_of(rows["x"], form, rows[ROW], units)
    numbers = rows.select(ROW, "n", whole=whole).order_by(ROW).to_pyarrow().to_pydict()
    assert numbers["n"] == numbers["whole"]
    return numbers["n"]  # type: ignore[no-any-return]


AMOUNTS = {
    "12.50": 12.5, "¥1,234.50": 1234.5, "12,50 €": 12.5, "(7.00)": -7.0, "1 200": 1200.0,
    "1\u00a0200,5": 1200.5, "1\u202f200.5": 1200.5, "1'250.50": 1250.5, "1’250.50": 1250.5,
    "5-": -5.0, "5,-": 5.0, "5.--": 5.0, "1.250,50": 1250.5, "1,25,000": 125000.0,
    "１２３．５０元": 123.5, "123.00元": 123.0, "US$ 5": 5.0, "-€5": -5.0, "€-5": -5.0,
    "$(5.00)": -5.0, "12.5%": 0.125, "1e5": 1e5, "1,5E-3": 0.0015, "\u22123,5": -3.5, "5 eur": 5.0,
    "kr. 12": 12.0, "1.234.567": 1234567.0, "0,125": 0.125, ".5": 0.5, "5.": 5.0, "+5": 5.0,
    "1.5k": 1500.0, "$12.5K": 12500.0, "12.5k USD": 12500.0, "1.2万元": 12000.0, "3千": 3000.0,
    "2 lakh": 2e5, "1.5 crore": 1.5e7, "3M": 3e6, "2 Tsd. €": 2000.0, "5 Kč": 5.0,
    "1,23,456.00": 123456.0, "١٬٢٣٤٫٥٠": 1234.5, "۱۲۳": 123.0, "\u200f١٢": 12.0,
    "12 5": None, "1,2,3": None, "1.2.3": None, "(5": None, "abc": None, "-": None, "": None,
    "n/a": None, "2 pcs": None, "12 50 €": None, "1,234,56": None, "5 Taler": None,
}  # fmt: skip
COUNTS = {
    "2 pcs": 2.0, "3x": 3.0, "x3": 3.0, "2 Stück": 2.0, "3件": 3.0, "３件": 3.0,
    "1 200 pcs": 1200.0,
    "1\u00a0200": 1200.0, "12 ea.": 12.0, "2,5 kg": 2.5, "-3": -3.0, "(3)": -3.0, "1": 1.0,
    "2 dozen": None, "2打": None, "1k": None, "2x500g": None, "two": None, "5%": None,
}  # fmt: skip


def test_amounts_in_the_writings_of_systems(duck: TableEngine) -> None:
    assert read(source(duck, list(AMOUNTS)), NumberFormat()) == list(AMOUNTS.values())


def test_counts_carry_units(duck: TableEngine) -> None:
    assert read(source(duck, list(COUNTS)), NumberFormat(), units=True) == list(COUNTS.values())


@pytest.mark.spark
def test_spark_reads_the_same(spark_engine: TableEngine) -> None:
    table = source(spark_engine, [*AMOUNTS, "1.250", "1,250"])
    assert read(table, NumberFormat()) == [*AMOUNTS.values(), 1.25, 1250.0]
    assert read(table, NumberFormat("comma"))[-2:] == [1250.0, 1.25]
    assert [one.key for one in infer(table).questions] == ["sources.s.decimal"]
    counts = source(spark_engine, list(COUNTS))
    assert read(counts, NumberFormat(), units=True) == list(COUNTS.values())


def test_one_cell_decides_for_the_column(duck: TableEngine) -> None:
    table = source(duck, ["1.250", "7"], ["12,50"])
    assert read(table, infer(table).formats["x"]) == [1250.0, 7.0, 12.5]
    table = source(duck, ["1.250", "7"], ["12.5"])
    assert read(table, infer(table).formats["x"]) == [1.25, 7.0, 12.5]
    table = source(duck, ["1,250", "7"], ["12.5"])
    assert read(table, infer(table).formats["x"]) == [1250.0, 7.0, 12.5]


def test_a_column_that_shows_nothing_is_a_question(duck: TableEngine) -> None:
    inferred = infer(source(duck, ["1.250", "3.500", "7"]))
    (question,) = inferred.questions
    assert question.key == "sources.s.decimal"
    assert [(one.value, one.effect) for one in question.choices] == [
        ("point", "x sums to 11.75"), ("comma", "x sums to 4,757.00"),
    ]  # fmt: skip
    assert question.examples == ["file 0 row 0: '1.250'"]
    assert infer(source(duck, ["1,250"]), units=True).questions
    for decimal, sum_of in (("point", 11.75), ("comma", 4757.0)):
        table = source(duck, ["1.250", "3.500", "7"])
        answered = infer(table, decimal)
        assert not answered.questions
        assert sum(one or 0 for one in read(table, answered.formats["x"])) == sum_of


def test_files_that_differ_are_judged_one_by_one(duck: TableEngine) -> None:
    table = source(duck, ["1.250", "12,50"], ["1.250", "12.50"], ["12.5", "0.5", "9.75"])
    inferred = infer(table)
    assert not inferred.questions
    assert read(table, inferred.formats["x"])[:4] == [1250.0, 12.5, 1.25, 12.5]
    assert "file by file" in inferred.notes[-1]


def test_a_contradiction_inside_a_file_names_two_cells(duck: TableEngine) -> None:
    (question,) = infer(source(duck, ["1.250", "12,50", "12.5"])).questions
    assert question.examples == ["file 0 row 2: '12.5'", "file 0 row 1: '12,50'"]
    without_doubt = source(duck, ["12,50", "12.5"])
    inferred = infer(without_doubt)
    assert not inferred.questions
    assert "points and commas" in inferred.notes[0]
    assert read(without_doubt, inferred.formats["x"]) == [12.5, 12.5]


def test_rows_of_the_service_have_points(duck: TableEngine) -> None:
    table = source(duck, ["12,50", "1.250"], ["1.125"])
    table.live = frozenset({1})
    assert read(table, infer(table).formats["x"]) == [12.5, 1250.0, 1.125]


def test_currencies_beside_amounts(duck: TableEngine) -> None:
    rows = source(duck, ["5 €", "US$5", "5 usd", "¥5", "5"]).rows
    words = rows.select(ROW, c=currency_of(rows["x"])).order_by(ROW).to_pyarrow()["c"]
    currencies = words.to_pylist()
    assert [currency_code(one) for one in currencies] == ["EUR", "USD", "USD", "¥", ""]


def written(cents: int, decimals: int, decimal: str, thousands: str, around: str) -> str:
    size = abs(Decimal(cents)) / 10**decimals
    text = f"{size:,.{decimals}f}".translate({ord(","): "T", ord("."): "D"})
    text = text.replace("T", thousands).replace("D", decimal)
    return ("-" if cents < 0 else "") + around.format(text)


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=6),
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([".", ","]),
    st.sampled_from(["", "other", " ", "\u00a0", "\u202f", "'", "’"]),
    st.sampled_from(["{}", "{} €", "€{}", "US$ {}", "{}元", "{} EUR", "{}k", "{} M €", "{}万元"]),
    st.booleans(),
    st.sampled_from([0x30, 0xFF10, 0x660, 0x6F0, 0x966]),
)
def test_a_column_reads_as_it_was_written_or_is_asked_about(
    duck: TableEngine, cents: list[int], decimals: int, decimal: str, thousands: str, around: str,
    in_two_files: bool, zero: int,
) -> None:  # fmt: skip
    sign = ("," if decimal == "." else ".") if thousands == "other" else thousands
    digits = {ord("0") + digit: chr(zero + digit) for digit in range(10)}
    cells = [written(one, decimals, decimal, sign, around).translate(digits) for one in cents]
    middle = len(cells) // 2 if in_two_files else len(cells)
    table = source(duck, cells[:middle], cells[middle:])
    inferred = infer(table)
    answer = "point" if decimal == "." else "comma"
    if inferred.questions:
        assert any("." in cell or "," in cell for cell in cells)
        assert answer in [one.value for one in inferred.questions[0].choices]
        inferred = infer(table, answer)
    times = {"{}k": 1e3, "{} M €": 1e6, "{}万元": 1e4}.get(around, 1.0)
    wanted = [float(Decimal(one) / 10**decimals) * times for one in cents]
    assert read(table, inferred.formats["x"]) == wanted


@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=6), st.sampled_from(["{}", "₹ {}"]))
def test_lakhs_and_arabic_signs_are_read(duck: TableEngine, cents: list[int], around: str) -> None:
    indian, arabic = [], []
    for one in cents:
        whole = str(one // 100)
        head, tail = whole[:-3], whole[-3:]
        pairs = [head[max(0, i - 2) : i] for i in range(len(head), 0, -2)][::-1]
        indian.append(around.format(",".join([*pairs, tail]) + f".{one % 100:02d}"))
        text = f"{one / 100:,.2f}".translate({ord(","): "٬", ord("."): "٫"})
        arabic.append(text.translate({ord("0") + i: chr(0x660 + i) for i in range(10)}))
    for cells in (indian, arabic):
        table = source(duck, cells)
        inferred = infer(table)
        assert not inferred.questions
        assert read(table, inferred.formats["x"]) == [float(f"{one / 100:.2f}") for one in cents]


@pytest.mark.parametrize("cell", ["12.50-", "5-", "12.-", "5+"])
def test_a_sign_behind_a_number_makes_a_column_suspicious(cell: str) -> None:
    assert re.search(SUSPICIOUS, cell) and not re.search(SUSPICIOUS, "-12.50")
