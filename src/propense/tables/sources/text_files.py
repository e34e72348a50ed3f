"""Text files as bytes: encodings, delimiters, headers."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import pyarrow as pa

from propense.errors import SourceError

CHUNK: Final = 1 << 20
_HEAD: Final = 1 << 16
_DELIMITERS: Final = (",", "\t", ";", "|", "::", "\x01")
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TYPED_HEADER: Final = re.compile(r"^(.+):(token|token_seq|float|float_seq)$")
INNER_DELIMITER: Final = "\x1f"
"""What a delimiter of several characters, or runs of blanks, become in scratch."""


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where it ends in .gz (or .bz2, .zst, .lz4)."""
    try:
        stream = pa.input_stream(str(path), compression="detect")
    except FileNotFoundError as error:
        raise SourceError(f"file {path} does not exist") from error
    try:
        yield stream
    finally:
        stream.close()


def read_chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, a mebibyte at a time; SourceError if a packed file breaks off."""
    with open_bytes(path) as stream:
        try:
            while chunk := stream.read(CHUNK):
                yield bytes(chunk)
        except (OSError, pa.ArrowInvalid) as error:
            raise SourceError(
                f"{path} cannot be unpacked to its end ({error}); copy the file again"
            ) from error


def detect_encoding(path: Path, declared: str = "auto") -> str:
    """The codec of a text file: what was declared, its byte order mark, UTF-8, or GB18030.

    The whole file is looked at, since the first Chinese word may come late.
    Raises SourceError naming the byte that fits none.
    """
    head = next(read_chunks(path), b"")
    for prefix, codec in _BOMS:
        if head.startswith(prefix):
            return codec
    codecs_to_try = ("utf-8", "gb18030") if declared == "auto" else (declared,)
    failures: list[str] = []
    for codec in codecs_to_try:
        decoder = codecs.getincrementaldecoder(codec)()
        position = 0
        try:
            for chunk in read_chunks(path):
                decoder.decode(chunk)
                position += len(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            failures.append(f"{codec} near byte {position + error.start:,}: {error.reason}")
        else:
            return codec
    raise SourceError(
        f"{path} is not text in {' or '.join(codecs_to_try)} ({'; '.join(failures)}); "
        'save it as UTF-8, or name its encoding = "utf-8" or "gb18030"'
    )


def read_head(path: Path, encoding: str) -> list[str]:
    """The first lines of a file, whole ones only."""
    head = b""
    for chunk in read_chunks(path):
        head += chunk
        if len(head) >= _HEAD:
            break
    text = codecs.getincrementaldecoder(encoding)().decode(head[:_HEAD], final=False)
    lines = text.splitlines(keepends=True)
    if len(head) > _HEAD and len(lines) > 1:
        lines = lines[:-1]
    return [line.rstrip("\r\n") for line in lines if line.strip()]


def sniff_delimiter(lines: list[str]) -> str:
    """The delimiter that cuts the lines into the most even number of fields.

    >>> sniff_delimiter(["user;item;price", "1;2;3,50", "4;5;6,70"])
    ';'

    Where none cuts them, blanks do if they are even ("user item" files), else a comma (one column).
    """
    best, best_score = ",", 0.0
    for delimiter in (*_DELIMITERS, " "):
        counts = [_count(line, delimiter) for line in lines[:200]]
        wanted = counts[0] if counts else 0
        if wanted == 0:
            continue
        even = sum(count == wanted for count in counts) / len(counts)
        score = even + min(wanted, 50) / 1000 - (0.5 if delimiter == " " else 0.0)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _count(line: str, delimiter: str) -> int:
    """Delimiters outside quotes; blanks count in runs."""
    if delimiter == " ":
        return len(line.split()) - 1
    if '"' not in line:
        return line.count(delimiter)
    return sum(part.count(delimiter) for part in line.split('"')[::2])


def split_header(line: str, delimiter: str) -> list[str]:
    """The column names of a header line, plain, none empty, none twice.

    >>> split_header("user_id:token\\tItem\\titem\\t", "\\t")
    ['user_id', 'Item', 'item 2', 'column 4']
    """
    if delimiter == " ":
        fields = line.split()
    elif len(delimiter) > 1:
        fields = line.split(delimiter)
    else:
        fields = next(csv.reader(io.StringIO(line), delimiter=delimiter), [])
    return plain_names(fields)


def plain_names(fields: list[str]) -> list[str]:
    """Names without type suffix and blanks, made unique without regard to case."""
    used: set[str] = set()
    names = []
    for position, field in enumerate(fields, start=1):
        name = field.strip().lstrip("\ufeff")
        typed = _TYPED_HEADER.match(name)
        name = (typed[1] if typed else name) or f"column {position}"
        unique, number = name, 1
        while unique.casefold() in used:
            number += 1
            unique = f"{name} {number}"
        used.add(unique.casefold())
        names.append(unique)
    return names


def as_utf8(path: Path, out: Path, encoding: str, delimiter: str | None) -> Path:
    """`path` itself if it can be read as it is, otherwise its text as UTF-8 in `out`.

    A delimiter of several characters, and runs of blanks, become INNER_DELIMITER.
    """
    several = delimiter is not None and (len(delimiter) > 1 or delimiter == " ")
    if encoding == "utf-8" and not several:
        return path
    decoder = codecs.getincrementaldecoder(encoding)()
    rest = ""
    with out.open("w", encoding="utf-8", newline="") as target:
        for chunk in read_chunks(path):
            text = rest + decoder.decode(chunk)
            cut = text.rfind("\n") + 1
            text, rest = text[:cut], text[cut:]
            target.write(_redelimit(text, delimiter) if several else text)
        text = rest + decoder.decode(b"", final=True)
        target.write(_redelimit(text, delimiter) if several else text)
    return out


def _redelimit(text: str, delimiter: str | None) -> str:
    if delimiter == " ":
        text = re.sub(r"(?m)^[ \t]+|[ \t]+(?=\r?$)", "", text)
        return re.sub(r"[ \t]+", INNER_DELIMITER, text)
    return text.replace(delimiter or "", INNER_DELIMITER)
