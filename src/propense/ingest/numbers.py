"""Numbers in messages: money in micro-units, and counts."""

from __future__ import annotations

from typing import Any, Final

from propense.columns import MICRO_UNITS
from propense.ingest.segment import IngestError, type_name

MOST_MONEY: Final = 10**12
"""Units of the currency in one event at most, positive or negative."""
MOST_COUNT: Final = 10**9
_LONGEST: Final = 40
_BIG: Final = 2**64


def read_number(value: Any) -> float | None:
    """A number below 2^64, or a text that is one; None for anything else.

    >>> read_number(" 12.50 "), read_number("1_000"), read_number(True), read_number("nan")
    (12.5, None, None, None)
    """
    kind = type(value)
    if kind is float or kind is int:
        return float(value) if -_BIG < value < _BIG else None
    if kind is not str or not 0 < len(value) <= _LONGEST or not value.isascii() or "_" in value:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if -_BIG < number < _BIG else None


def read_money(value: Any, pointer: str, times: float = 1.0) -> int:
    """Micro-units, halves to even, of `times` a number or numeric text in units of the currency.

    Raises IngestError, also beyond 10^12 units.
    """
    units = read_number(value)
    if units is None:
        raise _not_a_number(value, "money", pointer)
    units *= times
    if not -MOST_MONEY <= units <= MOST_MONEY:
        raise IngestError(pointer, f"money of {units:g} units; at most {MOST_MONEY:,} are accepted")
    return round(units * MICRO_UNITS)


def read_count(value: Any, pointer: str) -> float:
    """A count, above 0 and at most 10^9. Raises IngestError."""
    count = read_number(value)
    if count is None:
        raise _not_a_number(value, "a count", pointer)
    if not 0 < count <= MOST_COUNT:
        raise IngestError(
            pointer, f"a count must be above 0 and at most {MOST_COUNT:,}; got {count:g}"
        )
    return count


def _not_a_number(value: Any, kind: str, pointer: str) -> IngestError:
    shown = ascii(value[:_LONGEST]) if type(value) is str else type_name(value)
    return IngestError(pointer, f"{kind} must be a number such as 12.50; got {shown}")
