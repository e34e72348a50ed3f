"""Text formats become Parquet files of text columns, in the file's order.

Nothing is typed here, so nothing is lost: types, units and times are the work of cleaning.
Rows that cannot be taken apart keep their text in the column `_broken`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from propense.errors import SourceError
from propense.tables.engine import engine as engines
from propense.tables.engine.engine import BROKEN
from propense.tables.sources.text_files import (
    INNER_DELIMITER,
    as_utf8,
    detect_encoding,
    read_head,
    sniff_delimiter,
    split_header,
)

Format = Literal["auto", "csv", "jsonl", "parquet", "access_log"]

ACCESS_COLUMNS: Final = (
    "remote_host", "identity", "remote_user", "time", "method", "path", "query", "protocol",
    "status", "bytes", "referer", "agent",
)  # fmt: skip
"""What a line of a web server's combined log is made of; `query:NAME` is a parameter of the
address, `path:N` the N-th step of the path (1 is the first), `cookie:NAME` a cookie where the
log ends with a quoted cookie field."""

_COMBINED: Final = (
    r"^(?P<remote_host>\S+) (?P<identity>\S+) (?P<remote_user>.*?) \[(?P<time>[^\]]+)\] "
    r'"(?P<method>[A-Z]+) (?P<target>\S+)(?: (?P<protocol>[^"]*))?" (?P<status>\d{3}) '
    r'(?P<bytes>\S+)(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?'
    r'(?: "(?P<cookie>(?:[^"\\]|\\.)*)")?'
)
_ACCESS_LINE: Final = re.compile(_COMBINED)
_BLOCK: Final = 1 << 24


@dataclass(frozen=True)
class TextFile:
    """How one text file is to be read."""

    path: Path
    format: Format = "auto"
    delimiter: str | None = None
    encoding: str = "auto"
    wanted: tuple[str, ...] = ()
    """The file's own names that the settings ask for."""


def detect_format(path: Path) -> Format:
    """The format of a file by its name, otherwise by its first lines."""
    name = path.name.lower()
    for packed in (".gz", ".bz2", ".zst", ".lz4"):
        name = name.removesuffix(packed)
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    if name.endswith((".jsonl", ".ndjson")):
        return "jsonl"
    lines = read_head(path, detect_encoding(path))[:20]
    objects = sum(line.lstrip().startswith("{") for line in lines)
    accesses = sum(_ACCESS_LINE.match(line) is not None for line in lines)
    if objects * 2 > len(lines):
        return "jsonl"
    if accesses * 2 > len(lines):
        return "access_log"
    return "csv"


def stage(file: TextFile, folder: Path, number: int) -> Path:
    """Write a text file to `folder` as Parquet of text columns; returns the new file.

    Raises SourceError for an empty file, a wrong delimiter, an unknown encoding.
    """
    out = folder / f"{number:05d}.parquet"
    encoding = detect_encoding(file.path, file.encoding)
    head = read_head(file.path, encoding)
    if not head:
        raise SourceError(f"{file.path} is empty; remove it from the source or export it again")
    if file.format == "jsonl":
        plain = as_utf8(file.path, folder / f"{number:05d}.utf8", encoding, None)
        engines.stage_json_lines(plain, out, file.wanted)
    elif file.format == "access_log":
        plain = as_utf8(file.path, folder / f"{number:05d}.utf8", encoding, None)
        _stage_access_log(plain, out, file)
    else:
        _stage_delimited(file, out, encoding, head)
    return out


def _stage_delimited(file: TextFile, out: Path, encoding: str, head: list[str]) -> None:
    delimiter = file.delimiter or sniff_delimiter(head)
    names = split_header(head[0], delimiter)
    positional = bool(file.wanted) and all(name.isdigit() for name in file.wanted)
    if positional and not set(file.wanted) <= set(names):
        names = [str(number) for number in range(1, len(names) + 1)]
        header = False
    else:
        header = True
    if len(names) == 1 and file.delimiter is not None:
        guess = sniff_delimiter(head)
        if guess != file.delimiter and len(split_header(head[0], guess)) > 1:
            raise SourceError(
                f"{file.path}: delimiter {file.delimiter!r} does not occur in the header "
                f"{head[0][:80]!r}; did you mean {guess!r}?"
            )
    plain = as_utf8(file.path, out.with_suffix(".utf8"), encoding, delimiter)
    if len(delimiter) > 1 or delimiter == " ":
        delimiter = INNER_DELIMITER
    broken: list[str] = []
    reader = _open_delimited(plain, delimiter, names, header, broken)
    total = _write(out, (_text_columns(batch, names) for batch in _batches(reader, file.path)),
                   names, broken)  # fmt: skip
    if total == 0:
        raise SourceError(f"{file.path} has a header and no rows; export it again")
    if len(broken) > total / 2:
        raise SourceError(
            f"{file.path}: {len(broken):,} of {total:,} rows do not have the {len(names)} fields "
            f"of the header with delimiter {delimiter!r}, first {broken[0][:80]!r}; "
            "set the source's delimiter"
        )


def _open_delimited(
    path: Path, delimiter: str, names: list[str], header: bool, broken: list[str]
) -> pyarrow.csv.CSVStreamingReader:
    def set_aside(row: Any) -> str:
        broken.append(row.text or "")
        return "skip"

    try:
        return pyarrow.csv.open_csv(
            str(path),
            read_options=pyarrow.csv.ReadOptions(
                block_size=_BLOCK, column_names=names, skip_rows_after_names=1 if header else 0
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=set_aside
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=True,
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        raise SourceError(f"cannot read {path} as delimited text: {error}") from error


def _batches(reader: pyarrow.csv.CSVStreamingReader, path: Path) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"cannot read {path} as delimited text: {error}; look for a quote that is not closed"
        ) from error


def _text_columns(batch: pa.RecordBatch, names: Sequence[str]) -> list[pa.Array]:
    return [batch.column(index) for index in range(len(names))]


def _write(
    out: Path, columns: Iterator[list[pa.Array]], names: Sequence[str], broken: list[str]
) -> int:
    """Write batches of text columns, then the broken rows; returns all rows written."""
    schema = pa.schema([(name, pa.string()) for name in (*names, BROKEN)])
    total = 0
    with pq.ParquetWriter(out, schema, compression="snappy") as writer:
        for arrays in columns:
            size = len(arrays[0])
            writer.write_table(pa.table([*arrays, pa.nulls(size, pa.string())], schema=schema))
            total += size
        if broken:
            nulls = [pa.nulls(len(broken), pa.string()) for _ in names]
            writer.write_table(pa.table([*nulls, pa.array(broken, pa.string())], schema=schema))
    return total + len(broken)


def _stage_access_log(path: Path, out: Path, file: TextFile) -> None:
    extras = [name for name in file.wanted if re.match(r"^(query|path|cookie):.", name)]
    names = [*ACCESS_COLUMNS, *extras]
    lines = pyarrow.csv.open_csv(
        str(path),
        read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK, column_names=["line"]),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter="\x01", quote_char=False, ignore_empty_lines=True,
            invalid_row_handler=lambda row: "skip",
        ),
        convert_options=pyarrow.csv.ConvertOptions(column_types={"line": pa.string()}),
    )  # fmt: skip
    schema = pa.schema([(name, pa.string()) for name in (*names, BROKEN)])
    total = unread = 0
    with pq.ParquetWriter(out, schema, compression="snappy") as writer:
        for batch in _batches(lines, file.path):
            line = batch.column(0)
            fields = pc.extract_regex(line, _COMBINED)
            broken = pc.if_else(pc.is_null(fields), line, pa.scalar(None, pa.string()))
            arrays = [_access_column(fields, name) for name in names]
            writer.write_table(pa.table([*arrays, broken], schema=schema))
            total += len(line)
            unread += fields.null_count
    if unread > total / 2:
        raise SourceError(
            f"{file.path}: {unread:,} of {total:,} lines are not in the combined log format"
        )


def _access_column(fields: pa.StructArray, name: str) -> pa.Array:
    """One column of the log; "-" and empty fields are nothing."""
    target = fields.field("target") if fields.null_count < len(fields) else None
    if target is None:
        return pa.nulls(len(fields), pa.string())
    kind, _, key = name.partition(":")
    if name == "path":
        values = pc.replace_substring_regex(target, r"[?#].*$", "")
    elif name == "query":
        values = pc.struct_field(pc.extract_regex(target, r"\?(?P<query>[^#]*)"), "query")
    elif kind == "query":
        pattern = rf"[?&;]{re.escape(key)}=(?P<value>[^&;#]*)"
        values = _unquoted(pc.struct_field(pc.extract_regex(target, pattern), "value"))
    elif kind == "path" and key.isdigit() and int(key) > 0:
        pattern = rf"^(?:[a-z]+://[^/]+)?(?:/[^/?#]*){{{int(key) - 1}}}/(?P<value>[^/?#]+)"
        values = _unquoted(pc.struct_field(pc.extract_regex(target, pattern), "value"))
    elif kind == "cookie" and key:
        pattern = rf"(?:^|; ?){re.escape(key)}=(?P<value>[^;]*)"
        values = pc.struct_field(pc.extract_regex(fields.field("cookie"), pattern), "value")
    else:
        values = fields.field(name)
    return pc.if_else(
        pc.or_kleene(pc.is_null(fields), pc.is_in(values, pa.array(["", "-"]))),
        pa.scalar(None, pa.string()), values,
    )  # fmt: skip


def _unquoted(column: pa.Array) -> pa.Array:
    """Percent-encoding undone, once for each distinct value."""
    encoded = pc.dictionary_encode(column)
    words = [unquote_plus(word) for word in encoded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(encoded.indices)
