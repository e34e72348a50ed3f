"""Returns and cancellations, and the earlier rows that they take back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import ibis
from ibis.expr.types import Column, IntegerColumn, Table

from propense.columns import ACTION, COUNT, ITEM_ID, MICRO_UNITS, ORDER, USER_ID, VALUE
from propense.schemas import Rule
from propense.tables.cleaning.duplicates import labelled
from propense.tables.engine.engine import ROW, TableEngine

UNMATCHED: Final = "cancellation without its purchase"
_PIECE: Final = 1_000_000
"""Counts are summed in millionths of a piece, so that sums are exact."""


@dataclass(frozen=True)
class Returned:
    """What returns did."""

    set_aside: Table
    """Rows set aside, as `_row` and `_rule`."""
    cut: Table | None
    """Returns of more than was bought: `_row`, and the `value` and `count` that are left."""
    n_whole: int
    """Returns of a whole row, which stay as refunds."""
    n_parts: int
    """Other returns that stay as refunds."""
    n_cut: int
    whole: int
    """Micro-units that returns of whole rows give back."""
    parts: int
    """Micro-units that the other refunds give back."""
    unmatched: int
    """Micro-units of returns, and of parts of them, that had nothing to take back."""


def match_returns(
    alive: Table, engine: TableEngine, by_count: bool, by_value: bool, keep_unmatched: bool
) -> Returned:
    """Match every return with what the same customer bought of the same item before.

    A return takes back as many pieces as are left of the rows before it, and stays as a refund
    at its own time; what was bought stays too, for at its time nobody knew of the return. What is
    more than was bought is set aside, unless `keep_unmatched`: the whole return, or the part of
    it. Rows after a return change nothing about it.

    Sizes are counts, or values where no source has counts (`by_count`). Where money is mapped
    (`by_value`) only rows that have a value were bought.
    """
    rows, group = _candidates(alive, engine, by_count, by_value)
    whole = _whole(rows, [*group, "_money"])
    rows = engine.keep(rows.left_join(whole, ROW).drop(f"{ROW}_right"), "return_pairs")
    rows = rows.mutate(_whole=rows["_whole"].fill_null(False)).view()
    step = rows["_returns"].ifelse(-rows["_size"], rows["_size"])
    rows = _unmatched(rows, group, step, "_missing")
    rows = engine.keep(rows.select(
        ROW, "_returns", "_whole", "_missing", "_size", VALUE, COUNT
    ), "matched_returns")  # fmt: skip
    return _outcome(rows, engine, keep_unmatched)


def _candidates(
    alive: Table, engine: TableEngine, by_count: bool, by_value: bool
) -> tuple[Table, list[str]]:
    """Returns, and what may have been bought before them; the names that a match shares."""
    size = alive[COUNT].abs().fill_null(1.0)
    if not by_count:
        size = alive[VALUE].abs().cast("float64").fill_null(float(_PIECE)) / _PIECE
    keyed = alive.mutate(
        _item=alive[ITEM_ID].fill_null(""), _size=(size * _PIECE).round().cast("int64"),
        _money=alive[VALUE].abs().fill_null(-1),
        _act=alive["_of"].fill_null(alive[ACTION]),
    ).view()  # fmt: skip
    group = [USER_ID, "_item"]
    if _share_actions(keyed):
        group.append("_act")
    groups = keyed.filter(keyed["_returns"]).select(*group).distinct()
    rows = keyed.semi_join(groups, group)
    bought = ~rows["_gives_back"] & ~rows["_impossible"] & (rows[COUNT] > 0).fill_null(True)
    if by_value:
        bought = bought & rows[VALUE].notnull()
    rows = rows.filter(rows["_returns"] | bought)
    names = [ROW, "_t", ORDER, "_returns", "_size", "_money", VALUE, COUNT, *group]
    return engine.keep(rows.select(*names), "returns"), group


def _share_actions(keyed: Table) -> bool:
    """Whether every action of a return is also that of rows that are no returns."""
    counts = keyed.group_by("_act").agg(
        n_returns=keyed["_returns"].cast("int64").sum(), n=keyed.count()
    )
    return all(
        row["n_returns"] in (0, None) or row["n_returns"] < row["n"]
        for row in counts.to_pyarrow().to_pylist()
    )


def _in_time(rows: Table) -> list[Column]:
    return [rows["_t"], rows[ORDER], rows["_returns"], rows[ROW]]


def _so_far(rows: Table, group: list[str]) -> ibis.expr.builders.WindowBuilder:
    return ibis.window(
        group_by=[rows[name] for name in group], order_by=_in_time(rows),
        preceding=None, following=0,
    )  # fmt: skip


def _whole(rows: Table, group: list[str]) -> Table:
    """Returns of a whole row, of the same size and value, matched as brackets do: `_row`, `_whole`.

    Along a group's time a return has nothing to match where it pushes the number of open rows
    to its lowest so far.
    """
    group = [*group, "_size"]
    rows = rows.mutate(_step=rows["_returns"].ifelse(-1, 1)).view()
    rows = rows.mutate(_sum=rows["_step"].sum().over(_so_far(rows, group))).view()
    rows = rows.mutate(_low=rows["_sum"].min().over(_so_far(rows, group))).view()
    alone = (rows["_sum"] < 0) & (rows["_sum"] == rows["_low"])
    rows = rows.filter(rows["_returns"] & ~alone)
    return rows.select(ROW, _whole=ibis.literal(True))


def _unmatched(rows: Table, group: list[str], step: IntegerColumn, name: str) -> Table:
    """With column `name`: how much of a return finds nothing left to take back.

    What is left after each row is the sum of the steps above its lowest value so far; a
    return that pushes the lowest value down lacks that much.
    """
    rows = rows.mutate(_step=step).view()
    rows = rows.mutate(_sum=rows["_step"].sum().over(_so_far(rows, group))).view()
    low = ibis.least(rows["_sum"].min().over(_so_far(rows, group)), 0)
    rows = rows.mutate(_low=low.cast("int64")).view()
    before = rows["_low"].lag().over(
        group_by=[rows[key] for key in group], order_by=_in_time(rows)
    ).fill_null(0)  # fmt: skip
    rows = rows.mutate(**{name: before - rows["_low"]}).view()
    step = rows["_returns"].ifelse(-rows["_size"], rows["_size"])
    return rows.mutate(_step=step).drop("_sum", "_low").view()


def _outcome(rows: Table, engine: TableEngine, keep_unmatched: bool) -> Returned:
    returns = rows["_returns"]
    none = returns & (rows["_missing"] > 0) & (rows["_missing"] == rows["_size"])
    part = returns & (rows["_missing"] > 0) & (rows["_missing"] < rows["_size"])
    share = (rows["_size"] - rows["_missing"]) / rows["_size"].cast("float64")
    left = (rows[VALUE] * share).round().cast("int64")
    lost = rows[VALUE] - left
    if keep_unmatched:
        none, part = none & False, part & False
    whole = returns & rows["_whole"] & ~none & ~part
    parts = returns & ~none & ~whole
    sums = rows.aggregate(
        n_whole=whole.cast("int64").sum(), n_parts=parts.cast("int64").sum(),
        n_cut=part.cast("int64").sum(), whole=whole.ifelse(rows[VALUE], 0).sum(),
        parts=parts.ifelse(part.ifelse(left, rows[VALUE]), 0).sum(),
        unmatched=none.ifelse(rows[VALUE], part.ifelse(lost, 0)).sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    counts = {name: int(number or 0) for name, number in sums.items()}
    cut = None
    if counts["n_cut"]:
        cut = engine.keep(
            rows.filter(part).select(
                ROW, _value=left, _count=rows[COUNT] * share,
            ), "cut_returns",
        )  # fmt: skip
    set_aside = labelled(rows.filter(none), UNMATCHED)
    return Returned(engine.keep(set_aside, "returned"), cut, **counts)


def returned_rules(returned: Returned) -> list[Rule]:
    """What the account says of returns that are kept."""
    rules = []
    if returned.n_whole:
        note = (
            f"rows that take a whole row back, kept as refunds of {amount(-returned.whole)} at "
            "their own time; what they take back stays as well"
        )
        rules.append(Rule("cancellation", mended=returned.n_whole, note=note))
    if returned.n_parts:
        note = f"returns of a part, kept as refunds of {amount(-returned.parts)}"
        rules.append(Rule("partial cancellation", mended=returned.n_parts, note=note))
    if returned.n_cut:
        note = "returns of more than was bought before, cut to what was bought"
        rules.append(Rule("cancellation cut", mended=returned.n_cut, note=note))
    return rules


def amount(micro: int) -> str:
    """Micro-units as units of the currency.

    >>> amount(-12_500_000)
    '-12.50'
    """
    return f"{micro / MICRO_UNITS:,.2f}"
