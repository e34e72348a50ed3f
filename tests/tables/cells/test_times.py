"""Times in any writing, against the standard library."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from propense.errors import SettingsError
from propense.tables.cells.time_formats import survey_times
from propense.tables.cells.time_zones import local_offsets
from propense.tables.cells.times import Reading, add_microseconds, declared
from propense.tables.engine.engine import TableEngine, connect
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


@pytest.mark.parametrize(
    ("texts", "first", "noted"),
    [
        (["3/4/2021", "13/4/2021"], "2021-04-03", False),
        (["3/4/2021", "3/14/2021"], "2021-03-04", False),
        (["3/4/2021", "5/6/2021"], "2021-03-04", True),
        (["3.4.2021", "5.6.2021"], "2021-04-03", True),
    ],
)
def test_day_or_month_first(duck: TableEngine, texts: list[str], first: str, noted: bool) -> None:
    rows = duck.table_of(pa.table({"x": texts}), "days")
    survey = survey_times(rows, "x", "UTC", None, False)
    assert read(duck, texts, survey.quick)[0] == f"{first}T00:00:00"
    assert bool(survey.note) == noted


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
