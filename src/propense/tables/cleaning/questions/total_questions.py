"""Rows that are called a total in the column of the item or customer, beside a time."""

from __future__ import annotations

from typing import Final

import ibis
from ibis.expr.types import Table

from propense.columns import ITEM_ID, USER_ID, VALUE
from propense.settings.paths import setting_path
from propense.tables.cells.totals import holds_total_word, may_hold_total_word
from propense.tables.cleaning.questions.net_money import net_money, sums_of
from propense.tables.engine.engine import FILE_SHIFT, ROW
from propense.tables.questions import Choice, Question

_MOST: Final = 20
"""More words than these are names."""
_NEAR: Final = 5_000
"""Micro-units by which a sum of rounded amounts may differ."""


def ask_about_totals(name: str, rows: Table) -> list[Question]:
    """Whether rows of a source, called like totals, sum up the rows above them.

    A cell that is or holds a word for totals, such as "Monthly total", is asked about where most
    of its amounts are the sum of the rows since the last such row, or of all rows above.
    """
    for word in (ITEM_ID, USER_ID):
        cells = rows.filter(may_hold_total_word(rows[word])).select(cell=word).distinct()
        held = cells.filter(holds_total_word(cells["cell"])).limit(_MOST + 1)
        called = [str(cell) for cell in held.to_pyarrow()["cell"].to_pylist()]
        if not called or len(called) > _MOST:
            continue
        chosen = sorted(cell for cell, fits in _sums(rows, word, called).items() if fits)
        if chosen:
            return [_question(name, rows, word, chosen)]
    return []


def _sums(rows: Table, word: str, called: list[str]) -> dict[str, bool]:
    """Cell -> whether most of its amounts are sums of the rows above."""
    marked = rows[word].isin(called).fill_null(False)
    rows = rows.select(
        ROW, _cell=rows[word], _file=rows[ROW] >> FILE_SHIFT, _total=marked,
        _amount=rows[VALUE].fill_null(0),
    ).view()  # fmt: skip
    own = rows["_total"].ifelse(ibis.literal(0, "int64"), rows["_amount"])
    rows = rows.mutate(_own=own).view()
    above = ibis.window(group_by=rows["_file"], order_by=rows[ROW], preceding=None, following=0)
    rows = rows.mutate(_all=rows["_own"].sum().over(above)).view()
    rows = rows.filter(rows["_total"]).view()
    last = rows["_all"].lag().over(group_by=rows["_file"], order_by=rows[ROW]).fill_null(0)
    rows = rows.mutate(_part=rows["_all"] - last).view()
    fits = ((rows["_amount"] - rows["_part"]).abs() <= _NEAR) | (
        (rows["_amount"] - rows["_all"]).abs() <= _NEAR
    )
    counted = rows.group_by("_cell").agg(
        n=rows.count(), fits=(fits & (rows["_amount"] != 0)).cast("int64").sum()
    )
    return {row["_cell"]: 2 * row["fits"] > row["n"] for row in counted.to_pyarrow().to_pylist()}


def _question(name: str, rows: Table, word: str, cells: list[str]) -> Question:
    marked = rows[word].isin(cells).fill_null(False)
    sums = sums_of(rows, all=rows[VALUE].notnull(), marked=marked)
    (_, total), (n, part) = sums["all"], sums["marked"]
    return Question(
        key=setting_path("sources", name, "total_rows"),
        sentence=f"{n:,} rows have {', '.join(map(repr, cells))} as {word}, beside a time; "
        "do they sum up other rows?",
        choices=[
            Choice(cells, f"yes, they are set aside: {net_money(total - part)}"),
            Choice([], f"no: {net_money(total)}"),
        ],
    )
