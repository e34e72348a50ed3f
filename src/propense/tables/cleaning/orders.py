"""Rows that belong to one order: fields of its first row, its total, its status, its refund."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import ibis
from ibis.expr.types import BooleanValue, Column, Table

from propense.columns import COUNT, CURRENCY, ITEM_ID, ORDER_ID, USER_ID, VALUE
from propense.errors import SettingsError
from propense.settings import Cell, Refunded, Source
from propense.tables.cells.spelling import NOTHING, id_text, trimmed
from propense.tables.engine.engine import ROW, TableEngine
from propense.tables.engine.json_columns import ELEMENT
from propense.tables.sources.reading import RawTable

ORDER_KEY: Final = "_order_key"
OBJECT: Final = "_object"
"""The first row of the object that a row is a product of."""
_CENT: Final = 10_000
_MICRO: Final = 1_000_000


def carried_down(source: RawTable) -> RawTable:
    """The source with empty cells filled from the rows of their order above.

    These are the columns of `carry_down`, and those of `where` unless it asks for empty cells.
    """
    settings = source.settings
    order = source.column(ORDER_ID)
    if not isinstance(settings, Source) or order is None:
        return source
    asked = [
        name for name, cells in (settings.where or {}).items()
        if "" not in {_key(cell) for cell in (cells if isinstance(cells, tuple) else (cells,))}
    ]  # fmt: skip
    names = dict.fromkeys((*settings.carry_down, *asked, *_carried_currency(source)))
    if not names:
        return source
    rows = source.rows.mutate(_of_order=id_text(order)).view()
    for name in names:
        in_order = ibis.window(
            group_by=rows["_of_order"], order_by=rows[ROW], preceding=None, following=0
        )
        there = _cell(rows[name]).notnull()
        rows = rows.mutate(_seen=there.cast("int64").sum().over(in_order)).view()
        own = rows[name]
        blank = _cell(own).isnull() & rows["_of_order"].notnull()
        there = _cell(own).notnull().ifelse(own, ibis.null(own.type()))
        above = there.max().over(group_by=[rows["_of_order"], rows["_seen"]])
        rows = rows.mutate(**{name: blank.ifelse(above, own)}).drop("_seen").view()
    return replace(source, rows=rows.drop("_of_order"))


def _carried_currency(source: RawTable) -> list[str]:
    """The column of currencies, where other cells stand on the first row of an order only too."""
    settings = source.settings
    carries = isinstance(settings, Source) and settings.carry_down
    return [source.columns[CURRENCY]] if carries and CURRENCY in source.columns else []


def _cell(column: Column) -> Column:
    return trimmed(column) if column.type().is_string() else column


def _written(column: Column) -> Column:
    """A cell as `where` compares it: "" for nothing; case and blanks do not count."""
    text = id_text(column) if not column.type().is_string() else column.cast("string")
    text = text.re_replace(r"[\s_]+", " ").strip().lower().re_replace(r"^(-?\d+)\.0+$", r"\1")
    return text.isin(NOTHING).ifelse("", text).fill_null("")


def _key(cell: Cell) -> str:
    """A cell of the settings likewise.

    >>> _key("Partially_Refunded "), _key(1.0), _key(True), _key("N/A")
    ('partially refunded', '1', 'true', '')
    """
    text = re.sub(r"[\s_]+", " ", str(cell)).strip().lower()
    text = re.sub(r"^(-?\d+)\.0+$", r"\1", text)
    return "" if text in NOTHING else text


def fits(column: Column, cells: Cell | tuple[Cell, ...]) -> BooleanValue:
    """Whether a cell of the file is one of `cells`, in whatever spelling."""
    many = cells if isinstance(cells, tuple) else (cells,)
    return _written(column).isin(sorted({_key(cell) for cell in many}))


def left_out(rows: Table, settings: Source) -> BooleanValue:
    """Whether a row is none of those that `where` asks for."""
    out: BooleanValue = ibis.literal(False)
    for name, cells in (settings.where or {}).items():
        out = out | ~fits(rows[name], cells)
    return out


def named_totals(rows: Table, source: RawTable) -> BooleanValue:
    """Whether a row's customer or item is one of `total_rows`."""
    settings = source.settings
    if not isinstance(settings, Source) or not settings.total_rows:
        return ibis.literal(False)
    names = [source.columns[word] for word in (USER_ID, ITEM_ID) if word in source.columns]
    return ibis.or_(*[fits(rows[name], settings.total_rows) for name in names])


def refunded_rows(rows: Table, settings: Source) -> BooleanValue:
    """Whether `refunded` says that a row gives money back."""
    refunded = settings.refunded
    if not isinstance(refunded, Refunded):
        return ibis.literal(False)
    column = rows[refunded.column]
    back = fits(column, refunded.values)
    if refunded.starts_with:
        prefix = column.cast("string").strip().lower().re_extract(r"^(\D*?)[\s_/.#-]*\d", 1)
        back = back | prefix.isin(sorted({one.strip().lower() for one in refunded.starts_with}))
    return back.fill_null(False)


def order_cells(source: RawTable, rows: Table, engine: TableEngine) -> dict[str, Column]:
    """The order of each row as text, and a key of all its cells where totals are shared."""
    settings = source.settings
    name = source.columns.get(ORDER_ID)
    cells = {ORDER_KEY: ibis.null("string") if name is None else id_text(rows[name])}
    if shares_over_products(source):
        first = source.columns[VALUE].partition(", or ")[0]
        position = rows[_number_of(source, first)].fill_null(0)
        return {**cells, OBJECT: rows[ROW] - position, "_whole": position.cast("string")}
    if isinstance(settings, Source) and settings.value_is != "line" and reads_totals(source):
        own = [rows[name] for name in source.own]
        nested = [one.type().is_nested() or one.type().is_json() for one in own]
        text = [
            one.cast("string") if is_nested else one
            for one, is_nested in zip(own, nested, strict=True)
        ]
        cells["_whole"] = engine.key(*text).cast("string")
    return cells


def total_of_lines(rows: Table) -> dict[str, float]:
    """What tells whether `value` is an order's total that repeats on its rows.

    `orders` with several rows that differ (in the item, where there are items) and a value on
    each; `same`: those with one value; `values`: distinct ones among these; `lines` with price
    and count, and `own`: those whose value is price times count; `by_line` and `by_order`: the
    sums of both readings over all orders.
    """
    lines = rows.filter(rows[ORDER_KEY].notnull())
    lines = lines.mutate(_amount=lines[VALUE].cast("float64") / _MICRO)
    each = lines.group_by(ORDER_KEY, USER_ID).agg(
        n=lines.count(), n_values=lines["_amount"].count(), items=lines["item_id"].nunique(),
        low=lines["_amount"].min(), high=lines["_amount"].max(), total=lines["_amount"].sum(),
        lines=lines["_line"].count(),
        own=((lines["_line"] - lines["_amount"].abs()).abs() < 0.005).fill_null(False)
        .cast("int64").sum(),
    ).view()  # fmt: skip
    several = (each["n"] > 1) & (each["n_values"] == each["n"]) & (each["items"] != 1)
    same = several & (each["low"] == each["high"])
    one = (each["n"] > 1) & (each["low"] == each["high"])
    counts = each.aggregate(
        orders=several.cast("int64").sum(), same=same.cast("int64").sum(),
        values=same.ifelse(each["low"], ibis.null("float64")).nunique(),
        lines=several.ifelse(each["lines"], 0).sum(), own=several.ifelse(each["own"], 0).sum(),
        by_line=each["total"].sum(), by_order=one.ifelse(each["low"], each["total"]).sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    return {name: float(number or 0) for name, number in counts.items()}


def repeats_totals(counts: dict[str, float]) -> bool:
    """Whether the counts of `total_of_lines` look as if totals repeat."""
    likely = counts["orders"] > 1 and counts["same"] >= 0.95 * counts["orders"]
    lines = counts["lines"] > 0 and counts["own"] >= 0.95 * counts["lines"]
    return likely and counts["values"] > 1 and not lines


def shared_totals(rows: Table, *key: str) -> Table:
    """Rows whose `_amount` is an order's total, with the total shared over the order's rows.

    Rows of one order have the same cells in the columns `key`. A row's weight is price times count,
    or one where no row of the order has that. `_whole` is a key of a row's cells: a row that equals
    an earlier one of its order gets nothing, since it may be a repetition. Shares are whole cents
    by the largest remainder, and sum to the total. Orders whose rows have different values are left
    as they are.
    """
    price = (rows["_price"] * rows[COUNT].fill_null(1.0)).abs()
    rows = rows.mutate(_weight=price).view()
    first = ibis.row_number().over(
        group_by=[*(rows[name] for name in key), rows["_whole"]], order_by=rows[ROW]
    )
    rows = rows.mutate(_first=first == 0).view()
    rows = rows.mutate(_weight=rows["_first"].ifelse(rows["_weight"].fill_null(0.0), 0.0)).view()
    order = ibis.window(group_by=[rows[name] for name in key])
    rows = rows.mutate(
        _sum=rows["_weight"].sum().over(order), _n=rows["_first"].cast("int64").sum().over(order),
        _low=rows["_amount"].min().over(order), _high=rows["_amount"].max().over(order),
    ).view()  # fmt: skip
    total = (rows["_low"].abs() * _MICRO).round().cast("int64")
    equal = rows["_first"].ifelse(1.0, 0.0) / rows["_n"]
    weight = (rows["_sum"] > 0).ifelse(rows["_weight"] / rows["_sum"].nullif(0), equal)
    rows = rows.mutate(_total=total, _exact=(total / float(_CENT)).floor() * weight).view()
    rows = rows.mutate(_cents=rows["_exact"].floor().cast("int64")).view()
    order = ibis.window(group_by=[rows[name] for name in key])
    largest = ibis.row_number().over(
        group_by=[rows[name] for name in key],
        order_by=[ibis.desc(rows["_exact"] - rows["_cents"]), ~rows["_first"], rows[ROW]],
    )
    rows = rows.mutate(_rank=largest, _shared=rows["_cents"].sum().over(order)).view()
    cents = (rows["_total"] / float(_CENT)).floor().cast("int64")
    left = cents - rows["_shared"]
    left = ibis.least(ibis.greatest(left, 0), rows["_n"])
    extra = (rows["_rank"] < left).cast("int64")
    rest = rows["_total"] - (rows["_shared"] + left) * _CENT
    share = (rows["_cents"] + extra) * _CENT + (rows["_rank"] == 0).ifelse(rest, 0)
    share = share.cast("float64") / _MICRO * (rows["_low"] < 0).ifelse(-1.0, 1.0)
    one = rows[key[0]].notnull() & (rows["_low"] == rows["_high"]).fill_null(False)
    rows = rows.mutate(_amount=one.ifelse(share, rows["_amount"]))
    helpers = ("_whole", "_weight", "_first", "_sum", "_n", "_low", "_high", "_total", "_exact",
               "_cents", "_rank", "_shared")  # fmt: skip
    return rows.drop(*helpers).view()


def reads_totals(source: RawTable) -> bool:
    """Whether a source has both order ids and values, so that a value may be an order's."""
    both = ORDER_ID in source.columns and VALUE in source.columns
    return both and not shares_over_products(source)


def shares_over_products(source: RawTable) -> bool:
    """Whether `value` is the money of an object whose products are rows.

    Raises SettingsError where some of its columns stand inside the list and others outside.
    """
    settings = source.settings
    if not isinstance(settings, Source) or not settings.products or VALUE not in source.columns:
        return False
    names = [settings.columns.get(VALUE) or VALUE, *settings.fallbacks.get(VALUE, ())]
    inside = [name for name in names if name.startswith(f"{settings.products}.")]
    where = f"[sources.{source.name}]"
    if len(numbers := {_number_of(source, name) for name in names}) > 1 or (
        0 < len(inside) < len(names)
    ):
        raise SettingsError(
            f"{where} value: {' and '.join(map(repr, names))} stand in different lists, so some "
            "are money of one row and others of several; name only columns of one list"
        )
    assert len(numbers) == 1
    if not inside and settings.value_is == "order":
        raise SettingsError(
            f'{where} value_is = "order": value stands outside the list {settings.products!r} and '
            "is shared over its products already; remove value_is"
        )
    return not inside


def _number_of(source: RawTable, own: str) -> str:
    """The column that numbers the rows of what holds `own`: the object, or an outer list's
    element."""
    numbers = [name for name in source.own if name.startswith(f"{ELEMENT} ")]
    fitting = [name for name in numbers if own.startswith(f"{name[len(ELEMENT) + 1 :]}.")]
    return max(fitting, key=len, default=ELEMENT)


def first_of_object(column: Column, name: str, source: RawTable, rows: Table) -> Column:
    """A cell of a column outside the list of products on the object's first row only."""
    settings = source.settings
    assert isinstance(settings, Source)
    if not settings.products or name.startswith(f"{settings.products}."):
        return column
    return (rows[_number_of(source, name)].fill_null(0) == 0).ifelse(column, ibis.null("float64"))
