"""Numbers, dates and durations as the report shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from math import floor, log10

from propense.evaluation.records import Interval, Number


def format_number(value: Number) -> str:
    """About four significant places, thousands apart.

    >>> [format_number(v) for v in (0.82314, 16.5012, 1234.56, 2.5, None)]
    ['0.8231', '16.50', '1,235', '2.500', '–']
    """
    return "–" if value is None else _written(value, _decimals(value))


def _decimals(value: float) -> int:
    size = abs(value)
    return 4 if size < 1 else 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0


def _written(value: float, decimals: int) -> str:
    return f"{value + 0.0:,.{decimals}f}".replace("-", "−")


def format_count(value: int) -> str:
    """A whole number, thousands apart."""
    return f"{value:,}"


def format_percent(share: Number) -> str:
    """A share as per cent, finer where small.

    >>> [format_percent(v) for v in (0.064, 0.5, 0.00042, 0.9959)]
    ['6.4 %', '50 %', '0.042 %', '99.6 %']
    """
    if share is None:
        return "–"
    percent = 100 * share
    if 99 < percent < 100:
        return f"{floor(10 * percent) / 10 if percent > 99.9 else percent:.1f} %"
    if percent == 0 or percent >= 10:
        return f"{percent:.0f} %"
    decimals = max(1, 1 - floor(log10(abs(percent))))
    return f"{percent:.{decimals}f} %"


def format_range(interval: Interval) -> str:
    """The ends of an interval with the places of its value, empty where there is none."""
    if interval.value is None or interval.low is None or interval.high is None:
        return ""
    decimals = _decimals(interval.value)
    return f"{_written(interval.low, decimals)} – {_written(interval.high, decimals)}"


def format_day(seconds: int) -> str:
    """A day in UTC.

    >>> format_day(1_735_689_600)
    '2025-01-01'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def format_duration(seconds: float) -> str:
    """Seconds in words short enough for a table.

    >>> [format_duration(v) for v in (4.12, 75, 7_400)]
    ['4.1 s', '1 min 15 s', '2 h 3 min']
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def format_signed(value: float | None) -> str:
    """A difference with its sign, four places, more where it would look like 0.

    >>> format_signed(-0.00431), format_signed(0.0), format_signed(-0.00003), format_signed(None)
    ('−0.0043', '0.0000', '−0.000030', '–')
    """
    if value is None:
        return "–"
    text = f"{abs(value):.4f}"
    if value == 0:
        return text
    if float(text) == 0:
        text = f"{abs(value):.1g}" if abs(value) < 1e-6 else f"{abs(value):.6f}"
    return ("−" if value < 0 else "+") + text
