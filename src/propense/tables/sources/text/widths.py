"""Rows of a block that have not the cells of the header, or a carriage return in a cell."""

from __future__ import annotations

from typing import Final

import numpy as np

from propense.tables.sources.text.records import Flags, Offsets, Records, Shape
from propense.tables.sources.text.tokens import QUOTE, read_row

_LF: Final = 10
_CR: Final = 13
_QUOTE: Final = 34


def fit_widths(records: Records, shape: Shape) -> None:
    """Find the rows that have not as many cells as the header, and take them out.

    Rows with more cells, all of them empty, lose those; other rows are broken.
    """
    array = np.frombuffer(records.data, np.uint8)
    marks = np.flatnonzero(array == shape.delimiter[0])
    if shape.quoted and QUOTE in records.data:
        quotes = np.flatnonzero(array == _QUOTE)
        # Within rows that were taken apart one by one this says nothing, and is not needed.
        in_row = _parity_in_rows(records, marks, quotes)
        marks = marks[~in_row]
    row_starts = records.line_starts[records.first]
    counts = np.diff(np.append(np.searchsorted(marks, row_starts), len(marks)))
    for row in np.flatnonzero(counts != shape.width - 1):
        index = int(row)
        if index in records.cells or index in records.broken:
            continue
        text = records.text(index)
        cells = _cells(text, shape)
        if len(cells) > shape.width and not any(cell.strip() for cell in cells[shape.width :]):
            records.cells[index] = cells[: shape.width]
            records.padded_lines.append(int(records.first[index]))
        elif shape.least and len(cells) == shape.least:
            records.cells[index] = [*cells, *[b""] * (shape.width - shape.least)]
        elif len(cells) == shape.width:
            records.cells[index] = cells
        else:
            records.broken[index] = text


def take_stray_returns(records: Records, shape: Shape) -> None:
    """Take out the rows with a carriage return that ends no line: a parser would cut them there."""
    data = records.data
    if data.count(b"\r") == data.count(b"\r\n") + (data.endswith(b"\r")):
        return
    array = np.frombuffer(data, np.uint8)
    returns = np.flatnonzero(array == _CR)
    after = array[np.minimum(returns + 1, len(array) - 1)]
    stray = returns[(after != _LF) & (returns < len(array) - 1)]
    rows = np.searchsorted(records.line_starts[records.first], stray, "right") - 1
    for row in np.unique(rows[rows >= 0]).tolist():
        if row in records.cells or row in records.broken:
            continue
        text = records.text(row)
        cells = _cells(text, shape)
        if len(cells) == shape.width:
            records.cells[row] = cells
        else:
            records.broken[row] = text


def _cells(text: bytes, shape: Shape) -> list[bytes]:
    return read_row(text, 0, shape.delimiter)[0] if shape.quoted else text.split(shape.delimiter)


def _parity_in_rows(records: Records, marks: Offsets, quotes: Offsets) -> Flags:
    """Which delimiters stand within quotes, the quotes counted from the start of their row."""
    row_starts = records.line_starts[records.first]
    row_of = np.maximum(np.searchsorted(row_starts, marks, "right") - 1, 0)
    before_row = np.searchsorted(quotes, row_starts)[row_of]
    return ((np.searchsorted(quotes, marks) - before_row) & 1).astype(bool)
