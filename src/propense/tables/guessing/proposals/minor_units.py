"""Interfaces of payment services that write amounts in the smallest unit of the currency."""

from __future__ import annotations

from typing import Final

from propense.tables.guessing.groups import Group

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
