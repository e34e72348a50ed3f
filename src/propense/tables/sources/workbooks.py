"""Excel and OpenDocument workbooks: the rows of a sheet, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from propense.errors import SourceError, nearest
from propense.tables.sources.text.delimited import Lines, text_schema
from propense.tables.sources.text.dialects import Declared, Dialect, Head, infer_from_rows
from propense.tables.sources.text.headers import HeadRow

_BATCH: Final = 50_000
_HEAD_ROWS: Final = 400
_COVER_CELLS: Final = 2
"""Most cells of a sheet that is a cover and no table."""


def sheets_of(
    path: Path, wanted: str | None, shown: str, declared: Declared
) -> tuple[list[str], list[str]]:
    """The sheets of a workbook that hold a table, or the one that is named; and notes.

    A sheet of one or two cells beside a table is a cover. Raises SourceError for an unknown name,
    a workbook that cannot be opened or has no rows, and for sheets with different columns.
    """
    book = _open(path, shown)
    if wanted is not None:
        if wanted not in book.sheet_names:
            raise SourceError(
                f"{shown} has no sheet {wanted!r}; {nearest(wanted, book.sheet_names)}"
            )
        return [wanted], []
    heads = {name: _rows(book, name, shown, _HEAD_ROWS) for name in book.sheet_names}
    heads = {name: rows for name, rows in heads.items() if rows}
    if not heads:
        raise SourceError(f"{shown} has no sheet with rows; remove it from the source")
    cells = {name: sum(bool(cell) for row in rows for cell in row) for name, rows in heads.items()}
    covers = [name for name in heads if cells[name] <= _COVER_CELLS < max(cells.values())]
    tables = [name for name in heads if name not in covers]
    notes = [
        f'sheet {name!r} holds {cells[name]} cells and is not read (sheet = "{name}" reads it)'
        for name in covers
    ]
    columns = {name: _columns_of(heads[name], shown, declared) for name in tables}
    if len(set(columns.values())) > 1:
        listed = "; ".join(f"{name!r} ({', '.join(columns[name])[:60]})" for name in tables)
        raise SourceError(
            f"{shown} has {len(tables)} sheets with different columns: {listed}; name one of them "
            f'with sheet = "{_likeliest(book, columns, shown, declared)}"'
        )
    return tables, notes


def _columns_of(rows: Sequence[Sequence[str]], shown: str, declared: Declared) -> tuple[str, ...]:
    """The names of a sheet's columns, below a title or other lines."""
    dialect = sheet_dialect(rows, shown, declared)
    names = dialect.names if dialect.header_cells is None else dialect.header_cells
    return tuple(name for name in names if name)


def _likeliest(
    book: Any, columns: Mapping[str, Sequence[str]], shown: str, declared: Declared
) -> str:
    """The sheet with most of the mapped columns; of those the one with most rows."""
    wanted = {name.casefold() for name in declared.wanted or declared.canonical}

    def rank(sheet: str) -> tuple[int, int]:
        n_named = sum(name.strip().casefold() in wanted for name in columns[sheet])
        return n_named, sum(any(row) for row in _rows(book, sheet, shown, None))

    return max(columns, key=rank)


def sheet_rows(path: Path, sheet: str, shown: str, limit: int | None = None) -> list[list[str]]:
    """The rows of a sheet as text; row 0 is the first of the sheet, blank rows are empty."""
    return _rows(_open(path, shown), sheet, shown, limit)


def sheet_dialect(rows: Sequence[Sequence[str]], shown: str, declared: Declared) -> Dialect:
    """Which row of a sheet holds the names."""
    filled = [sum(map(bool, row)) for row in rows[:_HEAD_ROWS]]
    first = next((i for i, n in enumerate(filled) if n * 2 > max(filled)), 0)
    head = [
        # A title has the cells that it fills, not those of the table below it.
        HeadRow(index, 1, tuple(cell.encode() for cell in row if cell or index >= first) or (b"",))
        for index, row in enumerate(rows[:_HEAD_ROWS])
    ]
    return infer_from_rows([Head(shown, b"")], [head], ["\t"], declared)[0]


def stage_sheet(rows: Sequence[Sequence[str]], dialect: Dialect, out: Path, shown: str) -> Lines:
    """Write the rows of a sheet to `out`; returns where they went."""
    lines = Lines(physical=len(rows), header=min(dialect.skip, len(rows)))
    names = dialect.names
    schema = text_schema(names)
    with pq.ParquetWriter(out, schema, compression="snappy") as writer:
        for start in range(dialect.skip, len(rows), _BATCH):
            body: list[tuple[int, list[str | None], str | None]] = []
            for number, row in enumerate(rows[start : start + _BATCH], start=start + 1):
                cells = [cell or None for cell in row]
                if not any(cells):
                    lines.blank += 1
                elif any(cells[len(names) :]):
                    body.append((number, [None] * len(names), "\t".join(row)))
                    lines.first_broken = lines.first_broken or (number, "\t".join(row))
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
    lines.refuse(
        shown, f"have more cells than the {len(names)} of the header",
        "set skip_lines to the lines above the header, or header = false if there is none",
    )  # fmt: skip
    return lines


def _open(path: Path, shown: str) -> Any:
    import python_calamine

    try:
        return python_calamine.CalamineWorkbook.from_path(str(path))
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise SourceError(
            f"{shown} is no workbook that can be read ({error}); open it in a spreadsheet and "
            "save it again, or export it as CSV"
        ) from error


def _rows(book: Any, sheet: str, shown: str, limit: int | None) -> list[list[str]]:
    import python_calamine

    try:
        cells = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False, nrows=limit)
    except (python_calamine.CalamineError, ValueError) as error:
        raise SourceError(
            f"{shown} has a sheet {sheet!r} that cannot be read ({error}); open it in a "
            "spreadsheet and save it again, or export it as CSV"
        ) from error
    rows = [[cell_text(cell) for cell in row] for row in cells]
    return rows if any(any(row) for row in rows) else []


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
