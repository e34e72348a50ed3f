"""Impossible times and values, which are far from all others, and bots.

Times and values are judged by small histograms, so that engines agree and nothing is sampled.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import ibis
from ibis.expr.types import Table

from propense.columns import USER_ID
from propense.errors import SourceError
from propense.tables.engine.engine import ROW, TableEngine
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

_SILENCE_DAYS: Final = 365
_EMPTY_DECADES: Final = 3
_RARE: Final = 1000
_ENOUGH: Final = 20
_AHEAD_DAYS: Final = 366
_FUTURE_SHARE: Final = 0.1
_PAST_SHARE: Final = 0.5
_EPOCH: Final = datetime(1970, 1, 1)


def last_day_of_data(days: dict[int, int]) -> int | None:
    """The last day before rows that must be from the future, or None if there are none.

    `days` counts rows by day. Rows are from the future if they come after a silence longer
    than a year and than all the time before it, and are at most one in a thousand (or a
    single row). Fewer than 20 rows show nothing.

    >>> last_day_of_data({100: 500, 101: 480, 30_000: 1})
    101
    >>> last_day_of_data({100: 500, 101: 480, 130: 1}) is None
    True
    """
    total = sum(days.values())
    if total < _ENOUGH:
        return None
    seen = 0
    ordered = sorted(days)
    for day, later in pairwise(ordered):
        seen += days[day]
        silence = later - day
        rare = total - seen <= max(1, total // _RARE)
        if rare and silence > _SILENCE_DAYS and silence > day - ordered[0]:
            return day
    return None


_FEW: Final = 5
"""So many times in the future are strays in any log."""


def refuse_times(
    rows: Table, names: Sequence[str], shift: int, earliest: int, future: bool = True
) -> None:
    """Raise SourceError where most times of a source lie before `earliest`, or (`future`) many more
    than a year after today.

    `rows` have `_row`, of which `_row >> shift` is the place of the source in `names`, and `_t`.
    """
    latest = int(time.time() + _AHEAD_DAYS * 86_400) * MICROS_PER_SECOND
    after = rows["_t"] > latest
    counts = rows.group_by(source=rows[ROW] >> shift).agg(
        n=rows["_t"].count(), late=after.fill_null(False).cast("int64").sum(),
        early=(rows["_t"] < earliest).fill_null(False).cast("int64").sum(),
        first=rows["_t"].min(), last=rows["_t"].max(), first_late=rows["_t"].min(where=after),
    ).order_by("source").to_pyarrow().to_pylist()  # fmt: skip
    for one in counts:
        name = names[one["source"]]
        late = one["late"]
        if future and late > _FUTURE_SHARE * one["n"] and (late > _FEW or late == one["n"]):
            raise SourceError(
                f"[sources.{name}]: {late:,} of {one['n']:,} times lie more than a year "
                f"after today, {_day(one['first_late'])} to {_day(one['last'])}; if they are read "
                'wrongly, set time_format or date_order there, or calendar = "buddhist" for years '
                "such as 2567; or name another column of times in columns; if they are right, set "
                f'[clean] until = "{_day(one["last"] + MICROS_PER_DAY)}"'
            )
        if one["early"] > _PAST_SHARE * one["n"]:
            raise SourceError(
                f"[sources.{name}]: {one['early']:,} of {one['n']:,} times lie before [clean] "
                f"earliest, from {_day(one['first'])} on; numbers are read as time since 1970: if "
                "they are something else, set time_format there; if they only count days or "
                'steps, map the column as order, with event_time = ""; if the times are right, '
                f'set [clean] earliest = "{_day(one["first"])}"'
            )


def _day(microseconds: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=microseconds):%Y-%m-%d}"


def largest_usual_size(sizes: dict[int, int]) -> int | None:
    """The largest number of digits before values that must be wrong, or None.

    `sizes` counts rows by the digits of their value in micro-units. Values are impossible if
    at least three whole powers of ten below them are empty and they are at most one in a
    thousand (or a single row).

    >>> largest_usual_size({7: 900, 8: 100, 14: 1})
    8
    """
    total = sum(sizes.values())
    if total < _ENOUGH:
        return None
    seen = 0
    ordered = sorted(sizes)
    for size, larger in pairwise(ordered):
        seen += sizes[size]
        rare = total - seen <= max(1, total // _RARE)
        if rare and larger - size > _EMPTY_DECADES:
            return size
    return None


def largest_usual_value(rows: Table, before: int | None) -> int | None:
    """The largest value (micro-units) that is possible, by the rows before the time `before`
    (microseconds), so that later rows do not change what is possible; None if any is.

    A value is impossible if more than three powers of ten lie between it and the largest usual
    one. All rows count where there are fewer than 20 before.
    """
    sizes = count_sizes(rows if before is None else rows.filter(rows["_t"] < before))
    if before is not None and sum(sizes.values()) >= _ENOUGH:
        usual = largest_usual_size(sizes)
        largest = max(sizes) if usual is None else usual
        return int(10 ** (largest + _EMPTY_DECADES)) - 1
    size = largest_usual_size(sizes if before is None else count_sizes(rows))
    return None if size is None else int(10**size) - 1


def first_days(days: dict[int, int], fraction: float) -> int:
    """The day before which at most `fraction` of the rows are; `days` counts rows by day.

    >>> first_days({3: 5, 4: 4, 9: 1}, 0.8)
    4
    """
    total, seen = sum(days.values()), 0
    for day in sorted(days):
        if seen + days[day] > fraction * total:
            return day
        seen += days[day]
    return 0


def count_days(rows: Table) -> dict[int, int]:
    """Rows by day of `_t`."""
    day = (rows["_t"] / float(MICROS_PER_DAY)).floor().cast("int64")
    counts = rows.filter(rows["_t"].notnull()).group_by(day=day).agg(n=ibis._.count())
    return {row["day"]: row["n"] for row in counts.to_pyarrow().to_pylist()}


def count_sizes(rows: Table) -> dict[int, int]:
    """Rows by the digits of `value`, of positive values."""
    sized = rows.filter(rows["value"] > 0)
    digits = sized["value"].cast("string").length().cast("int64")
    counts = sized.group_by(digits=digits).agg(n=ibis._.count())
    return {row["digits"]: row["n"] for row in counts.to_pyarrow().to_pylist()}


def find_bots(alive: Table, limit: int, engine: TableEngine) -> Table:
    """Users with more than `limit` events on any one day (UTC), as `user_id`, and `_from`: the
    begin of the first such day.

    Only users with that many events at all are looked at by day.
    """
    per_user = alive.group_by(USER_ID).agg(_n=alive.count())
    heavy = engine.keep(per_user.filter(per_user["_n"] > limit).select(USER_ID), "heavy_users")
    if int(heavy.count().execute()) == 0:
        return heavy.mutate(_from=ibis.null("int64"))
    day = (alive["_t"] / float(MICROS_PER_DAY)).floor().cast("int64")
    rows = alive.select(USER_ID, _day=day).semi_join(heavy, USER_ID)
    per_day = rows.group_by(USER_ID, "_day").agg(_n=rows.count())
    beyond = per_day.filter(per_day["_n"] > limit)
    first = beyond.group_by(USER_ID).agg(_from=beyond["_day"].min() * MICROS_PER_DAY)
    return engine.keep(first, "bots")
