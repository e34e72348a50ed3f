"""Samples of files, without reading big ones whole: format, columns and some rows."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal, cast
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

Format = Literal["csv", "jsonl", "parquet", "access_log"]

CHUNKS: Final = 8
"""Places of a file that are looked at, spread over its length."""
CHUNK_BYTES: Final = 262_144
UNPACK_BYTES: Final = 268_435_456
"""Most bytes unpacked of a gzip file, which cannot be entered in the middle."""
DELIMITERS: Final = (",", "\t", ";", "|")

ACCESS_LOG: Final = re.compile(
    r"^(?P<remote_host>\S+) \S+ (?P<remote_user>\S+) \[(?P<time>[^\]]+)\] "
    r'"(?P<method>[A-Z]+) (?P<target>\S+)[^"]*" (?P<status>\d{3}) (?P<bytes>\S+)'
)
"""The common and the combined log format of web servers."""
PATH_STEPS: Final = 4
"""Steps of an address that are offered as columns `path:1`, `path:2`, ..."""

_RECBOLE = re.compile(r":(token|token_seq|float|float_seq)$")
_NUMBER = re.compile(r"^-?\d+(\.\d+)?([eE][-+]?\d+)?$")


@dataclass(frozen=True)
class Sample:
    """Some rows of one file, as text; None where a cell is empty."""

    path: Path
    format: Format
    columns: dict[str, list[str | None]]
    """The file's own column name -> its sampled cells, in file order."""
    n_bytes: int
    rows_about: int
    """Rows of the whole file, exact for Parquet and for files that were read whole."""
    whole: bool
    """True where the sample is the file."""
    delimiter: str | None = None
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    declared: dict[str, str] | None = None
    """Parquet's own types."""
    ragged: int = 0
    """Sampled lines with another number of cells than the header."""

    @property
    def n_rows(self) -> int:
        return len(next(iter(self.columns.values()), []))


@dataclass(frozen=True)
class Unreadable:
    """A file that gives no table, and why."""

    path: Path
    why: str


def sample_file(path: Path) -> Sample | Unreadable:
    """Form, columns and sampled rows of a file, by its content and not by its name.

    Reads at most CHUNKS x CHUNK_BYTES of text (whole row groups of Parquet, at most three).
    Never raises for what a file holds: what cannot be read is `Unreadable` with the reason.
    """
    try:
        n_bytes = path.stat().st_size
        if n_bytes == 0:
            return Unreadable(path, "it is empty")
        with path.open("rb") as stream:
            head = stream.read(4)
        if head == b"PAR1":
            return _sample_parquet(path, n_bytes)
        chunks, total, whole = _chunks(path, n_bytes, packed=head[:2] == b"\x1f\x8b")
    except OSError as error:
        return Unreadable(path, f"it cannot be opened: {error.strerror or error}")
    except (EOFError, zlib.error) as error:
        return Unreadable(path, f"its gzip data is broken: {error}")
    except pa.ArrowException as error:
        return Unreadable(path, f"it is not a valid Parquet file: {str(error).splitlines()[0]}")
    return _sample_text(path, chunks, n_bytes, total, whole)


def own_name(column: str) -> str:
    """A column's name without a RecBole type, and of a parameter of an address its name.

    >>> own_name("user_id:token"), own_name("query:uid")
    ('user_id', 'uid')
    """
    return _RECBOLE.sub("", column).removeprefix("query:")


def _chunks(path: Path, n_bytes: int, packed: bool) -> tuple[list[bytes], int, bool]:
    """Pieces of the file cut at line ends, its unpacked size (about), and whether they are all."""
    if not packed:
        with path.open("rb") as stream:
            if n_bytes <= CHUNKS * CHUNK_BYTES:
                return [stream.read()], n_bytes, True
            starts = [n_bytes * i // CHUNKS for i in range(CHUNKS - 1)] + [n_bytes - CHUNK_BYTES]
            pieces = []
            for start in starts:
                stream.seek(start)
                pieces.append(_whole_lines(stream.read(CHUNK_BYTES), first=start == 0))
            return pieces, n_bytes, False
    with gzip.open(path, "rb") as unpacked:
        return _packed_chunks(cast("IO[bytes]", unpacked))


def _packed_chunks(stream: IO[bytes]) -> tuple[list[bytes], int, bool]:
    """Chunks of a stream of unknown length, at even steps that double when there are too many."""
    chunks: list[bytes] = []
    step, position, total = 1, 0, 0
    last = b""
    while total < UNPACK_BYTES and (piece := stream.read(CHUNK_BYTES)):
        total += len(piece)
        last = piece
        if position % step == 0:
            chunks.append(piece)
        position += 1
        if len(chunks) > 2 * CHUNKS:
            chunks, step = chunks[::2], step * 2
    if step == 1 and total < UNPACK_BYTES:
        return [b"".join(chunks)], total, True
    if chunks[-1] is not last:
        chunks.append(last)
    return [_whole_lines(piece, first=i == 0) for i, piece in enumerate(chunks)], total, False


def _whole_lines(piece: bytes, first: bool) -> bytes:
    start = 0 if first else piece.find(b"\n") + 1
    return piece[start : piece.rfind(b"\n") + 1]


def _sample_text(
    path: Path, chunks: list[bytes], n_bytes: int, total: int, whole: bool
) -> Sample | Unreadable:
    if chunks[0][:2] in (b"\xff\xfe", b"\xfe\xff"):
        return Unreadable(path, "it is UTF-16; save it as UTF-8")
    if any(b"\0" in chunk for chunk in chunks):
        return Unreadable(path, "it is binary (zero bytes), neither text nor Parquet")
    encoding: Literal["utf-8", "gb18030"] = "utf-8"
    try:
        texts = [chunk.decode("utf-8-sig") for chunk in chunks]
    except UnicodeDecodeError:
        encoding = "gb18030"
        try:
            texts = [chunk.decode("gb18030") for chunk in chunks]
        except UnicodeDecodeError:
            return Unreadable(path, "its text is neither UTF-8 nor GB18030")
    controls = sum(character < " " and character not in "\t\r\n" for character in texts[0][:4096])
    if controls > 0.02 * min(len(texts[0]), 4096):
        return Unreadable(path, "it is binary (control characters), neither text nor Parquet")
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    if not lines:
        return Unreadable(path, "it has no lines")
    sampled = sum(len(chunk) for chunk in chunks)
    rows_about = len(lines) if whole else round(len(lines) * total / max(sampled, 1))
    rough = _Rough(path, encoding, n_bytes, rows_about, whole)
    if ACCESS_LOG.match(lines[0]):
        return _access_log(rough, lines)
    if lines[0].lstrip().startswith("{"):
        return _json_lines(rough, lines)
    if lines[0].lstrip().startswith("["):
        return Unreadable(path, "it is one JSON array; write it as one JSON object a line")
    return _separated(rough, texts)


@dataclass(frozen=True)
class _Rough:
    """What is known of a text file before its lines are understood."""

    path: Path
    encoding: Literal["utf-8", "gb18030"]
    n_bytes: int
    n_lines: int
    whole: bool

    def sample(
        self, form: Format, columns: dict[str, list[str | None]], n_lines: int, ragged: int,
        delimiter: str | None = None,
    ) -> Sample:  # fmt: skip
        return Sample(
            path=self.path, format=form, columns=columns, n_bytes=self.n_bytes,
            rows_about=n_lines, whole=self.whole, delimiter=delimiter,
            encoding=self.encoding, ragged=ragged,
        )  # fmt: skip


def _access_log(rough: _Rough, lines: list[str]) -> Sample:
    """Fields of the log, and as columns the steps and the parameters of the addresses."""
    matches = [match for match in map(ACCESS_LOG.match, lines) if match]
    fields = [name for name in ACCESS_LOG.groupindex if name != "target"]
    columns: dict[str, list[str | None]] = {
        name: [None if match[name] == "-" else match[name] for match in matches] for name in fields
    }
    addresses = [urlsplit(match["target"]) for match in matches]
    steps = [address.path.strip("/").split("/") for address in addresses]
    for i in range(min(PATH_STEPS, max(map(len, steps), default=0))):
        columns[f"path:{i + 1}"] = [step[i] or None if i < len(step) else None for step in steps]
    parameters = [dict(parse_qsl(address.query)) for address in addresses]
    for name in dict.fromkeys(name for query in parameters for name in query):
        columns[f"query:{name}"] = [query.get(name) for query in parameters]
    return rough.sample("access_log", columns, rough.n_lines, len(lines) - len(matches))


def _json_lines(rough: _Rough, lines: list[str]) -> Sample | Unreadable:
    records: list[dict[str, object]] = []
    for line in lines:
        try:
            record = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if isinstance(record, dict):
            records.append(record)
    if not records:
        return Unreadable(rough.path, "none of its lines is a JSON object")
    if rough.whole and len(lines) == 1 and rough.path.name.removesuffix(".gz").endswith(".json"):
        return Unreadable(rough.path, "it is one JSON object, not one object a line")
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {name: [_text(record.get(name)) for record in records] for name in names}
    return rough.sample("jsonl", columns, rough.n_lines, len(lines) - len(records))


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, dict | list | bool):
        return msgspec.json.encode(value).decode()
    return str(value)


def _separated(rough: _Rough, texts: list[str]) -> Sample | Unreadable:
    first = texts[0].split("\n", 1)[0].rstrip("\r")
    delimiter = _delimiter(texts[0])
    if delimiter is None:
        seen = "'::'" if "::" in first else "spaces" if len(first.split()) > 1 else "none"
        return Unreadable(
            rough.path,
            "no delimiter among comma, tab, semicolon and bar splits its lines into equal columns "
            f"(seen: {seen}); write it with one of these and a header line",
        )
    rows = _rows(texts, delimiter)
    header = next(rows)
    named = header if header[0].strip() else header[1:]  # a first column without a name counts rows
    if any(not cell.strip() or _NUMBER.match(cell.strip()) for cell in named) or len(
        set(header)
    ) < len(header):
        return Unreadable(
            rough.path,
            f"its first line {first[:60]!r} holds data or repeated names, not column names; "
            "add a header line",
        )
    names = [name.strip() for name in header]
    even: list[list[str]] = []
    ragged = 0
    for row in rows:
        if len(row) == len(names):
            even.append(row)
        else:
            ragged += 1
    columns: dict[str, list[str | None]] = {
        name: [row[i].strip() or None for row in even] for i, name in enumerate(names) if name
    }
    return rough.sample("csv", columns, rough.n_lines - 1, ragged, delimiter)


def _rows(texts: list[str], delimiter: str) -> Iterator[list[str]]:
    for text in texts:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            for row in reader:
                if row:
                    yield row
        except csv.Error:  # a piece that began inside a quoted cell; its other rows are good
            continue


def _delimiter(text: str) -> str | None:
    """The delimiter that cuts most lines into as many cells as the first, most cells first."""
    head = text[:65_536]
    if len(text) > len(head):
        head = head[: head.rfind("\n") + 1] or head
    best: tuple[int, str] | None = None
    for delimiter in DELIMITERS:
        widths = [len(row) for row in _rows([head], delimiter)]
        if not widths or widths[0] < 2:
            continue
        if sum(width == widths[0] for width in widths) < 0.8 * len(widths):
            continue
        if best is None or widths[0] > best[0]:
            best = (widths[0], delimiter)
    return best[1] if best else None


def _sample_parquet(path: Path, n_bytes: int) -> Sample:
    with pq.ParquetFile(path) as file:
        n_groups = file.metadata.num_row_groups
        chosen = sorted({0, n_groups // 2, n_groups - 1}) if n_groups else []
        rows = sum(file.metadata.row_group(i).num_rows for i in chosen)
        table = file.read_row_groups(chosen) if chosen else file.schema_arrow.empty_table()
        step = max(1, rows // 50_000)
        if step > 1:
            table = table.take(pa.array(range(0, rows, step)))
        schema = file.schema_arrow
        total = file.metadata.num_rows
    columns = {name: [_cell(cell) for cell in table[name].to_pylist()] for name in schema.names}
    return Sample(
        path=path, format="parquet", columns=columns, n_bytes=n_bytes, rows_about=total,
        whole=len(chosen) == n_groups and step == 1,
        declared={field.name: str(field.type) for field in schema},
    )  # fmt: skip


def _cell(value: object) -> str | None:
    if value is None or value == "" or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
