"""Looking for a word in everything below a folder, as raw bytes and in what files decode to."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SQLITE = b"SQLite format 3\0"


def find_traces(folders: Iterable[Path], words: Sequence[str]) -> list[str]:
    """Sentences on which file holds which word, and how it was read; none where there is none.

    Of raw bytes each half of a word counts, since a page of a database may end within it.
    """
    sentences = []
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if not file.is_file():
                continue
            for word in words:
                sentences += [f"{file} holds {word} {how}" for how in _how(file, word.encode())]
    return sentences


def _how(file: Path, word: bytes) -> Iterator[str]:
    content = file.read_bytes()
    middle = len(word) // 2
    if word[:middle] in content or word[middle:] in content:
        yield "as raw bytes"
    if file.name.endswith(".gz"):
        with contextlib.suppress(OSError, EOFError, zlib.error):
            if word in gzip.decompress(content):
                yield "compressed"
    if content.startswith(b"PAR1"):
        if any(word in cells for cells in _cells(pq.read_table(file))):
            yield "in a column of Parquet"
    elif file.suffix == ".arrow":
        with pa.OSFile(str(file)) as source:
            magic = content.startswith(b"ARROW1")
            reader = pa.ipc.open_file(source) if magic else pa.ipc.open_stream(source)
            if any(word in cells for cells in _cells(reader.read_all())):
                yield "in a column of Arrow"
    elif content.startswith(SQLITE):
        yield from _in_database(file, word)


def _cells(table: pa.Table) -> Iterator[bytes]:
    for name in table.column_names:
        yield str(table[name].to_pylist()).encode()


def _in_database(file: Path, word: bytes) -> Iterator[str]:
    """Every cell, of the file with its write-ahead log."""
    with tempfile.TemporaryDirectory() as copies:
        for ending in ("", "-wal"):
            one = file.with_name(file.name + ending)
            if one.exists():
                shutil.copy(one, Path(copies) / one.name)
        with contextlib.closing(sqlite3.connect(Path(copies) / file.name)) as con:
            kinds = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            for (table,) in con.execute(kinds).fetchall():
                for row in con.execute(f'SELECT * FROM "{table}"'):
                    if any(word in _bytes(cell) for cell in row):
                        yield f"in a row of {table}"
                        break


def _bytes(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else str(cell).encode()
