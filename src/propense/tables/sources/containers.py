"""What a file is by its first bytes, never by its name; packed files as plain ones."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeVar, cast

import pyarrow as pa

from propense.errors import SourceError

Packing = Literal["gzip", "bz2", "zstd", "lz4", "xz", "zip"]
Kind = Literal["parquet", "workbook", "text"]

CHUNK: Final = 1 << 20
_MAGIC: Final[tuple[tuple[bytes, Packing], ...]] = (
    (b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"), (b"\xfd7zXZ\x00", "xz"), (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
)  # fmt: skip
_OLD_WORKBOOK: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_UNKNOWN: Final = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!\x1a\x07", "a RAR archive"),
    (b"%PDF", "a PDF document"), (b"SQLite format 3\x00", "a SQLite database"),
    (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"), (b"GIF8", "a picture"),
    (b"ORC", "an ORC file"), (b"Obj\x01", "an Avro file"), (b"ARROW1", "an Arrow file"),
)  # fmt: skip
_TAR_AT, _TAR = 257, b"ustar"
"""Where a tar archive says what it is."""
_BROKEN: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
                  pa.ArrowException, RuntimeError, NotImplementedError)  # fmt: skip
_LONGEST_MAGIC: Final = 8
T = TypeVar("T")


@dataclass(frozen=True)
class Plain:
    """A file without its packing."""

    path: Path
    """Where the plain bytes are."""
    kind: Kind
    packings: tuple[str, ...] = ()
    """From the outermost inwards, such as ("zip", "gzip")."""


def first_bytes(path: Path, n: int = 512) -> bytes:
    with path.open("rb") as stream:
        return stream.read(n)


def packing_of(head: bytes) -> Packing | None:
    """The packing that a file's first bytes show; a workbook is packed too (see `is_workbook`).

    >>> packing_of(b"BZh91AY"), packing_of(b"user_id,action")
    ('bz2', None)
    """
    for magic, packing in _MAGIC:
        if head.startswith(magic):
            return packing
    return None


def is_workbook(path: Path) -> bool:
    """Whether a file is a workbook: .xlsx, .xlsb, .xls, .ods or the like."""
    head = first_bytes(path, _LONGEST_MAGIC)
    if head == _OLD_WORKBOOK:
        return True
    if packing_of(head) != "zip":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if any(name.startswith("xl/workbook.") for name in names):
                return True
            return "mimetype" in names and b"opendocument" in archive.read("mimetype")
    except _BROKEN:
        return False


def kind_of(path: Path) -> Kind:
    """What a file holds that is not packed. SourceError for kinds that give no table."""
    head = first_bytes(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    if is_workbook(path):
        return "workbook"
    refuse_foreign(head, str(path))
    return "text"


def refuse_foreign(head: bytes, shown: str) -> None:
    """SourceError where the first 512 bytes of a plain file are of no table and no text."""
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        raise SourceError(f"{shown} is a tar archive; unpack it: tar -xf FILE")
    for magic, words in _UNKNOWN:
        if head.startswith(magic):
            remedy = "save its table as CSV, JSON lines, Parquet or a workbook"
            if words.endswith("archive"):
                remedy = "unpack it"
            raise SourceError(f"{shown} is {words}; {remedy}")


def unpack(path: Path, scratch: Path, member: str | None = None, shown: str = "") -> Plain:
    """A file as a plain one: itself, or a copy below `scratch` with every packing undone.

    `member` names the file of a zip. Raises SourceError naming `shown` for an archive that
    breaks off, and for a zip of several tables.
    """
    shown = shown or str(path)
    packings: list[str] = []
    while (packing := packing_of(first_bytes(path))) is not None and not is_workbook(path):
        out = scratch / f"{path.name[:80]}.{len(packings)}.plain"
        scratch.mkdir(parents=True, exist_ok=True)
        with _unpacked(path, packing, member, shown) as stream, out.open("wb") as target:
            guarded(shown, partial(shutil.copyfileobj, stream, target, CHUNK))
        packings.append(packing)
        path, member = out, None
        if path.stat().st_size == 0:
            raise SourceError(f"{shown} holds nothing; remove it from the source or pack it again")
    return Plain(path, kind_of(path), tuple(packings))


@contextmanager
def open_unpacked(path: Path, member: str | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a file with one packing undone, as a stream that is not written anywhere."""
    packing = packing_of(first_bytes(path))
    if packing is None:
        with path.open("rb") as stream:
            yield stream
        return
    with _unpacked(path, packing, member, str(path)) as unpacked:
        yield unpacked


def guarded(shown: str, read: Callable[[], T]) -> T:
    """What `read` gives; SourceError where the archive `shown` breaks off."""
    try:
        return read()
    except _BROKEN as error:
        raise SourceError(
            f"{shown} cannot be unpacked to its end ({_reason(error)}); copy the file again"
        ) from error


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _unpacked(path: Path, packing: Packing, member: str | None, shown: str) -> Iterator[IO[bytes]]:
    if packing == "zip":
        archive = guarded(shown, lambda: zipfile.ZipFile(path))
        with archive:
            name = member if member is not None else _only_member(archive, shown)
            if name not in archive.namelist():
                listed = ", ".join(repr(one) for one in members(archive)[:10])
                raise SourceError(f"{shown} holds no {name!r}; it holds {listed}")
            with guarded(shown, lambda: archive.open(name)) as stream:
                yield stream
    elif packing == "xz":
        with lzma.open(path) as unpacked:
            yield cast("IO[bytes]", unpacked)
    else:
        stream = guarded(shown, lambda: pa.CompressedInputStream(str(path), packing))
        try:
            yield cast("IO[bytes]", _Readable(stream))
        finally:
            stream.close()


class _Readable:
    """An Arrow stream whose `read` gives bytes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, n: int = -1) -> bytes:
        return bytes(self._stream.read(None if n < 0 else n))


def members(archive: zipfile.ZipFile) -> list[str]:
    """The files of a zip that may be tables, without folders and what systems add."""
    return [
        info.filename for info in archive.infolist()
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and not info.filename.rsplit("/", 1)[-1].startswith(".")
    ]  # fmt: skip


_NO_TABLE: Final = (
    ".md", ".txt.license", ".pdf", ".html", ".htm", ".png", ".jpg", ".jpeg", ".gif", ".py", ".toml",
    ".yaml", ".yml", ".rst", ".docx", ".doc",
)  # fmt: skip


def _only_member(archive: zipfile.ZipFile, shown: str) -> str:
    names = members(archive)
    tables = [name for name in names if not _is_description(name)]
    if len(tables) == 1:
        return tables[0]
    if len(names) == 1:
        return names[0]
    if not names:
        raise SourceError(f"{shown} holds no file; pack it again")
    listed = ", ".join(repr(name) for name in (tables or names)[:10])
    raise SourceError(
        f"{shown} holds {len(tables or names)} files: {listed}; name one of them, such as "
        f'"{Path(shown).name}#{(tables or names)[0]}", or unpack the archive'
    )


def _is_description(name: str) -> bool:
    """Whether a file of an archive is a text about the data, by its name.

    >>> _is_description("data/README.txt"), _is_description("ratings.csv")
    (True, False)
    """
    plain = name.rsplit("/", 1)[-1].casefold()
    return plain.startswith(("readme", "license", "licence")) or plain.endswith(_NO_TABLE)
