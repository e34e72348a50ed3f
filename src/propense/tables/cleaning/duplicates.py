"""Duplicates: rows that repeat an earlier row.

Candidates are found by hash aggregates over narrow columns; only they are sorted and compared
whole.
"""

from __future__ import annotations

from typing import Final

import ibis
import pyarrow as pa
from ibis.expr.types import BooleanValue, Column, Table

from propense.columns import (
    ACTION,
    COUNT,
    EVENT_ID,
    EVENT_TIME,
    ITEM_ID,
    ORDER,
    SOURCE,
    USER_ID,
    VALUE,
)
from propense.history.training_views import message_key
from propense.settings import Clean
from propense.tables.cleaning.questions.overlaps import find_overlaps
from propense.tables.cleaning.resolution import Resolution
from propense.tables.cleaning.typed_events import SOURCE_SHIFT, TypedEvents
from propense.tables.engine.engine import FILE_SHIFT, ROW, TableEngine
from propense.tables.sources.reading import PRICE, RECEIVED_TIME, RawTables
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

_MAX_CLOCK_GAP = 2 * MICROS_PER_DAY
"""Between two records of one event, at most."""
_NO_VALUE = -(2**62)
DUPLICATE: Final = "duplicate"
EQUAL_ROWS: Final = "equal rows kept"
ORDER_NUMBERS: Final = "order numbers"
_SAME = (USER_ID, ITEM_ID, ACTION, VALUE, COUNT, SOURCE)


def without(rows: Table, removed: Table | None) -> Table:
    """`rows` that are not in `removed`."""
    return rows if removed is None else rows.anti_join(removed, ROW)


def find_duplicates(
    alive: Table, events: TypedEvents, raw: RawTables, rules: Clean, engine: TableEngine,
    resolution: Resolution, notes: dict[str, str],
) -> Table | None:  # fmt: skip
    """Rows that repeat an earlier row, by the rules "duplicate" and "near duplicate".

    Among rows with one event_id, customer, item and action in one source, the earliest stays. If
    a live row and a row of a log share event_id, customer and item, or are equal in all but the
    id, time included, the log's stays. Among rows equal in every column of their file, the first
    stays, where times are finer than a minute. Rows without event_id that are equal in every
    column but the time go if they are closer than the window to the one before, where times are
    finer than a second. Rows whose event stands in a later file of their source again go as
    `find_overlaps` says. Without times and without a column of order a repeated row is a repeated
    event.

    `notes` (rule -> sentence) takes what the account says beside the numbers.
    """
    window = (1 if rules.near_seconds is None else rules.near_seconds) * MICROS_PER_SECOND
    parts: list[Table] = []
    notes.pop(DUPLICATE, None)
    if events.has_event_ids:
        parts.append(_same_event_id(alive, engine, notes))
        if any(source.live for source in raw.sources.values()):
            parts.append(_logged_and_live(without(alive, parts[0]), raw, engine))
            if events.timed:
                rest = without(without(alive, parts[0]), parts[1])
                parts.append(_brought_along(rest, raw, engine))
    if events.timed or events.ordered:
        candidates = engine.keep(_close(alive, max(window, MICROS_PER_SECOND)), "candidates")
        for part in parts:
            candidates = without(candidates, part)
        exact = rules.exact_duplicates != "keep"
        same, left, notes_before = None, candidates, dict(notes)
        if exact:
            same, left = _exact(candidates, raw, rules, engine, resolution, notes)
        older = None
        if events.timed:
            older = find_overlaps(alive, candidates, same, raw, rules, engine, resolution)
        if older is not None:
            parts.append(older)
            left = candidates = without(candidates, older)
            if exact:
                notes.clear()
                notes.update(notes_before)
                same, left = _exact(candidates, raw, rules, engine, resolution, notes)
        if same is not None:
            parts.append(same)
        candidates = left
        near = candidates
        if rules.near_seconds is None:
            near = near.filter(near[SOURCE].isin(sorted(resolution.fine)))
        if events.timed and window and (resolution.fine or rules.near_seconds is not None):
            pieces = resolution.coarse if rules.exact_duplicates == "auto" else frozenset()
            equal = near[SOURCE].isin(sorted(pieces)) if pieces else ibis.literal(False)
            equal = equal | (rules.exact_duplicates == "keep")
            parts.append(_near(near.mutate(_pieces=equal), raw, engine, window))
    if not parts:
        return None
    return engine.keep(parts[0] if len(parts) == 1 else ibis.union(*parts), "duplicates")


def _exact(
    candidates: Table, raw: RawTables, rules: Clean, engine: TableEngine, resolution: Resolution,
    notes: dict[str, str],
) -> tuple[Table, Table]:  # fmt: skip
    """Rows equal in every column, and the candidates that are left."""
    notes.pop(EQUAL_ROWS, None)
    same = _same_columns(candidates, raw, engine)
    left = without(candidates, same)
    if rules.exact_duplicates == "auto" and resolution.coarse:
        coarse = candidates.filter(candidates[SOURCE].isin(sorted(resolution.coarse)))
        pieces = engine.keep(same.semi_join(coarse, ROW), "pieces")
        n = int(pieces.count().execute())
        if n:
            notes[EQUAL_ROWS] = (
                f"{n:,} rows equal an earlier row, and are kept as further pieces: "
                f'{resolution.words}; [clean] exact_duplicates = "drop" sets them aside'
            )
            same = engine.keep(same.anti_join(pieces, ROW), "same_but_pieces")
    n_same = int(same.count().execute())
    if n_same:
        _note(
            notes, f"{n_same:,} rows equal an earlier row in every column; keep them with "
            '[clean] exact_duplicates = "keep"',
        )  # fmt: skip
    return same, left


def _note(notes: dict[str, str], sentence: str) -> None:
    """Add a sentence to what the account says of duplicates."""
    notes[DUPLICATE] = "; ".join(filter(None, (notes.get(DUPLICATE, ""), sentence)))


def labelled(rows: Table, rule: str) -> Table:
    """The rows that a rule takes: `_row`, and the rule's name in `_rule`."""
    return rows.select(_row=rows[ROW], _rule=ibis.literal(rule))


def _same_event_id(alive: Table, engine: TableEngine, notes: dict[str, str]) -> Table:
    """All but the earliest of rows with one event_id, customer, item and action.

    Where most of the ids that repeat stand on different customers, items or actions, the
    column numbers orders, and says nothing about repeats.
    """
    named = alive.filter(alive[EVENT_ID].notnull())
    hashed = named.select(_hash=engine.key(named[SOURCE], named[EVENT_ID]))
    often = hashed.group_by("_hash").having(hashed.count() > 1).agg()
    keyed = named.mutate(_hash=engine.key(named[SOURCE], named[EVENT_ID]))
    rows = keyed.semi_join(often, "_hash").select(
        ROW, "_t", SOURCE, EVENT_ID, USER_ID, ACTION, _item=keyed[ITEM_ID].fill_null("")
    )
    rows = engine.keep(rows, "repeated_ids")
    numbering = _numbering(rows)
    notes.pop(ORDER_NUMBERS, None)
    if numbering:
        rows = rows.filter(~rows[SOURCE].isin(sorted(numbering)))
        notes[ORDER_NUMBERS] = "; ".join(
            f"the event_id of {source} repeats {n:,} times with another customer, item or action: "
            "it numbers orders, so no row repeats another by it; map it as order_id"
            for source, n in sorted(numbering.items())
        )
    ranked = rows.mutate(
        _rank=ibis.row_number().over(
            group_by=[rows[name] for name in (SOURCE, EVENT_ID, USER_ID, "_item", ACTION)],
            order_by=[rows["_t"], rows[ROW]],
        )
    ).select(ROW, "_rank")
    repeats = labelled(ranked.filter(ranked["_rank"] > 0), DUPLICATE)
    repeats = engine.keep(repeats, "same_event_id")
    n = int(repeats.count().execute())
    if n:
        _note(
            notes, f"{n:,} rows repeat the event_id, customer, item and action of an earlier row; "
            'keep them with columns = { event_id = "" }',
        )  # fmt: skip
    return repeats


def _numbering(rows: Table) -> dict[str, int]:
    """Sources whose event_id numbers orders: how many of its ids stand on different rows."""
    each = rows.group_by(SOURCE, EVENT_ID, USER_ID, "_item", ACTION).agg(_n=rows.count())
    ids = each.group_by(SOURCE, EVENT_ID).agg(_kinds=each.count())
    counts = ids.group_by(SOURCE).agg(
        n=ids.count(), differ=(ids["_kinds"] > 1).cast("int64").sum()
    ).to_pyarrow().to_pylist()  # fmt: skip
    return {
        row[SOURCE]: int(row["differ"]) for row in counts
        if row["differ"] > 1 and 2 * row["differ"] > row["n"]
    }  # fmt: skip


_PRODUCT: Final = r"#\d+$"
"""Behind the id of an event with several products."""


def _logged_and_live(alive: Table, raw: RawTables, engine: TableEngine) -> Table:
    """Live rows that a log of the company has too, under whatever source.

    The store keeps digests of message ids, a log the ids themselves. Two systems may number
    their events alike: customer and item must be the same as well.
    """
    named = alive.filter(alive[EVENT_ID].notnull())
    named = named.select(
        ROW, USER_ID, "_t", EVENT_ID,
        _item=named[ITEM_ID].fill_null(""), _live=_is_live(named, raw),
    )  # fmt: skip
    named = engine.keep(named, "with_event_ids")
    live, logged = named.filter(named["_live"]).view(), named.filter(~named["_live"]).view()
    (span,) = live.aggregate(first=live["_t"].min(), last=live["_t"].max()).to_pyarrow().to_pylist()
    if span["first"] is not None:
        logged = logged.filter(
            logged["_t"].between(span["first"] - _MAX_CLOCK_GAP, span["last"] + _MAX_CLOCK_GAP)
        ).view()
    numbered = logged.filter(logged[EVENT_ID].re_search(_PRODUCT))
    whole = numbered[EVENT_ID].re_replace(_PRODUCT, "")
    logged = ibis.union(logged, numbered.mutate(**{EVENT_ID: whole})).view()
    ids = logged.select(EVENT_ID).distinct().to_pyarrow()[EVENT_ID].cast(pa.string())
    digests = pa.array([message_key(one).hex() for one in ids.to_pylist()], pa.string())
    digest_of = engine.table_of(pa.table({"_id": ids, "_message": digests}), "message_keys")
    message = live[EVENT_ID].re_replace(r"-\d+$", "")
    live = live.mutate(_message=message).view()
    logged = logged.inner_join(digest_of, logged[EVENT_ID] == digest_of["_id"]).view()
    repeated = [
        live.semi_join(logged, [EVENT_ID, USER_ID, "_item"]),
        live.semi_join(logged, ["_message", USER_ID, "_item"]),
    ]
    rows = ibis.union(*[labelled(one, DUPLICATE) for one in repeated], distinct=True)
    return engine.keep(rows, "logged_and_live")


def _brought_along(alive: Table, raw: RawTables, engine: TableEngine) -> Table:
    """Live rows that equal a row of a log, time included: history that was
    imported from logs, which most often have no ids."""
    rows = alive.select(
        ROW, "_t", USER_ID, ACTION, SOURCE, _count=alive[COUNT].fill_null(-1.0),
        _item=alive[ITEM_ID].fill_null(""), _value=alive[VALUE].fill_null(_NO_VALUE),
        _live=_is_live(alive, raw),
    )  # fmt: skip
    rows = engine.keep(rows, "live_and_logged")
    live, logged = rows.filter(rows["_live"]).view(), rows.filter(~rows["_live"]).view()
    same = ["_t", USER_ID, ACTION, SOURCE, "_item", "_value", "_count"]
    repeated = live.semi_join(logged, same)
    return engine.keep(labelled(repeated, DUPLICATE), "brought_along")


def _is_live(rows: Table, raw: RawTables) -> BooleanValue:
    files = [
        (number << (SOURCE_SHIFT - FILE_SHIFT)) + file
        for number, source in enumerate(raw.sources.values()) for file in sorted(source.live)
    ]  # fmt: skip
    return (rows[ROW] >> FILE_SHIFT).isin(files)


def _close(alive: Table, window: int) -> Table:
    """Rows whose key occurs twice in one stretch of time; a superset of all duplicates.

    Stretches are two windows long and counted twice, shifted by half a stretch, so that any two
    times within one window share a stretch.
    """
    time = ibis.coalesce(alive["_t"], alive[ORDER])
    keys: list[Table] = []
    for start in (0, window):
        stretch = ((time + start) / float(2 * window)).floor().cast("int64")
        narrow = alive.select(_key=alive["_key"], _stretch=stretch)
        often = narrow.group_by("_key", "_stretch").having(narrow.count() > 1).agg()
        keys.append(often.select("_key"))
    return alive.semi_join(ibis.union(*keys, distinct=True), "_key").select(
        ROW, "_t", "_key", EVENT_ID, ORDER, *_SAME
    )  # fmt: skip


def _same_columns(candidates: Table, raw: RawTables, engine: TableEngine) -> Table:
    """All but the first of candidates that are equal in every column of their file."""
    parts = []
    for index, source in enumerate(raw.sources.values()):
        own = {f"_own{number}": source.rows[name] for number, name in enumerate(source.own)}
        numbered = source.rows.select(
            **{name: _comparable(column) for name, column in own.items()},
            **{ROW: source.rows[ROW] + (index << SOURCE_SHIFT)},
        )
        rows = numbered.semi_join(candidates, ROW)
        ranked = rows.mutate(
            _rank=ibis.row_number().over(group_by=[rows[name] for name in own], order_by=rows[ROW])
        ).select(ROW, "_rank")
        parts.append(labelled(ranked.filter(ranked["_rank"] > 0), DUPLICATE))
    rows = parts[0] if len(parts) == 1 else ibis.union(*parts)
    return engine.keep(rows, "same_columns")


def _comparable(column: Column) -> Column:
    kind = column.type()
    nested = kind.is_nested() or kind.is_json()
    return column.cast("string") if nested else column


_TYPED: Final = (
    USER_ID, ITEM_ID, ACTION, VALUE, COUNT, SOURCE, EVENT_ID, EVENT_TIME, RECEIVED_TIME,
)  # fmt: skip
"""Words whose cells near duplicates compare typed, or not at all."""


def _near(candidates: Table, raw: RawTables, engine: TableEngine, window: int) -> Table:
    """Rows without event_id that follow a row within the window that is equal but for the time.

    Rows at the same time are further pieces where `_pieces` says so.
    """
    rows = candidates.filter(candidates[EVENT_ID].isnull())
    others = engine.keep(_other_columns(rows, raw, engine), "other_columns")
    rows = rows.inner_join(others, ROW).view()
    before = (
        rows["_t"]
        .lag()
        .over(
            group_by=[rows[name] for name in (*_SAME, "_others")],
            order_by=[rows["_t"], rows[ROW]],
        )
    )
    gaps = rows.mutate(_gap=rows["_t"] - before).select(ROW, "_gap", "_pieces")
    close = (gaps["_gap"] <= window) & ((gaps["_gap"] > 0) | ~gaps["_pieces"])
    return labelled(gaps.filter(close), "near duplicate")


def _other_columns(candidates: Table, raw: RawTables, engine: TableEngine) -> Table:
    """A key of the cells of each candidate that are mapped to nothing, or compared as they are."""
    parts = []
    for index, source in enumerate(raw.sources.values()):
        typed = {source.columns[word] for word in _TYPED if word in source.columns}
        if VALUE not in source.columns and PRICE in source.columns:
            typed.add(source.columns[PRICE])
        rows = source.rows.mutate(**{ROW: source.rows[ROW] + (index << SOURCE_SHIFT)}).view()
        rows = rows.semi_join(candidates, ROW)
        cells = [_comparable(rows[name]) for name in source.own if name not in typed]
        key = engine.key(*cells) if cells else ibis.literal(0)
        parts.append(rows.select(ROW, _others=key.cast("string")))
    return parts[0] if len(parts) == 1 else ibis.union(*parts)
