"""Samples of files, without reading big ones whole: format, columns and some rows.

What a file is and how it is written is judged by the same code that reads it for cleaning.
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from propense.errors import SourceError
from propense.tables.engine.engine import BROKEN, LINE
from propense.tables.sources.containers import (
    first_bytes,
    guarded,
    kind_of,
    open_unpacked,
    packing_of,
    refuse_foreign,
    unpack,
)
from propense.tables.sources.json.sampling import sampled_records
from propense.tables.sources.json.staging import is_json
from propense.tables.sources.pieces import Pieces, text_pieces
from propense.tables.sources.text.access_logs import ACCESS_LINE, is_access_log
from propense.tables.sources.text.copies import free_stand_in, needs_stand_in, with_stand_in
from propense.tables.sources.text.delimited import Lines, shape_of, table_of
from propense.tables.sources.text.dialects import (
    Declared,
    Dialect,
    Head,
    first_quoting,
    infer_dialects,
)
from propense.tables.sources.text.encodings import UTF_8
from propense.tables.sources.text.headers import HEAD_BYTES, TYPED
from propense.tables.sources.text.quoting import detect_quoting, quotes_in, unescape
from propense.tables.sources.text.records import blocks
from propense.tables.sources.workbooks import sheet_dialect, sheet_rows, sheets_of

Format = Literal["csv", "jsonl", "json", "xlsx", "parquet", "access_log"]

SHEET_ROWS: Final = 20_000
"""Rows of a sheet that are looked at."""
PATH_STEPS: Final = 4
"""Steps of an address that are offered as columns `path:1`, `path:2`, ..."""

_RECBOLE = re.compile(r":(token|token_seq|float|float_seq)$")
_EVEN: Final = 0.8
"""Least share of lines that a table's delimiter cuts alike."""


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
    encoding: str = UTF_8
    declared: dict[str, str] | None = None
    """Parquet's own types."""
    ragged: int = 0
    """Sampled lines with another number of cells than the header."""
    dialect: str = ""
    """Delimiter, quoting and header, in words."""
    notes: tuple[str, ...] = ()
    """What was remarkable in reading."""
    encodings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Where the encoding is in doubt: every one that fits -> words as it reads them."""
    sheet: str | None = None

    @property
    def n_rows(self) -> int:
        return len(next(iter(self.columns.values()), []))


@dataclass(frozen=True)
class Unreadable:
    """A file that gives no table, and why."""

    path: Path
    why: str


def _sample(
    pieces: Pieces, form: Format, columns: dict[str, list[str | None]], n_rows: int, ragged: int,
    **more: Any,
) -> Sample:  # fmt: skip
    doubt = pieces.verdict.others
    return Sample(
        path=pieces.path, format=form, columns=columns, n_bytes=pieces.n_bytes,
        rows_about=n_rows if pieces.whole else round(n_rows * pieces.scale), whole=pieces.whole,
        encoding=pieces.verdict.codec, ragged=ragged,
        encodings={pieces.verdict.codec: pieces.verdict.examples} | doubt if doubt else {}, **more,
    )  # fmt: skip


def sample_file(path: Path) -> Sample | Unreadable:
    """Form, columns and sampled rows of a file, by its content and not by its name.

    Reads at most CHUNKS x CHUNK_BYTES of text (whole row groups of Parquet, at most three).
    Never raises for what a file holds: what cannot be read is `Unreadable` with the reason.
    """
    return sample_files([path])[0]


def sample_files(paths: Sequence[Path]) -> list[Sample | Unreadable]:
    """Samples of files that may belong together: one without a header has that of another."""
    samples: list[Sample | Unreadable] = []
    texts: dict[int, Pieces] = {}
    for index, path in enumerate(paths):
        try:
            one = _look_at(path)
        except OSError as error:
            one = Unreadable(path, f"it cannot be opened: {error.strerror or error}")
        except pa.ArrowException as error:
            one = Unreadable(path, f"it is not a valid Parquet file: {str(error).splitlines()[0]}")
        except SourceError as error:
            one = Unreadable(path, _plain_reason(str(error), path))
        if isinstance(one, Pieces):
            texts[index] = one
            samples.append(Unreadable(path, ""))
        else:
            samples.append(one)
    for index, sample in zip(texts, _separated(list(texts.values())), strict=True):
        samples[index] = sample
    return samples


def _plain_reason(message: str, path: Path) -> str:
    """The reason without the file's name, which stands before it anyway."""
    for name in (str(path), path.name):
        if message.startswith(name):
            rest = message[len(name) :].lstrip(": ")
            return rest if rest.startswith(("a ", "the ", "it ", "line")) else f"it {rest}"
    return message


def own_name(column: str) -> str:
    """A column's name without a RecBole type, and of a parameter of an address its name.

    >>> own_name("user_id:token"), own_name("query:uid")
    ('user_id', 'uid')
    """
    return _RECBOLE.sub("", column).removeprefix("query:")


def _look_at(path: Path) -> Sample | Unreadable | Pieces:
    """A sample, or the pieces of delimited text, which are judged together."""
    n_bytes = path.stat().st_size
    if n_bytes == 0:
        return Unreadable(path, "it is empty")
    kind = kind_of(path)
    packed = packing_of(first_bytes(path)) is not None and kind != "workbook"
    if packed:
        with open_unpacked(path) as stream:
            inner = guarded(str(path), lambda: stream.read(512))
        refuse_foreign(inner, str(path))
        if packing_of(inner) is not None or inner.startswith((b"PAR1", b"\xd0\xcf\x11\xe0")):
            return _unpacked_sample(path)
    elif kind == "parquet":
        return _sample_parquet(path, n_bytes)
    elif kind == "workbook":
        return _sample_workbook(path, n_bytes)
    return _sample_text(text_pieces(path, n_bytes, packed))


def _unpacked_sample(path: Path) -> Sample | Unreadable | Pieces:
    """A sample of a Parquet file or a workbook within an archive."""
    with tempfile.TemporaryDirectory(prefix="propense-") as folder:
        plain = unpack(path, Path(folder))
        result = _look_at(plain.path)
        return replace(result, path=path, n_bytes=path.stat().st_size) if isinstance(
            result, Sample | Pieces
        ) else Unreadable(path, result.why)  # fmt: skip


def _sample_text(pieces: Pieces) -> Sample | Unreadable | Pieces:
    head = pieces.texts[0][:HEAD_BYTES]
    if is_json(head):
        return _json(pieces)
    lines = [line.rstrip("\r") for line in head.decode(UTF_8, "replace").split("\n")[:20]]
    return _access_log(pieces) if is_access_log(lines) else pieces


def _access_log(pieces: Pieces) -> Sample:
    """Fields of the log, and as columns the steps and the parameters of the addresses."""
    lines = pieces.lines()
    matches = [match for match in map(ACCESS_LINE.match, lines) if match]
    fields = ("remote_host", "remote_user", "time", "method", "status", "bytes")
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
    return _sample(pieces, "access_log", columns, len(lines), len(lines) - len(matches))


def _json(pieces: Pieces) -> Sample | Unreadable:
    records, n_rows, by_line = sampled_records(pieces)
    objects = [one for one in records if isinstance(one, dict)]
    if not objects:
        return Unreadable(pieces.path, "none of its lines is a JSON object")
    names = list(dict.fromkeys(name for record in objects for name in record))
    columns = {name: [_text(record.get(name)) for record in objects] for name in names}
    return _sample(pieces, "jsonl" if by_line else "json", columns, n_rows, n_rows - len(objects))


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, dict | list | bool):
        return msgspec.json.encode(value).decode()
    return str(value)


def _separated(files: Sequence[Pieces]) -> Iterator[Sample | Unreadable]:
    """Samples of delimited files. One without a header is read under the names of another."""
    dialects = [_dialect([pieces])[0] for pieces in files]
    for index, pieces in enumerate(files):
        own = dialects[index]
        refused = ""
        for other, dialect in zip(files, dialects, strict=True):
            if other is pieces or dialect.header_cells is None:
                continue
            if set(own.names) & set(dialect.names):
                break
            if own.width == dialect.width or own.delimiter != dialect.delimiter:
                try:
                    joint = _dialect([other, pieces])[1]
                except SourceError as error:
                    if _series(pieces.path) == _series(other.path):
                        refused = str(error)
                    continue
                if joint.header_cells is None:
                    own, refused = joint, ""
                    break
        if refused:
            yield Unreadable(pieces.path, _plain_reason(refused, pieces.path))
        else:
            yield _sample_separated(pieces, own)


def _series(path: Path) -> str:
    """What files have in common whose names differ in numbers only."""
    return re.sub(r"\d+", "9", path.name)


def _dialect(files: Sequence[Pieces]) -> list[Dialect]:
    heads = [_head(pieces) for pieces in files]
    if first_quoting(heads, Declared()) == "backslash":
        return infer_dialects([replace(head, quoting="backslash") for head in heads], Declared())
    dialects = infer_dialects(heads, Declared())
    result = []
    for pieces, dialect in zip(files, dialects, strict=True):
        text = pieces.texts[0]
        stand_in = _stand_in(pieces, dialect)
        if stand_in is not None:
            text = with_stand_in(text, dialect.delimiter, stand_in)
        shape = shape_of(dialect, stand_in)
        result.append((pieces.path.name, quotes_in(io.BytesIO(text), dialect.skip, shape)))
    quoting = detect_quoting(result, "auto")
    if quoting == "standard":
        return dialects
    return infer_dialects([replace(head, quoting=quoting) for head in heads], Declared())


def _head(pieces: Pieces) -> Head:
    head = pieces.texts[0][:HEAD_BYTES]
    cut = head.rfind(b"\n") + 1 if len(head) < len(pieces.texts[0]) else len(head)
    return Head(pieces.path.name, head[: cut or len(head)].removesuffix(b"\n"))


def _sample_separated(pieces: Pieces, dialect: Dialect) -> Sample | Unreadable:
    try:
        tables, lines = _tables(pieces, dialect)
    except SourceError as error:
        return Unreadable(pieces.path, _plain_reason(str(error), pieces.path))
    prose = dialect.delimiter == " " and not any(kind in TYPED for kind in dialect.kinds)
    if prose or dialect.width < 2 or lines.broken > (1 - _EVEN) * lines.rows:
        return Unreadable(
            pieces.path,
            "no delimiter splits its lines into equal columns; write it with a comma, a tab, a "
            "semicolon or a bar between the cells, and a header line",
        )
    cells = dialect.header_cells
    named = [  # A column without a name counts rows, as a rule.
        name for index, name in enumerate(dialect.names) if cells is None or cells[index].strip()
    ]
    columns: dict[str, list[str | None]] = {name: [] for name in named}
    stand_in = _stand_in(pieces, dialect)
    for table in tables:
        even = table.filter(table[BROKEN].is_null())
        for name in named:
            texts = (_restored(cell, dialect, stand_in) for cell in even[name].to_pylist())
            columns[name] += [text or None for text in texts]
    return _sample(
        pieces,         "csv", columns, lines.rows, lines.broken, delimiter=dialect.delimiter,
        dialect=dialect.words, notes=(*pieces.notes, *dialect.notes),
    )  # fmt: skip


def _stand_in(pieces: Pieces, dialect: Dialect) -> str | None:
    """What stands for a delimiter that no parser can take."""
    return free_stand_in(pieces.texts) if needs_stand_in(dialect.delimiter) else None


def _restored(cell: str | None, dialect: Dialect, stand_in: str | None) -> str | None:
    """A cell in which its delimiter of several characters is itself again."""
    if cell and stand_in is not None and dialect.delimiter != " ":
        cell = cell.replace(stand_in, dialect.delimiter)
    return cell.strip() if cell else None


def _tables(pieces: Pieces, dialect: Dialect) -> tuple[list[pa.Table], Lines]:
    """The rows of the pieces, read as they are read for cleaning."""
    lines, tables = Lines(), []
    stand_in = _stand_in(pieces, dialect)
    for index, text in enumerate(pieces.texts):
        if dialect.quoting == "backslash":
            text = unescape(text, dialect.delimiter.encode())
        skip = dialect.skip if index == 0 else 0
        body = b"\n".join(text.split(b"\n", skip)[skip:])
        if stand_in is not None:
            body = with_stand_in(body, dialect.delimiter, stand_in)
        shape = shape_of(dialect, stand_in)
        for records in blocks(io.BytesIO(body), shape):
            tables.append(table_of(records, dialect, shape, lines).drop_columns([LINE]))
    return tables, lines


def _sample_workbook(path: Path, n_bytes: int) -> Sample | Unreadable:
    sheets, notes = sheets_of(path, None, path.name, Declared())
    rows = sheet_rows(path, sheets[0], path.name, SHEET_ROWS)
    dialect = sheet_dialect(rows, path.name, Declared())
    body = [row for row in rows[dialect.skip :] if any(row)]
    columns: dict[str, list[str | None]] = {
        name: [row[i] or None if i < len(row) else None for row in body]
        for i, name in enumerate(dialect.names)
    }
    return Sample(
        path, "xlsx", columns, n_bytes, len(body), len(rows) < SHEET_ROWS,
        notes=(*notes, *dialect.notes),
        dialect=f"sheet {sheets[0]!r}", sheet=sheets[0],
    )  # fmt: skip


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
