"""Cleaning events: every rule in its order, and where each row went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

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
from propense.errors import SourceError
from propense.schemas import Account, Rule
from propense.settings import Settings
from propense.tables.cleaning.accounts import as_read, checked, rows_in, write_set_aside
from propense.tables.cleaning.identities import Persons
from propense.tables.cleaning.outliers import (
    count_days,
    count_sizes,
    largest_plausible_size,
    last_plausible_day,
)
from propense.tables.cleaning.rules import find_bots, find_duplicates, net_cancellations, without
from propense.tables.cleaning.typed_events import (
    CODE,
    MENDED,
    RULES,
    SOURCE_SHIFT,
    TypedEvents,
    type_events,
)
from propense.tables.engine.engine import ROW, TableEngine
from propense.tables.sources.reading import RawTables
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND, parse_time


@dataclass(frozen=True)
class ValueBounds:
    """Bounds that were named, or judged from the data."""

    until: int | None = None
    """Microseconds; later events are from the future."""
    largest: int | None = None
    """Micro-units; larger values are impossible."""


def clean_events(
    raw: RawTables, settings: Settings, persons: Persons | None, items: Table | None,
    engine: TableEngine, folder: Path,
) -> Account:  # fmt: skip
    """Clean the events of all sources into `folder/events`; returns their account.

    What the data itself judges impossible is judged again on what is left, until nothing is:
    cleaning clean events changes nothing.

    Raises SourceError if no event is left, and as `type_events`.
    """
    rules = settings.clean
    earliest = parse_time(rules.earliest, settings.time_zone, "[clean] earliest")
    events = type_events(raw, settings, earliest, persons, engine)
    limits = _judge(events.rows.filter(events.rows["_code"].isnull()), settings, events.timed)
    out = folder / "events"
    while True:
        taken = _take(raw, events, settings, items, limits, engine)
        kept = _order(without(events.rows, taken), events, engine)
        engine.write_parquet(kept, out)
        written = engine.read_parquet(out)
        moments = written.mutate(
            _t=engine.microseconds(written[EVENT_TIME]) if events.timed else ibis.null("int64")
        )
        again = _judge(moments, settings, events.timed)
        closer = ValueBounds(
            _closer(limits.until, again.until, rules.until is not None),
            _closer(limits.largest, again.largest, rules.value_range is not None),
        )
        if closer == limits:
            break
        limits = closer
    rows = _set_aside(raw, taken, folder / "set_aside" / "events.parquet", engine)
    account = _account(events, rows, rows_in(out), limits, settings)
    if account.n_out == 0:
        largest = max(account.rules, key=lambda rule: rule.dropped)
        raise SourceError(
            f"no event is left of {account.n_in:,}: {largest.dropped:,} were taken by the rule "
            f"{largest.name!r}; look at {folder / 'set_aside'}"
        )
    return account


def _judge(rows: Table, settings: Settings, timed: bool) -> ValueBounds:
    """The bounds the settings name, else those that the rows show."""
    until = largest = None
    if settings.clean.until is not None:
        until = parse_time(settings.clean.until, settings.time_zone, "[clean] until")
    elif timed:
        day = last_plausible_day(count_days(rows))
        until = None if day is None else (day + 1) * MICROS_PER_DAY - 1
    if settings.clean.value_range is None:
        size = largest_plausible_size(count_sizes(rows))
        largest = None if size is None else 10**size - 1
    return ValueBounds(until, largest)


def _closer(before: int | None, after: int | None, given: bool) -> int | None:
    if given or after is None:
        return before
    return after if before is None else min(before, after)


def _take(
    raw: RawTables, events: TypedEvents, settings: Settings, items: Table | None,
    limits: ValueBounds, engine: TableEngine,
) -> Table:  # fmt: skip
    """The rows that rules take: `_row`, and in `_code` the first rule that fits."""
    rules = settings.clean
    rows = events.rows
    future = ibis.literal(False)
    if limits.until is not None:
        future = (rows["_t"] > limits.until).fill_null(False)
    wrong = rows["_impossible"]
    if limits.largest is not None:
        wrong = wrong | (rows[VALUE].abs() > limits.largest).fill_null(False)
    alone = ibis.coalesce(
        rows["_code"],
        future.ifelse(ibis.literal(CODE["after until"], type="int64"), ibis.null("int64")),
    )
    judged = rows.mutate(_code=alone, _impossible=wrong).view()
    alive = judged.filter(judged["_code"].isnull())
    found = [find_duplicates(alive, events, raw, rules, engine)]
    alive = without(alive, found[0])
    if events.has_cancelled:
        found.append(net_cancellations(alive, engine))
        alive = without(alive, found[-1])
    several = found[0] if len(found) == 1 else ibis.union(*found)
    possible = alive.filter(~alive["_impossible"])
    bots = find_bots(possible, rules.max_events_per_day, engine) if events.timed else None
    possible = judged.filter(judged["_code"].isnull() & judged["_impossible"])
    own = judged.filter(judged["_code"].notnull()).select(ROW, "_code")
    parts = [own, several, _coded(without(possible, several), "impossible value")]
    rest = judged.filter(judged["_code"].isnull() & ~judged["_impossible"])
    if bots is not None:
        theirs = without(rest.semi_join(bots, USER_ID), several)
        parts.append(_coded(theirs, "bot"))
        rest = rest.anti_join(bots, USER_ID)
    if items is not None and rules.unknown_items == "drop":
        unknown = rest.filter(rest[ITEM_ID].notnull()).anti_join(items, ITEM_ID)
        parts.append(_coded(without(unknown, several), "unknown item"))
    return engine.keep(ibis.union(*parts), "taken")


def _coded(rows: Table, rule: str) -> Table:
    return rows.select(_row=rows[ROW], _code=ibis.literal(CODE[rule], type="int64"))


def _order(kept: Table, events: TypedEvents, engine: TableEngine) -> Table:
    """The columns of clean events; without times `order` is the place in the user's sequence."""
    order = kept[ORDER]
    moment = ibis.null("timestamp(6)")
    if events.timed:
        moment = engine.moment(kept["_t"])
    else:
        by = [kept[ORDER]] if events.ordered else [kept[ROW]]
        order = ibis.dense_rank().over(group_by=kept[USER_ID], order_by=by).cast("int64")
    return kept.select(
        kept[USER_ID], kept[ITEM_ID], kept[ACTION], moment.name(EVENT_TIME), kept[VALUE],
        kept[COUNT], kept[EVENT_ID], kept[SOURCE], order.name(ORDER),
    )  # fmt: skip


def _set_aside(raw: RawTables, taken: Table, path: Path, engine: TableEngine) -> pa.Table:
    """Write the taken rows as they were read; returns their number by rule."""
    counts = taken.group_by("_code").agg(n=taken.count()).to_pyarrow()
    tables = [
        as_read(source, taken, RULES, place << SOURCE_SHIFT)
        for place, source in enumerate(raw.sources.values())
    ]
    write_set_aside(tables, path, engine)
    return counts


def _account(
    events: TypedEvents, taken: pa.Table, n_out: int, limits: ValueBounds, settings: Settings
) -> Account:
    dropped = {row["_code"]: row["n"] for row in taken.to_pylist()}
    sums = events.rows.aggregate(**{name: events.rows[name].cast("int64").sum() for name in MENDED})
    mended = sums.to_pyarrow().to_pylist()[0]
    notes = {**events.notes, **_notes(limits, settings)}
    rules = [
        Rule(name, dropped=dropped.get(CODE[name], 0), note=notes.get(name, "")) for name in RULES
    ]
    rules += [
        Rule(name, mended=int(mended[key] or 0), note=notes.get(name, ""))
        for key, name in MENDED.items()
    ]
    return checked(Account("events", events.n_in, n_out, rules))


def _notes(limits: ValueBounds, settings: Settings) -> dict[str, str]:
    rules = settings.clean
    notes = {
        "before earliest": f"before {rules.earliest}",
        "bot": f"all events of users with more than {rules.max_events_per_day:,} on one day",
        "cancelled": "rows that a later cancellation of the same user, item and quantity took back",
        "near duplicate": f"equal rows at most {rules.duplicate_window} after each other",
    }
    if limits.until is not None:
        last = datetime.fromtimestamp(limits.until // MICROS_PER_SECOND, UTC)
        origin = "as set" if rules.until is not None else "the last plausible day of the data"
        notes["after until"] = f"after {last:%Y-%m-%d %H:%M:%S} UTC, {origin}"
    if rules.value_range is not None:
        low, high = rules.value_range
        notes["impossible value"] = f"outside {low:g} to {high:g}, as set"
    elif limits.largest is not None:
        notes["impossible value"] = (
            f"above {(limits.largest + 1) // MICRO_UNITS:,}, far from all others"
        )
    return notes
