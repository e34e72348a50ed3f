"""Removes the rows of some customers from files: Parquet, CSV, JSON lines.

Each function writes the other rows of `file` to `out` and returns how many rows it removed. If
that is none, `out` can be missing or unfinished.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator, Set
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Literal

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense import columns
from propense.errors import ServeError
from propense.spreadsheets import original

SET_ASIDE: Final = "set_aside"
"""Folder of rows as they were read, with the company's own columns."""
_LONG: Final = 4
"""Ids with at least so many characters are also searched for inside texts, as whole words."""
_NAMES: Final = ("user_id", "userId", "anonymousId", "anonymous_id", "previousId", "previous_id")


def filter_parquet(file: Path, out: Path, ids: Set[str]) -> int:
    """Removes rows by the column user_id, set-aside rows by every column of text.

    Row groups, schema and compression stay. A row that was set aside because its customer could
    not be read is removed if any of its texts is, or contains, one of `ids`.
    """
    try:
        with pq.ParquetFile(file) as source:
            names = _id_columns(source.schema_arrow, SET_ASIDE in file.parts)
            if not names or not _has_any(source, names, ids):
                return 0
            return _write_others(source, names, out, ids)
    except pa.ArrowException as error:
        raise ServeError(f"it cannot be read as Parquet: {error}") from error


def _id_columns(schema: Any, set_aside: bool) -> list[str]:
    if set_aside:
        other = (columns.REASON, "file")
        texts = (pa.types.is_string, pa.types.is_large_string)
        return [
            field.name for field in schema
            if field.name not in other and any(is_text(field.type) for is_text in texts)
        ]  # fmt: skip
    return [columns.USER_ID] if columns.USER_ID in schema.names else []


def _has_any(source: Any, names: list[str], ids: Set[str]) -> bool:
    return any(
        pc.any(_is_of_customer(source.read_row_group(group, columns=names), names, ids)).as_py()
        for group in range(source.num_row_groups)
    )


def _write_others(source: Any, names: list[str], out: Path, ids: Set[str]) -> int:
    n_removed, codec = 0, "zstd"
    if source.num_row_groups and source.metadata.num_columns:
        codec = source.metadata.row_group(0).column(0).compression.lower()
    codec = "none" if codec == "uncompressed" else codec
    with pq.ParquetWriter(out, source.schema_arrow, compression=codec) as writer:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group)
            others = table.filter(pc.invert(_is_of_customer(table, names, ids)))
            n_removed += table.num_rows - others.num_rows
            if others.num_rows:
                writer.write_table(others, row_group_size=others.num_rows)
    return n_removed


def _is_of_customer(table: Any, names: list[str], ids: Set[str]) -> Any:
    """(n_rows,) whether each row belongs to one of the customers."""
    values = pa.array(sorted(ids), pa.string())
    pattern = _pattern(ids) if names != [columns.USER_ID] else None
    matches = None
    for name in names:
        text = pc.cast(table[name], pa.string())
        hit = pc.is_in(text, value_set=values)
        if pattern is not None:
            hit = pc.or_(hit, pc.fill_null(pc.match_substring_regex(text, pattern), False))
        matches = hit if matches is None else pc.or_(matches, hit)
    return matches


def _pattern(ids: Set[str]) -> str | None:
    """A pattern, for RE2 and `re`, that finds an id as a whole word; None where all are short."""
    words = "|".join(re.escape(word) for word in sorted(ids) if len(word) >= _LONG)
    return f"(?:^|[^0-9A-Za-z_])(?:{words})(?:$|[^0-9A-Za-z_])" if words else None


def filter_csv(file: Path, out: Path, ids: Set[str]) -> int:
    """Removes rows by the column user_id; a file without that column has no customers. Ids that
    `propense score` wrote with an apostrophe are found too.

    All other rows keep their bytes.
    """
    raw: list[str] = []

    def lines(stream: IO[str]) -> Iterator[str]:
        for line in stream:
            raw.append(line)
            yield line.removeprefix("\ufeff")

    n_removed = 0
    with ExitStack() as opened:
        source = opened.enter_context(_open(file, "r"))
        reader = csv.reader(lines(source))
        try:
            header = [name.strip() for name in next(reader, [])]
            if columns.USER_ID not in header:
                return 0
            index = header.index(columns.USER_ID)
            target = opened.enter_context(_open(out, "w", file))
            target.write("".join(raw))
            raw.clear()
            for row in reader:
                if len(row) > index and (row[index] in ids or original(row[index]) in ids):
                    n_removed += 1
                else:
                    target.write("".join(raw))
                raw.clear()
        except csv.Error as error:
            raise ServeError(f"line {reader.line_num} cannot be read as CSV: {error}") from error
    return n_removed


def filter_lines(file: Path, out: Path, ids: Set[str]) -> int:
    """Removes lines of JSON by user_id or userId, aliases included.

    A line that is not JSON is removed if it contains one of `ids`.
    """
    pattern = _pattern(ids)
    n_removed = 0
    with _open(file, "r") as source, _open(out, "w", file) as target:
        for line in source:
            if _is_of(line, ids, pattern):
                n_removed += 1
            else:
                target.write(line)
    return n_removed


def _is_of(line: str, ids: Set[str], pattern: str | None) -> bool:
    try:
        record = msgspec.json.decode(line.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return pattern is not None and re.search(pattern, line) is not None
    if not isinstance(record, dict):
        return False
    return any(str(record[name]) in ids for name in _NAMES if name in record)


def _open(file: Path, mode: Literal["r", "w"], like: Path | None = None) -> IO[str]:
    """A file as text that keeps every byte, unpacked if the name (of `like`) ends in .gz."""
    plain: IO[bytes] = (
        gzip.open(file, f"{mode}b")  # type: ignore[assignment]
        if (like or file).name.endswith(".gz")
        else file.open(f"{mode}b")
    )
    return io.TextIOWrapper(plain, "utf-8", "surrogateescape", newline="")
