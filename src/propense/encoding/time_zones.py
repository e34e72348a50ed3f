"""Local time without a loop over events: the transitions of a time zone as a table."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from propense.schemas import Ints
from propense.times import SECONDS_PER_DAY, find_zone

_LAST: Final = 4_102_444_800
"""2100-01-01; later times keep the last offset, times before 1970 the first."""


def utc_offset(time: Ints, time_zone: str) -> Ints:
    """(n,) seconds east of UTC at each moment.

    >>> utc_offset(np.array([1_735_689_600, 1_751_328_000]), "Europe/Berlin").tolist()
    [3600, 7200]

    Raises SettingsError naming an unknown zone.
    """
    starts, offsets = _transitions(time_zone)
    if len(offsets) == 1:
        return np.full(len(time), offsets[0])
    return offsets[np.searchsorted(starts, time, side="right")]


@lru_cache(maxsize=32)
def _transitions(time_zone: str) -> tuple[Ints, Ints]:
    """Moments at which the offset changes, and the offset before, between and after them."""
    zone = find_zone(time_zone)
    grid = range(0, _LAST, SECONDS_PER_DAY)
    daily = np.array([_offset_at(time, zone) for time in grid])
    starts = [_bisect(int(day) * SECONDS_PER_DAY, zone) for day in np.flatnonzero(np.diff(daily))]
    offsets = [int(daily[0]), *(_offset_at(start, zone) for start in starts)]
    return np.array(starts, np.int64), np.array(offsets, np.int64)


def _offset_at(time: int, zone: ZoneInfo) -> int:
    offset = dt.datetime.fromtimestamp(time, zone).utcoffset()
    return 0 if offset is None else offset // dt.timedelta(seconds=1)


def _bisect(low: int, zone: ZoneInfo) -> int:
    """The first second within a day of `low` whose offset differs from that of `low`."""
    before, high = _offset_at(low, zone), low + SECONDS_PER_DAY
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high
