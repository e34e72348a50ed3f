"""A date or time that somebody wrote by hand: read once, refused once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from propense.errors import SettingsError, SourceError
from propense.times import MICROS_PER_SECOND, parse_time

MONDAY = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * MICROS_PER_SECOND


def test_a_time_without_an_offset_is_local() -> None:
    assert parse_time("2024-01-01", "Asia/Shanghai", "x") == MONDAY - 8 * 3600 * MICROS_PER_SECOND
    assert parse_time("2024-01-01T00:00:00+00:00", "Asia/Shanghai", "x") == MONDAY
    assert parse_time(" 2024-01-01T00:00:00.000001Z ", "UTC", "x") == MONDAY + 1
    assert parse_time("1969-12-31T23:59:59.999999", "UTC", "x") == -1


def test_what_cannot_be_read_is_named_with_the_remedy() -> None:
    refusal = "test_from = 'May' is not a date or time; write it like '2025-03-01'"
    with pytest.raises(SettingsError, match=refusal):
        parse_time("May", "UTC", "[split] test_from")
    with pytest.raises(SourceError, match="event_time = 'May' is not a date or time"):
        parse_time("May", "UTC", "event_time", SourceError)
    with pytest.raises(SettingsError, match="time zone 'Mars/Base' is unknown"):
        parse_time("2024-01-01", "Mars/Base", "x")
