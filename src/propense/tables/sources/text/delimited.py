"""Delimited text becomes Parquet of text columns, in the file's order, with each row's line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from propense.errors import SourceError
from propense.tables.engine.engine import BROKEN, LINE
from propense.tables.sources.text.dialects import Dialect
from propense.tables.sources.text.records import Records, Shape, blocks
from propense.tables.sources.text.widths import fit_widths, take_stray_returns

_TEXT: Final = pa.string()


@dataclass
class Lines:
    """Where the lines of one file went."""

    physical: int = 0
    header: int = 0
    blank: int = 0
    inside: int = 0
    first_inside: int = 0
    rows: int = 0
    broken: int = 0
    first_broken: tuple[int, str] | None = None
    n_lone: int = 0
    """Lines with a quote that is text, though it begins a cell."""
    first_lone: int = 0
    n_padded: int = 0
    """Rows with more cells than the header, all of them empty."""
    first_padded: int = 0
    repeated_header: int = 0
    unclosed: int = 0
    """Broken rows with a quote that does not enclose a cell."""

    def check(self, shown: str) -> None:
        """Every line is somewhere; anything else is a bug of propense."""
        if self.header + self.blank + self.inside + self.rows != self.physical:
            raise SourceError(
                f"{shown}: {self.physical:,} lines were read, but {self.header:,} of the header, "
                f"{self.blank:,} blank ones, {self.rows:,} rows and {self.inside:,} lines within "
                "cells are accounted for; this is a bug in propense, please report it"
            )

    def refuse(self, shown: str, fault: str, remedy: str) -> None:
        """Raise SourceError if there is no row, or if most are broken: `fault` says how."""
        if self.rows == 0:
            raise SourceError(f"{shown} has a header and no rows; export it again")
        if self.broken > self.rows / 2 and self.first_broken is not None:
            line, text = self.first_broken
            raise SourceError(
                f"{shown}: {self.broken:,} of {self.rows:,} rows {fault}, first line {line:,}, "
                f"{text[:80]!r}; {remedy}"
            )

    @property
    def n_doubtful(self) -> int:
        """Lines with a quote that does not enclose a cell."""
        return self.n_lone + self.unclosed

    def notes(self) -> list[str]:
        notes = []
        if self.inside:
            notes.append(
                f"{self.inside:,} lines of the file are inside quoted cells, first line "
                f"{self.first_inside:,}"
            )
        if self.n_lone:
            notes.append(
                f"a quote on {self.n_lone:,} lines does not enclose a cell and was read as "
                f"text, first on line {self.first_lone:,}"
            )
        if self.n_padded:
            notes.append(
                f"{self.n_padded:,} rows end with more cells than the header, all empty, first "
                f"on line {self.first_padded:,}"
            )
        if self.repeated_header:
            notes.append(f"the header stands {self.repeated_header:,} more times among the rows")
        return notes


def shape_of(dialect: Dialect, delimiter: str | None = None) -> Shape:
    """How rows are cut; `delimiter` is what stands in the copy for the dialect's own."""
    least = len(dialect.names) if dialect.width > len(dialect.names) else 0
    return Shape(
        (delimiter or dialect.delimiter).encode(), dialect.width, dialect.quoting != "none",
        dialect.kinds, least,
    )  # fmt: skip


def stage_delimited(
    stream: IO[bytes],
    out: Path,
    dialect: Dialect,
    shape: Shape,
    restore: dict[str, str],
    shown: str,
) -> Lines:
    """Write the rows of `stream` to `out`; returns where its lines went.

    `restore` tells what stands in the cells of a copy for something else.
    """
    lines = Lines()
    for _ in range(dialect.skip):
        lines.physical += bool(stream.readline())
    lines.header = lines.physical
    schema = text_schema(dialect.names)
    with pq.ParquetWriter(out, schema, compression="snappy", **_encodings(dialect.names)) as writer:
        for records in blocks(stream, shape):
            table = table_of(records, dialect, shape, lines)
            if restore:
                table = _restored(table, restore)
            writer.write_table(table.cast(schema))
    lines.check(shown)
    return lines


def text_schema(names: Sequence[str]) -> pa.Schema:
    """Columns of text, the text of broken rows, and each row's line."""
    return pa.schema([*((name, _TEXT) for name in (*names, BROKEN)), (LINE, pa.int64())])


def _encodings(names: Sequence[str]) -> dict[str, Any]:
    """Line numbers are written as small steps."""
    return {
        "use_dictionary": [*names, BROKEN],
        "column_encoding": {LINE: "DELTA_BINARY_PACKED"},
    }


def table_of(records: Records, dialect: Dialect, shape: Shape, lines: Lines) -> pa.Table:
    """The rows of a block in their order, with their lines."""
    take_stray_returns(records, shape)
    plain = _parse(records, shape)
    if plain is None:
        fit_widths(records, shape)
        plain = _parse(records, shape)
    if plain is None:
        raise SourceError(
            f"lines {lines.physical + 1:,} to {lines.physical + records.n_lines:,} are cut into "
            "other rows by the parser; this is a bug in propense, please report it"
        )
    plain = _without_surplus(plain, records, shape, len(dialect.names))
    rows = records.plain_rows()
    columns = [_as_one(plain.column(index)) for index in range(len(dialect.names))]
    broken: pa.Array = pa.nulls(len(plain), _TEXT)
    special = sorted([*records.cells, *records.broken])
    if special:
        order = np.argsort(np.concatenate([rows, special]), kind="stable")
        columns = [
            pa.concat_arrays([column, _cells(records, special, index)]).take(pa.array(order))
            for index, column in enumerate(columns)
        ]
        texts = [_decoded(records.broken.get(row)) for row in special]
        broken = pa.concat_arrays([broken, pa.array(texts, _TEXT)]).take(pa.array(order))
    numbers = records.first + lines.physical + 1
    table = pa.table([*columns, broken, pa.array(numbers)], names=[*dialect.names, BROKEN, LINE])
    _count(records, lines)
    return _without_headers(table, dialect, lines)


def _count(records: Records, lines: Lines) -> None:
    base = lines.physical + 1
    if records.lone_lines and not lines.n_lone:
        lines.first_lone = base + min(records.lone_lines)
    if records.padded_lines and not lines.n_padded:
        lines.first_padded = base + min(records.padded_lines)
    lines.n_lone += len(records.lone_lines)
    lines.n_padded += len(records.padded_lines)
    if records.broken and lines.first_broken is None:
        row = min(records.broken)
        lines.first_broken = (base + int(records.first[row]), _decoded(records.broken[row]) or "")
    if records.first_inside >= 0 and not lines.first_inside:
        lines.first_inside = base + records.first_inside
    lines.unclosed += len(records.unclosed_lines)
    lines.broken += len(records.broken)
    lines.rows += records.n_rows
    lines.blank += records.n_blank
    lines.inside += records.n_inside
    lines.physical += records.n_lines


def _parse(records: Records, shape: Shape) -> pa.Table | None:
    """The rows that need no care, as a table of text; None where the parser finds others."""
    n_rows = records.n_rows - len(records.cells) - len(records.broken)
    names = [str(index) for index in range(shape.width)]
    if n_rows == 0:
        return pa.table([pa.array([], _TEXT) for _ in names], names=names)
    odd = []

    def skip(row: Any) -> str:
        odd.append(row)
        return "skip"

    table = pyarrow.csv.read_csv(
        pa.BufferReader(records.plain_bytes()),
        read_options=pyarrow.csv.ReadOptions(block_size=1 << 22, column_names=names),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=shape.delimiter.decode(), quote_char='"' if shape.quoted else False,
            newlines_in_values=bool(records.n_inside), invalid_row_handler=skip,
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: _TEXT for name in names}, check_utf8=False,
            strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=True,
        ),
    )  # fmt: skip
    return None if odd or len(table) != n_rows else table


def _without_surplus(plain: pa.Table, records: Records, shape: Shape, n_names: int) -> pa.Table:
    """Rows with a value behind the last name are broken."""
    if shape.width == n_names or not len(plain):
        return plain
    surplus = pc.is_valid(_as_one(plain.column(n_names)))
    if not pc.any(surplus).as_py():
        return plain
    rows = records.plain_rows()[np.asarray(surplus)]
    for row in rows.tolist():
        records.broken[row] = records.text(row)
    return plain.filter(pc.invert(surplus))


def _cells(records: Records, rows: Sequence[int], index: int) -> pa.Array:
    nothing: list[bytes] = []
    cells = (records.cells.get(row, nothing) for row in rows)
    return pa.array([_decoded(one[index]) if one else None for one in cells], _TEXT)


def _decoded(cell: bytes | None) -> str | None:
    return cell.decode("utf-8", "replace") if cell else None


def _without_headers(table: pa.Table, dialect: Dialect, lines: Lines) -> pa.Table:
    """Without the rows that repeat the header."""
    if dialect.header_cells is None or not len(table) or len(dialect.names) < 2:
        return table
    same = None
    for name, cell in zip(dialect.names, dialect.header_cells, strict=False):
        equal = pc.fill_null(pc.equal(_as_one(table[name]), cell), not cell)
        same = equal if same is None else pc.and_(same, equal)
        if not pc.any(same).as_py():
            return table
    n_same = pc.sum(same).as_py()
    lines.rows -= n_same
    lines.header += n_same
    lines.repeated_header += n_same
    return table.filter(pc.invert(same))


def _restored(table: pa.Table, restore: dict[str, str]) -> pa.Table:
    for stand_in, text in restore.items():
        for index, name in enumerate(table.column_names):
            column = table.column(index)
            if name != LINE and pc.any(pc.match_substring(column, stand_in)).as_py():
                table = table.set_column(index, name, pc.replace_substring(column, stand_in, text))
    return table


def _as_one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
