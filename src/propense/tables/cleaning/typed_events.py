"""Events of all sources as one typed table: ids, words, times, money.

No row is left out here. A row that was mended carries a flag `_mended_...`; `_broken`,
`_left_out`, `_sums_up`, `_other_currency`, `_returns` and `_impossible` are flags for the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import ibis
from ibis.expr.types import BooleanValue, Column, Table

from propense.columns import (
    ACTION,
    COUNT,
    EVENT_ID,
    EVENT_TIME,
    ITEM_ID,
    ORDER,
    REFUND_TIME,
    SOURCE,
    USER_ID,
    VALUE,
)  # fmt: skip
from propense.errors import SourceError
from propense.settings import Settings, Source
from propense.tables.cells.calendars import infer_calendar
from propense.tables.cells.currencies import CurrencyNotes, currency_notes
from propense.tables.cells.numbers import number_of
from propense.tables.cells.spelling import (
    MAX_CATEGORIES,
    best_spellings,
    fold,
    id_text,
    respelled,
    trimmed,
)  # fmt: skip
from propense.tables.cells.time_formats import refuse_lost_digits, remedy_for, survey_times
from propense.tables.cells.times import Reading, add_microseconds
from propense.tables.cells.totals import total_row
from propense.tables.cleaning.clocks import mend_clock
from propense.tables.cleaning.conventions import Conventions, infer_conventions
from propense.tables.cleaning.event_ids import id_columns
from propense.tables.cleaning.identities import Identities, unify_ids
from propense.tables.cleaning.money import (
    LARGEST,
    add_numbers_of,
    money_of,
    refunded_of,
    settle,
)  # fmt: skip
from propense.tables.cleaning.orders import (
    OBJECT,
    ORDER_KEY,
    carried_down,
    left_out,
    named_totals,
    order_cells,
    reads_totals,
    refunded_rows,
    shared_totals,
    shares_over_products,
)
from propense.tables.engine.engine import BROKEN, FILE_SHIFT, ROW, TableEngine
from propense.tables.engine.json_columns import ELEMENT
from propense.tables.sources.reading import PRICE, RECEIVED_TIME, RawTable, RawTables

SOURCE_SHIFT: Final = 56
"""`_row >> SOURCE_SHIFT` is the source's number; a source may have 2**16 files."""
MENDED: Final = {
    "_mended_user": "user ids written as decimals",
    "_mended_item": "item ids written as decimals",
    "_mended_untidy": "invisible characters in ids",
    "_mended_capitals": "capitals of e-mail ids",
    "_mended_action": "spelling of actions",
    "_mended_identity": "identities",
    "_mended_anonymous": "anonymous_id where user_id is missing",
    "_mended_both": "identities from rows with both ids",
    "_mended_clock": "clock skew",
    "_mended_sign": "sign of refunds",
    "_mended_value": "unreadable value",
    "_mended_count": "unreadable count",
}


@dataclass(frozen=True)
class TypedEvents:
    """All events, typed, in the engine's scratch."""

    rows: Table
    n_in: int
    timed: bool
    has_event_ids: bool
    has_returns: bool
    """Some row takes back what was bought."""
    has_refunds: bool
    """Some row names an amount that was refunded of its order."""
    has_money: bool
    """Some source maps `value` or `price`."""
    ordered: bool
    """Some source maps `order`."""
    joined: bool
    """Some row has another id than its customer's main id, or an anonymous id beside it."""
    time_note: str = ""
    """How ambiguous times were read."""
    number_note: str = ""
    """How ambiguous numbers were read."""
    currencies: CurrencyNotes = field(default_factory=CurrencyNotes)
    """What became of money in other currencies."""


def type_events(
    raw: RawTables, settings: Settings, identities: Identities | None, engine: TableEngine
) -> TypedEvents:
    """The events of all sources as one table, kept in scratch.

    Raises SourceError if more than half of a source's times cannot be read, or if some
    sources have times and others have none.
    """
    timed = _timed(raw)
    changes, refunds = _action_changes(raw, settings)
    conventions = infer_conventions(raw, settings, timed)
    tables, time_note = [], ""
    for number, (name, as_read) in enumerate(raw.sources.items()):
        source = carried_down(as_read)
        if len(source.files) > 1 << (SOURCE_SHIFT - FILE_SHIFT) or number > 126:
            raise SourceError(
                f"[sources.{name}] has {len(source.files):,} files and is source {number + 1}: at "
                "most 65,536 files and 127 sources are read; join some of them"
            )
        survey = conventions[name].times
        readings = [None] if survey is None else [survey.quick, survey.thorough]
        for reading in dict.fromkeys(readings):
            rows = _type_source(source, settings, changes[name], conventions[name], reading, engine)
            if shares_over_products(source):
                rows = shared_totals(rows, OBJECT)
            elif isinstance(source.settings, Source) and source.settings.value_is == "order":
                rows = shared_totals(rows, ORDER_KEY, USER_ID)
            rows = _finish(
                rows, number, settings, refunds, engine, identities, reads_totals(source)
            )
            typed = engine.keep(rows, f"typed/{number:03d}")
            n_unread = 0 if reading is None else int(_unread(typed).count().execute())
            if n_unread == 0:
                break
        _refuse_unread(source, typed, n_unread)
        time_note = (survey.note if survey is not None else "") or time_note
        tables.append(typed)
    rows = tables[0] if len(tables) == 1 else ibis.union(*tables)
    return TypedEvents(
        rows, sum(source.n_rows for source in raw.sources.values()), timed,
        any(EVENT_ID in source.columns for source in raw.sources.values()),
        _any(rows["_returns"]), _any(rows["_refund"] > 0),
        any(VALUE in source.columns or PRICE in source.columns for source in raw.sources.values()),
        any(ORDER in source.columns for source in raw.sources.values()),
        _any(rows["_was"].notnull() | rows["_linked"].notnull()), time_note,
        "; ".join(note for one in conventions.values() for note in one.notes),
        currency_notes([one.currencies for one in conventions.values()]),
    )  # fmt: skip


def _any(condition: BooleanValue) -> bool:
    largest = condition.fill_null(False).cast("int64").max().as_table().to_pyarrow()
    return bool(largest[0][0].as_py())


def _timed(raw: RawTables) -> bool:
    having = [name for name, source in raw.sources.items() if EVENT_TIME in source.columns]
    if having and len(having) < len(raw.sources):
        missing = next(name for name in raw.sources if name not in having)
        raise SourceError(
            f"[sources.{missing}] has no event_time while [sources.{having[0]}] has; "
            'name the column in columns = { event_time = "..." }'
        )
    return bool(having)


def _action_changes(
    raw: RawTables, settings: Settings
) -> tuple[dict[str, dict[str, tuple[str, bool]]], list[str]]:
    """Source -> its word -> (the action it means, whether only its spelling was mended); and the
    actions that are refunds."""
    counts: dict[str, int] = {}
    meant: dict[str, dict[str, str]] = {}
    for name, source in raw.sources.items():
        source_settings = source.settings
        column = source.column(ACTION)
        if not isinstance(source_settings, Source) or column is None:
            meant[name] = {}
            continue
        words = source.rows.select(word=id_text(column)).group_by("word").agg(n=ibis._.count())
        word_counts = words.limit(MAX_CATEGORIES + 1).to_pyarrow().to_pylist()
        if len(word_counts) > MAX_CATEGORIES:
            raise SourceError(
                f"[sources.{name}]: column {source.columns[ACTION]!r} has more than "
                f"{MAX_CATEGORIES:,} distinct actions; map action to a column with fewer words, "
                "and put the object in item_id"
            )
        renamed = {fold(old): new for old, new in source_settings.actions.items()}
        own = {}
        for row in word_counts:
            if row["word"] is not None:
                own[row["word"]] = renamed.get(fold(row["word"]), row["word"])
                counts[own[row["word"]]] = counts.get(own[row["word"]], 0) + row["n"]
        meant[name] = own
    best = best_spellings(counts)
    changes = {
        name: {
            old: (best.get(new, new), new in best)
            for old, new in own.items() if best.get(new, new) != old
        }
        for name, own in meant.items()
    }  # fmt: skip
    actions = {best.get(word, word) for word in counts}
    actions |= {source.action for source in settings.sources.values() if source.action is not None}
    return changes, sorted(word for word in actions if settings.clean.is_refund(word))


def _type_source(
    source: RawTable, settings: Settings, changes: dict[str, tuple[str, bool]],
    conventions: Conventions, reading: Reading | None, engine: TableEngine,
) -> Table:  # fmt: skip
    """Ids, action, time and numbers of one source, before any rule."""
    source_settings = source.settings
    if not isinstance(source_settings, Source):
        raise TypeError(f"{source.name} is not a source of events")
    rows = source.rows
    if reading is not None:
        rows = add_microseconds(rows, source.columns[EVENT_TIME], "_t", reading, engine)
        for word, name in ((RECEIVED_TIME, "_received"), (REFUND_TIME, "_refund_t")):
            if word in source.columns:
                rows = _add_time(rows, source, settings, engine, word, name, conventions)
    else:
        rows = rows.mutate(_t=ibis.null("int64"))
    rows = add_numbers_of(source, rows, conventions)
    own = {word: rows[name] for word, name in source.columns.items()}
    if ELEMENT in rows.columns:
        own[ELEMENT] = rows[ELEMENT]
    return rows.select(
        *[rows[name] for name in (ROW, "_t", "_received", "_refund_t") if name in rows.columns],
        **id_columns(source, own, conventions.ids, settings),
        **_action(source_settings, own.get(ACTION), changes),
        **money_of(source, rows),
        **{
            SOURCE: trimmed(own[SOURCE]).fill_null(source.name) if SOURCE in own
            else ibis.literal(source.name),
            ORDER: _whole(number_of(own[ORDER])) if ORDER in own else ibis.null("int64"),
            "_cancels": _cancels(rows, source_settings),
            "_left_out": left_out(rows, source_settings),
            "_other_currency": ibis.literal(False) if conventions.currencies is None
            else conventions.currencies.without_rate(rows),
            "_sums_up": total_row(rows, source.columns, source.own, reading is not None)
            | named_totals(rows, source),
            "_refunds": refunded_rows(rows, source_settings),
            "_refund": refunded_of(source, rows),
            **order_cells(source, rows, engine),
            "_broken": rows[BROKEN].notnull() if BROKEN in rows.columns else ibis.literal(False),
        },
    ).view()  # fmt: skip


def _action(
    source: Source, column: Column | None, changes: dict[str, tuple[str, bool]]
) -> dict[str, Column]:
    """The action, and whether its spelling was mended."""
    if column is None:
        return {ACTION: ibis.literal(source.action), "_mended_action": ibis.literal(False)}
    action = id_text(column)
    mended = [old for old, (_, spelt) in changes.items() if spelt]
    respelt = action.isin(mended).fill_null(False) if mended else ibis.literal(False)
    action = respelled(action, {old: new for old, (new, _) in changes.items()})
    if source.action is not None:
        action = action.fill_null(source.action)
    return {ACTION: action, "_mended_action": respelt}


def _cancels(rows: Table, source: Source) -> Column:
    """Whether a row cancels an earlier one."""
    if source.cancelled is None:
        return ibis.literal(False)
    text = rows[source.cancelled.column].cast("string").strip()
    return text.startswith(source.cancelled.starts_with).fill_null(False)


def _whole(number: Column) -> Column:
    return (number.abs() < LARGEST * 1000).ifelse(number, ibis.null("float64")).cast("int64")


def _add_time(
    rows: Table, source: RawTable, settings: Settings, engine: TableEngine, word: str, name: str,
    conventions: Conventions,
) -> Table:  # fmt: skip
    column = source.columns[word]
    zone = source.settings.time_zone or settings.time_zone
    order = conventions.date_orders.get(column)
    refuse_lost_digits(source, column)
    ahead, _ = infer_calendar(source, column, "", source.settings.calendar)
    survey = survey_times(source.rows, column, zone, None, column in source.with_zone, order, ahead)
    return add_microseconds(rows, column, name, survey.thorough, engine)


def _finish(
    rows: Table, number: int, settings: Settings, refunds: list[str], engine: TableEngine,
    identities: Identities | None, with_lines: bool,
) -> Table:  # fmt: skip
    """Identities, clocks, money, and which values are impossible by themselves."""
    rows = unify_ids(rows, identities).view()
    rows = mend_clock(rows, "_received" in rows.columns).view()
    line = rows["_price"] * rows[COUNT] if with_lines else ibis.null("float64")
    rows = settle(rows.mutate(_line=line.abs()), settings.clean, refunds)
    later = rows["_refund_t"] if "_refund_t" in rows.columns else ibis.null("int64")
    rows = rows.select(
        (rows[ROW] + (number << SOURCE_SHIFT)).name(ROW), USER_ID, ITEM_ID, ACTION, "_t", COUNT,
        VALUE, EVENT_ID, SOURCE, ORDER, ORDER_KEY, "_line", "_returns", "_of", "_gives_back",
        "_was", "_linked", "_impossible", "_left_out", "_sums_up", "_other_currency", "_refund",
        "_broken", "_mended_user", "_mended_item",
        "_mended_action", "_mended_untidy", "_mended_capitals", "_mended_value", "_mended_count",
        "_mended_clock", "_mended_sign",
        _refund_t=later, _mended_identity=rows["_was"].notnull() & ~rows["_fallback"],
        _mended_anonymous=rows["_was"].isnull() & rows["_fallback"],
        _mended_both=rows["_was"].notnull() & rows["_fallback"],
    ).view()  # fmt: skip
    same = (USER_ID, ITEM_ID, ACTION, VALUE, COUNT, SOURCE)
    return rows.mutate(_key=engine.key(*[rows[name] for name in same]))


def _unread(typed: Table) -> Table:
    """Whole rows whose time could not be read."""
    return typed.filter(typed["_t"].isnull() & ~typed["_broken"] & ~typed["_sums_up"])


def _refuse_unread(source: RawTable, typed: Table, n_unread: int) -> None:
    """Raise SourceError if more than half cannot be read: that is a wrong setting, not dirt."""
    if n_unread * 2 <= source.n_rows:
        return
    name = source.columns[EVENT_TIME]
    lost = _unread(typed).aggregate(row=ibis._[ROW].min())
    row = int(lost.to_pyarrow()["row"][0].as_py()) & ((1 << SOURCE_SHIFT) - 1)
    example = source.rows.filter(source.rows[ROW] == row).select(value=source.rows[name])
    value = example.to_pyarrow()["value"][0].as_py()
    raise SourceError(
        f"{source.locate(row)}, column {name!r}: time {value!r} cannot be read; {n_unread:,} of "
        f"{source.n_rows:,} rows have such times; set the format, for example "
        f'time_format = "{remedy_for(str(value))}" in [sources.{source.name}]; a name of a zone '
        "behind the time is not read: export without it and set time_zone"
    )
