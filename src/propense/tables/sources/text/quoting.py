"""Whether quotes enclose cells or are text, judged over all files of a source."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from propense.errors import SourceError
from propense.tables.sources.text.records import Shape, blocks
from propense.tables.sources.text.tokens import LONGEST_ROW, QUOTE, read_row

_QUOTED: Final = rb'"[^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+"'
_MOST_EXAMPLES: Final = 200
_MOST_UNCLOSED: Final = 0.01
_FEW_UNCLOSED: Final = 10


@dataclass
class Quotes:
    """What the quotes of one file do."""

    n_rows: int = 0
    n_enclosing: int = 0
    """Pairs of quotes around cells, about."""
    n_lone: int = 0
    """Lines with a doubtful quote that have the cells of the others if quotes are text."""
    n_unclosed: int = 0
    """Lines with a doubtful quote that have not."""
    first: int = 0
    """The first such line."""
    n_escaped: int = 0
    """Such lines, of those kept, that are right once a backslash escapes a quote."""
    examples: list[bytes] = field(default_factory=list)

    @property
    def n_doubtful(self) -> int:
        return self.n_lone + self.n_unclosed


def survey_quotes(path: Path, skip: int, skip_lines: int, shape: Shape) -> Quotes:
    """Look at every quote of a file that has any."""
    if not _has_quotes(path):
        return Quotes()
    with path.open("rb") as stream:
        stream.seek(skip)
        return quotes_in(stream, skip_lines, shape)


def quotes_in(stream: IO[bytes], skip_lines: int, shape: Shape) -> Quotes:
    """The same for a text from its first line."""
    quotes = Quotes()
    line = skip_lines
    for _ in range(skip_lines):
        stream.readline()
    for records in blocks(stream, shape):
        doubtful = sorted([*records.lone_lines, *records.unclosed_lines])
        quotes.n_rows += records.n_rows
        quotes.n_enclosing += max(records.data.count(QUOTE) // 2 - len(doubtful), 0)
        quotes.n_lone += len(records.lone_lines)
        quotes.n_unclosed += len(records.unclosed_lines)
        if doubtful and not quotes.first:
            quotes.first = line + doubtful[0] + 1
        for one in doubtful[: _MOST_EXAMPLES - len(quotes.examples)]:
            quotes.examples.append(records.data[records.line_starts[one] : records.line_ends[one]])
        line += records.n_lines
    quotes.n_escaped = sum(
        _is_right(unescape(text, shape.delimiter), shape) for text in quotes.examples
    )
    return quotes


def _has_quotes(path: Path) -> bool:
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            if QUOTE in chunk:
                return True
    return False


def _is_right(text: bytes, shape: Shape) -> bool:
    cells, _, state = read_row(text, 0, shape.delimiter)
    return state == "whole" and len(cells) == shape.width


def unescape(text: bytes, delimiter: bytes) -> bytes:
    r"""Text with doubled quotes where backslashes escaped them.

    A row whose quotes do not enclose cells stays as it is, up to the end of its line.

    >>> unescape(rb'1,"a \"b\" c:\\",2', b",")
    b'1,"a ""b"" c:\\",2'
    """
    return b"".join(unescaped_blocks([text], delimiter))


def unescaped_blocks(chunks: Iterable[bytes], delimiter: bytes) -> Iterator[bytes]:
    """The same for a text of many chunks, of which a few are held at a time."""
    row, cell = _patterns(delimiter)
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        done, used = _unescaped(data, row, cell, last=False)
        yield done
        rest = data[used:]
    # A line feed ends the last row too.
    yield _unescaped(rest + b"\n", row, cell, last=True)[0][:-1]


def _patterns(delimiter: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """A row of one or several lines, and a quoted cell at its start or behind a delimiter."""
    cut = rb"[ \t]++" if delimiter == b" " else re.escape(delimiter)
    bare = rb'(?!")(?:(?!' + cut + rb")[^\n])*+"
    one = rb"(?:" + _QUOTED + rb"(?=" + cut + rb"|\r?\n)|" + bare + rb")"
    row = rb"(?:" + one + cut + rb")*+" + one + rb"\r?\n"
    cell = rb"(" + cut + rb"|^)(?:(" + _QUOTED + rb")|" + bare + rb")"
    return re.compile(row, re.DOTALL), re.compile(cell, re.DOTALL)


def _unescaped(
    data: bytes, row: re.Pattern[bytes], cell: re.Pattern[bytes], last: bool
) -> tuple[bytes, int]:
    """The rows of a block, and the bytes used: rows that may go on behind it are not."""
    done, position = [], 0
    while 0 <= (end := data.find(b"\n", position)):
        text = data[position : end + 1]
        if QUOTE in text:
            match = row.match(data, position, position + LONGEST_ROW)
            if match is None and not last and len(data) - position < LONGEST_ROW:
                break
            text = text if match is None else match[0]
            escapes = match is not None and b"\\" in text
            done.append(cell.sub(_doubled, text) if escapes else text)
        else:
            done.append(text)
        position += len(text)
    return b"".join(done), position


def _doubled(cell: re.Match[bytes]) -> bytes:
    if cell[2] is None:
        return cell[0]
    inner = cell[2][1:-1]
    return cell[1] + (
        QUOTE + re.sub(rb'\\(["\\])', lambda one: one[1] * (1 + (one[1] == QUOTE)), inner) + QUOTE
    )


def escapes_quotes(head: bytes, delimiter: str) -> bool:
    r"""Whether the quotes of the first lines enclose cells once a backslash escapes a quote.

    >>> escapes_quotes(rb'"1","a \"b\", c"', ","), escapes_quotes(rb'"1","c:\"', ",")
    (True, False)
    """
    if b'\\"' not in head or delimiter == " ":
        return False
    encoded = delimiter.encode()
    n_loose = _n_loose(head, encoded)
    return n_loose > 0 and _n_loose(unescape(head, encoded), encoded) <= n_loose / 10


def _n_loose(head: bytes, delimiter: bytes) -> int:
    """Rows with a quote that does not enclose a cell."""
    n_loose = position = 0
    while position < len(head):
        _, end, state = read_row(head, position, delimiter)
        if state != "whole":
            n_loose += 1
            end = head.find(b"\n", position)
            end = len(head) if end < 0 else end
        position = end + 1
    return n_loose


def detect_quoting(files: Sequence[tuple[str, Quotes]], declared: str) -> str:
    """ "standard", "backslash" or "none" for a source, of (file, its quotes).

    Raises SourceError naming the file and the first line where many quotes never close.
    """
    if declared != "auto":
        return declared
    n_doubtful = sum(quotes.n_doubtful for _, quotes in files)
    if not n_doubtful:
        return "standard"
    examples = sum(len(quotes.examples) for _, quotes in files)
    if sum(quotes.n_escaped for _, quotes in files) > examples / 2:
        return "backslash"
    n_lone = sum(quotes.n_lone for _, quotes in files)
    n_enclosing = sum(quotes.n_enclosing for _, quotes in files)
    n_unclosed = n_doubtful - n_lone
    if n_lone > n_enclosing / 2 and n_unclosed <= n_lone / 100:
        return "none"
    n_rows = sum(quotes.n_rows for _, quotes in files)
    if n_unclosed > max(_FEW_UNCLOSED, _MOST_UNCLOSED * n_rows):
        shown, quotes = next(one for one in files if one[1].n_unclosed)
        raise SourceError(
            f"{shown} line {quotes.first:,}: a quote does not enclose a whole cell, and so on "
            f"{n_unclosed:,} lines of the source, which then have not the cells of the others; "
            'correct the export, or set quoting = "none" where quotes are text, '
            '"backslash" where \\" stands for a quote'
        )
    return "standard"
