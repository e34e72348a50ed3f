"""The doctor's check of the span of times: a few wrong ones far outside the log's own years."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

import numpy as np

from propense.columns import EVENT_TIME
from propense.schemas import Ints
from propense.tables.doctor.findings import Finding

OUTERMOST: Final = 0.01
"""Share of the events, at either end, that is not the bulk."""
TIMES_THE_BULK: Final = 10
YEARS: Final = 5
_YEAR_HOURS: Final = 365 * 24
_FEWEST: Final = 20
"""Fewer events have no bulk."""


def check_span(hours: Ints, counts: Ints) -> list[Finding]:
    """A warning where all events but the outermost lie in a short time.

    `hours` since 1970 that have events, in order, and how many each has.
    """
    n = int(counts.sum())
    if n < _FEWEST:
        return []
    outside = math.ceil(OUTERMOST * n)
    until = np.cumsum(counts)
    low = hours[np.searchsorted(until, outside, "right")]
    high = hours[np.searchsorted(until, n - outside, "left")]
    span, bulk = int(hours[-1] - hours[0] + 1), int(high - low + 1)
    if span <= YEARS * _YEAR_HOURS or span <= TIMES_THE_BULK * bulk:
        return []
    far = (hours < low - bulk) | (hours > high + bulk)
    chosen = np.flatnonzero(far)
    ends = [*chosen[:3], *chosen[3:][-2:]]
    return [
        Finding(
            code="time_span", severity="warning", table="events", column=EVENT_TIME,
            count=int(counts[far].sum()),
            sentence=f"times span {_day(hours[0])} to {_day(hours[-1])}, but all except the "
            f"outermost {OUTERMOST:.0%} lie between {_day(low)} and {_day(high)}",
            remedy="if the times outside are wrong, set them aside with [clean] "
            f'earliest = "{_day(low - bulk)}" or until = "{_day(high + bulk)}"',
            examples=[f"{_day(hours[one])} ({counts[one]:,} events)" for one in ends],
        )
    ]  # fmt: skip


def _day(hour: int) -> str:
    return f"{datetime.fromtimestamp(int(hour) * 3600, UTC):%Y-%m-%d}"
