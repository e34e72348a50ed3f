"""Clocks that were wrong, set right by the times of receipt."""

from __future__ import annotations

from typing import Final

import ibis
from ibis.expr.types import Table

from propense.times import MICROS_PER_SECOND

_STEP: Final = 15 * 60 * MICROS_PER_SECOND
_SLACK: Final = 60 * MICROS_PER_SECOND


def mend_clock(rows: Table, received: bool) -> Table:
    """Event times set right by the times of receipt, where those are known.

    A source whose most usual delay, in steps of a quarter of an hour, is not zero and holds
    for at least half of its rows has a wrong clock or zone: all its times move by that delay.
    A time that is still more than a minute after its receipt becomes the time of receipt.
    """
    if not received:
        return rows.mutate(_mended_clock=ibis.literal(False))
    delay = rows["_received"] - rows["_t"]
    steps = ((delay + _STEP // 2) / float(_STEP)).floor().cast("int64")
    delays = (
        rows.filter(delay.notnull()).group_by(step=steps).agg(n=ibis._.count())
        .order_by(ibis.desc("n"), "step").to_pyarrow().to_pylist()
    )  # fmt: skip
    shift = 0
    if delays and delays[0]["step"] != 0 and 2 * delays[0]["n"] >= sum(row["n"] for row in delays):
        shift = delays[0]["step"] * _STEP
    moved = rows["_t"] + shift
    late = (moved - rows["_received"] > _SLACK).fill_null(False)
    time = late.ifelse(rows["_received"], moved)
    return rows.mutate(_t=time, _mended_clock=(time != rows["_t"]).fill_null(False))
