"""The rules that see more than one row: duplicates, cancellations, bots.

Each gives a small table of the rows it takes, `_row` and `_code`. Candidates are found by
hash aggregates over narrow columns; only they are sorted and compared whole.
"""

from __future__ import annotations

import ibis
import pyarrow as pa
from ibis.expr.types import BooleanValue, Column, Table

from propense.columns import ACTION, COUNT, EVENT_ID, ITEM_ID, ORDER, SOURCE, USER_ID, VALUE
from propense.settings import Clean, seconds
from propense.tables.cleaning.typed_events import CODE, SOURCE_SHIFT, TypedEvents
from propense.tables.engine.engine import FILE_SHIFT, ROW, TableEngine
from propense.tables.sources.live import message_key
from propense.tables.sources.reading import RawTables
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

_CLOCKS_APART = 2 * MICROS_PER_DAY
"""Between two records of one event, at most."""
_NO_VALUE = -(2**62)
_SAME = (USER_ID, ITEM_ID, ACTION, VALUE, COUNT, SOURCE)


def without(rows: Table, taken: Table | None) -> Table:
    """`rows` that are not in `taken`."""
    return rows if taken is None else rows.anti_join(taken, ROW)


def find_duplicates(
    alive: Table, events: TypedEvents, raw: RawTables, rules: Clean, engine: TableEngine
) -> Table:
    """Rows that say again what an earlier row said.

    Of rows with one event_id (in one source) the earliest stays; of a live row and a
    row of a log with one event_id, customer and item, or alike in everything but the id to
    the same moment, the log's; of rows equal in every column of their file the first; of rows
    without event_id that are equal in user, item, action, value, count and source, those
    closer than the window to the one before go.
    Without times and without a column of order a repeated row is a repeated event.
    """
    window = seconds(rules.duplicate_window) * MICROS_PER_SECOND
    found: list[Table] = []
    if events.has_event_ids:
        found.append(_same_event_id(alive, engine))
        if any(source.live for source in raw.sources.values()):
            found.append(_logged_and_live(without(alive, found[0]), raw, engine))
            if events.timed:
                rest = without(without(alive, found[0]), found[1])
                found.append(_brought_along(rest, raw, engine))
    if events.timed or events.ordered:
        rest = alive
        candidates = engine.keep(_close(rest, window), "candidates")
        for taken in found:
            candidates = without(candidates, taken)
        if rules.exact_duplicates == "drop":
            found.append(_same_columns(candidates, raw, engine))
            candidates = without(candidates, found[-1])
        if events.timed:
            found.append(_near(candidates, window, rules.exact_duplicates == "keep"))
    if not found:
        return alive.filter(ibis.literal(False)).select(_row=alive[ROW], _code=alive["_code"])
    return engine.keep(found[0] if len(found) == 1 else ibis.union(*found), "duplicates")


def _coded(rows: Table, rule: str) -> Table:
    return rows.select(_row=rows[ROW], _code=ibis.literal(CODE[rule], type="int64"))


def _same_event_id(alive: Table, engine: TableEngine) -> Table:
    named = alive.filter(alive[EVENT_ID].notnull())
    hashed = named.select(_hash=engine.key(named[SOURCE], named[EVENT_ID]))
    often = hashed.group_by("_hash").having(hashed.count() > 1).agg()
    keyed = named.mutate(_hash=engine.key(named[SOURCE], named[EVENT_ID]))
    rows = keyed.semi_join(often, "_hash")
    ranked = rows.mutate(
        _rank=ibis.row_number().over(
            group_by=[rows[SOURCE], rows[EVENT_ID]], order_by=[rows["_t"], rows[ROW]]
        )
    ).select(ROW, "_rank")
    return engine.keep(_coded(ranked.filter(ranked["_rank"] > 0), "duplicate"), "same_event_id")


def _logged_and_live(alive: Table, raw: RawTables, engine: TableEngine) -> Table:
    """Live rows that a log of the company has too, under whatever source.

    The store keeps digests of message ids, a log the ids themselves. Two systems may number
    their events alike: customer and item must be the same as well.
    """
    named = alive.filter(alive[EVENT_ID].notnull())
    named = named.select(
        ROW, EVENT_ID, USER_ID, "_t", _item=named[ITEM_ID].fill_null(""),
        _live=_is_live(named, raw),
    )  # fmt: skip
    named = engine.keep(named, "with_event_ids")
    live, logged = named.filter(named["_live"]).view(), named.filter(~named["_live"]).view()
    (span,) = live.aggregate(first=live["_t"].min(), last=live["_t"].max()).to_pyarrow().to_pylist()
    if span["first"] is not None:
        logged = logged.filter(
            logged["_t"].between(span["first"] - _CLOCKS_APART, span["last"] + _CLOCKS_APART)
        ).view()
    ids = logged.select(EVENT_ID).distinct().to_pyarrow()[EVENT_ID].cast(pa.string())
    digests = pa.array([message_key(one) for one in ids.to_pylist()], pa.string())
    known = engine.table_of(pa.table({"_id": ids, "_message": digests}), "message_keys")
    message = live[EVENT_ID].re_replace(r"-\d+$", "")
    live = live.mutate(_message=message).view()
    logged = logged.inner_join(known, logged[EVENT_ID] == known["_id"]).view()
    found = [
        live.semi_join(logged, [EVENT_ID, USER_ID, "_item"]),
        live.semi_join(logged, ["_message", USER_ID, "_item"]),
    ]
    rows = ibis.union(*[_coded(one, "duplicate") for one in found], distinct=True)
    return engine.keep(rows, "logged_and_live")


def _brought_along(alive: Table, raw: RawTables, engine: TableEngine) -> Table:
    """Live rows that say the same of the same moment as a row of a log: history that was
    imported from logs, which most often have no ids."""
    rows = alive.select(
        ROW, "_t", USER_ID, ACTION, SOURCE, _count=alive[COUNT].fill_null(-1.0),
        _item=alive[ITEM_ID].fill_null(""), _value=alive[VALUE].fill_null(_NO_VALUE),
        _live=_is_live(alive, raw),
    )  # fmt: skip
    rows = engine.keep(rows, "live_and_logged")
    live, logged = rows.filter(rows["_live"]).view(), rows.filter(~rows["_live"]).view()
    same = ["_t", USER_ID, ACTION, SOURCE, "_item", "_value", "_count"]
    found = live.semi_join(logged, same)
    return engine.keep(_coded(found, "duplicate"), "brought_along")


def _is_live(rows: Table, raw: RawTables) -> BooleanValue:
    files = [
        (place << (SOURCE_SHIFT - FILE_SHIFT)) + file
        for place, source in enumerate(raw.sources.values()) for file in sorted(source.live)
    ]  # fmt: skip
    return (rows[ROW] >> FILE_SHIFT).isin(files)


def _close(alive: Table, window: int) -> Table:
    """Rows whose key occurs twice in one stretch of time; a superset of all duplicates.

    Stretches are two windows long and laid twice, half over each other, so that any two
    moments within one window share a stretch.
    """
    moment = ibis.coalesce(alive["_t"], alive[ORDER])
    keys: list[Table] = []
    for start in (0, window):
        stretch = ((moment + start) / float(2 * window)).floor().cast("int64")
        narrow = alive.select(_key=alive["_key"], _stretch=stretch)
        often = narrow.group_by("_key", "_stretch").having(narrow.count() > 1).agg()
        keys.append(often.select("_key"))
    return alive.semi_join(ibis.union(*keys, distinct=True), "_key").select(
        ROW, "_t", "_key", EVENT_ID, ORDER, *_SAME
    )  # fmt: skip


def _same_columns(candidates: Table, raw: RawTables, engine: TableEngine) -> Table:
    """All but the first of candidates that are equal in every column of their file."""
    found = []
    for place, source in enumerate(raw.sources.values()):
        own = {f"_own{number}": source.rows[name] for number, name in enumerate(source.own)}
        numbered = source.rows.select(
            **{name: _comparable(column) for name, column in own.items()},
            **{ROW: source.rows[ROW] + (place << SOURCE_SHIFT)},
        )
        rows = numbered.semi_join(candidates, ROW)
        ranked = rows.mutate(
            _rank=ibis.row_number().over(group_by=[rows[name] for name in own], order_by=rows[ROW])
        ).select(ROW, "_rank")
        found.append(_coded(ranked.filter(ranked["_rank"] > 0), "duplicate"))
    rows = found[0] if len(found) == 1 else ibis.union(*found)
    return engine.keep(rows, "same_columns")


def _comparable(column: Column) -> Column:
    kind = column.type()
    nested = kind.is_nested() or kind.is_json()
    return column.cast("string") if nested else column


def _near(candidates: Table, window: int, keep_equal: bool) -> Table:
    rows = candidates.filter(candidates[EVENT_ID].isnull())
    before = (
        rows["_t"]
        .lag()
        .over(group_by=[rows[name] for name in _SAME], order_by=[rows["_t"], rows[ROW]])
    )
    gaps = rows.mutate(_gap=rows["_t"] - before).select(ROW, "_gap")
    close = (gaps["_gap"] <= window) & ((gaps["_gap"] > 0) if keep_equal else True)
    return _coded(gaps.filter(close), "near duplicate")


def net_cancellations(alive: Table, engine: TableEngine) -> Table:
    """Cancellation rows, and the earlier rows that they cancel.

    A cancellation takes back the latest earlier row of the same user, item and quantity
    (count, where it is not 1, else value) that no other cancellation has taken back: as
    brackets match. Both are set aside; a cancellation without such a row goes alone.

    Along a group's time the level is the number of open rows; a cancellation at level 0 has
    nothing to take back. On one level rows and cancellations take turns, so a row is
    cancelled if a cancellation follows it on its level.
    """
    keyed = alive.mutate(
        _item=alive[ITEM_ID].fill_null(""), _size=alive[COUNT].abs(),
        _money=(alive[COUNT].abs() == 1.0).ifelse(alive[VALUE].abs().fill_null(0), 0),
    ).view()  # fmt: skip
    group = [USER_ID, "_item", "_size", "_money"]
    cancelling = keyed.filter(keyed["_cancels"])
    groups = cancelling.select(*group).distinct()
    rows = keyed.semi_join(groups, group)
    rows = rows.filter(rows["_cancels"] | (rows[COUNT] > 0))
    rows = rows.mutate(_step=rows["_cancels"].ifelse(-1, 1)).select(
        ROW, "_t", ORDER, "_cancels", "_step", *group
    )  # fmt: skip
    rows = engine.keep(rows, "cancellations")
    in_time = [rows["_t"], rows[ORDER], rows["_cancels"], rows[ROW]]
    so_far = ibis.window(
        group_by=[rows[name] for name in group], order_by=in_time, preceding=None, following=0
    )
    rows = rows.mutate(_sum=rows["_step"].sum().over(so_far)).view()
    in_time = [rows["_t"], rows[ORDER], rows["_cancels"], rows[ROW]]
    so_far = ibis.window(
        group_by=[rows[name] for name in group], order_by=in_time, preceding=None, following=0
    )
    rows = rows.mutate(_low=rows["_sum"].min().over(so_far)).view()
    low = ibis.least(rows["_low"], 0)
    alone = rows["_cancels"] & (rows["_sum"] < 0) & (rows["_sum"] == rows["_low"])
    level = rows["_sum"] - low
    rows = rows.mutate(_alone=alone, _level=rows["_cancels"].ifelse(level + 1, level)).view()
    rows = rows.filter(~rows["_alone"])
    following = (
        rows["_cancels"]
        .lead()
        .over(
            group_by=[rows[name] for name in [*group, "_level"]],
            order_by=[rows["_t"], rows[ORDER], rows["_cancels"], rows[ROW]],
        )
    )
    ended = rows.mutate(_ended=following).view()
    ended = ended.filter(~ended["_cancels"] & ended["_ended"].fill_null(False))
    found = ibis.union(_coded(cancelling, "cancellation"), _coded(ended, "cancelled"))
    return engine.keep(found, "cancelled")


def find_bots(alive: Table, limit: int, engine: TableEngine) -> Table:
    """Users with more than `limit` events on any one day (UTC), as `user_id`.

    Only users with that many events at all are looked at by day.
    """
    per_user = alive.group_by(USER_ID).agg(_n=alive.count())
    heavy = engine.keep(per_user.filter(per_user["_n"] > limit).select(USER_ID), "heavy_users")
    if int(heavy.count().execute()) == 0:
        return heavy
    day = (alive["_t"] / float(MICROS_PER_DAY)).floor().cast("int64")
    rows = alive.select(USER_ID, _day=day).semi_join(heavy, USER_ID)
    per_day = rows.group_by(USER_ID, "_day").agg(_n=rows.count())
    bots = per_day.filter(per_day["_n"] > limit).select(USER_ID).distinct()
    return engine.keep(bots, "bots")
