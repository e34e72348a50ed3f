"""Units of time, and the one reader of a date or time that somebody wrote by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from propense.errors import PropenseError, SettingsError

SECONDS_PER_DAY: Final = 86_400
MICROS_PER_SECOND: Final = 1_000_000
"""Event times are integer microseconds since 1970-01-01 UTC."""
MICROS_PER_DAY: Final = SECONDS_PER_DAY * MICROS_PER_SECOND
EXAMPLES: Final = "write it like '2025-03-01' or '2025-03-01T12:00:00+08:00'"
"""The remedy in the message about a time that cannot be read."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_time(text: str, zone: str, key: str, error: type[PropenseError] = SettingsError) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 date or time.

    A text without an offset is local time in `zone`; a date is its midnight.

    >>> parse_time("1970-01-02", "Asia/Shanghai", "[split] test_from")
    57600000000

    Raises `error` naming `key`, SettingsError if the zone is unknown.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as cause:
        raise error(f"{key} = {text!r} is not a date or time; {EXAMPLES}") from cause
    return to_micros(time if time.tzinfo is not None else time.replace(tzinfo=find_zone(zone)))


def to_micros(time: datetime) -> int:
    """Microseconds since 1970 UTC; a `time` without a zone is UTC.

    >>> to_micros(datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    gap = aware - _EPOCH
    return gap.days * MICROS_PER_DAY + gap.seconds * MICROS_PER_SECOND + gap.microseconds


def written_iso(time: int) -> str:
    """A time in seconds as settings name it.

    >>> written_iso(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")


def written_day(time: int) -> str:
    """The day of a time in seconds, UTC.

    >>> written_day(0)
    '1970-01-01'
    """
    return written_iso(time)[:10]


def find_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name such as "Asia/Shanghai"; SettingsError if it is unknown."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"time zone {name!r} is unknown; write it like 'Asia/Shanghai' or 'UTC'"
        ) from error
