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

CANCELLATION: Final = "cancellation"
CANCELLED: Final = "cancelled"
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
    n_refunds: int
    """Returns that stay as refunds."""
    n_cut: int
    refunded: int
    """Micro-units that these refunds give back."""
    unmatched: int
    """Micro-units of returns, and of parts of them, that had nothing to take back."""


def match_returns(
    alive: Table, engine: TableEngine, by_count: bool, by_value: bool, keep_unmatched: bool
) -> Returned:
    """Match every return with what the same customer bought of the same item before.

    A return of a whole row, of the same count and value, cancels the latest such row that no
    other return has cancelled, as brackets match: both are set aside. Any other return takes
    back as many pieces as are left of the rows before it, and stays as a refund. What is more
    than was bought is set aside, unless `keep_unmatched`: the whole return, or the part of it.

    Sizes are counts, or values where no source has counts (`by_count`). Where money is mapped
    (`by_value`) only rows that have a value were bought.
    """
    rows, group = _candidates(alive, engine, by_count, by_value)
    pair = _pairs(rows, [*group, "_money"])
    rows = engine.keep(rows.left_join(pair, ROW).drop(f"{ROW}_right"), "return_pairs")
    rows = rows.mutate(_pair=rows["_pair"].fill_null(False)).view()
    step = rows["_returns"].ifelse(-rows["_size"], rows["_size"])
    rows = _unmatched(rows, group, step, "_all")
    left = rows["_pair"].ifelse(ibis.literal(0, "int64"), rows["_step"])
    rows = _unmatched(rows, group, left, "_rest")
    whole = ibis.window(group_by=[rows[name] for name in group])
    # A pair is no pair if without it other returns have nothing to take back.
    pairs = rows["_pair"] & (rows["_rest"].sum().over(whole) <= rows["_all"].sum().over(whole))
    missing = pairs.ifelse(ibis.literal(0, "int64"), rows["_rest"])
    unpaired = rows["_rest"].sum().over(whole) > rows["_all"].sum().over(whole)
    rows = rows.mutate(_pair=pairs, _missing=unpaired.ifelse(rows["_all"], missing))
    rows = engine.keep(rows.select(
        ROW, "_returns", "_pair", "_missing", "_size", VALUE, COUNT
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


def _pairs(rows: Table, group: list[str]) -> Table:
    """Returns and rows of the same size and value that match as brackets do: `_row`, `_pair`.

    Along a group's time the level is the number of open rows; a return at level 0 has
    nothing to match. On one level rows and returns take turns, so a row is matched if a
    return follows it on its level.
    """
    group = [*group, "_size"]
    rows = rows.mutate(_step=rows["_returns"].ifelse(-1, 1)).view()
    rows = rows.mutate(_sum=rows["_step"].sum().over(_so_far(rows, group))).view()
    rows = rows.mutate(_low=rows["_sum"].min().over(_so_far(rows, group))).view()
    low = ibis.least(rows["_low"], 0)
    alone = rows["_returns"] & (rows["_sum"] < 0) & (rows["_sum"] == rows["_low"])
    level = rows["_sum"] - low
    rows = rows.mutate(_alone=alone, _level=rows["_returns"].ifelse(level + 1, level)).view()
    rows = rows.filter(~rows["_alone"]).view()
    following = rows["_returns"].lead().over(
        group_by=[rows[name] for name in [*group, "_level"]], order_by=_in_time(rows)
    )  # fmt: skip
    rows = rows.mutate(_pair=rows["_returns"] | following.fill_null(False)).view()
    return rows.filter(rows["_pair"]).select(ROW, "_pair")


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
    returns = rows["_returns"] & ~rows["_pair"]
    none = returns & (rows["_missing"] > 0) & (rows["_missing"] == rows["_size"])
    part = returns & (rows["_missing"] > 0) & (rows["_missing"] < rows["_size"])
    share = (rows["_size"] - rows["_missing"]) / rows["_size"].cast("float64")
    left = (rows[VALUE] * share).round().cast("int64")
    lost = rows[VALUE] - left
    if keep_unmatched:
        none, part = none & False, part & False
    set_aside = ibis.union(
        labelled(rows.filter(rows["_pair"] & rows["_returns"]), CANCELLATION),
        labelled(rows.filter(rows["_pair"] & ~rows["_returns"]), CANCELLED),
        labelled(rows.filter(none), UNMATCHED),
    )
    refunds = returns & ~none
    sums = rows.aggregate(
        n_refunds=refunds.cast("int64").sum(), n_cut=part.cast("int64").sum(),
        refunded=refunds.ifelse(part.ifelse(left, rows[VALUE]), 0).sum(),
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
    return Returned(engine.keep(set_aside, "returned"), cut, **counts)


def returned_rules(returned: Returned) -> list[Rule]:
    """What the account says of returns that are kept."""
    rules = []
    if returned.n_refunds:
        note = f"returns of a part, kept as refunds of {amount(-returned.refunded)}"
        rules.append(Rule("partial cancellation", mended=returned.n_refunds, note=note))
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
