"""The rules that set events aside, in the order in which they take a row.

A rule is one record: its name, which rows it takes of those that earlier rules left, and what
the account says about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import ibis
from ibis.expr.types import BooleanValue, Table

from propense.columns import ACTION, COUNT, ITEM_ID, MICRO_UNITS, USER_ID, VALUE
from propense.settings import Cell, Clean, Source
from propense.tables.cells.ids import read_id
from propense.tables.cleaning.duplicates import DUPLICATE, find_duplicates, labelled, without
from propense.tables.cleaning.outliers import find_bots
from propense.tables.cleaning.questions.overlaps import OLDER
from propense.tables.cleaning.resolution import Resolution
from propense.tables.cleaning.returns import UNMATCHED, Returned, amount, match_returns
from propense.tables.cleaning.typed_events import SOURCE_SHIFT, TypedEvents
from propense.tables.engine.engine import ROW, TableEngine
from propense.tables.sources.reading import PRICE, RawTables
from propense.times import MICROS_PER_SECOND


@dataclass(frozen=True)
class ValueBounds:
    """Bounds that the settings name, or that follow from the data."""

    until: int | None = None
    """Microseconds; later events are from the future."""
    largest: int | None = None
    """Micro-units; larger values are impossible."""
    resolution: Resolution = field(default_factory=Resolution)


@dataclass
class RuleResults:
    """What rules leave for the account and for the rows that are kept."""

    notes: dict[str, str] = field(default_factory=dict)
    returned: Returned | None = None
    bots: Table | None = None
    """As `find_bots`."""


@dataclass(frozen=True)
class RuleContext:
    """What rules read besides the rows."""

    raw: RawTables
    events: TypedEvents
    clean: Clean
    earliest: int
    """Microseconds."""
    items: Table | None
    """The cleaned items' ids, if there is an items table."""
    engine: TableEngine
    bounds: ValueBounds
    results: RuleResults = field(default_factory=RuleResults)


def _no_note(_: RuleContext) -> str:
    return ""


@dataclass(frozen=True)
class EventRule:
    """One cleaning rule; it takes rows by `condition` or by `find`.

    A rule with neither has its rows found by the rule before it.
    """

    name: str
    condition: Callable[[Table, RuleContext], BooleanValue | None] | None = None
    """Whether a row alone is taken, never null; None if the rule does not apply."""
    find: Callable[[Table, RuleContext], Table | None] | None = None
    """The rows taken, as `_row` and `_rule`; None if the rule does not apply."""
    note: Callable[[RuleContext], str] = _no_note

    def apply(self, rows: Table, context: RuleContext) -> tuple[Table | None, Table]:
        """The rows that the rule takes, as `_row` and `_rule`, and those that it leaves."""
        if self.condition is not None:
            fits = self.condition(rows, context)
            if fits is None:
                return None, rows
            return labelled(rows.filter(fits), self.name), rows.filter(~fits)
        dropped = None if self.find is None else self.find(rows, context)
        return dropped, without(rows, dropped)


def take_rows(
    rules: tuple[EventRule, ...], rows: Table, context: RuleContext
) -> tuple[list[Table], Table]:
    """Apply `rules` one after the other: the rows that each of them takes, and the rest."""
    parts = []
    for rule in rules:
        dropped, rows = rule.apply(rows, context)
        if dropped is not None:
            parts.append(dropped)
    return parts, rows


_SHOWN: Final = 5
_TOTAL_NOTE: Final = (
    "rows that sum up others: they say so, and name no customer, item and time besides, or stand "
    "in total_rows"
)


def _left_out(rows: Table, context: RuleContext) -> BooleanValue | None:
    sources = [source.settings for source in context.raw.sources.values()]
    if not any(isinstance(one, Source) and one.where for one in sources):
        return None
    left_out: BooleanValue = rows["_left_out"]
    return left_out


def _left_out_note(context: RuleContext) -> str:
    wanted = [
        f"{name} {_listed(cells)}"
        for source in context.raw.sources.values() if isinstance(source.settings, Source)
        for name, cells in (source.settings.where or {}).items()
    ]  # fmt: skip
    return f"rows that are none of: {'; '.join(wanted)}" if wanted else ""


def _listed(cells: Cell | tuple[Cell, ...]) -> str:
    many = cells if isinstance(cells, tuple) else (cells,)
    return ", ".join(repr(cell) for cell in many[:5]) + (", ..." if len(many) > 5 else "")


def _no_user_note(context: RuleContext) -> str:
    """What stands in these rows where an id should be: the most frequent words."""
    rows = context.events.rows
    without_user = rows.filter(
        rows[USER_ID].isnull() & ~rows["_broken"] & ~rows["_left_out"] & ~rows["_sums_up"]
    ).select(ROW)
    counts: Counter[str] = Counter()
    for number, source in enumerate(context.raw.sources.values()):
        cells = source.rows.select(
            _word=read_id(source.rows[source.columns[USER_ID]], ()).lower().fill_null(""),
            **{ROW: source.rows[ROW] + (number << SOURCE_SHIFT)},
        )
        words = cells.semi_join(without_user, ROW).group_by("_word").agg(n=ibis._.count())
        for row in words.order_by([ibis.desc("n"), "_word"]).limit(_SHOWN).to_pyarrow().to_pylist():
            counts[row["_word"]] += row["n"]
    shown = [
        f"{repr(word) if word else 'empty cells'} ({n:,})"
        for word, n in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN]
    ]
    return f"{', '.join(shown)}; [clean] placeholder_ids sets the words" if shown else ""


def _unreadable(rows: Table, context: RuleContext) -> BooleanValue | None:
    return rows["_t"].isnull() if context.events.timed else None


def _after(rows: Table, context: RuleContext) -> BooleanValue | None:
    until = context.bounds.until
    return None if until is None else (rows["_t"] > until).fill_null(False)


def _after_note(context: RuleContext) -> str:
    if context.bounds.until is None:
        return ""
    last = datetime.fromtimestamp(context.bounds.until // MICROS_PER_SECOND, UTC)
    named = context.clean.until is not None
    origin = "[clean] until" if named else "the last plausible day of the data"
    return f"after {last:%Y-%m-%d %H:%M:%S} UTC, {origin}"


def _duplicates(rows: Table, context: RuleContext) -> Table | None:
    return find_duplicates(
        rows, context.events, context.raw, context.clean, context.engine,
        context.bounds.resolution, context.results.notes,
    )  # fmt: skip


def _near_note(context: RuleContext) -> str:
    window = context.clean.near_seconds
    if window == 0:
        return ""
    seconds = f"{window or 1:,} s"
    return (
        f"equal in all but the time, within {seconds}; keep them with [clean] duplicate_window = "
        '"off"'
    )


def _match_returns(rows: Table, context: RuleContext) -> Table | None:
    if not context.events.has_returns:
        return None
    columns = [source.columns for source in context.raw.sources.values()]
    context.results.returned = match_returns(
        rows, context.engine, by_count=any(COUNT in own for own in columns),
        by_value=any(VALUE in own or PRICE in own for own in columns),
        keep_unmatched=context.clean.unmatched_returns == "keep",
    )  # fmt: skip
    return context.results.returned.set_aside


def _unmatched_note(context: RuleContext) -> str:
    returned = context.results.returned
    if returned is None or not returned.unmatched:
        return ""
    part = f", {returned.n_cut:,} others in part" if returned.n_cut else ""
    return (
        f"returns of more than was bought before{part}: {amount(returned.unmatched)} that net "
        'nothing; keep them as refunds with [clean] unmatched_returns = "keep"'
    )


def _impossible(rows: Table, context: RuleContext) -> BooleanValue:
    wrong: BooleanValue = rows["_impossible"]
    if context.bounds.largest is not None:
        wrong = wrong | (rows[VALUE].abs() > context.bounds.largest).fill_null(False)
    return wrong


def _impossible_note(context: RuleContext) -> str:
    if context.clean.value_range is not None:
        low, high = context.clean.value_range
        return f"outside {low:g} to {high:g}, [clean] value_range"
    if context.bounds.largest is not None:
        return f"above {(context.bounds.largest + 1) // MICRO_UNITS:,}, far above all other values"
    return ""


def _bots(rows: Table, context: RuleContext) -> Table | None:
    if not context.events.timed:
        return None
    bots = find_bots(rows, context.clean.max_events_per_day, context.engine)
    context.results.bots = bots
    theirs = rows.select(ROW, USER_ID, "_t").inner_join(bots, USER_ID).view()
    return labelled(theirs.filter(theirs["_t"] >= theirs["_from"]), "bot")


def _unknown_items(rows: Table, context: RuleContext) -> Table | None:
    if context.items is None or context.clean.unknown_items == "keep":
        return None
    unknown = rows.filter(rows[ITEM_ID].notnull()).anti_join(context.items, ITEM_ID)
    return labelled(unknown, "unknown item")


ROW_RULES: Final = (
    EventRule("broken row", lambda rows, _: rows["_broken"]),
    EventRule("total row", lambda rows, _: rows["_sums_up"], note=lambda _: _TOTAL_NOTE),
    EventRule("not where", _left_out, note=_left_out_note),
    EventRule("no user id", lambda rows, _: rows[USER_ID].isnull(), note=_no_user_note),
    EventRule(
        "unreadable time", _unreadable,
        note=lambda context: context.events.time_note,
    ),
    EventRule("no action", lambda rows, _: rows[ACTION].isnull()),
    EventRule(
        "other currency", lambda rows, _: rows["_other_currency"],
        note=lambda context: context.events.currencies.dropped,
    ),
    EventRule(
        "before earliest", lambda rows, context: (rows["_t"] < context.earliest).fill_null(False),
        note=lambda context: f"before {context.clean.earliest}",
    ),
)  # fmt: skip
"""Rules that need no bounds: bounds are estimated from the rows that they leave."""
EVENT_RULES: Final = (
    *ROW_RULES,
    EventRule("after until", _after, note=_after_note),
    EventRule(
        DUPLICATE, find=_duplicates, note=lambda context: context.results.notes.get(DUPLICATE, "")
    ),
    EventRule(
        "near duplicate",
        note=_near_note,
    ),
    EventRule(
        OLDER,
        note=lambda _: "events that a later file of the source has too; keep them with "
        'overlapping_files = "keep"',
    ),
    EventRule(UNMATCHED, find=_match_returns, note=_unmatched_note),
    EventRule("impossible value", _impossible, note=_impossible_note),
    EventRule(
        "bot", find=_bots,
        note=lambda context: (
            f"events of users from the day on which they had more than "
            f"{context.clean.max_events_per_day:,}"
        ),
    ),
    EventRule("unknown item", find=_unknown_items),
)  # fmt: skip
"""In the order in which they take a row."""
