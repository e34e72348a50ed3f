"""Ids as expressions: what nobody sees in them is stripped, words that are no id become null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ibis
from ibis.expr.types import Column, Table

from propense.errors import SourceError
from propense.ids import BLANKS, INVISIBLE, MISSING_WORDS, WRAPPED_MAIL
from propense.tables.cells.spelling import id_text, looks_floating, tidy, without_point_zero
from propense.tables.engine.engine import ROW, nfc

_OTHER_BLANKS: Final = BLANKS.replace(r"\x{001C}-\x{0020}", r"\x{001C}-\x{001F}")
_UNTIDY: Final = rf'[{INVISIBLE}{_OTHER_BLANKS}]|^ | $|^="|<.*@|^[mM][aA][iI][lL][tT][oO]:'
_UNUSUAL: Final = rf"{_UNTIDY}|@|\.0+$|[eE]\+|[^\x{{0000}}-\x{{007F}}]"
_MAIL: Final = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
_SCIENTIFIC: Final = r"^-?\d(?:[.,]\d+)?[eE]\+\d{1,3}$"

_EXACT: Final = 2.0**53
"""From here on a float no longer has every whole number."""


@dataclass(frozen=True)
class IdEvidence:
    """How many cells of a column of ids want what kind of care."""

    untidy: int = 1
    """Blanks around them, characters without width, ="..." of Excel."""
    capitals: int = 1
    """E-mail addresses with capitals, which name the same box without them."""
    floating: int = 1
    """Such as "17850.0", which were whole numbers once."""
    decomposed: int = 0
    """Letters and their accents apart, as file systems write them; counted in `untidy` too."""


_ANY: Final = IdEvidence(decomposed=1)


def survey_ids(rows: Table, names: Mapping[str, Any], table: Any) -> dict[str, IdEvidence]:
    """What the cells of each column (the word of `names` -> the column's name) want.

    Raises SourceError naming the column and a row where ids are written as 1.23E+05: Excel has
    lost their digits. `table` has `locate`.
    """
    for name in names:
        if rows[name].type().is_floating():
            _refuse_rounded(rows, name, table)
    texts = {name for name in names if rows[name].type().is_string()}
    unusual = rows.aggregate(
        **{name: rows[name].re_search(_UNUSUAL).cast("int64").sum() for name in texts}
    ).to_pyarrow().to_pylist()[0] if texts else {}  # fmt: skip
    evidence = {}
    for name in names:
        evidence[name] = IdEvidence(0, 0, 0)
        if not unusual.get(name):
            continue
        odd = rows.filter(rows[name].re_search(_UNUSUAL)).select(_row=rows[ROW], text=rows[name])
        bare, whole = _tidied(odd.text), nfc(_tidied(odd.text))
        scientific = bare.re_search(_SCIENTIFIC) & ~bare.lower().isin(list(names[name]))
        counts = odd.aggregate(
            untidy=(whole != odd.text).cast("int64").sum(),
            decomposed=(whole != bare).cast("int64").sum(),
            capitals=(bare.re_search(_MAIL) & (bare != bare.lower())).cast("int64").sum(),
            floating=looks_floating(bare).cast("int64").sum(),
            scientific=scientific.cast("int64").sum(),
            row=odd["_row"].min(where=scientific), text=odd.text.min(where=scientific),
        ).to_pyarrow().to_pylist()[0]  # fmt: skip
        if counts["scientific"]:
            raise SourceError(
                f"{table.locate(counts['row'])}, column {name!r}: {counts['scientific']:,} ids are "
                f"written as {counts['text']!r}, whose digits a spreadsheet has lost; export the "
                "column as text, or leave these rows out with [clean] placeholder_ids"
            )
        evidence[name] = IdEvidence(
            counts["untidy"], counts["capitals"], counts["floating"], counts["decomposed"]
        )
    return evidence


def _refuse_rounded(rows: Table, name: str, table: Any) -> None:
    """Raise SourceError where numbers of a float column are too large to be exact ids."""
    (large,) = rows.filter(rows[name].abs() >= _EXACT).aggregate(
        n=ibis._.count(), row=ibis._[ROW].min(), value=ibis._[name].max()
    ).to_pyarrow().to_pylist()  # fmt: skip
    if large["n"]:
        raise SourceError(
            f"{table.locate(large['row'])}, column {name!r}: {large['n']:,} ids are decimals such "
            f"as {large['value']:g}, whose last digits are lost; write the column as text or as "
            "whole numbers"
        )


def read_id(
    column: Column, words: Iterable[str] = MISSING_WORDS, evidence: IdEvidence = _ANY
) -> Column:
    """An id as text, as `propense.ids.tidy_id` has it; null for one of `words`.

    Whole numbers of a float column, and text that was one, lose their ".0".
    """
    if not column.type().is_string():
        text = id_text(column)
        return _is_word(text, words).ifelse(ibis.null("string"), text)
    text = tidy(column)
    if evidence.untidy:
        text = column.re_search(_UNTIDY).ifelse(_tidied(column), column)
    if evidence.decomposed:
        text = nfc(text)
    if evidence.capitals:
        mail = text.contains("@") & text.re_search(_MAIL)
        text = mail.ifelse(text.lower(), text)
    if evidence.floating:
        text = without_point_zero(text)
    return _is_word(text, words).ifelse(ibis.null("string"), text)


def _is_word(text: Column, words: Iterable[str]) -> Column:
    """`propense.ids.is_word` as an expression."""
    listed = list(words)
    listed_word = text.lower().isin(listed)
    zeros = text.startswith("000") & text.re_search("^0+$")
    return listed_word | zeros if "0" in listed else listed_word


def changed(column: Column, evidence: IdEvidence) -> dict[str, Column]:
    """Which cells are changed how: "untidy", "capitals", "floating" -> a condition."""
    if not column.type().is_string():
        return dict.fromkeys(("untidy", "capitals", "floating"), ibis.literal(False))
    no = ibis.literal(False)
    bare = read_id(column, (), IdEvidence(evidence.untidy, 0, 0, evidence.decomposed))
    return {
        "untidy": (bare != column).fill_null(False) if evidence.untidy else no,
        "capitals": (bare.re_search(_MAIL) & (bare != bare.lower())).fill_null(False)
        if evidence.capitals else no,
        "floating": looks_floating(bare).fill_null(False) if evidence.floating else no,
    }  # fmt: skip


def _tidied(text: Column) -> Column:
    seen = text.re_replace(f"[{INVISIBLE}]+", "").re_replace(f"[{BLANKS}]", " ").strip()
    seen = seen.re_search('^=".*"$').ifelse(seen.re_extract('^="(.*)"$', 1).strip(), seen)
    return seen.re_search(WRAPPED_MAIL).ifelse(seen.re_extract(WRAPPED_MAIL, 1), seen)
