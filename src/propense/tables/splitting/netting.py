"""Purchases of which everything comes back, and when: what a label leaves out of its window."""

from __future__ import annotations

import numpy as np

from propense.schemas import Doubles, Ints
from propense.tables.splitting.cuts import Grid
from propense.tables.splitting.ledger import Bools, Ledger, positions
from propense.times import MICROS_PER_SECOND

_PIECE = 1_000_000
"""Counts are summed in millionths of a piece, so that sums are exact."""


def count_returned(
    ledger: Ledger, bought: Bools, gives_back: Bools, grid: Grid, within: int
) -> Ints | None:
    """(n_users, grid.n) events of `bought` in [time, time + within) of which everything has come
    back before time + within; None where nothing has.

    Events that `gives_back` marks take back the latest events of the same customer and item
    first: those with an amount by amounts, those without by their counts. So what was bought
    after a moment is taken back by what came after it alone.
    """
    chosen, back = wholly_returned(ledger, bought, gives_back)
    short = back - ledger.time_us[chosen] < within * MICROS_PER_SECOND
    chosen, back = chosen[short], back[short]
    if not len(chosen):
        return None
    n_before = np.bincount(ledger.users[chosen], minlength=ledger.n_users)
    offsets = np.concatenate([[0], np.cumsum(n_before)])
    opened = positions(offsets, ledger.time_us[chosen], grid, 0)
    closed = positions(offsets, back, grid, within)
    return closed - opened


def wholly_returned(ledger: Ledger, bought: Bools, gives_back: Bools) -> tuple[Ints, Ints]:
    """The events of `bought` of which everything comes back, and the time at which it has."""
    bought = bought & ~gives_back
    index = np.flatnonzero(bought | gives_back)
    key = ledger.users[index] * (int(ledger.item.max(initial=-1)) + 2) + ledger.item[index] + 1
    with_amount = ledger.value[index] != 0
    key = 2 * key + with_amount
    back = gives_back[index]
    both = np.isin(key, np.intersect1d(key[back], key[~back]))
    index, key, back, with_amount = index[both], key[both], back[both], with_amount[both]
    order = np.lexsort((back, ledger.time_us[index], key))
    index, key, back, with_amount = index[order], key[order], back[order], with_amount[order]
    size = np.where(with_amount, np.abs(ledger.value[index]), _pieces(ledger.count[index]))
    level = np.cumsum(np.where(back, -size, size))
    start = np.flatnonzero(~back)
    end = np.searchsorted(key, key[start], side="right")
    last = first_at_most(level, start + 1, level[start] - size[start], end)
    complete = last < end
    return index[start[complete]], ledger.time_us[index[last[complete]]]


def _pieces(count: Doubles) -> Ints:
    pieces = np.nan_to_num(np.abs(count), nan=1.0, posinf=1.0)
    whole: Ints = np.rint(np.minimum(pieces, 1e9) * _PIECE).astype(np.int64)
    return np.maximum(whole, 1)


def first_at_most(level: Ints, begin: Ints, limit: Ints, end: Ints) -> Ints:
    """For each search the first index from `begin` on whose level is at most `limit`; `end` if
    there is none before it.

    >>> first_at_most(np.array([5, 3, 4, 1]), np.array([0, 2]), np.array([3, 3]), np.array([4, 3]))
    array([1, 3])
    """
    longest = int((end - begin).max(initial=0))
    lowest = [level]
    while 2 ** len(lowest) <= longest:
        width = 2 ** (len(lowest) - 1)
        last = lowest[-1]
        lowest.append(np.minimum(last[: len(last) - width], last[width:]))
    at = begin.copy()
    for power in range(len(lowest) - 1, -1, -1):
        fits = at + 2**power <= end
        above = np.zeros(len(at), dtype=np.bool_)
        above[fits] = lowest[power][at[fits]] > limit[fits]
        at[above] += 2**power
    return at
