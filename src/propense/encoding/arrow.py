"""Arrow columns of any type as words, numbers, seconds: one reading offline and online."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.errors import SourceError
from propense.schemas import NO_TIME, Doubles, Ints
from propense.times import MICROS_PER_SECOND, parse_time, to_micros

Kind = Literal["numeric", "categorical", "text", "time", "tokens"]

_NUMBER: Final = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


def one_array(column: Any) -> Any:
    """A pyarrow Array of an Array, a ChunkedArray, a numpy array or a list."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if isinstance(column, pa.Array):
        return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    return pa.array(column, from_pandas=True)


def as_words(column: Any) -> Any:
    """A string array; whole numbers lose their ".0", so 3 and 3.0 are one word.

    >>> as_words([3.0, None, 2.5]).to_pylist()
    ['3', None, '2.5']
    """
    array = one_array(column)
    kind = array.type
    if pa.types.is_string(kind):
        return array
    if pa.types.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if pa.types.is_floating(kind):
        return pa.array([word_of(value) for value in array.to_pylist()], pa.string())
    return pc.cast(array, pa.string())


def word_of(value: object) -> str | None:
    """The word of one live value, the same as its column's word.

    >>> word_of(True), word_of(3.0), word_of(None)
    ('true', '3', None)
    """
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def as_numbers(column: Any) -> Doubles:
    """Float64, nan where missing, infinite, or not a number at all."""
    array = one_array(column)
    kind = array.type
    if pa.types.is_null(kind):
        return np.full(len(array), np.nan)
    if pa.types.is_large_string(kind) or pa.types.is_string(kind):
        looks = pc.match_substring_regex(array, _NUMBER)
        array = pc.utf8_trim_whitespace(pc.if_else(looks, array, None))
        # Arrow does not read a leading plus sign.
        array = pc.replace_substring_regex(array, r"^\+", "")
    elif pa.types.is_boolean(kind):
        array = pc.cast(array, pa.int8())
    elif pa.types.is_temporal(kind):
        seconds = as_seconds(array)
        return np.where(seconds == NO_TIME, np.nan, seconds / 86_400)
    doubles = pc.cast(array, pa.float64(), safe=False)
    numbers = np.array(doubles.to_numpy(zero_copy_only=False), np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def as_seconds(column: Any) -> Ints:
    """Seconds since 1970 UTC, floored; NO_TIME where missing. Text is ISO 8601."""
    array = one_array(column)
    if pa.types.is_null(array.type):
        return np.full(len(array), NO_TIME)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return np.array([seconds_of(value) for value in array.to_pylist()], np.int64)
    if not pa.types.is_temporal(array.type):
        numbers = as_numbers(array)
        is_number = ~np.isnan(numbers)
        out = np.full(len(array), NO_TIME)
        out[is_number] = np.floor(numbers[is_number]).astype(np.int64)
        return out
    return np.where(
        missing(array), NO_TIME, np.floor_divide(as_micros(array), MICROS_PER_SECOND)
    ).astype(np.int64)


def as_micros(column: Any) -> Ints:
    """Microseconds since 1970 UTC of a temporal column; 0 where missing."""
    stamps = pc.cast(one_array(column), pa.timestamp("us", _zone(column)), safe=False)
    return integers(pc.cast(stamps, pa.int64()))


def _zone(column: Any) -> str | None:
    zone = getattr(column.type, "tz", None)
    return None if zone is None else str(zone)


def integers(column: Any) -> Ints:
    """Int64 values, 0 where missing."""
    filled = pc.fill_null(pc.cast(one_array(column), pa.int64()), 0)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.int64)


def missing(column: Any) -> np.ndarray:
    """(n,) true where a cell is null."""
    return np.asarray(pc.is_null(one_array(column)).to_numpy(zero_copy_only=False), bool)


def micros_of(value: object) -> int | None:
    """Microseconds since 1970 UTC of one live moment: datetime, ISO text, or microseconds.

    A datetime or text without an offset is UTC. Raises SourceError on anything else.
    """
    if type(value) is int:
        return value
    if value is None:
        return None
    if isinstance(value, str):
        return parse_time(value, "UTC", "event_time", SourceError)
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if isinstance(value, dt.datetime):
        return to_micros(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise SourceError(
        f"event_time {value!r} is neither a datetime, ISO 8601 text nor whole microseconds"
    )


def seconds_of(value: object) -> int:
    """Seconds since 1970 UTC of one live profile time; NO_TIME where missing or no time."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return NO_TIME
    try:
        micros = micros_of(value)
    except SourceError:
        return NO_TIME
    return NO_TIME if micros is None else micros // MICROS_PER_SECOND


def column_of(records: Sequence[Mapping[str, object]], name: str, kind: Kind) -> Any:
    """One column of live records, as the Arrow column it would have been offline."""
    values = [record.get(name) for record in records]
    if kind == "time":
        seconds = [seconds_of(value) for value in values]
        return pa.array(
            [None if second == NO_TIME else second * MICROS_PER_SECOND for second in seconds],
            pa.timestamp("us"),
        )
    if kind == "tokens":
        return pa.array(
            [
                [str(token) for token in value] if isinstance(value, list | tuple)
                else ([] if value is None else [str(value)])
                for value in values
            ],
            pa.list_(pa.string()),
        )  # fmt: skip
    if kind == "numeric" and not any(isinstance(value, str) for value in values):
        return pa.array([_float_of(value) for value in values], pa.float64())
    return pa.array([word_of(value) for value in values], pa.string())


def _float_of(value: object) -> float | None:
    if isinstance(value, bool | int | float | np.number):
        try:
            return float(value)
        except OverflowError:
            # An integer beyond every float is no number that anything is learned from.
            return None
    return None
