"""Text as UTF-8 lines that every later step can read: the file itself, or a copy of it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from propense.tables.sources.text.encodings import UTF_8, Survey, survey
from propense.tables.sources.text.line_ends import LineEnds, line_blocks

CHUNK: Final = 1 << 22
_STAND_INS: Final = ("\x1f", "\x1e", "\x1d", "\x1c", "\x02", "\x03", "\x04", "\x05")
"""Characters that may stand for a delimiter of several characters, where the text has none."""


@dataclass(frozen=True)
class PlainText:
    """Text in UTF-8 whose lines end with a line feed."""

    path: Path
    skip: int = 0
    """Bytes of a byte order mark."""
    n_nul: int = 0
    """Zero bytes that were left out."""
    n_replaced: int = 0
    """Bytes or characters that do not fit the encoding, read as U+FFFD."""
    first_replaced: int = 0
    """The first line with one of them."""
    old_line_ends: bool = False
    """Lines ended with a carriage return alone."""
    n_returns: int = 0
    """Lines that did so in a text whose other lines end with a line feed."""
    first_return: int = 0
    """The first of them."""


def read_chunks(path: Path, skip: int = 0) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(skip)
        while chunk := stream.read(CHUNK):
            yield chunk


def plain_text(
    path: Path, out: Path, codec: str, seen: Survey, delimiter: str | None = None
) -> PlainText:
    """The text of `path` in UTF-8; written to `out` where the file is not that already.

    Zero bytes are left out. Carriage returns become line feeds where they end lines, which
    `delimiter` helps to see where it is known.
    """
    text = _in_utf8(path, out, codec, seen)
    if _is_wide(codec):
        seen = survey(read_chunks(out))
        if _has_old_ends(seen):
            return plain_text(out, out.with_name(out.name + ".lines"), UTF_8, seen)
    if not seen.n_lone_returns or text.old_line_ends:
        return text
    ends = LineEnds(line_blocks(read_chunks(text.path, text.skip)), delimiter)
    copy = out.with_name(out.name + ".lines")
    with copy.open("wb") as target:
        target.writelines(map(ends, line_blocks(read_chunks(text.path, text.skip))))
    if not ends.n_returns:
        copy.unlink()
        return text
    return replace(
        text, path=copy, skip=0, n_returns=ends.n_returns, first_return=ends.first
    )  # fmt: skip


def _in_utf8(path: Path, out: Path, codec: str, seen: Survey) -> PlainText:
    if _is_plain(codec, seen):
        return PlainText(path, seen.bom)
    old = not _is_wide(codec) and _has_old_ends(seen)
    decoder = codecs.getincrementaldecoder(codec)("replace")
    n_nul = n_replaced = first_replaced = n_lines = 0
    with out.open("w", encoding=UTF_8, newline="", errors="replace") as target:
        for chunk in _with_end(path, seen.bom):
            text = decoder.decode(chunk or b"", final=chunk is None)
            if "\0" in text:
                n_nul += text.count("\0")
                text = text.replace("\0", "")
            if "\ufffd" in text:
                n_replaced += text.count("\ufffd")
                before = text[: text.index("\ufffd")]
                first_replaced = first_replaced or n_lines + before.count("\n") + 1
            if old:
                text = text.replace("\r", "\n")
            n_lines += text.count("\n")
            target.write(text)
    return PlainText(out, 0, n_nul, n_replaced, first_replaced, old)


def _is_wide(codec: str) -> bool:
    return codec.replace("_", "-").startswith(("utf-16", "utf-32"))


def _has_old_ends(seen: Survey) -> bool:
    return seen.n_lone_returns > 20 * seen.n_feeds


def _is_plain(codec: str, seen: Survey) -> bool:
    fits = codec == UTF_8 and seen.codec == UTF_8 and not seen.n_odd
    return fits and not seen.n_nul and not _has_old_ends(seen)


def _with_end(path: Path, skip: int) -> Iterator[bytes | None]:
    yield from read_chunks(path, skip)
    yield None


@dataclass(frozen=True)
class Redelimited:
    """A copy whose delimiter is one byte."""

    path: Path
    delimiter: str
    restore: dict[str, str] = field(default_factory=dict)
    """What stands in cells for something else -> what it stands for."""


def needs_stand_in(delimiter: str) -> bool:
    """Whether a delimiter is no single byte that a parser can take.

    >>> [needs_stand_in(one) for one in (",", "::", "\u00a6", " ")]
    [False, True, True, True]
    """
    return len(delimiter.encode()) > 1 or delimiter == " "


def redelimit(text: PlainText, out: Path, delimiter: str) -> Redelimited:
    """A copy in which a delimiter of several characters, or of runs of blanks, is one character."""
    stand_in = free_stand_in(read_chunks(text.path, text.skip))
    restore = {} if delimiter == " " else {stand_in: delimiter}
    with out.open("w", encoding=UTF_8, newline="") as target:
        with text.path.open(encoding=UTF_8, newline="") as source:
            if text.skip:
                source.read(1)
            for line in source:
                target.write(
                    by_blanks(line, stand_in)
                    if delimiter == " "
                    else line.replace(delimiter, stand_in)
                )
    return Redelimited(out, stand_in, restore)


_BLANKS: Final = re.compile(r'("[^"]*")|[ \t]+')


def by_blanks(line: str, stand_in: str) -> str:
    """A line whose runs of blanks outside quotes are one mark.

    >>> by_blanks(' 1  "a b"  c\\n', "|")
    '1|"a b"|c\\n'
    """
    body = line.strip(" \t\r\n")
    end = line[len(line.rstrip("\r\n")) :]
    return _BLANKS.sub(lambda match: match[1] or stand_in, body) + end


def free_stand_in(chunks: Iterable[bytes]) -> str:
    """The first stand-in that a text does not have.

    >>> free_stand_in([b"a\\x1fb", b"c\\x1e"])
    '\\x1d'
    """
    present = set()
    for chunk in chunks:
        present |= {stand_in for stand_in in _STAND_INS if stand_in.encode() in chunk}
    return next((stand_in for stand_in in _STAND_INS if stand_in not in present), _STAND_INS[0])


def with_stand_in(text: bytes, delimiter: str, stand_in: str) -> bytes:
    """A short text with `stand_in` for a delimiter of several characters, or of runs of blanks."""
    lines = text.decode(UTF_8, "replace").split("\n")
    if delimiter == " ":
        return "\n".join(by_blanks(line, stand_in) for line in lines).encode()
    return "\n".join(line.replace(delimiter, stand_in) for line in lines).encode()
