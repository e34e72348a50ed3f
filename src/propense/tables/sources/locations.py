"""Locations of data: paths, globs, object stores, SQL databases; all become local files."""

from __future__ import annotations

import difflib
import fnmatch
import glob
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq

from propense.errors import MissingExtraError, SourceError, nearest

_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*://")
_SQL: Final = ("sqlite", "postgres", "postgresql")
_BATCH: Final = 100_000
_NUMBER: Final = re.compile(r"([0-9]+)")


def natural_order(path: str | Path) -> tuple[Any, ...]:
    """The key by which files are in order: numbers in their names go by their size.

    >>> sorted(["day/part-10.csv", "day/part-2.csv", "day/part-02.csv"], key=natural_order)
    ['day/part-02.csv', 'day/part-2.csv', 'day/part-10.csv']
    """
    parts = str(path).split("/")
    # Words stand at even places and numbers at odd ones, so that like is compared with like.
    keys = [
        tuple(int(one) if index % 2 else one for index, one in enumerate(_NUMBER.split(part)))
        for part in parts
    ]
    return (keys, str(path))


def is_sql(address: str) -> bool:
    return _SCHEME.match(address) is not None and urlsplit(address).scheme in _SQL


def split_member(address: str, base: Path) -> tuple[str, str | None]:
    """A path and what stands behind "#": a file of a zip, a sheet of a workbook, an array.

    A file whose own name has a "#" is itself.

    >>> split_member("orders.zip#lines.csv", Path("."))
    ('orders.zip', 'lines.csv')
    """
    own_path, separator, member = address.rpartition("#")
    if not separator or _SCHEME.match(address) or (base / address).exists() or not member:
        return address, None
    return own_path, member


def local_files(addresses: Sequence[str], base: Path, scratch: Path, where: str) -> list[Path]:
    """The files of paths, globs and object store URLs.

    Addresses keep their order; the files of each are in the order of their names, where part-2
    comes before part-10.

    Object store files (s3://, gs://, file://) are copied to `scratch` as a stream. `where` names
    the setting in errors. Raises SourceError if there is no file.
    """
    files: list[Path] = []
    for address in addresses:
        if _SCHEME.match(address):
            files.extend(_fetch(address, scratch, where))
            continue
        path = Path(address)
        whole = path if path.is_absolute() else base / path
        if whole.is_dir():
            candidates = [
                file for file in whole.rglob("*") if not file.name.startswith(("_", "."))
            ]  # fmt: skip
        else:
            candidates = [whole] if whole.is_file() else list(map(Path, glob.glob(str(whole))))
        matches = sorted((file for file in candidates if file.is_file()), key=natural_order)
        if not matches:
            raise SourceError(_nothing_at(address, whole, where))
        files.extend(matches)
    return files


def _nothing_at(address: str, whole: Path, where: str) -> str:
    folder = whole.parent
    if not folder.is_dir():
        return f"{where}: there is no file {address!r}: the folder {folder} does not exist"
    names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    hint = _nearest_file(whole.name, names[:200])
    return f"{where}: there is no file {address!r} in {folder}; {hint}"


def _nearest_file(name: str, names: list[str]) -> str:
    """A hint for a mistyped name: the nearest of the folder's names, or all of them.

    >>> _nearest_file("event.csv", ["events.csv", "runs"])
    "did you mean 'events.csv'?"
    >>> _nearest_file("events.csv", ["runs", "propense.toml"])
    "the folder holds 'propense.toml', 'runs'"
    """
    if not names:
        return "the folder is empty"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return "the folder holds " + ", ".join(repr(one) for one in sorted(names))


def _fetch(address: str, scratch: Path, where: str) -> list[Path]:
    """Copy the files of an object store URL, also a glob or a folder, to a folder of their own."""
    own = scratch / f"fetched-{hashlib.sha256(address.encode()).hexdigest()[:16]}"
    pattern = address
    fixed = re.split(r"[*?\[]", address, maxsplit=1)[0]
    root = address if fixed == address else fixed.rsplit("/", 1)[0]
    try:
        store, root_path = fs.FileSystem.from_uri(root)
        wanted = root_path + pattern[len(root) :]
        info = store.get_file_info(root_path)
        if info.type == fs.FileType.File:
            paths = [root_path]
        else:
            entries = store.get_file_info(fs.FileSelector(root_path, recursive=True))
            matches_unsorted = (
                entry.path for entry in entries
                if entry.type == fs.FileType.File
                and (wanted == root_path or fnmatch.fnmatchcase(entry.path, wanted))
                and not entry.base_name.startswith(("_", "."))
            )  # fmt: skip
            paths = sorted(matches_unsorted, key=natural_order)
        files = []
        for number, name in enumerate(paths):
            folder = own / f"{number:05d}"
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / name.rsplit("/", 1)[-1]
            fs.copy_files(name, str(target), source_filesystem=store)
            files.append(target)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise SourceError(f"{where}: cannot read {address!r}: {error}") from error
    if not files:
        raise SourceError(f"{where}: there is no file at {address!r}")
    return files


def fetch_table(address: str, out: Path, base: Path, where: str) -> None:
    """Stream a database table, every column as text, to a Parquet file.

    `sqlite:///FILE?table=NAME` (a relative FILE starts at `base`) or
    `postgresql://USER@HOST/DATABASE?table=NAME` (`schema=` beside it where needed).

    Raises SourceError if the database or the table cannot be read.
    """
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    names = query.get("table", [])
    shown = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    if len(names) != 1:
        raise SourceError(f"{where}: {shown} needs ?table=NAME, the table to read")
    con = _connect(parts, base, where, shown)
    try:
        database = query.get("schema", [None])[0]
        tables = con.list_tables(database=database)
        if names[0] not in tables:
            raise SourceError(
                f"{where}: table {names[0]!r} is not in {shown}; {nearest(names[0], tables)}"
            )
        table = con.table(names[0], database=database)
        table = table.select(**{name: table[name].cast("string") for name in table.columns})
        schema = pa.schema([(name, pa.string()) for name in table.columns])
        rows = 0
        with pq.ParquetWriter(out, schema, compression="snappy") as writer:
            for batch in _stream(table, schema):
                writer.write_batch(batch)
                rows += len(batch)
    finally:
        con.disconnect()
    if rows == 0:
        raise SourceError(f"{where}: table {names[0]!r} of {shown} is empty")


def _stream(table: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in table.to_pyarrow_batches(chunk_size=_BATCH):
        columns = [batch.column(index).cast(pa.string()) for index in range(len(schema))]
        yield pa.record_batch(columns, schema=schema)


def _connect(parts: Any, base: Path, where: str, shown: str) -> Any:
    import ibis

    if parts.scheme == "sqlite":
        file = Path(parts.netloc + parts.path.removeprefix("/"))
        file = file if parts.path.startswith("//") or file.is_absolute() else base / file
        if parts.path.startswith("//"):
            file = Path(parts.path[1:])
        if not file.is_file():
            raise SourceError(f"{where}: database file {file} does not exist")
        return ibis.sqlite.connect(file)
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtraError("postgres", "psycopg") from error
    plain = urlunsplit(("postgresql", parts.netloc, parts.path, "", ""))
    try:
        return ibis.connect(plain)
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise SourceError(f"{where}: cannot connect to {shown}: {reason}") from error
