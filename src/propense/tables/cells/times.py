"""Times in any usual format, as microseconds.

Every format is a regular expression with named groups; one builder reads them all,
so that DuckDB and Spark agree to the microsecond.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import ibis
from ibis.expr.types import Column, Table

from propense.errors import SettingsError
from propense.tables.cells.calendars import ERA, MONTH_NAME, common_year, month_number
from propense.tables.cells.spelling import tidy
from propense.tables.cells.time_zones import to_utc
from propense.tables.engine.engine import TableEngine
from propense.times import MICROS_PER_SECOND

_CLOCK: Final = (
    r"(?:(?:,?[T ]+|:|日|,? (?:à|at|um|om|alle|alle ore|a las|às|kl\.?|-|–|·) )"
    r"(?P<hour>\d{1,2})[:.h时点時點](?P<minute>\d{1,2})分?"
    r"(?:[:.]?(?P<second>\d{1,2})秒?(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"[ \u00a0\u202f]?(?P<half>[AaPp]\.?[ \u00a0\u202f]?[Mm]\.?)?(?: Uhr)?"
    r" ?(?P<zone>Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?$"
).replace(r"\u00a0\u202f", "\u00a0\u202f")
_WEEKDAY: Final = r"^(?:[A-Za-zÀ-ž-]{2,14}\.?,? +)?"
_DAY: Final = r"(?P<day>\d{1,2})(?:\.|er|st|nd|rd|th|º)?"
_NAME: Final = rf"(?P<month_name>{MONTH_NAME})\.?"


@dataclass(frozen=True)
class TimeFormat:
    """One format of times: a pattern whose named groups are parts of it."""

    name: str
    pattern: str
    day_first: bool | None = None
    """Whether the day comes before the month, in formats that differ only in that."""

    @property
    def groups(self) -> dict[str, int]:
        return dict(re.compile(self.pattern).groupindex)

    @property
    def plain_pattern(self) -> str:
        """The pattern with unnamed groups, which every engine's dialect knows."""
        return re.sub(r"\(\?P<\w+>", "(", self.pattern)


ISO: Final = TimeFormat(
    "2024-01-31 08:26:00",
    r"^[12]\d{3}-\d{2}-\d{2}(?:[T ](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
    r"(?:[.,](?P<fraction>\d{1,9}))? ?(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?$",
)
DAY_MONTH: Final = TimeFormat(
    "31/01/2024 08:26", r"^(?P<day>\d{1,2})[/.-](?P<month>\d{1,2})[/.-](?P<year>\d{4}|\d{2})"
    + _CLOCK, day_first=True,
)  # fmt: skip
MONTH_DAY: Final = TimeFormat(
    "01/31/2024 08:26", r"^(?P<month>\d{1,2})[/.-](?P<day>\d{1,2})[/.-](?P<year>\d{4}|\d{2})"
    + _CLOCK, day_first=False,
)  # fmt: skip
SHORT_YEAR: Final = TimeFormat(
    "24-01-31 08:26", r"^(?P<year>\d{2})[/.-](?P<month>\d{1,2})[/.-](?P<day>\d{1,2})" + _CLOCK
)
COMPACT: Final = TimeFormat(
    "20240131T082600",
    r"^(?P<year>[12]\d{3})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[T ]?(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)(?P<second>[0-5]\d)"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?)?$",
)
WORDED: Final = (
    TimeFormat(
        "2024/1/31 8:26",
        r"^(?P<year>[12]\d{3})[-/.年](?P<month>\d{1,2})[-/.月](?P<day>\d{1,2})日?" + _CLOCK,
    ),
    TimeFormat(
        "31 January 2024 08:26",
        _WEEKDAY + _DAY + "[ /-]*(?:de )?" + _NAME + r"[ /,-]*(?:de )?(?P<year>\d{4})" + _CLOCK,
    ),
    TimeFormat(
        "January 31, 2024 08:26",
        _WEEKDAY + _NAME + "[ /-]+" + _DAY + r"(?:,? +|[/-])(?P<year>\d{4})" + _CLOCK,
    ),
    TimeFormat(
        "31-Jan-24 08:26",
        _WEEKDAY + r"(?P<day>\d{1,2})[/.-]" + _NAME + r"[/.-](?P<year>\d{2})" + _CLOCK,
    ),
    TimeFormat(
        "Jan-31-24 08:26", "^" + _NAME + r"[/-](?P<day>\d{1,2})[/-](?P<year>\d{2})" + _CLOCK
    ),
    TimeFormat("2024-Jan-31 08:26", r"^(?P<year>[12]\d{3})[ /-]" + _NAME + "[ /-]" + _DAY + _CLOCK),
    TimeFormat(
        "令和6年1月31日 08:26",
        r"^(?P<era>" + ERA + r") ?(?P<year>\d{1,3}|元)[年/.-](?P<month>\d{1,2})[月/.-]"
        r"(?P<day>\d{1,2})日?"
        r"(?:[ T日](?P<hour>\d{1,2})[:时時点點](?P<minute>\d{1,2})分?"
        r"(?::?(?P<second>\d{1,2})秒?)?)?$",
    ),
)
"""Times that show by themselves what stands where."""
COMMON: Final = (*WORDED, COMPACT)
EPOCH_PATTERN: Final = r"^-?\d+(\.\d+)?([eE]\+?\d+)?$"

EXCEL_PATTERN: Final = r"^\d+(?:[.,]\d+)?$"
_EXCEL_EPOCH: Final = 25_569
"""1970-01-01 in days of Excel."""

_DIRECTIVES: Final = {
    "Y": r"(?P<year>\d{4})", "y": r"(?P<year>\d{2})", "m": r"(?P<month>\d{1,2})",
    "d": r"(?P<day>\d{1,2})", "e": r"(?P<day> ?\d{1,2})", "b": _NAME, "B": _NAME,
    "H": r"(?P<hour>\d{1,2})", "I": r"(?P<hour>\d{1,2})",
    "M": r"(?P<minute>\d{1,2})", "S": r"(?P<second>\d{1,2})", "f": r"(?P<fraction>\d{1,9})",
    "p": r"(?P<half>[AaPp]\.? ?[Mm]\.?)", "z": r"(?P<zone>Z|[+-]\d{2}:?\d{2})",
    "Z": r"(?P<zone>UTC|GMT)",
    "a": r"[A-Za-z]{3}", "A": r"[A-Za-z]+", "%": "%",
}  # fmt: skip


def declared(time_format: str) -> TimeFormat:
    """The writing of a strptime format such as "%d.%m.%Y %H:%M".

    Raises SettingsError naming a directive that is not known.
    """
    short = {"%T": "%H:%M:%S", "%F": "%Y-%m-%d", "%D": "%m/%d/%y", "%R": "%H:%M"}
    text = time_format
    for sign, meaning in short.items():
        text = text.replace(sign, meaning)
    pattern = ""
    at = 0
    while at < len(text):
        if text[at] != "%":
            pattern += r"\s+" if text[at] == " " else re.escape(text[at])
            at += 1
            continue
        sign = text[at + 1 : at + 2]
        if sign not in _DIRECTIVES:
            raise SettingsError(
                f"time_format {time_format!r} has the unknown directive '%{sign}'; "
                f"the known ones are "
                f"{', '.join('%' + directive for directive in sorted(_DIRECTIVES))}"
            )
        pattern += _DIRECTIVES[sign]
        at += 2
    try:
        re.compile(pattern)
    except re.error as error:
        raise SettingsError(f"time_format {time_format!r} has the same part twice") from error
    return TimeFormat(time_format, f"^{pattern}$")


@dataclass(frozen=True)
class Reading:
    """How the times of one column are to be read."""

    time_zone: str
    """Time zone of times without an offset."""
    writings: tuple[TimeFormat, ...] = (ISO, *COMMON, MONTH_DAY)
    """The first that fits a row reads it."""
    in_utc: bool = False
    """The column is a timestamp that already is UTC."""
    numbers: bool = True
    """Plain numbers are times since 1970."""
    excel_days: bool = False
    """Numbers from 20,000 to 60,000 are days since 1900 on the local clock, to the second."""
    years_ahead: int = 0
    """How many years the calendar of the column is ahead of the usual one."""


def add_microseconds(
    rows: Table, name: str, out: str, reading: Reading, engine: TableEngine
) -> Table:
    """`rows` with the column `name` read as microseconds UTC into `out`; null where unreadable.

    A timestamp without a zone, and text without an offset, is the local clock of
    `reading.time_zone`. Text is taken in the first writing that fits. Plain numbers are dates
    such as 20240131 where they can be, otherwise seconds, milliseconds, microseconds or nanoseconds
    since 1970 by their size.
    """
    column = rows[name]
    kind = column.type()
    if kind.is_timestamp() or kind.is_date():
        micros = engine.microseconds(column)
        if reading.in_utc:
            return rows.mutate(micros.name(out))
        rows = rows.mutate(micros.name("_local")).view()
        return rows.mutate(to_utc(rows["_local"], reading.time_zone).name(out)).drop("_local")
    if kind.is_numeric():
        number = column.cast("float64")
        date = (number >= 19_000_101) & (number <= 21_001_231)
        rows = rows.mutate(
            _text=date.fill_null(False).ifelse(column.cast("int64").cast("string"), ""),
            _number=number,
        )
        writings: tuple[TimeFormat, ...] = (COMPACT,)
    else:
        text = tidy(column.cast("string"))
        rows = rows.mutate(_text=text).view()
        digits = rows["_text"]
        as_number = digits.re_search(EPOCH_PATTERN) if reading.numbers else ibis.literal(False)
        if reading.excel_days:
            as_number = as_number | digits.re_search(EXCEL_PATTERN)
            digits = digits.replace(",", ".")
        number = as_number.ifelse(digits.try_cast("float64"), ibis.null("float64"))
        rows = rows.mutate(_number=number)
        writings = reading.writings
    rows = _assemble(rows.view(), writings, reading.years_ahead)
    return _add_utc(rows, out, reading, engine)


_PARTS: Final = (
    "era", "year", "month", "month_name", "day", "hour", "minute", "second", "fraction", "half",
    "zone",
)  # fmt: skip
_ISO_PARTS: Final = {
    "year": (0, 4), "month": (5, 2), "day": (8, 2), "hour": (11, 2), "minute": (14, 2),
    "second": (17, 2),
}  # fmt: skip


def _assemble(rows: Table, writings: Sequence[TimeFormat], years_ahead: int) -> Table:
    """`_clock` as "2024-01-31 08:26:00", `_fraction` and `_zone` of `_text`; "" where none.

    The steps are fenced by views, so that no step's work is repeated inside the next.
    """
    text = rows["_text"]
    fits = [
        (text.re_search(form.plain_pattern), ibis.literal(index, type="int64"))
        for index, form in enumerate(writings)
    ]
    rows = rows.mutate(_format=ibis.cases(*fits, else_=ibis.literal(-1, type="int64"))).view()
    parts = {
        f"_{name}": ibis.cases(
            *[
                (rows["_format"] == index, _part(rows["_text"], form, name))
                for index, form in enumerate(writings)
            ],
            else_="",
        )
        for name in _PARTS
    }
    rows = rows.mutate(**parts).view()
    month = (rows["_month"] != "").ifelse(
        rows["_month"].lpad(2, "0"), month_number(rows["_month_name"])
    )
    eras = any("era" in form.groups for form in writings)
    year = common_year(rows["_year"], rows["_era"] if eras else None, years_ahead)
    hours = rows["_hour"].try_cast("int64").fill_null(0)
    half = rows["_half"].lower().substr(0, 1)
    hours = ibis.cases(
        ((half == "p") & (hours < 12), hours + 12),
        ((half == "a") & (hours == 12), ibis.literal(0, type="int64")),
        else_=hours,
    )
    clock = year.concat(
        "-", month, "-", rows["_day"].strip().lpad(2, "0"), " ",
        hours.cast("string").lpad(2, "0"), ":", rows["_minute"].lpad(2, "0"), ":",
        rows["_second"].lpad(2, "0"),
    )  # fmt: skip
    return rows.mutate(_clock=clock).view()


def _part(text: Column, form: TimeFormat, name: str) -> Column:
    groups = form.groups
    if form == ISO and name in _ISO_PARTS:
        return text.substr(*_ISO_PARTS[name])
    if name not in groups:
        return ibis.literal("")
    text_part = text.re_extract(form.plain_pattern, groups[name])
    return (text.length() > 19).ifelse(text_part, "") if form == ISO else text_part


def _add_utc(rows: Table, out: str, reading: Reading, engine: TableEngine) -> Table:
    """`out` from the clock and its offset, or from a number since 1970."""
    clock = rows["_clock"]
    possible = clock.re_search(
        r"^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]) ([01]\d|2[0-3]):[0-5]\d:[0-5]\d$"
    )
    local = engine.microseconds(possible.ifelse(clock, ibis.null("string")).try_cast("timestamp"))
    fraction = rows["_fraction"].rpad(6, "0").substr(0, 6).try_cast("int64").fill_null(0)
    digits = rows["_zone"].replace(":", "")
    hours = digits.substr(1, 2).try_cast("int64").fill_null(0)
    minutes = digits.substr(3, 2).try_cast("int64").fill_null(0)
    away = (hours * 3600 + minutes * 60) * MICROS_PER_SECOND
    east = ibis.cases(
        (digits == "", ibis.null("int64")),
        (digits.startswith("+"), away),
        (digits.startswith("-"), -away),
        else_=ibis.literal(0, type="int64"),
    )
    local = local + fraction
    if reading.excel_days:
        number = rows["_number"]
        seconds = ((number - _EXCEL_EPOCH) * 86_400.0 + 0.5).floor().cast("int64")
        serial = number.between(20_000, 60_000) & local.isnull()
        local = serial.fill_null(False).ifelse(seconds * MICROS_PER_SECOND, local)
    rows = rows.mutate(_local=local, _east=east, _epoch=_epoch(rows["_number"])).view()
    utc = ibis.cases(
        (rows["_local"].isnull(), rows["_epoch"]),
        (rows["_east"].notnull(), rows["_local"] - rows["_east"]),
        else_=to_utc(rows["_local"], reading.time_zone),
    )
    made = ["_text", "_number", "_format", "_clock", "_local", "_east", "_epoch"]
    return rows.mutate(utc.name(out)).drop(*made, *[f"_{name}" for name in _PARTS])


def _epoch(number: Column) -> Column:
    """Microseconds of a number since 1970, whose unit follows from its size.

    Below 1e11 it is seconds (up to the year 5138), then milliseconds, microseconds and
    nanoseconds by steps of a thousand.
    """
    size = number.abs()
    scaled = ibis.cases(
        (size < 1e11, number * 1e6),
        (size < 1e14, number * 1e3),
        (size < 1e17, number),
        (size < 9e18, number / 1e3),
        else_=ibis.null("float64"),
    )
    return (scaled + 0.5).floor().cast("int64")
