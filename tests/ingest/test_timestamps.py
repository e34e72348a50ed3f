"""Moments of messages and the correction of clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.ingest.timestamps import event_time, read_time

EIGHT = 1_709_280_000_000_000


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-03-01T08:00:00.000Z", EIGHT),
        ("2024-03-01T08:00:00Z", EIGHT),
        ("2024-03-01T08:00Z", EIGHT),
        ("2024-03-01T08:00:00", EIGHT),
        ("2024-03-01 08:00:00+00:00", EIGHT),
        ("2024-03-01T16:00:00+08:00", EIGHT),
        ("2024-03-01T16:00:00+0800", EIGHT),
        ("2024-03-01T16:00:00+08", EIGHT),
        ("2024-03-01T16:00:00.000 +08:00", EIGHT),
        ("2024-02-29T23:00:00-09:00", EIGHT),
        ("20240301T080000Z", EIGHT),
        ("2024-03-01t08:00:00z", EIGHT),
        (" 2024-03-01T08:00:00Z ", EIGHT),
        ("2024-03-01 08:00:00 UTC", EIGHT),
        ("2024-03-01T08:00:00 GMT", EIGHT),
        ("2024-W09-5T08:00:00Z", EIGHT),
        ("2024-03-01T08:00:00.5Z", EIGHT + 500_000),
        ("2024-03-01T08:00:00,123456Z", EIGHT + 123_456),
        ("2024-03-01T08:00:00.123456789Z", EIGHT + 123_456),
        ("2024-03-01", EIGHT - 8 * 3_600_000_000),
        ("1969-12-31T23:59:59Z", -1_000_000),
    ],
)
def test_usual_spellings(text: str, time: int) -> None:
    assert read_time(text) == time


@pytest.mark.parametrize(
    "text", ["", "now", "1709280000", "2024-13-01", "2024-02-30T08:00:00Z", "2024", "x" * 500]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 time"):
        read_time(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_python_writes_is_read_to_the_microsecond(time: datetime) -> None:
    gap = time - datetime(1970, 1, 1, tzinfo=UTC)
    expected = (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds
    assert read_time(time.isoformat()) == expected


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    try:
        assert isinstance(read_time(text), int)
    except (ValueError, OverflowError):
        pass


@given(
    happened=st.integers(0, 10**15),
    waited=st.integers(0, 10**12),
    travelled=st.integers(0, 10**8),
    wrong_by=st.integers(-(10**15), 10**15),
)
def test_a_wrong_clock_moves_no_event(
    happened: int, waited: int, travelled: int, wrong_by: int
) -> None:
    """Whatever the sender's clock says, only the time on the way is added."""
    received = happened + waited + travelled
    time, clamped = event_time(happened + wrong_by, happened + waited + wrong_by, received)
    assert (time, clamped) == (happened + travelled, False)


def test_without_sent_at_the_sender_is_believed_but_for_the_future() -> None:
    assert event_time(EIGHT, None, EIGHT + 5) == (EIGHT, False)
    assert event_time(EIGHT + 9, None, EIGHT) == (EIGHT, True)
    assert event_time(None, EIGHT - 7, EIGHT) == (EIGHT, False)
    assert event_time(EIGHT + 2, EIGHT, EIGHT) == (EIGHT, True)
