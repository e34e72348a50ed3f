"""The column of event times among those of a file, and others that could be it."""

from __future__ import annotations

from statistics import median
from typing import Final

from propense.tables.guessing import names, vocabulary
from propense.tables.guessing.column_profiles import ColumnProfile, parse_time
from propense.tables.guessing.groups import Group
from propense.tables.sources.samples import own_name

_LATER: Final = frozenset(
    "updated modified received sent loaded ingested collector processed available "
    "cancelled canceled refunded shipped shipping delivered delivery estimated expires "
    "expiry expiration end ended closed approved approval limit first last next birth "
    "birthday signup registered register registration joined opened transfer payout "
    "original fulfilled completed previous dvce etl install installed reinstall attributed "
    "attribution touch solved resolved answered assigned due lastmod synced exported "
    "imported processing 更新 修改 发货 送达 aktualisiert geändert geliefert versendet".split()
)
"""Words of times at which something else happened than the event itself."""
_LENGTHS: Final = frozenset(
    "since spent duration delay elapsed hour hours minutes seconds secs per lag age of until "
    "count number".split()
)
"""Words of numbers that say how long something took, or count."""
_FULL: Final = 0.98
_SAME: Final = 3600.0
"""Seconds: two times that are mostly closer are one."""
_COMPARED: Final = 500
_LARGEST_PART: Final = 31
"""Numbers up to here are hours, weekdays or days of a month."""


def time_column(group: Group, used: set[str]) -> str | None:
    """The column of event times: full, varying, named like it, and of several the finer one."""
    times = _times(group, used)
    return min(times, key=lambda own: _rank(group, own, times)) if times else None


def _times(group: Group, used: set[str]) -> list[str]:
    return [own for own, column in group.columns.items() if column.is_time and own not in used]


def _rank(group: Group, own: str, times: list[str]) -> tuple[bool, ...]:
    column, name = group.column(own), own_name(own)
    most = max(group.column(other).n_distinct for other in times)
    return (
        column.n_filled < 0.5 * column.n,
        not group.is_list_field(own) and bool(group.lists),
        names.mentions(name, _LATER),
        column.n_filled < _FULL * column.n,
        (10 * column.n_distinct < most and not column.days_only) or column.n_distinct == 1 < most,
        bool(column.days_only),
        _plain(name) not in vocabulary.TIME_ALONE,
        names.mentions(name, vocabulary.VALID_FROM),
        not names.mentions(name, vocabulary.TIME),
    )


def _plain(name: str) -> str:
    return name.strip(" {}[]").replace(" ", "_").lower()


def other_times(group: Group, time: str | None, used: set[str]) -> tuple[str, ...]:
    """Columns that fit as well as `time`; those named like a time that cannot be read, where it is
    None or only a time of something else."""
    if time is None:
        return tuple(_unread(group, used))
    times = _times(group, used)
    rank = _rank(group, time, times)
    if any(rank[:4]):
        return tuple(
            own for own in _unread(group, used) if not names.mentions(own_name(own), _LATER)
        )
    if not rank[6]:
        return ()
    return tuple(
        own for own in times
        if own != time and _rank(group, own, times) == rank and _differ(group, own, time)
    )  # fmt: skip


def _unread(group: Group, used: set[str]) -> list[str]:
    return [
        own for own, column in group.columns.items()
        if own not in used and not column.is_time and column.n_filled > 0.5 * column.n
        and names.mentions(own_name(own), vocabulary.TIME) and _could_be_time(column)
    ]  # fmt: skip


def _could_be_time(column: ColumnProfile) -> bool:
    if column.n_distinct < 2 or column.mean_length > 40 or column.kind == "boolean":
        return False
    if column.is_numeric:
        return (
            column.high is not None and column.high > _LARGEST_PART
            and not names.words_of(own_name(column.name)) & _LENGTHS
        )  # fmt: skip
    return all(any(sign.isdigit() for sign in word) for word, _ in column.common[:5])


def _differ(group: Group, own: str, other: str) -> bool:
    """Whether two columns of times mostly differ, as far as their cells are read here."""
    forms = (group.column(own).time_format, group.column(other).time_format)
    if forms[0] is None or forms[1] is None:
        return group.cells[own] != group.cells[other]
    gaps = []
    for one, two in zip(group.cells[own][:_COMPARED], group.cells[other], strict=False):
        if one is None or two is None:
            continue
        times = parse_time(one, forms[0]), parse_time(two, forms[1])
        if times[0] is not None and times[1] is not None:
            gaps.append(abs(times[0] - times[1]))
    return bool(gaps) and median(gaps) >= _SAME
