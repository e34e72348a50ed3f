"""Times whose day, clock and zone stand in columns of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import ibis
from ibis.expr.types import Column, Table

from propense.columns import EVENT_TIME, TIME_OF_DAY, TIME_ZONE
from propense.errors import SettingsError, SourceError
from propense.times import find_zone

OFFSETS: Final = {
    "UTC": "+00:00", "GMT": "+00:00", "Z": "+00:00", "WET": "+00:00", "WEST": "+01:00",
    "CET": "+01:00", "MEZ": "+01:00", "CEST": "+02:00", "MESZ": "+02:00", "EET": "+02:00",
    "EEST": "+03:00", "MSK": "+03:00", "JST": "+09:00", "KST": "+09:00", "HKT": "+08:00",
    "SGT": "+08:00", "AEST": "+10:00", "AEDT": "+11:00", "NZST": "+12:00", "NZDT": "+13:00",
    "NST": "-03:30", "NDT": "-02:30", "ADT": "-03:00", "EST": "-05:00", "EDT": "-04:00",
    "CDT": "-05:00", "MST": "-07:00", "MDT": "-06:00", "PST": "-08:00", "PDT": "-07:00",
    "AKST": "-09:00", "AKDT": "-08:00", "HST": "-10:00", "BRT": "-03:00", "ART": "-03:00",
}  # fmt: skip
"""Word of a zone -> its offset from UTC; words of several zones (CST, IST, BST) have none."""
REGIONS: Final = {
    "pacific time (us & canada)": "America/Los_Angeles",
    "mountain time (us & canada)": "America/Denver",
    "central time (us & canada)": "America/Chicago",
    "eastern time (us & canada)": "America/New_York",
    "atlantic time (canada)": "America/Halifax", "arizona": "America/Phoenix",
    "alaska": "America/Anchorage", "hawaii": "Pacific/Honolulu", "london": "Europe/London",
    "dublin": "Europe/Dublin", "madrid": "Europe/Madrid", "paris": "Europe/Paris",
    "berlin": "Europe/Berlin", "tokyo": "Asia/Tokyo", "sydney": "Australia/Sydney",
    "melbourne": "Australia/Melbourne", "brisbane": "Australia/Brisbane",
    "perth": "Australia/Perth",
}  # fmt: skip
"""Name of a zone with summer time -> its name in the time zone database."""
_MOST: Final = 200


def join_clock(
    rows: Table, columns: Mapping[str, str], where: str
) -> tuple[Table, dict[str, str], str | None, list[str]]:
    """Rows and columns where `event_time` is one text of day, clock and offset.

    Also the zone of all times, where the column of zones names one region, and what to say.
    Raises SettingsError without `event_time`, SourceError where a file names several regions.
    """
    columns = dict(columns)
    clock, zone = columns.pop(TIME_OF_DAY, None), columns.pop(TIME_ZONE, None)
    if clock is None and zone is None:
        return rows, columns, None, []
    if EVENT_TIME not in columns:
        word = TIME_ZONE if clock is None else TIME_OF_DAY
        raise SettingsError(
            f"{where.rpartition(' ')[0]} columns maps {word} without event_time; map both"
        )
    day = columns[EVENT_TIME]
    text = rows[day].cast("string").strip()
    if clock is not None:
        hour = rows[clock].cast("string").strip().re_replace(r"^\d{4}-\d{2}-\d{2}[T ]", "")
        bare = text.re_replace(r"[T ]0{1,2}:00(:00(\.0+)?)?$", "")
        text = (hour.fill_null("") == "").ifelse(text, bare.concat(" ", hour))
    region: str | None = None
    notes: list[str] = []
    if zone is not None:
        words = _words(rows[zone], zone, where)
        region, notes = _region(words, zone, where)
        offsets = {word: offset for word in words if (offset := _offset(word)) is not None}
        if offsets:
            named = rows[zone].cast("string").strip()
            offset = ibis.cases(
                *((named == one, value) for one, value in offsets.items()), else_=""
            )
            has_clock = text.contains(":") & ~text.re_search(r"(Z|[+-]\d{2}:?\d{2})$")
            text = (has_clock & (offset != "")).ifelse(text.concat(offset), text)
    name = " and ".join(own for own in (day, clock, zone) if own is not None)
    columns[EVENT_TIME] = name
    return rows.mutate(**{name: text}).view(), columns, region, notes


def _words(column: Column, zone: str, where: str) -> list[str]:
    """The words of a column of zones; SourceError where it has too many to be one."""
    table = column.cast("string").strip().name("word").as_table()
    some = table.filter(table.word != "").distinct().limit(_MOST + 1)
    words = sorted(some.to_pyarrow()["word"].to_pylist())
    if len(words) > _MOST:
        raise SourceError(
            f"{where}: {zone!r} holds more than {_MOST} words, such as {words[0]!r}, so it is no "
            "column of zones; map time_zone to the column that is, or leave it out"
        )
    return words


def _offset(word: str) -> str | None:
    """The offset that a zone's word means at any time.

    >>> _offset("PST"), _offset("GMT+2"), _offset("-0330"), _offset("CST"), _offset("Berlin")
    ('-08:00', '+02:00', '-03:30', None, None)
    """
    name = word.upper()
    if name in OFFSETS:
        return OFFSETS[name]
    digits = name.removeprefix("UTC").removeprefix("GMT").replace(":", "")
    if digits[:1] not in ("+", "-") or not digits[1:].isdigit() or len(digits) > 5:
        return None
    hours, minutes = (digits[1:], "00") if len(digits) <= 3 else (digits[1:-2], digits[-2:])
    return f"{digits[0]}{hours.zfill(2)}:{minutes}"


def _region(words: Sequence[str], zone: str, where: str) -> tuple[str | None, list[str]]:
    """The one region that the words name, and a note on words that name nothing."""
    regions: dict[str, str] = {}
    unknown: list[str] = []
    for word in words:
        if _offset(word) is not None:
            continue
        name = REGIONS.get(word.casefold(), word)
        try:
            find_zone(name)
        except SettingsError:
            unknown.append(word)
        else:
            regions[word] = name
    notes = []
    if unknown:
        listed = ", ".join(map(repr, unknown[:5]))
        notes.append(
            f"{zone!r} holds {listed}, which names no one zone: these times are local ones"
        )
    if len(set(regions.values())) > 1:
        raise SourceError(
            f"{where}: {zone!r} names {len(regions)} regions, such as "
            f"{' and '.join(map(repr, list(regions)[:2]))}; write a source for each, or times with "
            "their offset"
        )
    return next(iter(regions.values()), None), notes
