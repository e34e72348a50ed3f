"""Cleaning events: the rules in their order, and the account of every row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import ibis
import pyarrow as pa
from ibis.expr.types import Table

from propense.columns import (
    ACTION,
    COUNT,
    EVENT_ID,
    EVENT_TIME,
    ITEM_ID,
    MICRO_UNITS,
    ORDER,
    SOURCE,
    USER_ID,
    VALUE,
)
from propense.encoding.history import HINDSIGHT
from propense.errors import SourceError
from propense.schemas import Account, Rule
from propense.settings import Settings
from propense.tables.cleaning.accounts import as_read, checked, rows_in, write_set_aside
from propense.tables.cleaning.duplicates import DUPLICATE, without
from propense.tables.cleaning.event_rules import (
    EVENT_RULES,
    ROW_RULES,
    RuleContext,
    ValueBounds,
    take_rows,
)
from propense.tables.cleaning.hindsight import find_hindsight
from propense.tables.cleaning.identities import Identities
from propense.tables.cleaning.losses import with_fuller_id
from propense.tables.cleaning.order_refunds import refund_events
from propense.tables.cleaning.outliers import (
    count_days,
    first_days,
    largest_usual_value,
    last_day_of_data,
    refuse_times,
)
from propense.tables.cleaning.questions.money_questions import ask_about_money, with_guesses
from propense.tables.cleaning.resolution import Resolution, find_resolution
from propense.tables.cleaning.returns import returned_rules
from propense.tables.cleaning.typed_events import MENDED, SOURCE_SHIFT, TypedEvents, type_events
from propense.tables.engine.engine import ROW, TableEngine
from propense.tables.questions import refuse_open
from propense.tables.sources.reading import PRICE, RawTables
from propense.times import MICROS_PER_DAY, parse_time

VALUE_NOTE: Final = "these rows stay, without an amount"
COUNT_NOTE: Final = "these rows stay and count once, and price times count is missing"


def clean_events(
    raw: RawTables, settings: Settings, identities: Identities | None, items: Table | None,
    engine: TableEngine, folder: Path,
) -> Account:  # fmt: skip
    """Clean the events of all sources into `folder/events`; returns their account.

    The bounds that follow from the data are found again on the rows that are left, until they no
    longer change: cleaning clean events changes nothing.

    Raises SourceError if no event is left, QuestionError where the settings leave open what is
    money, and as `type_events`.
    """
    clean = settings.clean
    earliest = parse_time(clean.earliest, settings.time_zone, "[clean] earliest")
    events = type_events(raw, settings, identities, engine)
    if events.timed:
        names = list(raw.sources)
        refuse_times(events.rows, names, SOURCE_SHIFT, earliest, future=clean.until is None)
    questions = ask_about_money(events, raw, settings)
    if questions:
        refuse_open(questions, settings)
        raw, settings = with_guesses(raw, settings, questions)
        clean = settings.clean
        events = type_events(raw, settings, identities, engine)
    context = RuleContext(raw, events, clean, earliest, items, engine, ValueBounds())
    _, readable = take_rows(ROW_RULES, events.rows, context)
    context = replace(context, bounds=_bounds_of(readable, settings, events.timed))
    out = folder / "events"
    while True:
        parts, _ = take_rows(EVENT_RULES, events.rows, context)
        dropped = engine.keep(ibis.union(*parts), "taken")
        survivors, n_added = _survivors(without(events.rows, dropped), context)
        engine.write_parquet(_order(survivors, events, engine), out)
        bounds = _closer(context.bounds, _bounds_of_clean(out, events, settings, engine), settings)
        if bounds == context.bounds:
            break
        context = replace(context, bounds=bounds)
    stated = None if identities is None else identities.stated
    _write_hindsight(survivors, context, stated, folder)
    counts = _set_aside(raw, dropped, folder / "set_aside" / "events.parquet", engine)
    account = with_fuller_id(_account(context, counts, n_added, out), raw)
    if account.n_out == 0:
        largest = max(account.rules, key=lambda rule: rule.dropped)
        raise SourceError(
            f"events: cleaning leaves none of {account.n_in:,} rows: the rule {largest.name!r} "
            f"sets aside {largest.dropped:,}; see the rows and reasons in {folder / 'set_aside'}"
        )
    return account


def _bounds_of(rows: Table, settings: Settings, timed: bool) -> ValueBounds:
    """The bounds that the settings name, otherwise those that follow from the rows."""
    until = largest = None
    days = count_days(rows) if timed else {}
    if settings.clean.until is not None:
        until = parse_time(settings.clean.until, settings.time_zone, "[clean] until")
    elif timed:
        day = last_day_of_data(days)
        until = None if day is None else (day + 1) * MICROS_PER_DAY - 1
    resolution = Resolution()
    if timed:
        zones = [source.time_zone or settings.time_zone for source in settings.sources.values()]
        resolution = find_resolution(rows, zones)
    if settings.clean.value_range is None:
        largest = largest_usual_value(rows, _validation_begin(days, settings))
    return ValueBounds(until, largest, resolution)


def _validation_begin(days: dict[int, int], settings: Settings) -> int | None:
    """Microseconds: validation, whose rows decide nothing about earlier ones, begins then. None in
    splits that do not divide time. `days` counts rows by day."""
    rules = settings.split
    if (
        not days
        or rules.by not in ("auto", "time")
        or rules.folds is not None
        or rules.group is not None
    ):
        return None
    if rules.validation_from is not None:
        name = "[split] validation_from"
        return parse_time(rules.validation_from, settings.time_zone, name)
    return first_days(days, rules.fractions[0]) * MICROS_PER_DAY


def _bounds_of_clean(
    out: Path, events: TypedEvents, settings: Settings, engine: TableEngine
) -> ValueBounds:
    """The bounds that follow from the events that were written."""
    written = engine.read_parquet(out)
    time = engine.microseconds(written[EVENT_TIME]) if events.timed else ibis.null("int64")
    return _bounds_of(written.mutate(_t=time), settings, events.timed)


def _closer(before: ValueBounds, after: ValueBounds, settings: Settings) -> ValueBounds:
    """The closer of two bounds, where the settings name none."""

    def closer(one: int | None, other: int | None, named: bool) -> int | None:
        if named or other is None:
            return one
        return other if one is None else min(one, other)

    clean = settings.clean
    return ValueBounds(
        closer(before.until, after.until, clean.until is not None),
        closer(before.largest, after.largest, clean.value_range is not None),
        before.resolution.closer(after.resolution),
    )


def _survivors(rows: Table, context: RuleContext) -> tuple[Table, int]:
    """The rows that no rule took, with what is left of their value; and refunds added to them."""
    returned, engine = context.results.returned, context.engine
    if returned is not None and returned.cut is not None:
        rows = rows.left_join(returned.cut, ROW).drop(f"{ROW}_right").view()
        cut = {
            VALUE: rows["_value"].fill_null(rows[VALUE]),
            COUNT: rows["_count"].fill_null(rows[COUNT]),
        }
        rows = rows.mutate(**cut).drop("_value", "_count").view()
    if not context.events.has_refunds:
        return rows, 0
    refunds = refund_events(
        rows, context.clean.refund_action, context.earliest, context.bounds.until
    )
    added = engine.keep(refunds, "refund_events")
    return ibis.union(rows, added), int(added.count().execute())


def _order(rows: Table, events: TypedEvents, engine: TableEngine) -> Table:
    """The columns of clean events; without times `order` is the rank in the user's sequence."""
    order = rows[ORDER]
    time = ibis.null("timestamp(6)")
    if events.timed:
        time = engine.timestamp(rows["_t"])
    else:
        by = [rows[ORDER]] if events.ordered else [rows[ROW]]
        order = ibis.dense_rank().over(group_by=rows[USER_ID], order_by=by).cast("int64")
    return rows.select(
        rows[USER_ID], rows[ITEM_ID], rows[ACTION], time.name(EVENT_TIME), rows[VALUE],
        rows[COUNT], rows[EVENT_ID], rows[SOURCE], order.name(ORDER),
    )  # fmt: skip


def _write_hindsight(
    rows: Table, context: RuleContext, stated: pa.Table | None, folder: Path
) -> None:
    if not context.events.timed:
        return
    engine, joined = context.engine, context.events.joined
    every = context.events.rows
    possible = every["_t"] >= context.earliest
    if context.bounds.until is not None:
        possible = possible & (every["_t"] <= context.bounds.until)
    stretches = find_hindsight(
        rows, every.filter(possible), context.results.bots, stated, joined, engine
    )
    if stretches is not None:
        times = {"begin": stretches["_begin"], "end": stretches["_end"]}
        timed = {name: engine.timestamp(micros) for name, micros in times.items()}
        engine.write_parquet(stretches.select(USER_ID, **timed), folder / HINDSIGHT)


def _set_aside(raw: RawTables, dropped: Table, path: Path, engine: TableEngine) -> pa.Table:
    """Write the taken rows as they were read; returns their number by rule."""
    counts = dropped.group_by("_rule").agg(n=dropped.count()).to_pyarrow()
    tables = [
        as_read(source, dropped, number << SOURCE_SHIFT)
        for number, source in enumerate(raw.sources.values())
    ]
    write_set_aside(tables, path, engine)
    return counts


def _example(context: RuleContext, flag: str, words: tuple[str, ...]) -> str:
    """The first cell that `flag` marks as unreadable, with its place."""
    rows = context.events.rows
    first = rows.filter(rows[flag]).aggregate(row=ibis._[ROW].min()).to_pyarrow()["row"][0].as_py()
    source = list(context.raw.sources.values())[first >> SOURCE_SHIFT]
    row = first & ((1 << SOURCE_SHIFT) - 1)
    name = next(source.columns[word] for word in words if word in source.columns)
    cell = source.rows.filter(source.rows[ROW] == row).select(text=source.rows[name]).to_pyarrow()
    text = str(cell["text"][0].as_py()) if len(cell) else ""
    return f"such as {text[:60]!r} of column {name!r} ({source.locate(row)})"


def _file_order(raw: RawTables) -> str:
    """In which order the files of sources without times stand, where there are several."""
    several = [source for source in raw.sources.values() if len(source.files) > 1]
    if not several or all(ORDER in source.columns for source in several):
        return ""
    shown = [
        ", ".join([*source.files[:3], *(["..."] if len(source.files) > 4 else []),
                   *source.files[max(3, len(source.files) - 1):]])
        for source in several
    ]  # fmt: skip
    return (
        f"no column is a time, so events are in the order of their rows, and of the files: "
        f"{'; '.join(shown)}; list the files in events = [...] to set another order"
    )


def _account(context: RuleContext, counts: pa.Table, n_added: int, out: Path) -> Account:
    events, results = context.events, context.results
    dropped = {row["_rule"]: row["n"] for row in counts.to_pylist()}
    sums = events.rows.aggregate(**{name: events.rows[name].cast("int64").sum() for name in MENDED})
    mended = sums.to_pyarrow().to_pylist()[0]
    rules = [
        Rule(rule.name, dropped=dropped.get(rule.name, 0), note=rule.note(context))
        for rule in EVENT_RULES
    ]
    notes = {"_mended_value": events.number_note}
    for key, words, stay in (
        ("_mended_value", (VALUE, PRICE), VALUE_NOTE), ("_mended_count", (COUNT,), COUNT_NOTE),
    ):  # fmt: skip
        if mended[key]:
            shown = _example(context, key, words)
            notes[key] = "; ".join(filter(None, [shown, stay, notes.get(key, "")]))
    rules += [
        Rule(name, mended=int(mended[key] or 0), note=notes.get(key, ""))
        for key, name in MENDED.items()
    ]
    if results.returned is not None:
        rules += returned_rules(results.returned)
    if n_added:
        note = f"{n_added:,} amounts refunded of orders stand as events of their own"
        rules.append(Rule("refunded amount", added=n_added, note=note))
    rules += [Rule(name, note=note) for name, note in results.notes.items() if name != DUPLICATE]
    if events.currencies.n_converted:
        notes_of = events.currencies
        rules.append(
            Rule("converted currency", mended=notes_of.n_converted, note=notes_of.converted)
        )
    if not events.timed and (note := _file_order(context.raw)):
        rules.append(Rule("order of files", note=note))
    written = context.engine.read_parquet(out)
    total = written[VALUE].sum().as_table().to_pyarrow()[0][0].as_py()
    money = None if total is None else round(float(total) / MICRO_UNITS, 2)
    return checked(Account("events", events.n_in, rows_in(out), rules, money=money))
