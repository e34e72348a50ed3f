"""The delimiter of text, and names from header cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from propense.tables.sources.text.tokens import kind_of_cell

_DELIMITERS: Final = (",", "\t", ";", "|", "\x01", "\x1f", "^", "~", "¦")
_RUN: Final = re.compile(r"[^\w\s\"'.,;\-]{2,3}")
_REPEATED: Final = re.compile(r"([^\w\s\"'.,;\-])\1+")
_TYPED_HEADER: Final = re.compile(r"^(.+):(token|token_seq|float|float_seq)$")
_LOOKED_AT: Final = 300
_MOST_JOINED: Final = 6
_OWN_NAMES: Final = ("_row", "_line", "_broken")
"""Columns that reading adds."""
_BLANK_PENALTY: Final = 0.5
_LONG_BONUS: Final = 0.06
_TYPED: Final = ("integer", "number", "date")
_FEW_LINES: Final = 5
"""So few lines may not show which of two signs is a cell's own."""
_MOST_ALONE: Final = 0.4
"""A cell can have the sign that is twice a delimiter."""
DELIMITER_LINE: Final = re.compile(r"""^["']?sep=(.{1,3}?)["']?$""", re.IGNORECASE)
"""The line `sep=;` that Excel reads the delimiter from."""


def delimiter_scores(lines: Sequence[str]) -> dict[str, float]:
    """Delimiter -> how evenly it cuts the lines, 1 for all alike; more cells count a little more.

    >>> scores = delimiter_scores(["user;item;price", "1;2;3,50", "4;5;6,70"])
    >>> max(scores, key=scores.get)
    ';'
    """
    lines = [line for line in lines if line.strip()][:_LOOKED_AT]
    if lines and (named := DELIMITER_LINE.match(lines[0].strip())) is not None:
        return {named[1]: 2.0}
    lines = _joined(lines)
    scores = {}
    for delimiter in (*_DELIMITERS, *_long_delimiters(lines), " "):
        counts = Counter(count_delimiters(line, delimiter) for line in lines)
        counts.pop(0, None)
        if not counts:
            continue
        usual, n = max(counts.items(), key=lambda one: (one[1], one[0]))
        score = n / len(lines) + min(usual, 50) / 1000
        if len(delimiter) > 1:
            score += _LONG_BONUS
        if delimiter == " ":
            score -= _BLANK_PENALTY
        header = next(line for line in lines if count_delimiters(line, delimiter) == usual)
        if header is not lines[0] and any(sign.isdigit() for sign in header):
            score -= 0.3  # The lines that it cuts begin with data: the header is cut otherwise.
        scores[delimiter] = score
    return scores


def _joined(lines: Sequence[str]) -> list[str]:
    """Lines of one row as one, where a quoted cell goes over a few of them."""
    rows: list[str] = []
    index = 0
    while index < len(lines):
        row, n = lines[index], 1
        while row.count('"') % 2 and n < _MOST_JOINED and index + n < len(lines):
            row += " " + lines[index + n]
            n += 1
        whole = row.count('"') % 2 == 0
        rows.append(row if whole else lines[index])
        index += n if whole else 1
    return rows


def sniff_delimiter(lines: Sequence[str]) -> str:
    """The delimiter that cuts the lines into the most even number of cells; a comma if none does.

    >>> sniff_delimiter(["9::107::1", "31::111::2"]), sniff_delimiter(["user item", "1 2"])
    ('::', ' ')
    >>> sniff_delimiter(["u23||||cart||||a|b"]), sniff_delimiter(["a|b|c", "u1||3", "u2||4"])
    ('||', '|')
    """
    scores = delimiter_scores(lines)
    return max(scores, key=lambda one: scores[one]) if scores else ","


def _long_delimiters(lines: Sequence[str]) -> list[str]:
    """Runs of two or three signs that stand in many lines."""
    runs = Counter(run for line in lines[:20] for run in _runs(line))
    often = [run for run, n in runs.items() if n >= 0.3 * min(len(lines), 20)]
    return [
        run for run in often
        if run == run[::-1] and run != "//" and not _stands_alone(lines, run)
    ]  # fmt: skip


def _runs(line: str) -> set[str]:
    """Runs of two or three signs; of one sign that stands more often in a row too."""
    several = {match[0] for match in _REPEATED.finditer(line)}
    parts = {one[:n] for one in several for n in (2, 3) if len(one) % n == 0}
    return parts | set(_RUN.findall(line))


def _stands_alone(lines: Sequence[str], run: str) -> bool:
    """Whether the sign of a run such as "||" also stands alone: then it is the delimiter."""
    if len(set(run)) > 1 or run[0] not in _DELIMITERS:
        return False
    shares = [_share_alone(line, run) for line in lines]
    often = sum(share > 0 for share in shares) > max(0.6 * len(lines), 2)
    most = sum(share > _MOST_ALONE for share in shares) > 0.3 * len(lines)
    few = len(lines) <= _FEW_LINES and any(_cuts_typed(line, run) for line in lines)
    return shares[0] > _MOST_ALONE or most or often or few


def _cuts_typed(line: str, run: str) -> bool:
    """Whether a number or a date stands beside a sign that is not `run` once or several times.

    >>> _cuts_typed("u1||view|2024-12-08 10:00||blue", "||"), _cuts_typed("u1||||a|b", "||")
    (True, False)
    """
    parts = re.split(f"((?:{re.escape(run[0])})+)", line)
    return any(
        len(parts[index]) % len(run) > 0
        and any(kind_of_cell(parts[beside].encode()) in _TYPED for beside in (index - 1, index + 1))
        for index in range(1, len(parts), 2)
    )


def _share_alone(line: str, run: str) -> float:
    """Of the runs of a sign, the share that is not `run` once or several times."""
    lengths = [len(part) for part in re.findall(f"(?:{re.escape(run[0])})+", line)]
    return sum(length % len(run) > 0 for length in lengths) / max(len(lengths), 1)


def count_delimiters(line: str, delimiter: str) -> int:
    """Delimiters outside quotes; blanks count in runs."""
    if delimiter == " ":
        return max(len(line.split()) - 1, 0)
    if '"' not in line or line.count('"') % 2:
        return line.count(delimiter)
    return sum(part.count(delimiter) for part in line.split('"')[::2])


def plain_names(cells: Sequence[str]) -> list[str]:
    """Column names: without type suffix, blanks and line breaks, none empty, none twice.

    >>> plain_names(["user_id:token", "Item", "item", "", "amount\\n(EUR)"])
    ['user_id', 'Item', 'item 2', 'column 4', 'amount (EUR)']
    """
    used = set(_OWN_NAMES)
    names = []
    for position, cell in enumerate(cells, start=1):
        name = folded(cell)
        typed = _TYPED_HEADER.match(name)
        name = (typed[1] if typed else name) or f"column {position}"
        unique, number = name, 1
        while unique.casefold() in used:
            number += 1
            unique = f"{name} {number}"
        used.add(unique.casefold())
        names.append(unique)
    return names


def folded(cell: str) -> str:
    """A header cell on one line, without byte order mark and outer blanks.

    >>> folded("amount\\r\\n (EUR)")
    'amount (EUR)'
    """
    text = cell.strip().lstrip("\ufeff").strip()
    return " ".join(text.split()) if re.search(r"[\r\n\t\v\f]", text) else text
