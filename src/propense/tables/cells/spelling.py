"""Corrections of words: blanks, spellings of one category, ids."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

import ibis
from ibis.expr.types import Column

NOTHING: Final = ("", "na", "n/a", "nan", "null", "\\n", "#n/a")
"""Words that stand for a missing value, in lower case."""
NO_ID: Final = (*NOTHING, "none", "undefined", "-")
"""And for a missing word, such as an action."""
MAX_CATEGORIES: Final = 10_000
"""A column with more distinct words is text, whose spellings are left alone."""


def fold(word: str) -> str:
    """What all spellings of a word have in common.

    >>> fold("  New\\u00a0 York ") == fold("new york")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", word).casefold().split())


def best_spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Word -> the spelling to use, for the words that change.

    Of the spellings that differ in case, blanks or Unicode form only, the most frequent is
    used (of equally frequent ones the first in order), with its blanks mended.

    >>> best_spellings({"Pay": 3, "pay": 5, " pay": 1, "view": 2})
    {' pay': 'pay', 'Pay': 'pay'}
    """
    groups: dict[str, dict[str, int]] = {}
    for word, count in counts.items():
        tidy = " ".join(unicodedata.normalize("NFC", word).split())
        group = groups.setdefault(fold(word), {})
        group[tidy] = group.get(tidy, 0) + count
    best = {
        key: min(group, key=lambda word, group=group: (-group[word], word))  # type: ignore[misc]
        for key, group in groups.items()
    }
    changed = {word: best[fold(word)] for word in counts if word != best[fold(word)]}
    return dict(sorted(changed.items()))


def respelled(column: Column, changes: Mapping[str, str]) -> Column:
    """A column with some of its words replaced."""
    if not changes:
        return column
    return ibis.cases(*[(column == old, new) for old, new in changes.items()], else_=column)


def tidy(text: Column) -> Column:
    """Text without blanks around it; only text that has some is touched, which is quicker."""
    edge = text < "!"
    for blank in (" ", "\t", "\r", "\n"):
        edge = edge | text.endswith(blank)
    return edge.ifelse(text.strip(), text)


def trimmed(column: Column, nothing: tuple[str, ...] = NOTHING) -> Column:
    """Text without blanks around it; null for a missing value."""
    text = tidy(column.cast("string"))
    return text.lower().isin(nothing).ifelse(ibis.null("string"), text)


def id_text(column: Column) -> Column:
    """An id as text: whole numbers of a float column lose their ".0"."""
    if column.type().is_floating():
        size = column.abs()
        whole = (size < 1e15) & (column == column.floor())
        text = whole.ifelse(
            whole.ifelse(column, 0.0).cast("int64").cast("string"), column.cast("string")
        )
        return (column != column).ifelse(ibis.null("string"), text)
    if column.type().is_string():
        return trimmed(column, NO_ID)
    return column.cast("string")


def looks_floating(identifier: Column) -> Column:
    """Ids such as "17850.0", which were numbers once."""
    return identifier.contains(".") & identifier.re_search(r"^-?\d+\.0+$")


def without_point_zero(identifier: Column) -> Column:
    return looks_floating(identifier).ifelse(identifier.re_extract(r"^(-?\d+)\.0+$", 1), identifier)
