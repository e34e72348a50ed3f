"""Which writings of time a text column has, before all its rows are read."""

from __future__ import annotations

from dataclasses import dataclass

from ibis.expr.types import Column, Table

from propense.tables.cells.times import (
    COMMON,
    DAY_MONTH,
    ISO,
    MONTH_DAY,
    Reading,
    TimeFormat,
    declared,
)

_SAMPLE = 20_000


@dataclass(frozen=True)
class TimeSurvey:
    """How to read a column: with the writings seen in its first rows, or with all."""

    quick: Reading
    thorough: Reading
    """For a column that has rows which the quick reading cannot read."""
    note: str = ""


def survey_times(
    rows: Table, name: str, time_zone: str, time_format: str | None, in_utc: bool
) -> TimeSurvey:
    """How the times of a column are written.

    01/02/2024 is read by what the column's other rows can only be; where every row could be
    both, as day.month with points and otherwise as month/day, and the note says so.
    """
    column = rows[name]
    if not column.type().is_string():
        reading = Reading(time_zone, in_utc=in_utc)
        return TimeSurvey(reading, reading)
    if time_format is not None:
        reading = Reading(time_zone, (declared(time_format),), numbers=False)
        return TimeSurvey(reading, reading)
    text = column.strip()
    seen = _seen(rows.select(text=text).limit(_SAMPLE))
    between, note = MONTH_DAY, ""
    if MONTH_DAY in seen:
        between, note = _day_or_month(rows.select(text=text))
        seen = tuple(between if form == MONTH_DAY else form for form in seen)
    return TimeSurvey(Reading(time_zone, seen), Reading(time_zone, (ISO, *COMMON, between)), note)


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


def _day_or_month(rows: Table) -> tuple[TimeFormat, str]:
    """Which of the first two numbers is the day, from all rows."""

    def part(index: int) -> Column:
        return rows.text.re_extract(MONTH_DAY.plain_pattern, index).try_cast("int64")

    dated = rows.filter(rows.text.re_search(MONTH_DAY.plain_pattern))
    rows = dated
    counts = dated.aggregate(
        first=(part(1) > 12).cast("int64").sum(),
        second=(part(2) > 12).cast("int64").sum(),
        points=dated.text.re_search(r"^\d{1,2}\.").cast("int64").sum(),
        n=dated.count(),
        example=dated.text.min(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    if counts["first"] > counts["second"]:
        return DAY_MONTH, ""
    if counts["second"] > counts["first"]:
        return MONTH_DAY, ""
    pointed = counts["points"] * 2 > counts["n"]
    order = "day, month" if pointed else "month, day"
    note = (
        f"times such as {counts['example']!r} are read as {order}; if that is wrong, "
        "set time_format"
    )
    return (DAY_MONTH if pointed else MONTH_DAY), note
