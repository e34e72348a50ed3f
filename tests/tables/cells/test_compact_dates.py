"""Dates of digits alone, of other calendars, and dates that Excel has swapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pytest
from ibis.expr.types import Table

from propense.errors import SourceError
from propense.tables.cells.calendars import infer_calendar
from propense.tables.cells.compact_dates import infer_compact
from propense.tables.cells.time_formats import survey_times
from propense.tables.cleaning.outliers import refuse_times
from propense.tables.engine.engine import TableEngine, connect


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


@dataclass
class Column:
    rows: Table


def column(engine: TableEngine, texts: list[str]) -> Column:
    return Column(engine.table_of(pa.table({"_row": range(len(texts)), "x": texts}), "dates"))


DAYS = [date(2024, 1, 3) + timedelta(days=5 * i) for i in range(24)]
EARLY = [date(2010 + i % 3, 10 + i % 2, 10 + i // 9 % 3) for i in range(27)]


@pytest.mark.parametrize(
    ("texts", "form", "choices"),
    [
        ([f"{day:%d%m%Y}" for day in DAYS], "%d%m%Y", []),
        ([f"{day:%y%m%d}" for day in DAYS], "%y%m%d", []),
        ([f"{day:%m%d%Y}" for day in DAYS], "%m%d%Y", []),
        ([f"{day:%Y%m%d}" for day in DAYS], None, []),
        ([f"{day:%y%m%d}" for day in EARLY], "%y%m%d", ["%d%m%y", "%m%d%y"]),
        (["1706689560", "1706689561"], None, []), (["0912", "0618"], None, []),
        (["240103", "x", "240105"], None, []), (["", ""], None, []),
    ],
)  # fmt: skip
def test_dates_of_digits_alone(
    texts: list[str], form: str | None, choices: list[str], duck: TableEngine
) -> None:
    read, note, question = infer_compact(column(duck, texts), "x", "sources.shop.time_format")
    if not choices:
        assert (read, question) == (form, None)
        assert bool(note) == (form is not None)
    else:
        assert question is not None
        assert {choice.value for choice in question.choices} == {form, *choices}
        assert read == question.choices[0].value


@pytest.mark.parametrize(
    ("write", "asked"),
    [
        (lambda i: f"0{1 + i % 9}/01/2567 10:00", True),
        (lambda i: f"2567-01-0{1 + i % 9}", True),
        (lambda i: f"0{1 + i % 9}/01/2024 10:00", False),
        (lambda i: f"0{1 + i % 9}/01/{2567 if i else 2024}", False),
        (lambda i: f"2024-01-03 10:00:00.2567 {i}", False),
    ],
)
def test_years_of_another_calendar_are_a_question(
    write: Callable[[int], str], asked: bool, duck: TableEngine
) -> None:
    table = column(duck, [write(i) for i in range(20)])
    ahead, question = infer_calendar(table, "x", "sources.shop.calendar", "auto")
    assert (ahead, question is not None) == (543 if asked else 0, asked)
    assert infer_calendar(table, "x", "k", "gregorian") == (0, None)
    assert infer_calendar(table, "x", "k", "buddhist") == (543, None)


def test_dates_that_excel_has_swapped_are_refused(duck: TableEngine) -> None:
    swapped = [
        str((date(2024, day.day, day.month) - date(1899, 12, 30)).days + 0.5)
        if day.day <= 12 else f"{day:%d/%m/%Y} 12:00" for day in DAYS
    ]  # fmt: skip
    with pytest.raises(SourceError, match="day and month swapped"):
        survey_times(column(duck, swapped).rows, "x", "UTC", None, in_utc=False, order="day")
    whole = [str((day - date(1899, 12, 30)).days) for day in DAYS]
    survey = survey_times(column(duck, whole).rows, "x", "UTC", None, in_utc=False)
    assert survey.quick.excel_days


@pytest.mark.parametrize(
    ("year", "remedy"), [(2567, 'until = "2567-'), (1970, 'earliest = "1970-01-'), (2024, None)]
)
def test_times_of_another_age_are_refused(year: int, remedy: str | None, duck: TableEngine) -> None:
    second = 1_000_000
    first = (date(year, 1, 1) - date(1970, 1, 1)).days * 86_400 * second
    rows = duck.table_of(
        pa.table({"_row": range(30), "_t": [first + i * second for i in range(30)]}), "ages"
    )
    earliest = (date(1990, 1, 1) - date(1970, 1, 1)).days * 86_400 * second
    if remedy is None:
        refuse_times(rows, ["shop"], 56, earliest)
    else:
        with pytest.raises(SourceError, match=remedy):
            refuse_times(rows, ["shop"], 56, earliest)
