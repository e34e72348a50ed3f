"""The platform's calendar: days, weekdays, terms, holidays and price campaigns.

A simulated day runs from 00:00 to 24:00 UTC, which is 08:00 to 08:00 in Shanghai,
so that the weekly as-of grid (Mondays 00:00 UTC) falls between two days and never
inside one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from propense.schemas import Doubles, Ints

DAY_SECONDS: Final = 86_400
START: Final = np.datetime64("2024-07-01")
"""A Monday, the first simulated day."""
START_SECONDS: Final = int(START.astype("datetime64[s]").astype(np.int64))
HORIZON_DAYS: Final = 30
ACTIVE_DAYS: Final = 90

_PRICE_CAMPAIGNS: Final = (
    ("09-01", "09-05", 0.20),
    ("11-08", "11-12", 0.35),
    ("12-30", "12-31", 0.25),
    ("01-01", "01-02", 0.25),
    ("06-15", "06-19", 0.30),
)
_HOLIDAYS: Final = (("10-01", "10-07", 0.70), ("01-26", "02-03", 0.60), ("05-01", "05-05", 0.75))


@dataclass(frozen=True)
class Calendar:
    """How each day affects everyone; arrays reach one horizon past the last day."""

    days: int
    weekday: Ints
    """0 is Monday."""
    month: Ints
    """Months since the month of the first day."""
    month_of_year: Ints
    discount: Doubles
    """Share taken off every price."""
    mood: Doubles
    """(2, n) factor of the visit rate: workers, students."""

    @property
    def end_seconds(self) -> int:
        return START_SECONDS + self.days * DAY_SECONDS


def make_calendar(days: int) -> Calendar:
    """The calendar of `days` simulated days plus one horizon."""
    date = START + np.arange(days + HORIZON_DAYS)
    weekday = (date.astype(np.int64) + 3) % 7
    months = date.astype("datetime64[M]").astype(np.int64)
    text = np.datetime_as_string(date)
    month_day = np.array([day[5:] for day in text])
    discount = np.zeros(len(date))
    for first, last, share in _PRICE_CAMPAIGNS:
        discount[(month_day >= first) & (month_day <= last)] = share
    holiday = np.ones(len(date))
    for first, last, factor in _HOLIDAYS:
        holiday[(month_day >= first) & (month_day <= last)] = factor
    month_of_year = months % 12 + 1
    weekend = weekday >= 5
    term = np.isin(month_of_year, (3, 4, 5, 6, 9, 10, 11, 12))
    workers = holiday * np.where(weekend, 1.25, 0.92)
    students = holiday * np.where(term, 1.12, 0.80) * np.where(weekend, 0.90, 1.04)
    mood = np.stack([workers, students])
    return Calendar(days, weekday, months - months[0], month_of_year, discount, mood)


def seconds_of_day(day: Ints | int) -> Ints:
    """Seconds since 1970 at which a simulated day begins."""
    return np.asarray(START_SECONDS + np.asarray(day, dtype=np.int64) * DAY_SECONDS)


def truth_days(days: int, reach: int = 150) -> Ints:
    """Day numbers of the weekly as-of grid in the last `reach` days, including the end."""
    mondays = np.arange(7, days + 1, 7)
    chosen: Ints = mondays[mondays >= max(days - reach, 28)].astype(np.int64)
    return chosen
