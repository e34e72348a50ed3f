"""Which line of a text holds the column names, and whether a line looks like data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from propense.errors import SourceError
from propense.tables.sources.text.delimiters import DELIMITER_LINE, folded, plain_names
from propense.tables.sources.text.tokens import kind_of_cell, kinds_of, read_row

HEAD_BYTES: Final = 1 << 18
_HEADER_WITHIN: Final = 200
"""Lines above the data that are looked through for the header."""
_FEWEST: Final = 4
_DECIMALS: Final = re.compile(rb"^\d\d$")
_WHOLE: Final = re.compile(rb"^-?\d+$")
TYPED: Final = ("integer", "number", "date")


@dataclass(frozen=True)
class HeadRow:
    """A row of the first lines of a text."""

    line: int
    """Its first line, counted from 0."""
    n_lines: int
    cells: tuple[bytes, ...]

    @property
    def blank(self) -> bool:
        return not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True)
class Header:
    """Where the names of the columns stand."""

    cells: tuple[str, ...] | None
    """The cells of the header as text; None where there is none."""
    skip: int
    """Lines above the first row of data, the header's own among them."""
    data: tuple[HeadRow, ...]
    """The first rows behind it."""
    n_named: float = 0.0
    """Names of the settings that it holds; names that need no mapping count half."""
    line: int = 0
    """The header's own first line."""

    @property
    def width(self) -> int:
        return len(self.cells) if self.cells is not None else usual_width(self.data)


def head_rows(head: bytes, delimiter: str, quoted: bool) -> list[HeadRow]:
    """The rows of the first whole lines of a text."""
    rows: list[HeadRow] = []
    position = line = 0
    delimiter_bytes = delimiter.encode()
    while position < len(head) and len(rows) < 2 * _HEADER_WITHIN:
        end = head.find(b"\n", position)
        end = len(head) if end < 0 else end
        text = head[position:end].removesuffix(b"\r")
        if delimiter == " ":
            cells = text.split()
        elif not quoted or b'"' not in text:
            cells = text.split(delimiter_bytes)
        else:
            cells, row_end, state = read_row(head, position, delimiter_bytes)
            if state == "whole" and (row_end == end or _same_width(rows, cells)):
                end = row_end
            else:
                cells = text.split(delimiter_bytes)
        n_lines = head.count(b"\n", position, end) + 1
        rows.append(HeadRow(line, n_lines, tuple(cells)))
        position, line = end + 1, line + n_lines
    return rows


def _same_width(rows: Sequence[HeadRow], cells: Sequence[bytes]) -> bool:
    """Whether a row over several lines has as many cells as those before it, if there are any."""
    return not rows or len(cells) in {len(row.cells) for row in rows} or len(cells) > 1


def usual_width(rows: Sequence[HeadRow]) -> int:
    """The number of cells that most rows have."""
    counts = Counter(len(row.cells) for row in rows if not row.blank)
    return max(counts.items(), key=lambda one: (one[1], one[0]))[0] if counts else 1


def find_header(
    rows: Sequence[HeadRow], wanted: Sequence[str], canonical: Sequence[str], positional: bool,
    declared: bool | None = None, skip: int | None = None,
) -> Header:  # fmt: skip
    """The header of a text.

    `wanted` are the names that the settings map, `known` those that need no mapping; the first
    line that holds most of them is the header. Without any, it is the first line with as many cells
    as most have, unless it looks like data. `declared` and `skip` are the settings of that name.
    """
    rows = [row for row in rows if not row.blank]
    if skip is not None:
        rows = [row for row in rows if row.line >= skip]
        if declared is not False and rows:
            return _header_at(rows, 0, wanted, canonical)
    elif rows and DELIMITER_LINE.match(_text(rows[0])) is not None:
        rows = rows[1:]
    if not rows:
        return Header(None, skip or 0, ())
    width = usual_width(rows)
    if declared is False or (positional and declared is None):
        index = next(i for i, row in enumerate(rows) if skip is not None or len(row.cells) == width)
        if declared is None and _is_header(rows[index], rows[index + 1 :], width):
            return Header(None, _behind(rows[index]), tuple(rows[index + 1 :]))
        return Header(None, rows[index].line, tuple(rows[index:]))
    best, most = 0, 0
    names, more = _folds(wanted), _folds(canonical)
    for index, row in enumerate(rows[:_HEADER_WITHIN]):
        cells = set(_folds([_decode(cell) for cell in row.cells]))
        score = 2 * len(names & cells) + len((more - names) & cells)
        if score > most:
            best, most = index, score
        if _begins_data(rows, index, width):
            break
    if most:
        return _header_at(rows, best, wanted, canonical)
    ends = ends_empty([row.cells for row in rows], width)
    widths = (width - 1, width) if ends and width > 2 else (width,)
    index = next((i for i, row in enumerate(rows) if len(row.cells) in widths), 0)
    row = rows[index]
    if len(row.cells) < width and ends:
        row = replace(row, cells=(*row.cells, b""))
    if declared is None and looks_like_data(row, rows[index + 1 :], width):
        return Header(None, rows[index].line, tuple(rows[index:]))
    return _header_at(rows, index, wanted, canonical)


def refuse_cut_decimals(rows: Sequence[HeadRow], shown: str) -> None:
    """SourceError where rows have more cells than the header, as their decimal sign cuts them.

    So it is where further cells are two digits behind a whole number in every row, some of them
    "00" or "05".
    """
    filled = [row.cells for row in rows if not row.blank]
    if len(filled) < _FEWEST or any(kind_of_cell(cell) != "text" for cell in filled[0]):
        return
    width, named = len(filled[1]), len(filled[0])
    if width <= named or any(len(cells) != width for cells in filled[1:]):
        return
    cut = [
        index for index in range(2, width)
        if all(_DECIMALS.match(cells[index]) and _WHOLE.match(cells[index - 1])
               for cells in filled[1:])
        and any(cells[index].startswith(b"0") for cells in filled[1:])
    ]  # fmt: skip
    if len(cut) >= width - named:
        example = _decode(b",".join(filled[1][cut[-1] - 1 : cut[-1] + 1]))
        raise SourceError(
            f"{shown}: the header has {named} cells and the rows have {width}: the delimiter is "
            f"the decimal sign too, as in {example!r}; export with another delimiter, such as ';', "
            "or with decimal points"
        )


def ends_empty(rows: Sequence[Sequence[bytes]], width: int) -> bool:
    """Whether every row of `width` cells ends with an empty cell: with a delimiter."""
    last = [row[-1] for row in rows if len(row) == width]
    return bool(last) and not any(cell.strip() for cell in last)


def _header_at(
    rows: Sequence[HeadRow], index: int, wanted: Sequence[str], canonical: Sequence[str]
) -> Header:
    row = rows[index]
    cells = tuple(_decode(cell) for cell in row.cells)
    names = _folds(wanted)
    n_named = len(names & _folds(cells)) + len((_folds(canonical) - names) & _folds(cells)) / 2
    return Header(cells, _behind(row), tuple(rows[index + 1 :]), n_named, row.line)


def _behind(row: HeadRow) -> int:
    return row.line + row.n_lines


def _text(row: HeadRow) -> str:
    return _decode(b";".join(row.cells)).strip() if len(row.cells) > 1 else _decode(row.cells[0])


def _decode(cell: bytes) -> str:
    return cell.decode("utf-8", "replace")


def _folds(names: Sequence[str]) -> set[str]:
    folds = {name.casefold() for name in plain_names(names)} | {
        folded(name).casefold() for name in names
    }
    return folds - {""}


def _begins_data(rows: Sequence[HeadRow], index: int, width: int) -> bool:
    """Whether a line is the first of the data: no header stands below it."""
    row = rows[index]
    return len(row.cells) == width and looks_like_data(row, rows[index + 1 : index + 50], width)


def _is_header(row: HeadRow, below: Sequence[HeadRow], width: int) -> bool:
    """Whether a line is certainly none of data: names above columns of numbers or times."""
    cells = [one.cells for one in below if len(one.cells) == width]
    names = all(kind_of_cell(cell) == "text" for cell in row.cells)
    return names and any(kind in TYPED for kind in kinds_of(cells, width))


def looks_like_data(row: HeadRow, below: Sequence[HeadRow], width: int) -> bool:
    """Whether a line is a row of data: its cells are alike those below it where these are typed.

    Where no column is typed it is one if most of its cells are repeated below.
    """
    cells = [one.cells for one in below if len(one.cells) == width]
    if len(row.cells) != width:
        return False
    if not cells:
        return any(kind_of_cell(cell) in TYPED for cell in row.cells)
    typed = alike = 0
    for cell, kind in zip(row.cells, kinds_of(cells, width), strict=True):
        if kind in TYPED and cell.strip():
            typed += 1
            own = kind_of_cell(cell)
            alike += own == kind or (own in ("integer", "number") and kind in ("integer", "number"))
    if typed:
        return alike > typed / 2
    repeated = sum(
        cell in {one[column] for one in cells} for column, cell in enumerate(row.cells) if cell
    )
    filled = [cell for cell in row.cells if cell]
    return len(set(filled)) < len(filled) - 1 or repeated > len(filled) / 2
