"""Currencies that a column names row by row: which are the project's, and what others are worth."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import ibis
from ibis.expr.types import BooleanValue, Column, Table

from propense.tables.cells.numbers import CROWNS, DOLLARS, NO_NUMBER, currency_code
from propense.tables.cells.spelling import NO_ID, trimmed
from propense.tables.engine.engine import FILE_SHIFT, ROW

_SIGNS: Final = {
    "$": DOLLARS,
    "¥": ("CNY", "JPY"),
    "\\": ("JPY", "KRW"),
    "KR": CROWNS,
    "KR.": CROWNS,
}
_MANY: Final = 500
"""A column with more words names no currencies."""
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class RowCurrencies:
    """The currencies of the rows of one source."""

    column: str
    money: tuple[str, ...]
    """Columns of amounts: a row without an amount needs no currency."""
    own: str
    """The project's currency, a code in capitals."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Word in capitals ("" where the cell is empty) -> rows with an amount."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Word of another currency -> units of the project's that one unit of it is worth."""
    unrated: tuple[str, ...] = ()
    """Words of other currencies without a rate; "" where empty cells stand beside those."""
    live: frozenset[int] = frozenset()
    """Numbers of the files whose amounts are in the project's currency already."""

    def factor(self, rows: Table) -> Column:
        """What the amounts of each row are multiplied by."""
        rates = {word: rate for word, rate in self.rates.items() if rate != 1.0}
        if not rates:
            return ibis.literal(1.0)
        word = self._word(rows)
        return ibis.cases(*[(word == one, rate) for one, rate in rates.items()], else_=1.0)

    def without_rate(self, rows: Table) -> BooleanValue:
        """Rows whose amount is in a currency without a rate."""
        if not self.unrated:
            return ibis.literal(False)
        return self._word(rows).isin(self.unrated) & has_amount(rows, self.money)

    def _word(self, rows: Table) -> Column:
        word = currency_word(rows[self.column])
        if not self.live:
            return word
        return (rows[ROW] >> FILE_SHIFT).isin(sorted(self.live)).ifelse(self.own, word)


def currency_word(column: Column) -> Column:
    """A cell as it is compared: in capitals, "" for nothing."""
    return trimmed(column, NO_ID).upper().fill_null("")


def has_amount(rows: Table, money: Sequence[str]) -> BooleanValue:
    """Whether some cell of the columns `money` holds anything."""
    there: BooleanValue = ibis.literal(False)
    for name in money:
        own = rows[name].notnull()
        if rows[name].type().is_string():
            own = own & ~rows[name].strip().lower().isin(NO_NUMBER)
        there = there | own
    return there


def code_of(word: str, own: str, rated: Collection[str] = ()) -> str:
    """The code of a word. A sign that several currencies share is the project's if it can be,
    otherwise the only one of them in `rated`, the codes that have a rate.

    >>> code_of("$", "CAD"), code_of("$", "EUR"), code_of("€", "USD"), code_of("$", "EUR", ["CAD"])
    ('CAD', 'USD', 'EUR', 'CAD')
    """
    upper = word.strip().upper()
    shared = _SIGNS.get(upper, ())
    if own in shared:
        return own
    candidates = [code for code in shared if code in rated]
    if len(candidates) == 1 and upper not in rated:
        return candidates[0]
    return currency_code(upper)


def survey_currencies(
    rows: Table, column: str, money: Sequence[str], currency: str,
    exchange_rates: Mapping[str, float], live: frozenset[int] = frozenset(),
) -> RowCurrencies | None:  # fmt: skip
    """The currencies that `column` names in rows with an amount; None where it names none."""
    own = currency.strip().upper()
    if live:
        rows = rows.filter(~(rows[ROW] >> FILE_SHIFT).isin(sorted(live)))
    words = rows.filter(has_amount(rows, money)).select(word=currency_word(rows[column]))
    counted = words.group_by("word").agg(n=ibis._.count()).order_by([ibis.desc("n"), "word"])
    counts = {row["word"]: row["n"] for row in counted.limit(_MANY).to_pyarrow().to_pylist()}
    if not any(counts):
        return None
    rate_of = {word.strip().upper(): rate for word, rate in exchange_rates.items()}
    rate_of |= {code_of(word, own, rate_of): rate for word, rate in rate_of.items()}
    codes = {word: code_of(word, own, rate_of) for word in counts if word}
    others = {word: code for word, code in codes.items() if code != own}
    rates = {word: rate_of[code] for word, code in others.items() if code in rate_of}
    unrated = [word for word, code in others.items() if code not in rate_of]
    if others and "" in counts:
        if "" in rate_of:
            rates[""] = rate_of[""]
        else:
            unrated.append("")
    return RowCurrencies(column, tuple(money), own, counts, rates, tuple(unrated), live)


def rates_line(codes: Sequence[str], exchange_rates: Mapping[str, float]) -> str:
    """The line of exchange_rates with what is set, and what is to be filled in.

    >>> rates_line(["USD", "kr."], {"GBP": 1.17})
    'exchange_rates = { GBP = 1.17, USD = ..., "kr." = ... }'
    """
    cells = {word: f"{rate:g}" for word, rate in exchange_rates.items()}
    cells |= {word: "..." if word else "1.0" for word in codes}
    pairs = [
        f"{word if _BARE.fullmatch(word) else json.dumps(word, ensure_ascii=False)} = {cell}"
        for word, cell in cells.items()
    ]
    return f"exchange_rates = {{ {', '.join(pairs)} }}"


@dataclass(frozen=True)
class CurrencyNotes:
    """What became of money in other currencies, for the account."""

    n_converted: int = 0
    converted: str = ""
    dropped: str = ""


def currency_notes(sources: Sequence[RowCurrencies | None]) -> CurrencyNotes:
    """The notes about all sources."""
    converted: dict[tuple[str, float], int] = {}
    dropped: dict[str, int] = {}
    for one in sources:
        for word, n in (one.counts if one is not None else {}).items():
            assert one is not None
            if word in one.rates:
                key = (word, one.rates[word])
                converted[key] = converted.get(key, 0) + n
            elif word in one.unrated:
                dropped[word or "no currency"] = dropped.get(word or "no currency", 0) + n
    parts = [f"{word} at {rate:g} ({n:,})" for (word, rate), n in converted.items()]
    left = ", ".join(f"{word} ({n:,})" for word, n in [*dropped.items()][:10])
    return CurrencyNotes(
        sum(converted.values()), ", ".join(parts[:10]),
        f"{left}; exchange_rates at the top of propense.toml converts them" if left else "",
    )  # fmt: skip


def complaint(currencies: RowCurrencies, source: str) -> str:
    """What is wrong with the currencies of one source, in words."""
    named = {
        word: n for word, n in currencies.counts.items() if word in currencies.unrated and word
    }
    shown = ", ".join(f"{word} ({n:,})" for word, n in [*named.items()][:10])
    more = f" and {len(named) - 10:,} more" if len(named) > 10 else ""
    blank = currencies.counts.get("", 0) if "" in currencies.unrated else 0
    parts = []
    if named:
        n, total = sum(named.values()), sum(currencies.counts.values())
        parts.append(
            f"gives other currencies than {currencies.own} to {n:,} of {total:,} rows with an "
            f"amount: {shown}{more}"
        )
    if blank:
        parts.append(f"is empty in {blank:,} rows with an amount beside other currencies")
    return f"[sources.{source}]: column {currencies.column!r} {' and '.join(parts)}"
