"""Times in any writing, against the standard library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from propense.errors import SettingsError, SourceError
from propense.tables.cells.date_orders import DateOrders, infer_date_orders
from propense.tables.cells.time_formats import refuse_lost_digits, survey_times
from propense.tables.cells.time_zones import local_offsets
from propense.tables.cells.times import Reading, add_microseconds, declared
from propense.tables.engine.engine import FILE_SHIFT, TableEngine, connect
from propense.times import find_zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def duck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    engine = connect("duckdb", tmp_path_factory.mktemp("scratch"))
    yield engine
    engine.con.disconnect()


def read(engine: TableEngine, values: list[Any], reading: Reading) -> list[str | None]:
    """ISO texts of the moments, in order."""
    rows = engine.table_of(pa.table({"n": list(range(len(values))), "x": values}), "times")
    micros = add_microseconds(rows, "x", "t", reading, engine).order_by("n").to_pyarrow()["t"]
    return [
        None if time is None else (EPOCH + time * MICROSECOND).isoformat()[:-6]
        for time in micros.to_pylist()
    ]


WRITTEN = {
    "2024-01-31 08:26:00": "2024-01-31T00:26:00",
    "2024-01-31T08:26:00.1234567Z": "2024-01-31T08:26:00.123456",
    "2024-01-31T08:26:00+05:30": "2024-01-31T02:56:00",
    "2024-01-31 08:26:00+00": "2024-01-31T08:26:00",
    "2024-01-31": "2024-01-30T16:00:00",
    "2024/1/31 8:26": "2024-01-31T00:26:00",
    "31 January 2024 08:26": "2024-01-31T00:26:00",
    "10/Oct/2000:13:55:36 -0700": "2000-10-10T20:55:36",
    "Mon, 01 Dec 2010 08:26:00 GMT": "2010-12-01T08:26:00",
    "Jan 31, 2024 8:26 PM": "2024-01-31T12:26:00",
    "1/31/2024 12:26:10 AM": "2024-01-30T16:26:10",
    "2024年1月31日 8时26分5秒": "2024-01-31T00:26:05",
    "20240131": "2024-01-30T16:00:00",
    "20240131082600": "2024-01-31T00:26:00",
    "1706689560": "2024-01-31T08:26:00",
    "1706689560.5": "2024-01-31T08:26:00.500000",
    "1706689560123": "2024-01-31T08:26:00.123000",
    "1706689560123456": "2024-01-31T08:26:00.123456",
    "8.8125e8": "1997-12-04T15:40:00",
    "3 janv. 2024 à 15:31:15": "2024-01-03T07:31:15",
    "mercredi 3 juillet 2024 à 15h31": "2024-07-03T07:31:00",
    "1er févr. 2024": "2024-01-31T16:00:00", "11 août 2024": "2024-08-10T16:00:00",
    "03-ene-24 03:31 p. m.": "2024-01-03T07:31:00", "3 de marzo de 2024": "2024-03-02T16:00:00",
    "3. März 2024 um 15:31 Uhr": "2024-03-03T07:31:00", "3 mrt 2024": "2024-03-02T16:00:00",
    "3 giu 2024, 15:31": "2024-06-03T07:31:00", "3 dez. 2024 15:31": "2024-12-03T07:31:00",
    "Apr-23-23": "2023-04-22T16:00:00", "03JAN2024:15:31:15": "2024-01-03T07:31:15",
    "2024-Jan-03 15:31": "2024-01-03T07:31:00",
    "January 3rd, 2024 at 3:31\u202fPM": "2024-01-03T07:31:00",
    "令和6年1月3日 15時31分": "2024-01-03T07:31:00", "令和元年5月1日": "2019-04-30T16:00:00",
    "民國113年1月3日": "2024-01-02T16:00:00", "2024年1月3日15時31分": "2024-01-03T07:31:00",
    "Apr 23 15:04:05": None, "3 Jan 15:31:02": None, "12-ABC-34": None, "3 foo 2024": None,
    "2024-02-30": None, "2024-13-01": None, "2024-01-31 25:00:00": None, "x": None, "": None,
    "nan": None, "1e30": None,
}  # fmt: skip


def test_usual_writings(duck: TableEngine) -> None:
    assert read(duck, list(WRITTEN), Reading("Asia/Shanghai")) == list(WRITTEN.values())


def test_whole_numbers_of_any_unit(duck: TableEngine) -> None:
    numbers = [20_240_131, 1_706_689_560, 1_706_689_560_123, 1_706_689_560_123_456]
    assert read(duck, numbers, Reading("UTC")) == [
        "2024-01-31T00:00:00", "2024-01-31T08:26:00", "2024-01-31T08:26:00.123000",
        "2024-01-31T08:26:00.123456",
    ]  # fmt: skip


def test_a_declared_format(duck: TableEngine) -> None:
    reading = Reading("UTC", (declared("%d.%m.%y %I:%M %p"),), numbers=False)
    assert read(duck, ["03.04.21 08:05 PM", "2021-04-03"], reading) == [
        "2021-04-03T20:05:00", None,
    ]  # fmt: skip
    with pytest.raises(SettingsError, match="unknown directive '%Q'"):
        declared("%Y %Q")


@dataclass
class Files:
    """A source with a column of times, as `infer_date_orders` sees it."""

    rows: Table
    files: tuple[str, ...]

    def locate(self, row: int) -> str:
        return f"{self.files[row >> FILE_SHIFT]} row {row & ((1 << FILE_SHIFT) - 1)}"


def files_of(engine: TableEngine, *files: list[str], **more: list[str]) -> Files:
    numbers = [(n << FILE_SHIFT) + i for n, file in enumerate(files) for i in range(len(file))]
    cells = {"x": [cell for file in files for cell in file], **more}
    rows = engine.table_of(pa.table({"_row": numbers, **cells}), "days")
    return Files(rows, ("a.csv", "b.csv", "c.csv"))


def infer(table: Files, order: str = "auto") -> DateOrders:
    return infer_date_orders(table, ["x"], "sources.s.date_order", order)


@pytest.mark.parametrize(
    ("texts", "order", "first"),
    [
        (["3/4/2021", "13/4/2021"], "day", "2021-04-03"),
        (["3/4/2021", "3/14/2021"], "month", "2021-03-04"),
        (["24-03-05", "24-03-15"], "year", "2024-03-05"),
        (["05-03-24", "31-03-24"], "day", "2024-03-05"),
        (["03/05/24", "03/31/24 14.05"], "month", "2024-03-05"),
        (["24.03.05", "23.12.11", "24.01.01", "22.02.29"], "year", "2024-03-05"),
    ],
)
def test_what_stands_first_in_a_date(
    duck: TableEngine, texts: list[str], order: str, first: str
) -> None:
    table = files_of(duck, texts)
    inferred = infer(table)
    assert (inferred.orders, inferred.questions) == ({"x": order}, [])
    survey = survey_times(table.rows, "x", "UTC", None, False, order)
    for reading in (survey.quick, survey.thorough):
        assert read(duck, texts, reading)[0] == f"{first}T00:00:00"


def test_one_file_decides_for_all(duck: TableEngine) -> None:
    inferred = infer(files_of(duck, ["3/4/2021"], ["13/4/2021"]))
    assert (inferred.orders, inferred.questions) == ({"x": "day"}, [])
    assert "a.csv such as '3/4/2021' could have another order" in inferred.notes[0]


@pytest.mark.parametrize(
    "second",
    [
        ["03/05/2024", "03/06/2024"],  # May 2024 would be two months after the others
        ["02/01/2024", "02/12/2024"],  # eleven days in February, or January and December
    ],
)
def test_a_file_that_another_order_fits_better_is_a_question(
    duck: TableEngine, second: list[str]
) -> None:
    table = files_of(duck, ["25/01/2024", "13/02/2024"], second)
    (question,) = infer(table).questions
    assert [one.value for one in question.choices] == ["day", "month"]
    assert "b.csv span 2024-0" in question.choices[1].effect
    assert "2 dates of other files cannot be read" in question.choices[1].effect
    assert infer(table, "day").questions == []


def test_the_date_in_a_files_name_decides(duck: TableEngine) -> None:
    named = files_of(duck, ["25/01/2024", "13/02/2024"], ["01/05/2024", "03/05/2024"])
    assert infer(named).questions
    named.files = ("2024-01.csv", "2024-05.csv")
    assert infer(named).questions == []
    named.files = ("2024-01.csv", "2024-01-05.csv")  # the name fits neither order
    assert infer(named).questions
    one = files_of(duck, ["03/05/2024", "03/06/2024"])
    assert infer(one).questions
    one.files = ("2024-03.csv",)
    assert (infer(one).orders, infer(one).questions) == ({"x": "month"}, [])


@given(
    st.dates(date(2023, 1, 1), date(2024, 6, 1)), st.integers(20, 200), st.sampled_from([1, 7, 30]),
    st.sampled_from(["%d/%m/%Y", "%m/%d/%Y"]),
)  # fmt: skip
@settings(deadline=None, max_examples=25, phases=[Phase.explicit, Phase.generate])
def test_files_of_a_log_in_one_order_are_read_in_it(
    duck: TableEngine, start: date, n_days: int, step: int, form: str
) -> None:
    days = [start + timedelta(days=i) for i in range(n_days)]
    files = [[day.strftime(form) for day in days[i : i + step]] for i in range(0, n_days, step)]
    table = files_of(duck, *files)
    table.files = tuple(f"part-{i}.csv" for i in range(len(files)))
    inferred = infer(table)
    order = "day" if form.startswith("%d") else "month"
    assert inferred.questions or inferred.orders == {"x": order}
    if n_days >= 60:
        assert not inferred.questions


def test_dates_that_could_be_two_are_a_question(duck: TableEngine) -> None:
    table = files_of(duck, ["3/4/2021", "3/6/2021"])
    (question,) = infer(table).questions
    assert [(one.value, one.effect) for one in question.choices] == [
        ("month", "the dates span 2021-03-04 to 2021-03-06"),
        ("day", "the dates span 2021-04-03 to 2021-06-03"),
    ]  # fmt: skip
    assert infer(files_of(duck, ["3.4.2021"])).questions[0].choices[0].value == "day"
    assert infer(table, "day").orders == {"x": "day"}


def test_a_column_follows_the_others_of_its_table(duck: TableEngine) -> None:
    table = files_of(duck, ["3/4/2021"], y=["13/4/2021"])
    inferred = infer_date_orders(table, ["x", "y"], "users.date_order")
    assert inferred.orders == {"x": "day", "y": "day"}
    assert "as the other columns are" in inferred.notes[0]


def test_files_in_two_orders_are_refused_by_name(duck: TableEngine) -> None:
    table = files_of(duck, ["3/4/2021", "13/4/2021"], ["3/4/2021", "4/14/2021"])
    with pytest.raises(SourceError, match=r"'13/4/2021' \(a.csv.*'4/14/2021' \(b.csv"):
        infer(table)
    assert infer(table, "day").orders == {"x": "day"}


@given(
    st.lists(st.dates(date(2019, 1, 1), date(2024, 12, 31)), min_size=1, max_size=6),
    st.sampled_from(["%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y", "%m{0}%d{0}%y",
                     "%y{0}%m{0}%d"]),
    st.sampled_from(["/", ".", "-"]),
    st.integers(0, 6),
)  # fmt: skip
@settings(deadline=None, max_examples=30, phases=[Phase.explicit, Phase.generate])
def test_dates_read_as_they_were_written_or_are_asked_about(
    duck: TableEngine, days: list[date], form: str, sign: str, middle: int
) -> None:
    texts = [day.strftime(form.format(sign)) for day in days]
    table = files_of(duck, texts[:middle], texts[middle:])
    inferred = infer(table)
    order = {"%d": "day", "%m": "month", "%y": "year"}[form[:2]]
    if inferred.questions:
        assert order in [one.value for one in inferred.questions[0].choices]
    else:
        assert inferred.orders == {"x": order}
    survey = survey_times(table.rows, "x", "UTC", None, False, order)
    assert read(duck, texts, survey.quick) == [f"{day}T00:00:00" for day in days]


def test_days_of_excel(duck: TableEngine) -> None:
    for texts in (["45294.375", "45294"], ["45294,375", "45294"]):
        table = files_of(duck, texts)
        survey = survey_times(table.rows, "x", "Asia/Shanghai", None, False)
        assert "as in Excel" in survey.note
        assert read(duck, texts, survey.quick) == ["2024-01-03T01:00:00", "2024-01-02T16:00:00"]
    numbers = duck.table_of(pa.table({"_row": [0], "x": [45294.5]}), "days")
    survey = survey_times(numbers, "x", "UTC", None, False)
    assert read(duck, [45294.5], survey.quick) == ["2024-01-03T12:00:00"]
    epoch = files_of(duck, ["1706689560", "45294"] * 5)
    assert not survey_times(epoch.rows, "x", "UTC", None, False).quick.excel_days


ZONES = st.sampled_from(["Asia/Shanghai", "America/New_York", "Europe/London", "Australia/Sydney",
                         "UTC", "Asia/Kolkata", "America/Sao_Paulo"])  # fmt: skip


@given(ZONES, st.datetimes(datetime(1970, 1, 3), datetime(2055, 1, 1)))
@example("America/New_York", datetime(2024, 3, 10, 2, 30))
@example("America/New_York", datetime(2024, 11, 3, 1, 30))
@example("Asia/Shanghai", datetime(1988, 9, 11, 1, 30))
@settings(deadline=None, max_examples=300)
def test_offsets_are_those_of_zoneinfo(name: str, local: datetime) -> None:
    boundaries, offsets = local_offsets(name)
    clock = (local.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
    offset = offsets[sum(boundary <= clock for boundary in boundaries)]
    wanted = local.replace(tzinfo=ZoneInfo(name)).utcoffset()
    assert wanted is not None and offset == wanted // MICROSECOND


def test_local_clocks_across_a_change(duck: TableEngine) -> None:
    texts = [
        "2024-03-10 01:59:59",
        "2024-03-10 03:00:00",
        "2024-11-03 01:30:00",
        "2024-11-03 02:00",
    ]
    assert read(duck, texts, Reading("America/New_York")) == [
        "2024-03-10T06:59:59", "2024-03-10T07:00:00", "2024-11-03T05:30:00", "2024-11-03T07:00:00",
    ]  # fmt: skip


def test_an_unknown_zone() -> None:
    with pytest.raises(SettingsError, match="time zone 'Mars/Base' is unknown"):
        find_zone("Mars/Base")


@pytest.mark.parametrize("cell", ["1.7E+12", "1.70407E+12", "1,7E+12", " 1.7e+09 ", "2E+18"])
def test_times_whose_digits_are_lost_are_refused(duck: TableEngine, cell: str) -> None:
    table = files_of(duck, ["2024-01-31"], ["1704067200123", cell])
    with pytest.raises(SourceError, match=r"^b\.csv row 1, column 'x': 1 times are written as"):
        refuse_lost_digits(table, "x")


def test_exponents_with_all_digits_are_times(duck: TableEngine) -> None:
    whole = [f"1.70406720{n:04}E+12" for n in range(1, 200)]
    refuse_lost_digits(files_of(duck, [*whole, "1.7E+12", "1.7040672E12"]), "x")
    refuse_lost_digits(files_of(duck, ["1.7E12", "2024-01-31"]), "x")
