"""The money of events: refunds, rows that take a purchase back, and impossible values."""

from __future__ import annotations

from typing import Final

import ibis
from ibis.expr.types import Table

from propense.columns import ACTION, COUNT, MICRO_UNITS, VALUE
from propense.settings import Clean

LARGEST: Final = 9e12
"""Units of the currency whose micro-units still fit into 64 bits."""


def settle(rows: Table, clean: Clean, refunds: list[str]) -> Table:
    """Money in micro-units with the sign it counts by.

    A row with a negative count, or with a mark in `_cancels`, is a return: it takes back what
    was bought before. A row of one of the actions `refunds`, or with a mark in `_refunds`, is a
    refund. Both have a value of zero or less, a positive count, and refunds that stand in the
    settings as such keep their action.

    Reads `_amount` and `_price` (units of the currency); adds `value`, `_returns`, `_of` (what a
    return did before it became a refund), `_gives_back` (refunds), `_impossible`,
    `_mended_sign`.
    """
    named = rows[ACTION].isin(refunds).fill_null(False) if refunds else ibis.literal(False)
    refund = named | rows["_refunds"]
    returns = ~refund & (rows["_cancels"] | (rows[COUNT] < 0).fill_null(False))
    if clean.negative_values == "refund":
        refund = refund | (~returns & (rows["_amount"] < 0).fill_null(False))
    back = refund | returns
    finite = (rows["_amount"].abs() <= LARGEST).fill_null(True)
    amount = back.ifelse(-rows["_amount"].abs(), rows["_amount"])
    signed = refund & ((rows["_amount"] > 0) | (rows[COUNT] < 0)).fill_null(False)
    micro = (finite.ifelse(amount, ibis.null("float64")) * float(MICRO_UNITS) + 0.5).floor()
    twice = returns & ~rows["_cancels"] & (rows["_price"] < 0).fill_null(False)
    impossible = ~finite | (rows[COUNT].abs() > LARGEST) | twice
    if clean.value_range is not None:
        low, high = clean.value_range
        size = back.ifelse(-amount, amount)
        impossible = impossible | (~returns & ((size < low) | (size > high)).fill_null(False))
    else:
        low_value = rows[COUNT] == 0
        if clean.negative_values in ("auto", "drop"):
            low_value = low_value | (rows["_amount"] < 0) | (rows["_price"] < 0)
        impossible = impossible | (~back & low_value.fill_null(False))
    action = back.ifelse(
        named.ifelse(rows[ACTION], ibis.literal(clean.refund_action)), rows[ACTION]
    )
    return rows.mutate(
        **{
            ACTION: action, VALUE: micro.cast("int64"),
            COUNT: back.ifelse(rows[COUNT].abs(), rows[COUNT]),
            "_returns": returns, "_of": returns.ifelse(rows[ACTION], ibis.null("string")),
            "_gives_back": refund, "_impossible": impossible.fill_null(True),
            "_mended_sign": signed,
        }
    ).view()  # fmt: skip
