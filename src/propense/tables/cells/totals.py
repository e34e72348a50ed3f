"""Rows that sum up the rows above them, as spreadsheets and reports have them at their end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import ibis
from ibis.expr.types import BooleanValue, Column, Table

from propense.columns import ACTION, EVENT_ID, EVENT_TIME, ITEM_ID, ORDER_ID, USER_ID
from propense.ids import BLANKS, INVISIBLE, MISSING_WORDS

TOTAL_WORDS: Final = (
    "total", "totals", "grand total", "grand totals", "sub total", "sub-total", "subtotal",
    "subtotals", "total general", "total général", "total sum", "sum", "sum total",
    "overall total", "overall", "report total", "total amount", "total sales", "total revenue",
    "total rows", "row total", "summe", "summen", "gesamt", "gesamtsumme", "gesamtbetrag",
    "gesamtergebnis", "zwischensumme", "endsumme", "insgesamt", "ergebnis", "totale", "totali",
    "totale generale", "subtotale", "totaux", "sous-total", "sous total", "somme", "totales",
    "total parcial", "suma", "suma total", "importe total", "soma", "total geral", "totaal",
    "eindtotaal", "subtotaal", "totalt", "summa", "yhteensä", "i alt", "razem", "łącznie",
    "suma końcowa", "ogółem", "celkem", "összesen", "toplam", "genel toplam", "ara toplam", "итого",
    "всего", "сумма", "σύνολο", "合计", "總計", "总计", "小计", "小計", "合計", "总和", "汇总",
    "总额", "計", "総計", "합계", "총계", "소계", "jumlah", "tổng", "tổng cộng", "รวม", "الإجمالي",
    "المجموع",
)  # fmt: skip
"""What stands in such a row where an id should be, in lower case."""
_KEYS: Final = (USER_ID, ITEM_ID, EVENT_TIME)
_NAMES: Final = (*_KEYS, EVENT_ID, ORDER_ID, ACTION)
_FIRST: Final = 3
"""Columns at the left in which the word may stand as well."""


def total_row(
    rows: Table, columns: dict[str, str], own: Sequence[str], timed: bool
) -> BooleanValue:  # fmt: skip
    """Whether a row is a total: it is called so, and names no customer, item and time besides.

    The word may stand where an id, the time or the action should be, or in one of the first
    columns `own` of the files. `columns`: the project's word -> the files' own name. Where the
    rows are `timed`, `_t` is the time that was read.
    """
    keys = [rows[columns[word]] for word in _KEYS if word in columns]
    names = dict.fromkeys([*(columns[word] for word in _NAMES if word in columns), *own[:_FIRST]])
    texts = [rows[name] for name in names if rows[name].type().is_string()]
    if not texts:
        return ibis.literal(False)
    missing = [_missing(key) for key in keys]
    named = [is_total(text) for text in texts]
    bare = [
        blank | is_total(key) if key.type().is_string() else blank
        for key, blank in zip(keys, missing, strict=True)
    ]
    # Nearly all rows have a time, or every id: the words are looked for in the others alone.
    doubtful = rows["_t"].isnull() if timed else ibis.or_(*missing)
    total: BooleanValue = doubtful.ifelse(ibis.and_(ibis.or_(*named), *bare), False)
    return total.fill_null(False)


def is_total(text: Column) -> BooleanValue:
    """Whether a text is one of `TOTAL_WORDS`, in any case, with signs and numbers around it.

    False where it is null. "Total: (12)" and "** SUMME **" are, "Total Cereal" is not.
    """
    bare = text.re_replace(f"[{INVISIBLE}]+", "").re_replace(f"[{BLANKS}]+", " ").lower()
    bare = bare.re_replace(_SIGNS_BEFORE, "").re_replace(_SIGNS_BEHIND, "")
    return bare.re_search(_WHOLE).fill_null(False)


def may_hold_total_word(text: Column) -> BooleanValue:
    """A quick look before `holds_total_word`: three letters in a row, or one that is not Latin."""
    return text.re_search(r"[A-Za-z]{3}|[^\x{0000}-\x{007F}]").fill_null(False)


def holds_total_word(text: Column) -> BooleanValue:
    """Whether some word of a text is one of `TOTAL_WORDS`, as in "Monthly total"."""
    return text.lower().re_search(_WORD).fill_null(False)


_WHOLE: Final = f"^(?:{'|'.join(map(re.escape, TOTAL_WORDS))})$"
"""A pattern and no list: an engine makes a join of a list, for which every row pays."""
_MISSING: Final = f"^(?:{'|'.join(map(re.escape, MISSING_WORDS))})$"
_WORD: Final = (
    r"(^|[\s*:,;()/_-])("
    + "|".join(re.escape(word) for word in TOTAL_WORDS if ord(word[0]) < 0x2E80)
    + r")([\s*:,;()/_-]|$)|"
    + "|".join(word for word in TOTAL_WORDS if ord(word[0]) >= 0x2E80 and len(word) > 1)
)
_SIGNS_BEFORE: Final = r"^[\s*#=_~>\[(<|\-]+"
_SIGNS_BEHIND: Final = r"[\s*#=_~<>|\[\](){}:：.,;$€£¥%\d\-]+$"


def _missing(column: Column) -> BooleanValue:
    missing: BooleanValue = column.isnull()
    if column.type().is_string():
        missing = missing | column.strip().lower().re_search(_MISSING)
    return missing
