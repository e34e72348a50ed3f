"""Corrections of words: blanks, spellings of one category, ids, numbers in text."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

import ibis
from ibis.expr.types import Column

NOTHING: Final = ("", "na", "n/a", "nan", "null", "\\n", "#n/a")
"""Words that stand for a missing value, in lower case."""
NO_ID: Final = (*NOTHING, "none", "undefined", "-")
"""And for a missing id."""
_CURRENCY: Final = (
    r"[$€£¥￥₹₽₩₺元円]|US\$|HK\$|NT\$|R\$|Rs\.?|kr\.?|zł|USD|EUR|GBP|CNY|RMB|JPY|INR|AUD|CAD|CHF|"
    r"HKD|SGD|TWD|KRW|BRL|RUB|SEK|NOK|DKK|PLN"
)
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


def number_of(column: Column) -> Column:
    """A double; text may carry a currency and separators ("¥1,234.50", "12,50 €", "(7.00)").

    Null where there is no number; not-a-number is null, infinity stays for a rule to judge.
    """
    if column.type().is_numeric() or column.type().is_boolean():
        number = column.cast("float64")
        return (number != number).ifelse(ibis.null("float64"), number)
    text = column.cast("string")
    return ibis.cases(
        (text.re_search(_PLAIN), text.try_cast("float64")),
        (text.re_search(r"^\s*\+?([iI]nf|INF|[iI]nfinity)\s*$"), float("inf")),
        (text.re_search(r"^\s*-([iI]nf|INF|[iI]nfinity)\s*$"), float("-inf")),
        (text.re_search(_DECORATED), _decorated(text)),
        else_=ibis.null("float64"),
    )


_PLAIN: Final = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_DECORATED: Final = rf"^\s*[-+(]?\s?(?:{_CURRENCY})?\s?[-+]?[\d.,' ]*\d\s?(?:{_CURRENCY})?\)?\s*$"


def _decorated(text: Column) -> Column:
    """The number in text that has only digits, separators, a sign and a currency."""
    bare = text.re_replace(rf"\s|'|{_CURRENCY}", "")
    return ibis.cases(
        (bare.re_search(r"^[-+(]?\d{1,3}(,\d{3})+(\.\d+)?\)?$"), bare.replace(",", "")),
        (
            bare.re_search(r"^[-+(]?\d{1,3}(\.\d{3})+,\d+\)?$"),
            bare.replace(".", "").replace(",", "."),
        ),
        (bare.re_search(r"^[-+(]?\d+,\d{1,2}\)?$"), bare.replace(",", ".")),
        (bare.re_search(r"^[-+(]?(\d+\.?\d*|\.\d+)\)?$"), bare),
        else_=ibis.null("string"),
    ).replace("(", "-").replace(")", "").try_cast("float64")  # fmt: skip
