"""Excel and OpenDocument workbooks: the rows of a sheet, as text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from propense.errors import SourceError, nearest
from propense.tables.engine.engine import BROKEN, LINE
from propense.tables.sources.text.delimited import Lines
from propense.tables.sources.text.dialects import Declared, Dialect, Head, infer_from_rows
from propense.tables.sources.text.headers import HeadRow

_BATCH: Final = 50_000
_HEAD_ROWS: Final = 400


def sheets_of(path: Path, wanted: str | None, shown: str) -> list[str]:
    """The sheets of a workbook that hold rows, or the one that is named.

    Raises SourceError for an unknown name, a workbook that cannot be opened or has no rows.
    """
    book = _open(path, shown)
    if wanted is not None:
        if wanted not in book.sheet_names:
            raise SourceError(
                f"{shown} has no sheet {wanted!r}; {nearest(wanted, book.sheet_names)}"
            )
        return [wanted]
    filled = [name for name in book.sheet_names if _rows(book, name, shown, 2)]
    if not filled:
        raise SourceError(f"{shown} has no sheet with rows; remove it from the source")
    if len(filled) > 1:
        heads = {name: _names_of(_rows(book, name, shown, 50)) for name in filled}
        if len(set(heads.values())) > 1:
            listed = "; ".join(
                f"{name!r} ({', '.join(cells)[:60]})" for name, cells in heads.items()
            )
            raise SourceError(
                f"{shown} has {len(filled)} sheets with different columns: {listed}; name one of "
                f'them with sheet = "{filled[0]}"'
            )
    return filled


def sheet_rows(path: Path, sheet: str, shown: str, limit: int | None = None) -> list[list[str]]:
    """The rows of a sheet as text; row 0 is the first of the sheet, blank rows are empty."""
    return _rows(_open(path, shown), sheet, shown, limit)


def sheet_dialect(rows: Sequence[Sequence[str]], shown: str, declared: Declared) -> Dialect:
    """Which row of a sheet holds the names."""
    head = [
        HeadRow(index, 1, tuple(cell.encode() for cell in row))
        for index, row in enumerate(rows[:_HEAD_ROWS])
    ]
    return infer_from_rows([Head(shown, b"")], [head], ["\t"], declared)[0]


def stage_sheet(rows: Sequence[Sequence[str]], dialect: Dialect, out: Path, shown: str) -> Lines:
    """Write the rows of a sheet to `out`; returns where they went."""
    lines = Lines(physical=len(rows), header=min(dialect.skip, len(rows)))
    names = dialect.names
    schema = pa.schema([*((name, pa.string()) for name in (*names, BROKEN)), (LINE, pa.int64())])
    with pq.ParquetWriter(out, schema, compression="snappy") as writer:
        for start in range(dialect.skip, len(rows), _BATCH):
            body: list[tuple[int, list[str | None], str | None]] = []
            for number, row in enumerate(rows[start : start + _BATCH], start=start + 1):
                cells = [cell or None for cell in row]
                if not any(cells):
                    lines.blank += 1
                elif any(cells[len(names) :]):
                    body.append((number, [None] * len(names), "\t".join(row)))
                else:
                    padded = cells[: len(names)] + [None] * (len(names) - len(cells))
                    body.append((number, padded, None))
            columns = [[cells[index] for _, cells, _ in body] for index in range(len(names))]
            broken = [text for _, _, text in body]
            numbers = [number for number, _, _ in body]
            writer.write_table(pa.table([*columns, broken, numbers], schema=schema))
            lines.rows += len(body)
            lines.broken += sum(text is not None for text in broken)
    lines.check(shown)
    if lines.rows == 0:
        raise SourceError(f"{shown} has a header and no rows; export it again")
    return lines


def _open(path: Path, shown: str) -> Any:
    import python_calamine

    try:
        return python_calamine.CalamineWorkbook.from_path(str(path))
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise SourceError(f"{shown} is no workbook that can be read: {error}") from error


def _rows(book: Any, sheet: str, shown: str, limit: int | None) -> list[list[str]]:
    import python_calamine

    try:
        cells = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False, nrows=limit)
    except (python_calamine.CalamineError, ValueError) as error:
        raise SourceError(f"{shown}: sheet {sheet!r} cannot be read: {error}") from error
    rows = [[cell_text(cell) for cell in row] for row in cells]
    return rows if any(any(row) for row in rows) else []


def _names_of(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The cells of the first row that is not blank."""
    return next((tuple(cell for cell in row if cell) for row in rows if any(row)), ())


def cell_text(value: Any) -> str:
    """A cell as text: whole numbers without a point, times in ISO 8601.

    >>> cell_text(12.0), cell_text(True), cell_text(datetime(2024, 3, 1, 10, 30))
    ('12', 'true', '2024-03-01 10:30:00')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value).strip()
