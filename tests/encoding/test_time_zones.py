"""Offsets of time zones against zoneinfo itself."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.time_zones import utc_offset
from propense.errors import SettingsError

ZONES = ("UTC", "Asia/Shanghai", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=20), st.sampled_from(ZONES))
def test_offsets_are_those_of_zoneinfo(times: list[int], zone: str) -> None:
    expected = [
        int(dt.datetime.fromtimestamp(time, ZoneInfo(zone)).utcoffset().total_seconds())  # type: ignore[union-attr]
        for time in times
    ]
    assert utc_offset(np.array(times), zone).tolist() == expected


def test_the_change_comes_to_the_second() -> None:
    change = int(dt.datetime(2024, 3, 10, 7, tzinfo=dt.UTC).timestamp())
    offsets = utc_offset(np.array([change - 1, change]), "America/New_York")
    assert offsets.tolist() == [-5 * 3600, -4 * 3600]


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(SettingsError, match="'Mars/Olympus' is unknown"):
        utc_offset(np.array([0]), "Mars/Olympus")
