"""Amounts in the smallest unit of their currency, or in thousands: who writes them so."""

from __future__ import annotations

from typing import Final

from propense.tables.guessing import names
from propense.tables.guessing.groups import Group
from propense.tables.guessing.money import read_amounts
from propense.tables.questions import Choice, Question
from propense.tables.sources.samples import own_name

_STRIPE: Final = frozenset(
    ["charge", "payment_intent", "refund", "invoice", "balance_transaction", "checkout.session"]
)
"""`object` of the rows of Stripe's interface."""
_WHOLE: Final = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF".split())
"""Currencies whose smallest unit is the currency itself."""


def minor_unit(group: Group, own: str) -> tuple[float, str] | None:
    """The unit of a column of amounts in the smallest unit of its currency, and the reason.

    Those are `amount...` of Stripe's objects, and `..._money.amount` of Square's, where all are
    whole numbers beside a currency that has hundredths.
    """
    parent, _, leaf = own.rpartition(".")
    column = group.column(own)
    written = _named_unit(group, own)
    if written is not None and (written[0] > 1 or column.kind == "integer"):
        return written
    if column.kind != "integer" or any("." in word for word in column.words):
        return None
    if parent.endswith("_money") and leaf == "amount":
        currency, why = f"{parent}.currency", "Square writes amounts in the smallest unit"
    else:
        steps = f"{parent}." if parent else ""
        kind = group.columns.get(f"{steps}object")
        if kind is None or not kind.words or not kind.words <= _STRIPE:
            return None
        currency, why = f"{steps}currency", "Stripe writes amounts in the smallest unit"
    named = group.columns.get(currency)
    if named is None or not named.words:
        return None
    if all(word.upper() in _WHOLE for word in named.words):
        return None
    return 0.01, why


_UNITS: Final[tuple[tuple[float, frozenset[str]], ...]] = (
    (
        0.01,
        frozenset(
            "cent cents centi pence penny pennies minor centime centimes centavo centavos kopeks "
            "kopecks grosz grosze öre øre haléř céntimos centesimi 分 копеек коп kuruş".split()
        ),
    ),
    (1e3, frozenset("thousand thousands tsd tausend teur t€ k€ keur kusd milliers 千円".split())),
    (1e6, frozenset("million millions mio mln millionen meur musd 百万円".split())),
)


def _named_unit(group: Group, own: str) -> tuple[float, str] | None:
    """The unit that a column's own name says, and the reason."""
    name = own_name(own)
    for unit, words in _UNITS:
        if names.words_of(name) & words or (unit > 1 and {*name.lower().split()} & words):
            if unit < 1 and _in_whole_currency(group):
                return None
            return unit, f"{name!r} says so"
    return None


def _in_whole_currency(group: Group) -> bool:
    """Whether a column of currencies names one that has no hundredths."""
    codes = [
        column.words for own, column in group.columns.items()
        if names.mentions(own_name(own), frozenset(["currency"])) and column.words
    ]  # fmt: skip
    return any(word.upper() in _WHOLE for words in codes for word in words)


def unit_question(group: Group, own: str, key: str) -> Question | None:
    """Whether amounts with decimals are in the small unit that their column's name says."""
    named = _named_unit(group, own)
    if named is None or minor_unit(group, own) is not None or group.column(own).kind != "number":
        return None
    total = sum(read_amounts(group.cells[own]))
    return Question(
        key=f"{key}.value_unit",
        sentence=f"{own_name(own)!r} holds decimals: are its amounts in the unit that it names?",
        choices=[
            Choice(named[0], f"as the name says: the sample sums to {total * named[0]:,.2f}"),
            Choice(1.0, f"in the currency itself: the sample sums to {total:,.2f}"),
        ],
    )
