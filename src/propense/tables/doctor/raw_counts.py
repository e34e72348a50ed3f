"""Counts of dirt in the rows as read; no cleaning rule is applied first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
from ibis.expr.types import Column, Table

from propense.columns import ACTION, COUNT, EVENT_ID, EVENT_TIME, ITEM_ID, USER_ID, VALUE
from propense.ids import MISSING_WORDS, PLACEHOLDER_IDS
from propense.settings import Source
from propense.tables.cells.ids import read_id
from propense.tables.cells.numbers import number_of
from propense.tables.cells.spelling import id_text
from propense.tables.engine.engine import BROKEN, TableEngine
from propense.tables.sources.reading import PRICE, RawTable, RawTables


@dataclass(frozen=True)
class Fact:
    """One count of dirt, in words too."""

    name: str
    count: int
    sentence: str


def count_facts(
    raw: RawTables, engine: TableEngine, no_customer: Sequence[str] = PLACEHOLDER_IDS
) -> list[Fact]:  # fmt: skip
    """What is dirty in the events as they were read, over all sources.

    Facts overlap: a row without a user may be a duplicate as well. Cleaning's account shows
    instead which rule took each row. `no_customer` are the words that are no customer's id.
    Names: rows, broken_rows, rows_without_user,
    rows_without_item, rows_without_action, rows_without_time, surplus_duplicates,
    repeated_event_ids, cancellation_rows, non_positive_counts, non_positive_prices,
    negative_values; a fact whose column is mapped nowhere is left out.
    """
    totals: dict[str, int] = {}
    for source in raw.sources.values():
        for name, count in _count_source(source, engine, no_customer).items():
            totals[name] = totals.get(name, 0) + count
    return [Fact(name, count, _SENTENCES[name].format(count)) for name, count in totals.items()]


_SENTENCES = {
    "rows": "{:,} rows in all",
    "broken_rows": "{:,} rows cannot be parsed",
    "rows_without_user": "{:,} rows have no user id",
    "rows_without_item": "{:,} rows have no item id",
    "rows_without_action": "{:,} rows have no action",
    "rows_without_time": "{:,} rows have no time",
    "surplus_duplicates": "{:,} rows equal an earlier row in every column",
    "repeated_event_ids": "{:,} rows repeat the event_id of another row",
    "cancellation_rows": "{:,} rows cancel an earlier row",
    "non_positive_counts": "{:,} rows have a count of zero or less",
    "non_positive_prices": "{:,} rows have a price of zero or less",
    "negative_values": "{:,} rows have a negative value",
}


def _count_source(
    source: RawTable, engine: TableEngine, no_customer: Sequence[str]
) -> dict[str, int]:  # fmt: skip
    rows = source.rows
    measures: dict[str, Column] = {"rows": rows.count()}

    def add(name: str, condition: Column) -> None:
        if BROKEN in rows.columns:
            condition = condition & rows[BROKEN].isnull()
        measures[name] = condition.fill_null(False).cast("int64").sum()

    if BROKEN in rows.columns:
        measures["broken_rows"] = rows[BROKEN].notnull().cast("int64").sum()
    missing = {
        USER_ID: "rows_without_user", ITEM_ID: "rows_without_item", ACTION: "rows_without_action",
        EVENT_TIME: "rows_without_time",
    }  # fmt: skip
    for word, name in missing.items():
        column = source.column(word)
        if column is not None:
            ids = {USER_ID: no_customer, ITEM_ID: MISSING_WORDS}
            cell = read_id(column, ids[word]) if word in ids else id_text(column)
            add(name, cell.isnull())
    source_settings = source.settings
    if isinstance(source_settings, Source) and source_settings.cancelled is not None:
        text = rows[source_settings.cancelled.column].cast("string").strip()
        add("cancellation_rows", text.startswith(source_settings.cancelled.starts_with))
    numbers = {COUNT: "non_positive_counts", PRICE: "non_positive_prices"}
    for word, name in numbers.items():
        column = source.column(word)
        if column is not None:
            add(name, number_of(column) <= 0)
    value = source.column(VALUE)
    if value is not None:
        add("negative_values", number_of(value) < 0)
    counted = rows.aggregate(**measures).to_pyarrow().to_pylist()[0]
    counts = {name: int(number or 0) for name, number in counted.items()}
    counts["surplus_duplicates"] = _surplus(rows, source.own, engine)
    identifier = source.column(EVENT_ID)
    if identifier is not None:
        named = rows.filter(id_text(identifier).notnull())
        counts["repeated_event_ids"] = _surplus(named, [source.columns[EVENT_ID]], engine)
    return counts


def _surplus(rows: Table, names: list[str], engine: TableEngine) -> int:
    """Rows beyond the first of each group that is equal in all the columns; broken rows apart."""
    if BROKEN in rows.columns:
        rows = rows.filter(rows[BROKEN].isnull())
    columns = [
        rows[name].cast("string") if rows[name].type().is_nested() else rows[name] for name in names
    ]
    narrow = rows.select(_key=engine.key(*columns))
    often = narrow.group_by("_key").having(narrow.count() > 1).agg()
    keyed = rows.select(
        _key=engine.key(*columns),
        **{f"_own{index}": column for index, column in enumerate(columns)},
    )
    same = keyed.semi_join(often, "_key")
    groups = same.group_by([name for name in same.columns if name != "_key"]).agg(n=ibis._.count())
    n_surplus = groups.aggregate(surplus=(groups.n - 1).sum()).to_pyarrow()["surplus"][0].as_py()
    return int(n_surplus or 0)
