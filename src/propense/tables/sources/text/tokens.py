"""One row of delimited text taken apart, byte by byte: the rule that every faster way must obey."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

State = Literal["whole", "open", "loose"]
"""How a row ended: as it should; within a cell whose quote never closes; with text behind a
closing quote."""

QUOTE: Final = b'"'
LONGEST_ROW: Final = 1 << 20
"""Bytes that a row may have that goes over several lines."""

_INTEGER = re.compile(rb"[+-]?\d+")
_NUMBER = re.compile(rb"[+-]?(\d[\d., \xa0']*|[.,]\d+)([eE][+-]?\d+)?")
_DATE = re.compile(rb"\d{1,4}([-/.:]|\xe5\xb9\xb4)\d{1,2}([-/.: T]|\xe6\x9c\x88).*")
Kind = Literal["integer", "number", "date", "text", ""]


def read_row(data: bytes, start: int, delimiter: bytes) -> tuple[list[bytes], int, State]:
    """The cells of the row that starts at `start`, where its line ends, and how.

    A cell is quoted where a quote is its first byte; two quotes in it are one. All other quotes
    are text. The end is the place of the line break, or the length of `data`.

    >>> read_row(b'1,"a, ""b"" c",5" pipe\\n2,', 0, b",")
    ([b'1', b'a, "b" c', b'5" pipe'], 22, 'whole')
    """
    cells: list[bytes] = []
    line_end = _line_end(data, start)
    position = start
    while True:
        if data.startswith(QUOTE, position):
            close = _closing(data, position + 1)
            if close < 0 or close - start > LONGEST_ROW:
                return cells, line_end, "open"
            cells.append(data[position + 1 : close].replace(b'""', QUOTE))
            position = close + 1
            if position > line_end:
                line_end = _line_end(data, position)
            rest = data[position:line_end].removesuffix(b"\r")
            if rest and not rest.startswith(delimiter):
                return cells, line_end, "loose"
            if not rest:
                return cells, line_end, "whole"
        else:
            end = data.find(delimiter, position, line_end)
            if end < 0:
                cells.append(data[position:line_end].removesuffix(b"\r"))
                return cells, line_end, "whole"
            cells.append(data[position:end])
            position = end
        position += len(delimiter)


def _line_end(data: bytes, start: int) -> int:
    end = data.find(b"\n", start)
    return len(data) if end < 0 else end


def _closing(data: bytes, position: int) -> int:
    """The place of the quote that closes a cell; -1 if there is none."""
    while (close := data.find(QUOTE, position)) >= 0 and data.startswith(QUOTE, close + 1):
        position = close + 2
    return close


def kind_of_cell(cell: bytes) -> Kind:
    """What a cell looks like; empty cells look like nothing.

    >>> [kind_of_cell(cell) for cell in (b"12", b"1,50", b"2024-03-01 10:00", b"u1", b"")]
    ['integer', 'number', 'date', 'text', '']
    """
    cell = cell.strip().strip(QUOTE)
    if not cell:
        return ""
    if _INTEGER.fullmatch(cell):
        return "integer"
    if _DATE.fullmatch(cell):
        return "date"
    return "number" if _NUMBER.fullmatch(cell) else "text"


def kinds_of(rows: Sequence[Sequence[bytes]], width: int) -> tuple[Kind, ...]:
    """What nearly all cells of each column look like; "" where they look like different things."""
    kinds: list[Kind] = []
    for column in range(width):
        seen = [kind_of_cell(row[column]) for row in rows if len(row) == width]
        filled: list[Kind] = [kind for kind in seen if kind]
        if "number" in filled:
            filled = ["number" if kind == "integer" else kind for kind in filled]
        common, n = Counter(filled).most_common(1)[0] if filled else ("", 0)
        kinds.append(common if filled and n >= 0.9 * len(filled) else "")
    return tuple(kinds)


def looks_like_row(cells: Sequence[bytes], kinds: Sequence[Kind]) -> bool:
    """Whether cells could be a row: as many as there are columns, alike where columns are typed."""
    if len(cells) != len(kinds):
        return False
    typed = False
    for cell, kind in zip(cells, kinds, strict=True):
        if kind in ("integer", "number", "date"):
            typed = True
            own = kind_of_cell(cell.strip(QUOTE))
            if own and own != kind and not (kind == "number" and own == "integer"):
                return False
    return typed or len(kinds) > 2


def swallows_rows(lines: Sequence[bytes], delimiter: bytes, kinds: Sequence[Kind]) -> bool:
    """Whether the lines of one quoted row look like rows of their own, nearly all of them."""
    alike = sum(looks_like_row(line.split(delimiter), kinds) for line in lines)
    return len(lines) > 1 and alike >= 0.8 * len(lines)
