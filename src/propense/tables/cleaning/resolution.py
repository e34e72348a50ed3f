"""How fine the times of each source are: fractions of a second, seconds, minutes, or days."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import ibis
from ibis.expr.types import Table

from propense.columns import SOURCE
from propense.tables.cells.time_zones import local_offsets
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

_MINUTE: Final = 60 * MICROS_PER_SECOND
_QUARTER: Final = 15 * _MINUTE
_QUARTERS: Final = MICROS_PER_DAY // _QUARTER
_FINE: Final = 0.01
"""A share of times with fractions of a second, from which a source's times have them."""
_DAYS: Final = 0.95
"""A share of times at the start of a day, from which a source's times are days."""
_FEW_DAYS: Final = 3
_MINUTES: Final = 0.99
"""A share of times without seconds, from which a source's times are minutes."""


@dataclass(frozen=True)
class Resolution:
    """Names of sources by how fine their times are."""

    fine: frozenset[str] = frozenset()
    """Finer than a second."""
    days: frozenset[str] = frozenset()
    """Days without a clock."""
    minutes: frozenset[str] = frozenset()
    """Minutes or more, and no days."""

    @property
    def coarse(self) -> frozenset[str]:
        """Minutes or days: rows at one time are no repeats of each other."""
        return self.days | self.minutes

    @property
    def words(self) -> str:
        """What the times of coarse sources are, as in "the times of shop are minutes"."""
        parts = [
            f"the times of {', '.join(sorted(names))} are {unit}"
            for names, unit in ((self.days, "days"), (self.minutes, "minutes"))
            if names
        ]
        return " and ".join(parts)

    def closer(self, other: Resolution) -> Resolution:
        """What drops more rows of two: more sources are fine, fewer are coarse."""
        fine, days = self.fine | other.fine, self.days & other.days
        return Resolution(fine, days, (self.coarse & other.coarse) - days - fine)


def find_resolution(rows: Table, zones: Iterable[str]) -> Resolution:
    """The resolution of every source in `rows`, by `_t` and `source`.

    Times are days where nearly all stand at the start of a day in one of the `zones`, or at one
    time of the day (two with a change of the clocks) on several days; minutes where nearly none
    has seconds.
    """
    timed = rows.filter(rows["_t"].notnull())
    quarter = (timed["_t"] % _QUARTER == 0).ifelse(
        (timed["_t"] % MICROS_PER_DAY + MICROS_PER_DAY) % MICROS_PER_DAY / float(_QUARTER), -1.0
    )
    counted = timed.group_by(
        source=timed[SOURCE], quarter=quarter.floor().cast("int64"),
        fraction=timed["_t"] % MICROS_PER_SECOND != 0,
    ).agg(
        n=ibis._.count(), first=ibis._["_t"].min(), last=ibis._["_t"].max(),
        minutes=(ibis._["_t"] % _MINUTE == 0).cast("int64").sum(),
    )  # fmt: skip
    starts = {
        (-offset % MICROS_PER_DAY) // _QUARTER
        for zone in {*zones, "UTC"} for offset in local_offsets(zone)[1]
    }  # fmt: skip
    sources: dict[str, list[dict[str, int]]] = {}
    for row in counted.to_pyarrow().to_pylist():
        sources.setdefault(row["source"], []).append(row)
    fine = frozenset(
        name for name, counts in sources.items()
        if sum(row["n"] for row in counts if row["fraction"]) >= _FINE * _total(counts)
    )  # fmt: skip
    days = frozenset(name for name, counts in sources.items() if _are_days(counts, starts))
    minutes = frozenset(
        name for name, counts in sources.items()
        if sum(row["minutes"] for row in counts) >= _MINUTES * _total(counts)
    )  # fmt: skip
    return Resolution(fine, days, minutes - days - fine)


def _total(counts: list[dict[str, int]]) -> int:
    return sum(row["n"] for row in counts)


def _are_days(counts: list[dict[str, int]], starts: set[int]) -> bool:
    enough = _DAYS * _total(counts)
    whole = [row for row in counts if row["quarter"] >= 0]
    if sum(row["n"] for row in whole if row["quarter"] in starts) >= enough:
        return True
    for row in whole:
        hour_later = (row["quarter"] + _QUARTERS // 24) % _QUARTERS
        near = [one for one in whole if one["quarter"] in (row["quarter"], hour_later)]
        span = max(one["last"] for one in near) - min(one["first"] for one in near)
        if _total(near) >= enough and span >= (_FEW_DAYS - 1) * MICROS_PER_DAY:
            return True
    return False
