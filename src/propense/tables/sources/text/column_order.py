"""Whether the columns of two files stand in the same order, told from their cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from typing import Final

from propense.tables.sources.text.tokens import Kind, kind_of_cell, kinds_of

Cells = Sequence[Sequence[bytes]]

_DIGITS: Final = re.compile(rb"\d+")
_FEW: Final = 3
"""Values from which it is worth while to compare them."""
_MARGIN: Final = 0.5


def misfit(named: Cells, others: Cells, width: int) -> tuple[int, int] | None:
    """Two columns of `others` that look like each other's of `named`, or twice the same column
    where its cells are of another kind; None where all columns fit.

    >>> rows = [(b"c1", b"P7", b"3.50"), (b"c2", b"P8", b"4.00"), (b"c3", b"P7", b"9.90")]
    >>> swapped = [(one, two, three) for two, one, three in rows]
    >>> misfit(rows, rows, 3), misfit(rows, swapped, 3)
    (None, (0, 1))
    >>> misfit(rows, [(b"c1", b"P7", b"2024-05-01 10:00")], 3)
    (2, 2)
    """
    named = [row for row in named if len(row) == width]
    others = [row for row in others if len(row) == width]
    kinds, own_kinds = kinds_of(named, width), kinds_of(others, width)
    values = [_values(named, column) for column in range(width)]
    own_values = [_values(others, column) for column in range(width)]
    for one, two in combinations(range(width), 2):
        typed = kinds[one], kinds[two]
        if kinds[one] and kinds[two] and kinds[one] != kinds[two] and typed == (
            own_kinds[two], own_kinds[one]
        ):  # fmt: skip
            return one, two
        if set(typed) <= {"text", "integer", ""} and _crossed(values, own_values, one, two):
            return one, two
    for column in range(width):
        if _differ(kinds[column], own_kinds[column]):
            return column, column
    return None


def _values(rows: Cells, column: int) -> frozenset[bytes]:
    return frozenset(row[column].strip().strip(b'"') for row in rows) - {b""}


def _differ(kind: Kind, own: Kind) -> bool:
    numbers = ("integer", "number")
    return bool(kind and own) and kind != own and not (kind in numbers and own in numbers)


def _crossed(
    values: Sequence[frozenset[bytes]], own: Sequence[frozenset[bytes]], one: int, two: int
) -> bool:
    """Whether the values, or their patterns, of two columns are those of each other's."""
    if len(own[one]) >= _FEW and len(own[two]) >= _FEW and _is_crossed(values, own, one, two):
        return True
    patterns = {column: _patterns(values[column]) for column in (one, two)}
    own_patterns = {column: _patterns(own[column]) for column in (one, two)}
    return not (patterns[one] & patterns[two]) and (
        bool(own_patterns[one] and own_patterns[two])
        and own_patterns[one] <= patterns[two]
        and own_patterns[two] <= patterns[one]
    )


def _is_crossed(
    values: Sequence[frozenset[bytes]], own: Sequence[frozenset[bytes]], one: int, two: int
) -> bool:
    across = _share(own[one], values[two]) + _share(own[two], values[one])
    straight = _share(own[one], values[one]) + _share(own[two], values[two])
    return across >= 2 * _MARGIN and across > straight + _MARGIN


def _share(own: frozenset[bytes], values: frozenset[bytes]) -> float:
    return len(own & values) / len(own)


def _patterns(values: frozenset[bytes]) -> frozenset[bytes]:
    """Texts with every number as one digit; nothing for plain numbers, which are all alike."""
    return frozenset(_DIGITS.sub(b"9", value) for value in values if kind_of_cell(value) == "text")
