"""Cancellations, and the earlier rows that they cancel."""

from __future__ import annotations

import ibis
from ibis.expr.types import Table

from propense.columns import COUNT, ITEM_ID, ORDER, USER_ID, VALUE
from propense.tables.cleaning.duplicates import labelled
from propense.tables.engine.engine import ROW, TableEngine


def net_cancellations(alive: Table, engine: TableEngine) -> Table:
    """Cancellation rows, and the earlier rows that they cancel.

    A cancellation cancels the latest earlier row of the same user, item and quantity
    (count, where it is not 1, otherwise value) that no other cancellation has cancelled: as
    brackets match. Both are set aside; a cancellation without such a row goes alone.

    Along a group's time the level is the number of open rows; a cancellation at level 0 has
    nothing to cancel. On one level rows and cancellations take turns, so a row is
    cancelled if a cancellation follows it on its level.
    """
    keyed = alive.mutate(
        _item=alive[ITEM_ID].fill_null(""), _size=alive[COUNT].abs(),
        _money=(alive[COUNT].abs() == 1.0).ifelse(alive[VALUE].abs().fill_null(0), 0),
    ).view()  # fmt: skip
    group = [USER_ID, "_item", "_size", "_money"]
    cancelling = keyed.filter(keyed["_cancels"])
    groups = cancelling.select(*group).distinct()
    rows = keyed.semi_join(groups, group)
    rows = rows.filter(rows["_cancels"] | (rows[COUNT] > 0))
    rows = rows.mutate(_step=rows["_cancels"].ifelse(-1, 1)).select(
        ROW, "_t", ORDER, "_cancels", "_step", *group
    )  # fmt: skip
    rows = engine.keep(rows, "cancellations")
    in_time = [rows["_t"], rows[ORDER], rows["_cancels"], rows[ROW]]
    so_far = ibis.window(
        group_by=[rows[name] for name in group], order_by=in_time, preceding=None, following=0
    )
    rows = rows.mutate(_sum=rows["_step"].sum().over(so_far)).view()
    in_time = [rows["_t"], rows[ORDER], rows["_cancels"], rows[ROW]]
    so_far = ibis.window(
        group_by=[rows[name] for name in group], order_by=in_time, preceding=None, following=0
    )
    rows = rows.mutate(_low=rows["_sum"].min().over(so_far)).view()
    low = ibis.least(rows["_low"], 0)
    alone = rows["_cancels"] & (rows["_sum"] < 0) & (rows["_sum"] == rows["_low"])
    level = rows["_sum"] - low
    rows = rows.mutate(_alone=alone, _level=rows["_cancels"].ifelse(level + 1, level)).view()
    rows = rows.filter(~rows["_alone"])
    next_cancels = (
        rows["_cancels"]
        .lead()
        .over(
            group_by=[rows[name] for name in [*group, "_level"]],
            order_by=[rows["_t"], rows[ORDER], rows["_cancels"], rows[ROW]],
        )
    )
    ended = rows.mutate(_ended=next_cancels).view()
    ended = ended.filter(~ended["_cancels"] & ended["_ended"].fill_null(False))
    cancelled = ibis.union(labelled(cancelling, "cancellation"), labelled(ended, "cancelled"))
    return engine.keep(cancelled, "cancelled")
