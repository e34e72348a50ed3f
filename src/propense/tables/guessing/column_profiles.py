"""The kind, range and words of a column, estimated from a sample."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal

from propense.tables.cells.numbers import NO_NUMBER
from propense.tables.guessing import names, vocabulary

Kind = Literal["time", "epoch", "integer", "number", "boolean", "category", "text", "empty"]

BOOLEAN: Final = frozenset("true false yes no y n t f 0 1 是 否".split())
MAX_WORDS: Final = 64
"""More different words than this are no category in a sample."""
EPOCH_UNITS: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_EPOCH_LOW, _EPOCH_HIGH = 631_152_000, 2_208_988_800  # 1990 and 2040

TIME_FORMATS: Final[tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]] = tuple(
    (re.compile(pattern), formats)
    for pattern, formats in (
        (r"^\d{4}-\d{2}-\d{2}$", ("%Y-%m-%d",)),
        (
            r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?$",
            ("iso",),
        ),
        (r"^\d{4}/\d{1,2}/\d{1,2}$", ("%Y/%m/%d",)),
        (r"^\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}$", ("%Y/%m/%d %H:%M",)),
        (r"^\d{4}/\d{1,2}/\d{1,2} \d{1,2}:\d{2}:\d{2}$", ("%Y/%m/%d %H:%M:%S",)),
        (r"^\d{1,2}/\d{1,2}/\d{4}$", ("%d/%m/%Y", "%m/%d/%Y")),
        (r"^\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}$", ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M")),
        (
            r"^\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}:\d{2}$",
            ("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"),
        ),
        (r"^\d{1,2}\.\d{1,2}\.\d{4}$", ("%d.%m.%Y",)),
        (
            r"^\d{1,2}\.\d{1,2}\.\d{4} \d{1,2}:\d{2}(:\d{2})?$",
            ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
        ),
        (r"^(19|20)\d{6}$", ("%Y%m%d",)),
        (r"^(19|20)\d{12}$", ("%Y%m%d%H%M%S",)),
        (r"^\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}$", ("%d/%b/%Y:%H:%M:%S %z",)),
        (r"^\d{4}年\d{1,2}月\d{1,2}日$", ("%Y年%m月%d日",)),
        (r"^\d{4}年\d{1,2}月\d{1,2}日 ?\d{1,2}:\d{2}(:\d{2})?$",
         ("%Y年%m月%d日 %H:%M", "%Y年%m月%d日 %H:%M:%S")),
        (r"^[A-Z][a-z]{2} \d{1,2}, \d{4}$", ("%b %d, %Y",)),
    )
)  # fmt: skip

_EXCEL_LOW, _EXCEL_HIGH, _EXCEL_1970 = 20_000, 60_000, 25_569
"""Excel counts days from 1900: these are of 1954 to 2064, and 1970-01-01."""

_INTEGER = re.compile(r"^[+-]?\d+(\.0+)?$")
_NUMBER = re.compile(r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
_TRIED = 2000
"""Cells that are tried for the kind; the whole sample counts for the rest."""


@dataclass(frozen=True)
class ColumnProfile:
    """A column of a sample."""

    name: str
    kind: Kind
    n: int
    n_missing: int
    n_distinct: int
    """Of the cells that are not empty."""
    time_format: str | None = None
    """A strptime format, "iso", or of an epoch its unit: "s", "ms", "us", "ns"."""
    other_formats: tuple[str, ...] = ()
    """Formats that read the sample as well (day and month may be swapped)."""
    low: float | None = None
    high: float | None = None
    """Range of numbers; of times, seconds since 1970 UTC, without the outermost hundredths."""
    days_only: bool = False
    """Times without a clock."""
    negative: float = 0.0
    """Share of numbers below zero."""
    common: tuple[tuple[str, int], ...] = ()
    """The most frequent words with their counts."""
    words: frozenset[str] = field(default=frozenset(), repr=False)
    """All different cells of the sample."""
    mean_length: float = 0.0

    @property
    def n_filled(self) -> int:
        return self.n - self.n_missing

    @property
    def uniqueness(self) -> float:
        """Share of filled cells that are different, 1 for a key."""
        return self.n_distinct / self.n_filled if self.n_filled else 0.0

    @property
    def is_time(self) -> bool:
        return self.kind in ("time", "epoch")

    @property
    def is_numeric(self) -> bool:
        return self.kind in ("integer", "number")

    @property
    def is_binary(self) -> bool:
        return self.n_distinct == 2


def profile_column(
    name: str, cells: Sequence[str | None], declared: str | None = None
) -> ColumnProfile:
    """Kind, range and frequent words of a column's sampled cells.

    `declared` is the type a Parquet file states. An integer column is a time only if its
    values are plausible times and it is named like one.

    >>> profile_column("pay_time", ["2024-03-01 10:00:00", None]).kind
    'time'
    >>> profile_column("ts", ["1709287200", "1709287260"]).time_format
    's'
    """
    without = without_no_number(cells)
    if without is not cells and any(cell is not None for cell in without):
        plain = profile_column(name, without, declared)
        if plain.is_numeric or plain.is_time:
            return plain
    filled = [cell for cell in cells if cell is not None]
    counts = Counter(filled)
    tried = filled[:: max(1, len(filled) // _TRIED)]
    column = ColumnProfile(
        name=name, kind="empty", n=len(cells), n_missing=len(cells) - len(filled),
        n_distinct=len(counts), words=frozenset(counts),
        common=tuple(counts.most_common(MAX_WORDS)),
        mean_length=sum(map(len, tried)) / max(1, len(tried)),
    )  # fmt: skip
    if not filled:
        return column
    if declared is not None and declared.startswith(("timestamp", "date")):
        low, high = _range(filled, "iso")
        days = _in_days(tried, "iso")
        return replace(column, kind="time", time_format="iso", low=low, high=high, days_only=days)
    if len(counts) <= 2 and all(word.lower() in BOOLEAN for word in counts):
        return replace(column, kind="boolean")
    if (formats := _time_formats(tried, name)) is not None:
        low, high = _range(filled, formats[0])
        return replace(
            column, kind="time", time_format=formats[0], other_formats=formats[1:],
            low=low, high=high, days_only=_in_days(tried, formats[0]),
        )  # fmt: skip
    if sum(_NUMBER.match(cell) is not None for cell in tried) > 0.98 * len(tried):
        return _numeric(column, tried)
    if name.endswith(":token_seq") or (
        len(counts) > MAX_WORDS and column.uniqueness > 0.1 and _is_prose(tried)
    ):
        return replace(column, kind="text")
    return replace(column, kind="category")


def without_no_number(cells: Sequence[str | None]) -> Sequence[str | None]:
    """The cells with None for words such as "null", "\\N" and "-"; the same object without any."""
    missing = {
        cell for cell in set(cells) if cell is not None and cell.strip().lower() in NO_NUMBER
    }
    return [None if cell in missing else cell for cell in cells] if missing else cells


def parse_time(cell: str, time_format: str) -> float | None:
    """Seconds since 1970 of a cell, offsets honoured and absent ones read as UTC; None if unfit.

    >>> parse_time("2024-03-01T08:00:00+08:00", "iso") == parse_time("1709251200", "s")
    True
    """
    try:
        if time_format in EPOCH_UNITS:
            return float(cell) / EPOCH_UNITS[time_format]
        if time_format == "iso":
            time = datetime.fromisoformat(cell.strip().replace(" Z", "Z"))
        else:
            time = datetime.strptime(cell, time_format)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _time_formats(tried: Sequence[str], name: str) -> tuple[str, ...] | None:
    """Formats that read nearly all cells, the likeliest first; None if the column is no time."""
    for pattern, formats in TIME_FORMATS:
        fits = [cell for cell in tried if pattern.match(cell)]
        if len(fits) < 0.95 * len(tried):
            continue
        if fits[0].isdigit() and not names.mentions(name, vocabulary.TIME | vocabulary.VALID_FROM):
            continue  # eight digits in a column that is not named like a time are a number
        reads = {form: sum(parse_time(cell, form) is not None for cell in fits) for form in formats}
        best = max(reads.values())
        if best >= 0.95 * len(fits):
            return tuple(form for form in formats if reads[form] == best)
    return None


def _numeric(column: ColumnProfile, tried: Sequence[str]) -> ColumnProfile:
    numbers = sorted(float(cell) for cell in tried if _NUMBER.match(cell))
    negative = sum(cell.startswith("-") for cell in tried) / len(tried)
    whole = sum(_INTEGER.match(cell) is not None for cell in tried) >= 0.98 * len(tried)
    column = replace(
        column,
        kind="integer" if whole else "number",
        low=numbers[0],
        high=numbers[-1],
        negative=negative,
    )
    low, high = _bulk(numbers)
    if names.mentions(column.name, vocabulary.TIME | vocabulary.VALID_FROM) and low > 0:
        for unit, scale in EPOCH_UNITS.items():
            if low / scale >= _EPOCH_LOW and high / scale <= _EPOCH_HIGH:
                return replace(
                    column, kind="epoch", time_format=unit, low=low / scale, high=high / scale
                )
        if _EXCEL_LOW <= low and high <= _EXCEL_HIGH:
            days = [(day - _EXCEL_1970) * 86_400.0 for day in (low, high)]
            return replace(column, kind="time", low=days[0], high=days[1])
    return column


def _bulk(ordered: Sequence[float]) -> tuple[float, float]:
    """Ends of sorted numbers without the outermost hundredth on each side, which may be dirt."""
    cut = len(ordered) // 100
    return ordered[cut], ordered[-1 - cut]


def _range(filled: Sequence[str], time_format: str) -> tuple[float | None, float | None]:
    """First and last time of the bulk of the cells."""
    cells = filled[:: max(1, len(filled) // (2 * _TRIED))]
    times = [time for cell in cells if (time := parse_time(cell, time_format)) is not None]
    return _bulk(sorted(times)) if times else (None, None)


def _in_days(tried: Sequence[str], time_format: str) -> bool:
    """Whether no time of a sample has a clock."""
    times = [parse_time(cell, time_format) for cell in tried]
    return all(time is None or time % 86_400 == 0 for time in times)


def _is_prose(tried: Sequence[str]) -> bool:
    """Several words in most cells, or Chinese of more than a word."""
    prose = sum(" " in cell or (len(cell) > 4 and ord(cell[0]) > 0x33FF) for cell in tried)
    return prose > 0.4 * len(tried)
