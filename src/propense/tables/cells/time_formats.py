"""Which writings of time a text column has, before all its rows are read."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

import ibis
from ibis.expr.types import Table

from propense.errors import SourceError
from propense.tables.cells.times import (
    COMMON,
    DAY_MONTH,
    EXCEL_PATTERN,
    ISO,
    MONTH_DAY,
    SHORT_YEAR,
    Reading,
    TimeFormat,
    declared,
)
from propense.tables.engine.engine import ROW

_SAMPLE: Final = 20_000
_MOST: Final = 0.9
_SHORT: Final = r"^-?\d(?:[.,]\d{0,6})?[eE]\+\d{1,3}$"
"""Numbers of few digits as spreadsheets write them: of the day of a time nothing is left."""
_WHOLE: Final = r"^-?\d[.,]\d{7,}[eE]\+\d{1,3}$"
_FEW: Final = 0.01
_PARTS: Final = r"^(\d{1,2})[/.-](\d{1,2})[/.-](?:\d{4}|\d{2})"
_EXCEL_1970: Final = 25_569


@dataclass(frozen=True)
class TimeSurvey:
    """How to read a column: with the writings seen in its first rows, or with all."""

    quick: Reading
    thorough: Reading
    """For a column that has rows which the quick reading cannot read."""
    note: str = ""


_FIRST: Final = {"day": DAY_MONTH, "month": MONTH_DAY, "year": SHORT_YEAR}


def survey_times(
    rows: Table, name: str, time_zone: str, time_format: str | None, in_utc: bool,
    order: str | None = None, years_ahead: int = 0,
) -> TimeSurvey:  # fmt: skip
    """How the times of a column are written.

    `order` is what stands first in dates such as 01/02/2024 (`date_orders`), `years_ahead` is of
    the calendar (`calendars`). Numbers of 20,000 to 60,000 are days since 1900, as Excel counts
    them, where nearly all numbers are such.

    Raises SourceError where Excel has swapped day and month of some dates.
    """
    column = rows[name]
    if column.type().is_numeric():
        serial, note = _has_serials(rows.select(number=column.cast("float64")))
        reading = Reading(time_zone, in_utc=in_utc, excel_days=serial)
        return TimeSurvey(reading, reading, note)
    if not column.type().is_string():
        reading = Reading(time_zone, in_utc=in_utc)
        return TimeSurvey(reading, reading)
    if time_format is not None:
        reading = Reading(
            time_zone, (declared(time_format),), numbers=False, years_ahead=years_ahead
        )
        return TimeSurvey(reading, reading)
    sample = rows.select(text=column.strip()).limit(_SAMPLE)
    between = _FIRST[order or "month"]
    seen = tuple(between if form == MONTH_DAY else form for form in _seen(sample))
    serial, note = _has_serials(
        sample.filter(sample.text.re_search(EXCEL_PATTERN)).select(
            number=ibis._.text.replace(",", ".").try_cast("float64")
        )
    )
    if serial:
        _refuse_swapped(sample, name)
    quick = Reading(time_zone, seen, excel_days=serial, years_ahead=years_ahead)
    thorough = replace(quick, writings=(ISO, *COMMON, between))
    return TimeSurvey(quick, thorough, note)


def refuse_lost_digits(table: Any, name: str) -> None:
    """Raise SourceError where times are written as 1.7E+12, whose digits a spreadsheet has lost.

    A column in which nearly all such numbers have their digits is whole: some of its times are
    round. `table` has `rows` and `locate`.
    """
    rows = table.rows
    if not rows[name].type().is_string():
        return
    text = rows[name].strip()
    short = text.re_search(_SHORT)
    counts = rows.aggregate(
        short=short.cast("int64").sum(), whole=text.re_search(_WHOLE).cast("int64").sum(),
        row=rows[ROW].min(where=short), text=text.min(where=short),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    if (counts["short"] or 0) > _FEW * (counts["whole"] or 0):
        raise SourceError(
            f"{table.locate(counts['row'])}, column {name!r}: {counts['short']:,} times are "
            f"written as {counts['text']!r}, whose digits a spreadsheet has lost; export the "
            "column as text or as whole numbers, or name another column of times"
        )


def _refuse_swapped(sample: Table, name: str) -> None:
    """Raise SourceError where only days after the 12th are text, and no number is such a day.

    Excel has taken the others for dates of its own order, with day and month swapped.
    """
    parts = sample.mutate(
        first=sample.text.re_extract(_PARTS, 1).try_cast("int64"),
        second=sample.text.re_extract(_PARTS, 2).try_cast("int64"),
        number=sample.text.re_search(EXCEL_PATTERN).ifelse(
            sample.text.replace(",", ".").try_cast("float64"), ibis.null("float64")
        ),
    ).view()  # fmt: skip
    days = (parts.number - _EXCEL_1970).floor().cast("int64")
    day = ibis.literal(date(1970, 1, 1)) + days.as_interval("D")
    late = (parts.first > 12) | (parts.second > 12)
    counts = parts.aggregate(
        n=parts.first.count(), late=late.cast("int64").sum(), numbers=parts.number.count(),
        early=(day.day() <= 12).cast("int64").sum(), text=parts.text.min(where=late),
        number=parts.number.min(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    if counts["n"] >= 3 and counts["late"] == counts["n"] and counts["early"] == counts["numbers"]:
        raise SourceError(
            f"column {name!r}: dates whose day is after the 12th are text, such as "
            f"{counts['text']!r}, and all others are numbers of Excel, such as "
            f"{counts['number']!r}: Excel has read those with day and month swapped; export the "
            "file again from where it came from, without opening it in Excel"
        )


def _has_serials(numbers: Table) -> tuple[bool, str]:
    """Whether nearly all numbers are days of Excel, and what to say of it."""
    serial = numbers.number.between(20_000, 60_000)
    counts = numbers.aggregate(
        n=numbers.number.count(), serials=serial.cast("int64").sum(),
        example=numbers.number.min(where=serial),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    if not counts["n"] or counts["serials"] < _MOST * counts["n"]:
        return False, ""
    return True, f"times such as {counts['example']!r} are read as days since 1900, as in Excel"


def _seen(sample: Table) -> tuple[TimeFormat, ...]:
    """The writings of a sample, the most frequent first."""
    forms = (ISO, *COMMON, MONTH_DAY)
    counts = sample.aggregate(
        **{
            f"n{index}": sample.text.re_search(form.plain_pattern).cast("int64").sum()
            for index, form in enumerate(forms)
        }
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    ranked = [
        (counts[f"n{index}"], -index, form)
        for index, form in enumerate(forms) if counts[f"n{index}"]
    ]  # fmt: skip
    ordered = sorted(ranked, key=lambda one: one[:2], reverse=True)
    return tuple(form for _, _, form in ordered) or (ISO,)


_REMEDIES: Final = (
    (r"\d{4}([-/.])(?:1[3-9]|2\d|3[01])\1\d{1,2}", "%Y{0}%d{0}%m"),
    (r"\d{4}([-/.])\d{1,2}\1\d{1,2}", "%Y{0}%m{0}%d"),
    (r"\d{1,2}([-/.])(?:1[3-9]|2\d|3[01])\1\d{4}", "%m{0}%d{0}%Y"),
    (r"\d{1,2}([-/.])\d{1,2}\1\d{4}", "%d{0}%m{0}%Y"),
)


def remedy_for(text: str) -> str:
    """A time_format that could read an unreadable time, as an example for its setting.

    >>> remedy_for("2024-13-01 10:20:00"), remedy_for("13/01/2024")
    ('%Y-%d-%m %H:%M:%S', '%d/%m/%Y')
    """
    for pattern, form in _REMEDIES:
        match = re.match(pattern + r"(?!\d)", text.strip())
        if match:
            clock = re.match(r"([T ])\d{1,2}:\d{2}(:\d{2})?", text.strip()[match.end() :])
            day = form.format(match[1])
            return (
                day if clock is None else f"{day}{clock[1]}%H:%M" + ":%S" * (clock[2] is not None)
            )
    return "%d.%m.%Y %H:%M"
