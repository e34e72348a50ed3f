"""Where the rows of delimited text begin: whole blocks at once, doubtful lines one by one.

Text here is UTF-8 with line ends "\\n" or "\\r\\n" and a delimiter of one byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from propense.tables.sources.text.tokens import (
    LONGEST_ROW,
    QUOTE,
    Kind,
    read_row,
    swallows_rows,
)

Offsets = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

BLOCK: Final = 1 << 24
_LF, _CR, _QUOTE = 10, 13, 34
_MOST_CHECKED: Final = 5000
"""Rows over several lines of one block that are looked into."""
_MOST_ALIKE: Final = 20
_FEW_ALIKE: Final = 3
"""So many lines like rows may stand in quoted cells of a small block; in a greater one a hundredth
of its lines, and at most _MOST_ALIKE."""


@dataclass(frozen=True)
class Shape:
    """What is known of the rows of a file."""

    delimiter: bytes
    width: int
    """Cells of a row."""
    quoted: bool = True
    """Quotes may enclose cells."""
    kinds: tuple[Kind, ...] = ()
    """What the cells of each column look like."""
    least: int = 0
    """Cells of a row that does not end with a delimiter, where most do; 0 otherwise."""


@dataclass
class Records:
    """The rows of one block. A row is named by its index in the block."""

    data: bytes
    line_starts: Offsets
    line_ends: Offsets
    """Behind the last byte of each line, without its line end."""
    first: Offsets
    """Row -> its first line, an index in the block."""
    n_blank: int
    n_inside: int
    """Lines within quoted cells of rows that began earlier."""
    first_inside: int = -1
    """The first of them."""
    cells: dict[int, list[bytes]] = field(default_factory=dict)
    """Rows that were taken apart one by one."""
    broken: dict[int, bytes] = field(default_factory=dict)
    """Rows that have not the cells of the others, as they stand."""
    lone_lines: list[int] = field(default_factory=list)
    """Lines with a quote that is text, though it begins a cell."""
    unclosed_lines: list[int] = field(default_factory=list)
    """Lines whose quote never closes, and which have not the cells of the others either."""
    padded_lines: list[int] = field(default_factory=list)
    """Lines with more cells than the others, all of them empty."""
    dropped_lines: list[int] = field(default_factory=list)
    """Blank lines that are not empty: they are not shown to the parser."""

    @property
    def n_lines(self) -> int:
        return len(self.line_starts)

    @property
    def n_rows(self) -> int:
        return len(self.first)

    def plain_rows(self) -> Offsets:
        """Rows that a parser takes apart as they are."""
        rows = np.arange(self.n_rows, dtype=np.int64)
        special = [*self.cells, *self.broken]
        return np.delete(rows, special) if special else rows

    def plain_bytes(self) -> bytes:
        """The text of these rows."""
        special = [*self.cells, *self.broken]
        if not special and not self.dropped_lines:
            return self.data
        keep = np.ones(self.n_lines, bool)
        last = np.append(self.first[1:], self.n_lines)
        for row in special:
            keep[self.first[row] : last[row]] = False
        keep[self.dropped_lines] = False
        starts = np.append(self.line_starts, len(self.data))
        mask = np.repeat(keep, np.diff(starts))
        return bytes(np.frombuffer(self.data, np.uint8)[mask])

    def text(self, row: int) -> bytes:
        """A row as it stands."""
        last = self.first[row + 1] if row + 1 < self.n_rows else self.n_lines
        start = self.line_starts[self.first[row]]
        return self.data[start : self.line_ends[last - 1]].rstrip(b"\r\n")


def blocks(stream: IO[bytes], shape: Shape, size: int = BLOCK) -> Iterator[Records]:
    """The rows of a text, a block at a time."""
    rest = b""
    while True:
        chunk = stream.read(size)
        data = rest + chunk
        if not data:
            return
        last = not chunk
        cut = len(data) if last else data.rfind(b"\n") + 1
        records, used = find_records(data[:cut], shape, last)
        if used:
            yield records
        rest = data[used:]
        if last:
            return


def find_records(data: bytes, shape: Shape, last: bool) -> tuple[Records, int]:
    """The rows of a block that ends with a line; and the bytes used, fewer where the last row
    goes on behind the block."""
    if not data:
        return _empty(), 0
    array = np.frombuffer(data, np.uint8)
    starts, ends = _lines(data, array)
    blank, dropped = _blank(array, starts, ends)
    quotes = np.flatnonzero(array == _QUOTE) if shape.quoted and QUOTE in data else None
    if quotes is None:
        first = np.flatnonzero(~blank)
        n_blank = int(blank.sum())
        return Records(data, starts, ends, first, n_blank, 0, dropped_lines=dropped), len(data)
    regular = _regular(data, array, starts, ends, blank, quotes, shape)
    if regular is not None:
        inside, used = regular
        if used < len(data):
            if last:
                used = len(data)
            else:
                return find_records(data[:used], shape, False) if used else (_empty(), 0)
        else:
            first = np.flatnonzero(~(blank | inside))
            n_blank = int((blank & ~inside).sum())
            dropped = [line for line in dropped if not inside[line]]
            return Records(data, starts, ends, first, n_blank, int(inside.sum()),
                           _first(inside), dropped_lines=dropped), used  # fmt: skip
    block = _Block(data, array, starts, ends, blank, dropped, quotes)
    return _line_by_line(block, shape, last)


def _first(flags: Flags) -> int:
    return int(flags.argmax()) if flags.any() else -1


def _empty() -> Records:
    none = np.zeros(0, np.int64)
    return Records(b"", none, none, none, 0, 0)


def _lines(data: bytes, array: Bytes) -> tuple[Offsets, Offsets]:
    """Starts of the lines and their ends without the line end."""
    breaks = np.flatnonzero(array == _LF)
    if not data.endswith(b"\n"):
        breaks = np.append(breaks, len(data))
    starts = np.empty_like(breaks)
    starts[0] = 0
    starts[1:] = breaks[:-1] + 1
    ends = breaks
    if b"\r" in data:
        before = array[np.maximum(breaks - 1, 0)]
        ends = breaks - ((before == _CR) & (breaks > starts))
    return starts, ends


def _blank(array: Bytes, starts: Offsets, ends: Offsets) -> tuple[Flags, list[int]]:
    """Lines without a character that shows; and those of them that are not empty."""
    empty = starts == ends
    first = array[np.minimum(starts, len(array) - 1)]
    suspects = np.flatnonzero(~empty & ((first == 32) | (first == 9) | (first == _CR)))
    if not len(suspects):
        return empty, []
    seen = np.append(0, np.cumsum(array > 32))
    bare = suspects[seen[ends[suspects]] == seen[starts[suspects]]]
    empty[bare] = True
    return empty, bare.tolist()


def _regular(
    data: bytes, array: Bytes, starts: Offsets, ends: Offsets, blank: Flags, quotes: Offsets,
    shape: Shape,
) -> tuple[Flags, int] | None:  # fmt: skip
    """Where every quote encloses a cell: the lines within cells, and the bytes of whole rows.

    None where a quote does something else, or where cells hold many lines that look like rows.
    """
    delimiter = shape.delimiter[0]
    opening, closing = quotes[0::2], quotes[1::2]
    before = array[np.maximum(opening - 1, 0)]
    fits = (opening == 0) | (before == delimiter) | (before == _LF) | (before == _QUOTE)
    if not fits.all():
        return None
    after = array[np.minimum(closing + 1, len(array) - 1)]
    fits = (closing == len(array) - 1) | (after == delimiter) | (after == _LF) | (after == _CR)
    if not (fits | (after == _QUOTE)).all():
        return None
    inside = (np.searchsorted(quotes, starts) & 1).astype(bool)
    if inside.any() and _holds_rows(data, starts, ends, inside, shape):
        return None
    used = len(data)
    if len(quotes) % 2:
        open_line = int(np.searchsorted(starts, quotes[-1], "right")) - 1
        outside = np.flatnonzero(~inside[: open_line + 1])
        used = int(starts[outside[-1]])
        if len(data) - used > LONGEST_ROW:
            return None
    return inside, used


def _holds_rows(data: bytes, starts: Offsets, ends: Offsets, inside: Flags, shape: Shape) -> bool:
    """Whether many lines within quoted cells look like rows of their own."""
    edges = np.diff(np.concatenate(([0], inside.astype(np.int8), [0])))
    first, behind = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    most = min(_MOST_ALIKE, max(_FEW_ALIKE, len(starts) // 100))
    n_alike = 0
    for start, stop in zip(first[:_MOST_CHECKED], behind, strict=False):
        lines = [data[starts[one] : ends[one]] for one in range(max(start - 1, 0), stop)]
        if swallows_rows(lines, shape.delimiter, shape.kinds):
            n_alike += len(lines) - 1
            if n_alike > most:
                return True
    return False


@dataclass(frozen=True)
class _Block:
    """Lines that are looked at one by one."""

    data: bytes
    array: Bytes
    starts: Offsets
    ends: Offsets
    blank: Flags
    dropped: list[int]
    quotes: Offsets


def _line_by_line(block: _Block, shape: Shape, last: bool) -> tuple[Records, int]:
    """Rows where quotes do not always pair: each line with a doubtful quote is looked at."""
    data, starts, ends, blank = block.data, block.starts, block.ends, block.blank
    doubtful = _doubtful(block.array, starts, block.quotes, shape.delimiter[0])
    inside = np.zeros(len(starts), bool)
    records = Records(data, starts, ends, starts, 0, 0)
    special: dict[int, list[bytes] | None] = {}
    used, resume = len(data), 0
    for line in doubtful:
        if line < resume:
            continue
        start = int(starts[line])
        cells, end, state = read_row(data, start, shape.delimiter)
        end_line = int(np.searchsorted(starts, end, "right")) - 1
        if state == "open" and not last and len(data) - start < LONGEST_ROW:
            used = start
            break
        lines = [data[starts[one] : ends[one]] for one in range(int(line), end_line + 1)]
        if state == "whole" and (
            len(lines) == 1
            or (
                len(cells) == shape.width and not swallows_rows(lines, shape.delimiter, shape.kinds)
            )
        ):
            inside[line + 1 : end_line + 1] = True
            resume = end_line + 1
            special[int(line)] = cells
            continue
        text = data[start : ends[line]]
        literal = text.split(shape.delimiter)
        if len(literal) == shape.width:
            special[int(line)] = literal
            records.lone_lines.append(int(line))
        else:
            special[int(line)] = None
            records.unclosed_lines.append(int(line))
    if used < len(data):
        n = int(np.searchsorted(starts, used))
        if n == 0:
            return _empty(), 0
        starts, ends, blank, inside = starts[:n], ends[:n], blank[:n], inside[:n]
        data = data[:used]
        records.data = data
    first = np.flatnonzero(~((blank & ~_of(special, len(starts))) | inside))
    rows = {int(line): row for row, line in enumerate(first)} if special else {}
    records.line_starts, records.line_ends, records.first = starts, ends, first
    records.n_blank, records.n_inside = int((blank & ~inside).sum()), int(inside.sum())
    records.first_inside = _first(inside)
    records.dropped_lines = [
        line for line in block.dropped if line < len(starts) and not inside[line]
    ]
    for line, row_cells in special.items():
        row = rows[line]
        if row_cells is not None and len(row_cells) == shape.width:
            records.cells[row] = row_cells
        else:
            records.broken[row] = records.text(row)
    return records, used


def _of(special: dict[int, Any], n: int) -> Flags:
    flags = np.zeros(n, bool)
    flags[list(special)] = True
    return flags


def _doubtful(array: Bytes, starts: Offsets, quotes: Offsets, delimiter: int) -> Offsets:
    """Lines whose quotes do not enclose whole cells, each line read by itself."""
    line_of = np.searchsorted(starts, quotes, "right") - 1
    before_line = np.searchsorted(quotes, starts[line_of])
    odd = ((np.arange(len(quotes)) - before_line) & 1).astype(bool)
    before = array[np.maximum(quotes - 1, 0)]
    opens = (quotes == starts[line_of]) | (before == delimiter) | (before == _QUOTE)
    after = array[np.minimum(quotes + 1, len(array) - 1)]
    closes = (
        (quotes == len(array) - 1) | (after == delimiter) | (after == _LF) | (after == _CR)
        | (after == _QUOTE)
    )  # fmt: skip
    bad = np.where(odd, ~closes, ~opens)
    counts = np.bincount(line_of, minlength=len(starts))
    doubtful = (counts & 1).astype(bool)
    doubtful[line_of[bad]] = True
    return np.flatnonzero(doubtful)
