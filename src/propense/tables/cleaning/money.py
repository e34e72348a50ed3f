"""The money of events: amounts, refunds, rows that take a purchase back, impossible values."""

from __future__ import annotations

from typing import Final

import ibis
from ibis.expr.types import Column, Table

from propense.columns import ACTION, COUNT, MICRO_UNITS, VALUE
from propense.settings import Clean, Source
from propense.tables.cells.numbers import NO_NUMBER, add_numbers, currency_of
from propense.tables.cleaning.conventions import Conventions
from propense.tables.cleaning.orders import first_of_object
from propense.tables.sources.reading import PRICE, RawTable

LARGEST: Final = 9e12
"""Units of the currency whose micro-units still fit into 64 bits."""
_REFUNDED: Final = "refunded"


def add_numbers_of(source: RawTable, rows: Table, conventions: Conventions) -> Table:
    """Numbers of the mapped columns, amounts in the project's currency: `_number_WORD`, and
    where one is unreadable: `_unread_WORD`."""
    settings = source.settings
    names: dict[str, str] = {
        word: source.columns[word] for word in (PRICE, COUNT, VALUE) if word in source.columns
    }
    if isinstance(settings, Source) and isinstance(settings.refunded, str) and settings.refunded:
        names[_REFUNDED] = settings.refunded
    rows = add_numbers(rows, {
        f"_number_{word}": (name, conventions.numbers[name], word == COUNT)
        for word, name in names.items()
    })  # fmt: skip
    numbers, unread = {}, {}
    for word, name in names.items():
        number, text = rows[f"_number_{word}"], rows[name]
        rates = conventions.rates.get(name)
        if conventions.currencies is not None and word != COUNT:
            number = number * conventions.currencies.factor(rows)
        elif rates:
            written = currency_of(text)
            converted = [(written == one, number * rate) for one, rate in rates.items()]
            number = ibis.cases(*converted, else_=number)
        if text.type().is_string():
            if not conventions.numbers[name].plain:  # a percentage is no amount
                number = text.re_search("[%％\u066a]").ifelse(ibis.null("float64"), number)
            missing = text.isnull() | text.strip().lower().isin(NO_NUMBER)
            unread[f"_unread_{word}"] = number.isnull() & ~missing
        else:
            unread[f"_unread_{word}"] = ibis.literal(False)
        numbers[f"_number_{word}"] = number
    return rows.mutate(**numbers, **unread).view() if names else rows


def money_of(source: RawTable, rows: Table) -> dict[str, Column]:
    """Count, price and amount as doubles, the latter two in units of the currency."""

    def read(word: str) -> tuple[Column, Column]:
        if word not in source.columns:
            return ibis.null("float64"), ibis.literal(False)
        return rows[f"_number_{word}"], rows[f"_unread_{word}"]

    price, price_unread = read(PRICE)
    count, count_unread = read(COUNT)
    amount, unread = read(VALUE)
    if VALUE not in source.columns:
        # an unreadable count makes the amount unknown: it is not one piece
        pieces = count_unread.ifelse(ibis.null("float64"), count.fill_null(1.0))
        amount, unread = price * pieces, price_unread
    unit = source.settings.value_unit if isinstance(source.settings, Source) else 1.0
    return {
        COUNT: count.fill_null(1.0), "_amount": amount if unit == 1.0 else amount * unit,
        "_price": price if unit == 1.0 else price * unit, "_mended_value": unread,
        "_mended_count": count_unread,
    }  # fmt: skip


def refunded_of(raw: RawTable, rows: Table) -> Column:
    """What was refunded of a row's order, in units of the currency."""
    source = raw.settings
    if f"_number_{_REFUNDED}" not in rows.columns or not isinstance(source, Source):
        return ibis.null("float64")
    amount = (rows[f"_number_{_REFUNDED}"] * source.value_unit).abs()
    return first_of_object(amount, str(source.refunded), raw, rows)


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
