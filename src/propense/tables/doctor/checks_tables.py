"""The doctor's checks of profiles and catalogues: useless columns, several spellings of a word."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import ibis

from propense.settings import TableSource
from propense.tables.doctor.findings import Finding, some

NEAR_UNIQUE: Final = 0.9
MIN_ROWS: Final = 50
"""Fewer rows say nothing about a column."""
MOSTLY_EMPTY: Final = 0.95
MAX_WORDS: Final = 5000
"""Columns with more different words are not compared word by word."""
_LOOSE: Final = re.compile(r"[^\w]+|_+")


def plain(word: str) -> str:
    """A word without case, width, spaces and punctuation.

    >>> plain("Credit-card "), plain("credit  card"), plain("Ａ１")
    ('credit card', 'credit card', 'a1')
    """
    return _LOOSE.sub(" ", unicodedata.normalize("NFKC", word).casefold()).strip()


def variants(words: Mapping[str, int]) -> list[str]:
    """Words that differ only in case, spaces or punctuation, the most frequent spelling first.

    >>> variants({"pay": 10, "Pay ": 2, "view": 5})
    ["'pay' (10), 'Pay ' (2)"]
    """
    spellings: dict[str, list[str]] = defaultdict(list)
    for word in words:
        if len(bare := plain(word)) >= 2:
            spellings[bare].append(word)
    groups = []
    for same in spellings.values():
        if len(same) > 1:
            same.sort(key=lambda word: (-words[word], word))
            groups.append(", ".join(f"{word!r} ({words[word]:,})" for word in same))
    return sorted(groups)


def check_table(name: str, rows: Any, source: TableSource, key: str) -> list[Finding]:
    """Findings about those columns of a clean table that are features.

    `rows` is an Ibis table, `key` its id. Looks at constant columns, columns that are nearly
    empty, categories that are different in nearly every row, and words spelt several ways.
    """
    kinds = rows.schema()
    features = [
        column for column in (source.features if source.features is not None else rows.columns)
        if column in rows.columns and column != key
    ]  # fmt: skip
    if not features:
        return []
    counts: dict[str, Any] = {"n": rows.count()}
    for i, column in enumerate(features):
        counts[f"known_{i}"] = rows[column].count()
        counts[f"distinct_{i}"] = rows[column].nunique()
    counted = rows.agg(**counts).to_pyarrow().to_pylist()[0]
    findings = []
    for i, column in enumerate(features):
        n_filled, distinct = counted[f"known_{i}"], counted[f"distinct_{i}"]
        declared = source.types.get(column)
        findings += _column(name, column, (counted["n"], n_filled, distinct), declared)
        if kinds[column].is_string() and declared != "text":
            if _is_near_unique(n_filled, distinct):
                findings.append(
                    Finding(
                        code="near_unique",
                        severity="warning",
                        table=name,
                        column=column,
                        count=distinct,
                        sentence=f"{column!r} is different in {distinct / n_filled:.0%} of the "
                        "rows: as a category it carries over to nobody else",
                        remedy=f"remove it from features, or declare its type: types = {{ {column} "
                        f'= "text" }}',
                        examples=_words(rows, column, 5),
                    )
                )
            elif distinct <= MAX_WORDS:
                findings += _spelling(name, column, rows)
    return findings


def _is_near_unique(n_filled: int, distinct: int) -> bool:
    return n_filled >= MIN_ROWS and distinct > NEAR_UNIQUE * n_filled


def _column(
    table: str, column: str, counts: tuple[int, int, int], declared: str | None
) -> list[Finding]:
    n, n_filled, distinct = counts
    if n and n_filled == 0:
        return [
            Finding(
                code="empty_column",
                severity="warning",
                table=table,
                column=column,
                count=n,
                sentence=f"{column!r} is empty in every row"
                + (f" when read as {declared}" if declared else ""),
                remedy="remove it from features, or correct its type",
            )
        ]
    findings = []
    if n >= MIN_ROWS and distinct == 1 and n_filled == n:
        findings.append(
            Finding(
                code="constant_column",
                severity="warning",
                table=table,
                column=column,
                count=n,
                sentence=f"{column!r} has the same value in every row and carries no information",
                remedy="remove it from features",
            )
        )
    if n >= MIN_ROWS and n_filled < (1 - MOSTLY_EMPTY) * n:
        findings.append(
            Finding(
                code="mostly_empty",
                severity="info",
                table=table,
                column=column,
                count=n - n_filled,
                sentence=f"{column!r} is empty in {1 - n_filled / n:.1%} of the rows",
            )
        )
    return findings


def _words(rows: Any, column: str, n: int) -> list[str]:
    distinct = (
        rows.filter(rows[column].notnull()).select(column).distinct().order_by(column).limit(n)
    )
    return some(distinct.to_pyarrow()[column].to_pylist(), n)


def _spelling(table: str, column: str, rows: Any) -> list[Finding]:
    counted = rows.filter(rows[column].notnull()).group_by(column).agg(n=ibis._.count())
    words = {row[column]: row["n"] for row in counted.to_pyarrow().to_pylist()}
    same = variants(words)
    if not same:
        return []
    return [
        Finding(
            code="spelling",
            severity="warning",
            table=table,
            column=column,
            count=len(same),
            sentence=f"{len(same)} words of {column!r} are spelled in several ways",
            remedy="use one spelling of each word where the file is exported",
            examples=same[:5],
        )
    ]
