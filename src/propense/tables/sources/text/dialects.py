"""How the text files of one source are written, judged over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from propense.errors import SourceError
from propense.tables.sources.text.column_order import misfit
from propense.tables.sources.text.delimiters import delimiter_scores, folded, plain_names
from propense.tables.sources.text.headers import (
    Header,
    HeadRow,
    ends_empty,
    find_header,
    head_rows,
    looks_like_data,
    refuse_cut_decimals,
)
from propense.tables.sources.text.quoting import escapes_quotes, unescape
from propense.tables.sources.text.tokens import Kind, kinds_of

_SHOWN: Final = {"\t": "tab", " ": "blanks", ",": "comma", ";": "semicolon", "|": "bar"}


@dataclass(frozen=True)
class Declared:
    """What the settings say of a source's text."""

    delimiter: str | None = None
    quoting: str = "auto"
    header: bool | None = None
    skip_lines: int | None = None
    wanted: tuple[str, ...] = ()
    """The file's own names that the settings map."""
    canonical: tuple[str, ...] = ()
    """Names that need no mapping."""


@dataclass(frozen=True)
class Dialect:
    """How one file is written."""

    delimiter: str
    quoting: str
    """"standard" (a quote in a quoted cell is doubled), "backslash" or "none"."""
    names: tuple[str, ...]
    skip: int
    """Lines above the first row."""
    width: int
    """Cells of a row: one more than there are names where every row ends with a delimiter."""
    kinds: tuple[Kind, ...] = ()
    header_cells: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """For the account.

        >>> Dialect("\\t", "none", ("a",), 1, 1).words
        'tab, no quoting, no header'
        """
        shown = _SHOWN.get(self.delimiter, repr(self.delimiter))
        quoting = {"standard": "", "none": ", no quoting", "backslash": ", backslash escapes"}
        header = "" if self.header_cells is not None else ", no header"
        return shown + quoting[self.quoting] + (header if self.names else "")


@dataclass(frozen=True)
class Head:
    """The first lines of one file, in UTF-8."""

    shown: str
    text: bytes
    quoting: str = "standard"

    def lines(self) -> list[str]:
        return [line.rstrip("\r") for line in self.text.decode("utf-8", "replace").split("\n")]


def detect_delimiters(heads: Sequence[Head], declared: Declared) -> list[str]:
    """The delimiter of each file: the one that cuts the lines of all files most evenly.

    A file that another delimiter cuts far better, into the names of the settings, has its own.
    """
    if declared.delimiter is not None:
        return [declared.delimiter] * len(heads)
    totals: dict[str, float] = {}
    each = []
    for head in heads:
        scores = delimiter_scores(head.lines()[:400])
        for delimiter in scores:
            scores[delimiter] += _named_bonus(head, delimiter, declared)
            totals[delimiter] = totals.get(delimiter, 0.0) + scores[delimiter]
        each.append(scores)
    best = max(totals, key=lambda one: totals[one], default=",")
    chosen = []
    for scores in each:
        own = max(scores, key=lambda one: scores[one], default=best)
        better = scores.get(own, 0.0) - scores.get(best, 0.0)
        chosen.append(own if better > 0.5 else best)
    return chosen


def first_quoting(heads: Sequence[Head], declared: Declared) -> str:
    """The quoting that the first lines show: "backslash", or "standard" to begin with."""
    if declared.quoting != "auto":
        return declared.quoting
    delimiters = detect_delimiters(heads, declared)
    escaped = (escapes_quotes(head.text, one) for head, one in zip(heads, delimiters, strict=True))
    return "backslash" if any(escaped) else "standard"


def _named_bonus(head: Head, delimiter: str, declared: Declared) -> float:
    rows = head_rows(head.text[: 1 << 14], delimiter, head.quoting != "none")
    header = find_header(rows, declared.wanted, declared.canonical, False)
    return float(header.n_named)


def infer_dialects(heads: Sequence[Head], declared: Declared) -> list[Dialect]:
    """How each file of a source is written; names, where a header is missing, from the others.

    Raises SourceError for a file whose header shares no name with the others.
    """
    delimiters = detect_delimiters(heads, declared)
    heads = [
        replace(head, text=unescape(head.text, delimiter.encode()))
        if head.quoting == "backslash"
        else head
        for head, delimiter in zip(heads, delimiters, strict=True)
    ]
    rows = [
        head_rows(head.text, delimiter, head.quoting != "none")
        for head, delimiter in zip(heads, delimiters, strict=True)
    ]
    return infer_from_rows(heads, rows, delimiters, declared)


def infer_from_rows(
    heads: Sequence[Head], rows: Sequence[Sequence[HeadRow]], delimiters: Sequence[str],
    declared: Declared,
) -> list[Dialect]:  # fmt: skip
    """The same where the first rows of the files are known already."""
    positional = bool(declared.wanted) and all(name.isdigit() for name in declared.wanted)
    headers = []
    for head, own in zip(heads, rows, strict=True):
        headers.append(
            find_header(
                own,
                declared.wanted,
                declared.canonical,
                positional,
                declared.header,
                declared.skip_lines,
            )
        )
        if head.text:
            _refuse_delimiter(head, headers[-1], declared)
            if not positional and declared.header is not False:
                refuse_cut_decimals(own, head.shown)
    reference = _reference(headers)
    return [
        _dialect(
            head, delimiter, _beside(index, headers, reference, heads), headers, reference, heads
        )
        for index, (head, delimiter) in enumerate(zip(heads, delimiters, strict=True))
    ]


def _refuse_delimiter(head: Head, header: Header, declared: Declared) -> None:
    if declared.delimiter is None or header.width > 1:
        return
    scores = delimiter_scores(head.lines()[:400])
    guess = max(scores, key=lambda one: scores[one], default=declared.delimiter)
    if guess != declared.delimiter and guess != " ":
        first = head.lines()[0][:80]
        raise SourceError(
            f"{head.shown}: delimiter {declared.delimiter!r} does not occur in the header "
            f"{first!r}; did you mean {guess!r}?"
        )


def _reference(headers: Sequence[Header]) -> int | None:
    """The file whose header names the columns of files without one."""
    named = [index for index, header in enumerate(headers) if header.cells is not None]
    if not named:
        return None
    return max(named, key=lambda index: (headers[index].n_named, -index))


def _beside(
    index: int, headers: Sequence[Header], reference: int | None, heads: Sequence[Head]
) -> Header:
    """The header of one file, in the light of the others: it may be a row of data."""
    header = headers[index]
    if reference is None or index == reference or header.cells is None:
        return header
    own = _folded_names(header.cells)
    if any(own & _folded_names(other.cells) for other in _named(headers, index)):
        return header
    first = headers[reference]
    row = HeadRow(header.line, 1, tuple(cell.encode() for cell in header.cells))
    if len(header.cells) == first.width and looks_like_data(row, first.data, first.width):
        return Header(None, header.line, (row, *header.data))
    raise SourceError(
        f"{heads[index].shown}: its header {', '.join(header.cells)[:80]!r} shares no name with "
        f"that of {heads[reference].shown}, {', '.join(first.cells or ())[:80]!r}; give the file "
        "a source of its own, or header = false where the files have none"
    )


def _named(headers: Sequence[Header], without: int) -> list[Header]:
    return [one for i, one in enumerate(headers) if i != without and one.cells is not None]


def _folded_names(cells: Sequence[str] | None) -> set[str]:
    return {name.casefold() for name in plain_names(cells or ())}


def _dialect(
    head: Head, delimiter: str, header: Header, headers: Sequence[Header], reference: int | None,
    heads: Sequence[Head],
) -> Dialect:  # fmt: skip
    width, notes = header.width, []
    rows = [row.cells for row in header.data if not row.blank]
    if header.cells is not None:
        notes += _repeated(header.cells)
        if header.line:
            notes.append(f"the header is line {header.line + 1:,}")
        width = _width_of_rows(header, rows)
        names = _names(header, width)
    elif reference is not None:
        first = headers[reference]
        if width != first.width:
            raise SourceError(
                f"{head.shown} has no header and {width} columns, while {heads[reference].shown} "
                f"has {first.width}; give the file a source of its own, or a header line"
            )
        names = _names(first, width)
        _refuse_other_order(head.shown, rows, heads[reference].shown, first, names)
        notes.append(f"no header: read under the names of {heads[reference].shown}")
    else:
        names = [str(number) for number in range(1, width + 1)]
        notes.append("no header: the columns are named by their positions")
    kinds = kinds_of(rows, width)
    return Dialect(
        delimiter, head.quoting, tuple(names), header.skip, width, kinds, header.cells, tuple(notes)
    )


def _refuse_other_order(
    shown: str, rows: Sequence[Sequence[bytes]], named: str, first: Header, names: Sequence[str]
) -> None:
    """SourceError where the cells of a file without header are unlike those under the names."""
    cells = [row.cells for row in first.data if not row.blank]
    doubt = misfit(cells, rows, first.width)
    if doubt is None:
        return
    one, two = doubt
    if one == two:
        reason = f"its column {one + 1} does not look like {names[one]!r}"
    else:
        reason = (
            f"its columns {one + 1} and {two + 1} look like {names[two]!r} and {names[one]!r} "
            "of that file, the other way round"
        )
    raise SourceError(
        f"{shown} line 1: the file has no header, and cannot be read under the names of {named}, "
        f"{', '.join(names)[:80]!r}: {reason}; write a header line into the file, or give it a "
        "source of its own"
    )


def _names(header: Header, width: int) -> list[str]:
    """The names of a header; not of its last cell where every row ends with a delimiter."""
    cells = header.cells or ("",)
    names = plain_names(cells)
    rows = [row.cells for row in header.data if not row.blank]
    return names[:-1] if not cells[-1].strip() and ends_empty(rows, width) else names


def _repeated(cells: Sequence[str]) -> list[str]:
    """Names that stand twice, and what the second is called."""
    names = plain_names(cells)
    folds = [folded(cell).casefold() for cell in cells]
    return [
        f"{cell.strip()!r} stands twice in the header; the second is called {name!r}"
        for index, (cell, name) in enumerate(zip(cells, names, strict=True))
        if cell.strip() and folds[index] in folds[:index]
    ]


def _width_of_rows(header: Header, rows: Sequence[Sequence[bytes]]) -> int:
    """Cells of a row: those of the header, or one more where rows end with a delimiter."""
    width = header.width
    longer = [row for row in rows if len(row) == width + 1]
    if rows and len(longer) > 0.8 * len(rows) and ends_empty(longer, width + 1):
        return width + 1
    return width
