"""Local clock times to UTC without any engine's own zone data.

A zone is a list of times at which its offset changes, found once with `zoneinfo`; as an
expression it is a tree of comparisons, the same on every engine.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import ibis
from ibis.expr.types import Column

from propense.times import find_zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STEP: Final = timedelta(days=7)
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2060, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=32)
def local_offsets(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where a zone's offset changes, on its own clock, 1970 to 2060.

    Returns `boundaries` (n,) in microseconds of local clock and `offsets` (n + 1,) in
    microseconds east of UTC: local time t has the offset `offsets[i]` with i the number of
    boundaries <= t. Hours that a change repeats are read as the first of the two, hours that
    it skips with the offset before it (PEP 495, fold = 0).
    """
    zone = find_zone(name)

    def offset(time: datetime) -> int:
        away = time.astimezone(zone).utcoffset() or timedelta(0)
        return away // timedelta(microseconds=1)

    boundaries: list[int] = []
    offsets = [offset(_FIRST)]
    time = _FIRST
    while time < _LAST:
        later = time + _STEP
        if offset(later) != offsets[-1]:
            low, high = time, later
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                low, high = (middle, high) if offset(middle) == offsets[-1] else (low, middle)
            after = offset(high)
            change = (high - _EPOCH) // timedelta(microseconds=1)
            boundaries.append(change + max(offsets[-1], after))
            offsets.append(after)
            time = high
        else:
            time = later
    return tuple(boundaries), tuple(offsets)


def to_utc(local: Column, name: str) -> Column:
    """Microseconds of a zone's local clock as microseconds UTC."""
    boundaries, offsets = local_offsets(name)
    if not boundaries:
        return local - offsets[0] if offsets[0] else local
    return local - _tree(local, boundaries, offsets)


def _tree(local: Column, boundaries: tuple[int, ...], offsets: tuple[int, ...]) -> Column:
    """A balanced tree of comparisons: n changes cost log2(n) of them a row."""
    if not boundaries:
        return ibis.literal(offsets[0], type="int64")
    middle = len(boundaries) // 2
    return (local < boundaries[middle]).ifelse(
        _tree(local, boundaries[:middle], offsets[: middle + 1]),
        _tree(local, boundaries[middle + 1 :], offsets[middle + 1 :]),
    )
