"""Documents that give money back and are written with positive amounts: which are they?"""

from __future__ import annotations

from typing import Any, Final

import ibis
import msgspec
from ibis.expr.types import Table

from propense.columns import EVENT_ID, ORDER_ID, VALUE
from propense.settings import Refunded, Source
from propense.settings.paths import setting_path
from propense.tables.cells.credit_words import credit_prefixes, credit_words
from propense.tables.cells.order_words import status_columns
from propense.tables.cleaning.orders import refunded_rows
from propense.tables.cleaning.questions.net_money import net_money, sums_of
from propense.tables.cleaning.typed_events import SOURCE_SHIFT
from propense.tables.engine.engine import ROW
from propense.tables.questions import Choice, Question
from propense.tables.sources.reading import RawTable

_SAMPLE: Final = 5000
_FEW: Final = 500
"""Cells of a column that are looked through for prefixes."""


def ask_about_credit_notes(
    name: str, source: RawTable, rows: Table, number: int, free: list[str]
) -> list[Question]:
    """Whether rows are refunds whose column, mapped to nothing but an order's number, holds a
    kind or a number of documents that sounds like a credit note, while their money is positive.

    `rows` are the typed rows of the source, which is the one with that `number`.
    """
    settings = source.settings
    assert isinstance(settings, Source)
    if settings.refunded is not None or settings.cancelled is not None:
        return []
    numbered = [source.columns[word] for word in (ORDER_ID, EVENT_ID) if word in source.columns]
    for column in dict.fromkeys([*free, *numbered]):
        if column not in source.own or not source.rows[column].type().is_string():
            continue
        refunded = _refunded(source, column)
        if refunded is None:
            continue
        answered = msgspec.structs.replace(settings, refunded=refunded)
        marked = source.rows.select(
            _back=refunded_rows(source.rows, answered),
            **{ROW: source.rows[ROW] + (number << SOURCE_SHIFT)},
        )
        joined = rows.inner_join(marked, ROW).view()
        # What gives its money back by its sign already needs no word.
        back = joined["_back"] & (joined[VALUE] > 0).fill_null(False)
        sums = sums_of(joined, all=joined[VALUE].notnull(), back=back)
        (_, total), (n, refunds) = sums["all"], sums["back"]
        if not n:
            continue
        value: dict[str, Any] = {"column": column}
        if refunded.values:
            value["values"] = list(refunded.values)
        if refunded.starts_with:
            value["starts_with"] = list(refunded.starts_with)
        shown = ", ".join(map(repr, [*refunded.values, *refunded.starts_with]))
        return [
            Question(
                key=setting_path("sources", name, "refunded"),
                sentence=f"{n:,} rows with a positive amount are {shown} in column "
                f"{column!r}; are these credit notes, which give money back?",
                choices=[
                    Choice(value, f"yes: {net_money(total - 2 * refunds)}"),
                    Choice("", f"no: {net_money(total)}"),
                ],
            )
        ]
    return []


def _refunded(source: RawTable, column: str) -> Refunded | None:
    """The rows of credit notes by a column, if its words or numbers show some."""
    cells = source.rows.select(cell=source.rows[column].strip()).filter(ibis._.cell.notnull())
    words = cells.limit(_SAMPLE).distinct().limit(_FEW).to_pyarrow()["cell"].to_pylist()
    if status_columns({column: set(words)}):
        return None  # `where` is asked about it
    if credits := credit_words(column, words):
        return Refunded(column=column, values=tuple(credits))
    if credits := credit_prefixes(column, words):
        return Refunded(column=column, starts_with=tuple(credits))
    return None
