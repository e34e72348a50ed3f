"""What a live item may say in a column of the catalogue."""

from __future__ import annotations

import math
from typing import Any, Final

import pyarrow as pa

from propense.encoding.arrow import column_of
from propense.errors import SourceError

MOST: Final = 1e15
"""Largest size of a number: a larger one is no price or quantity, and overflows in sums."""


def check_value(item_id: str, name: str, value: object, kind: pa.DataType, many: bool) -> None:
    """Raises SourceError where a value has no place in a column of this type; `many`: the column
    holds several words."""
    if value is None or value == "":
        return
    fault = _fault(name, value, kind, many)
    if fault:
        raise SourceError(f"item {item_id!r} has {name!r}: {str(value)[:60]!a}, {fault}")


def _fault(name: str, value: Any, kind: pa.DataType, many: bool) -> str:
    """What is wrong with the value, and what to send; empty where nothing is."""
    if pa.types.is_temporal(kind):
        good = isinstance(value, str) and column_of([{name: value}], name, "time")[0].is_valid
        return "" if good else "which is no time; send ISO 8601, such as 2026-03-01T08:30:00Z"
    if pa.types.is_boolean(kind):
        good = isinstance(value, bool) or str(value).strip().lower() in ("true", "false")
        return "" if good else "which is neither true nor false; send one of them"
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return "" if _is_number(value) else f"which is no number up to {MOST:.0e}; send one"
    words = value if many and isinstance(value, list | tuple) else [value]
    for word in words:
        if isinstance(word, bool) or not isinstance(word, str | int | float):
            return "which is no text; send a text" + (", or a list of texts" if many else "")
        if isinstance(word, str) and not word.replace("\n", " ").replace("\t", " ").isprintable():
            return "which has a letter that nobody can see, such as NUL; leave it out"
    return ""


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return math.isfinite(number) and abs(number) <= MOST
