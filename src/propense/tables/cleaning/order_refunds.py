"""Refunds that stand as an amount beside an order become events of their own."""

from __future__ import annotations

import ibis
from ibis.expr.types import Table

from propense.columns import ACTION, COUNT, EVENT_ID, ITEM_ID, MICRO_UNITS, SOURCE, USER_ID, VALUE
from propense.tables.cleaning.orders import ORDER_KEY
from propense.tables.cleaning.typed_events import SOURCE_SHIFT
from propense.tables.engine.engine import ROW


def refund_events(rows: Table, action: str, earliest: int, until: int | None) -> Table:
    """One refund for each order of the rows that are kept, in the same columns.

    An amount that repeats on the rows of an order counts once; amounts that differ are refunds
    of the rows, and are summed. A row that gives its own value back has no refund besides.
    A row without an order has its own refund. A refund has the customer and source of its
    order's first row, its item where the order has one, and the time of the refund, or that of
    the row where it has none from `earliest` to `until` (microseconds), in which all times of
    clean events lie.
    """
    names = rows.columns
    itself = (rows[VALUE] < 0).fill_null(False)
    refund = itself.ifelse(ibis.null("float64"), rows["_refund"])
    rows = rows.mutate(_source_index=rows[ROW] >> SOURCE_SHIFT, _refund=refund).view()
    order = ibis.ifelse(rows[ORDER_KEY].isnull(), rows[ROW].cast("string"), rows[ORDER_KEY])
    rows = rows.mutate(_order=order, _alone=rows[ORDER_KEY].isnull()).view()
    group = [rows["_source_index"], rows["_order"], rows["_alone"], rows[USER_ID]]
    whole = ibis.window(group_by=group)
    first = ibis.row_number().over(group_by=group, order_by=rows[ROW])
    low, high = rows["_refund"].min().over(whole), rows["_refund"].max().over(whole)
    rows = rows.mutate(
        _first=first == 0, _refund=(low == high).ifelse(low, rows["_refund"].sum().over(whole)),
        _items=rows[ITEM_ID].nunique().over(whole), _later=rows["_refund_t"].max().over(whole),
    ).view()  # fmt: skip
    rows = rows.filter(rows["_first"] & (rows["_refund"] > 0))
    possible = rows["_later"] >= earliest
    if until is not None:
        possible = possible & (rows["_later"] <= until)
    time = possible.fill_null(False).ifelse(rows["_later"], rows["_t"])
    back = (rows["_refund"] * float(MICRO_UNITS) + 0.5).floor().cast("int64")
    chosen = {
        ITEM_ID: (rows["_items"] == 1).ifelse(rows[ITEM_ID], ibis.null("string")),
        ACTION: ibis.literal(action), "_t": time, VALUE: -back,
        COUNT: ibis.literal(1.0),
        EVENT_ID: rows["_alone"].ifelse(ibis.null("string"), rows["_order"] + " refund"),
        SOURCE: rows[SOURCE],
    }  # fmt: skip
    return rows.select(**{name: chosen.get(name, rows[name]) for name in names})
