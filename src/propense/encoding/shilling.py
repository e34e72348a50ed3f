"""How much of a customer's choices counts for what is shown to others.

Whoever can send events can invent customers. Each of them may look plausible; what gives them
away is what they have in common. Two groups of customers are compared with all others, item by
item:

- *devoted* customers, who gave much of their successes to one item: among them an item has
  about the share that it has among customers of broader taste;
- *newcomers* among them, whose success with the item came within days of their first event:
  of those who came in the same days an item has about the share it has among older customers.

Honest items differ in both, more in one trade and less in another, so that the items
themselves say how far is usual. An item several times as far as nearly all others is pushed, and
what is not usual is taken from those who push it: they weigh what is usual over what was found.
Everyone else weighs 1: some item is always the one furthest from the others, and those who like
it have done nothing wrong. Customers who have been there for long, took many other items as well
and came one by one cannot be told from honest ones, and are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.schemas import FIRST_KNOWN, Doubles, Histories, Ints

NARROW_SHARES: Final = (0.5, 0.2)
"""Shares of one item among a customer's successes, above which their taste is narrow."""
BROAD: Final = 3
"""Items that customers of broader taste succeeded with at least."""
NEW_SECONDS: Final = 7 * 86_400
"""From a customer's first event to the success of a newcomer, at most."""
SURGES: Final = (3 * 86_400, 14 * 86_400)
"""Lengths of the times in which newcomers are looked at together."""
SPREAD: Final = 2.0
"""Standard deviations, and as many customers, above what is expected that are mere chance."""
PRIOR: Final = 0.5
"""Successes that every item is credited with."""
ENOUGH: Final = 0.1
"""Successes of those who say what is usual, beside those that are looked at: with fewer no one is
judged."""
MANY: Final = 0.05
"""Share of customers who cannot all be invented: what they are devoted to is a staple."""
UNUSUAL: Final = 0.01
"""Share of items that may lie beyond what is usual; two more always may."""
FAR: Final = 4.0
"""How many times as far as is usual a pushed item lies. Counts that chance alone makes never reach
it, however many items are looked at: it begins at 8 customers where next to nobody is expected.
In real logs a few items in fashion do, with less than .5 % of the customers."""


@dataclass(frozen=True)
class Support:
    """The successes of customers with items: one row a customer and item, sorted by both."""

    user: Ints
    item: Ints
    times: Doubles
    """Successes."""
    share: Doubles
    """Share of the customer's successes."""
    breadth: Ints
    """Items the customer succeeded with."""
    first_time: Ints
    """Time of the first success."""
    begun: Ints
    """Time of the customer's first event."""


def weigh_customers(
    histories: Histories, ends: Ints, success: npt.NDArray[np.bool_], n_items: int
) -> Doubles:
    """(n_users,) weights in (0, 1]; 1 for ordinary customers.

    Only events before `ends` (n_users,) (absolute index, exclusive) are looked at; `success`
    (n_events,) says which of them speak for their item.
    """
    weights = np.ones(histories.n_users)
    support = find_support(histories, ends, success, n_items)
    if len(support.user):
        for least in NARROW_SHARES:
            _weigh_narrow(support, n_items, least, weights)
        if histories.timed:
            for seconds in SURGES:
                _weigh_new(support, n_items, seconds, weights)
    return weights


def find_support(
    histories: Histories, ends: Ints, success: npt.NDArray[np.bool_], n_items: int
) -> Support:
    """What `weigh_customers` looks at."""
    offsets, n_users = histories.offsets, histories.n_users
    owner = np.repeat(np.arange(n_users), np.diff(offsets))
    chosen = success & (histories.item >= FIRST_KNOWN)
    chosen &= np.arange(histories.n_events) < np.asarray(ends)[owner]
    event = np.flatnonzero(chosen)
    key = owner[event] * n_items + histories.item[event]
    # Events of a customer are in the order of time: the first of a key is the earliest.
    user_items, first, times = np.unique(key, return_index=True, return_counts=True)
    user, item = user_items // n_items, user_items % n_items
    return Support(
        user, item, times.astype(np.float64), times / np.bincount(user, times, n_users)[user],
        np.bincount(user, minlength=n_users)[user], histories.time[event[first]],
        histories.time[offsets[:-1][user]],
    )  # fmt: skip


def _weigh_narrow(support: Support, n_items: int, least: float, weights: Doubles) -> None:
    """Bound what devoted customers give an item by what broader ones give it."""
    narrow = support.share > least
    if not narrow.any():
        return
    broad = (support.breadth >= BROAD) & ~narrow
    if support.times[broad].sum() < ENOUGH * support.times[narrow].sum():
        # Where nearly all histories are short, nobody is left to say what is usual.
        return
    observed = _sum(support.item, support.times * narrow, n_items)
    share = _shares(_sum(support.item, support.times * broad, n_items))
    size = float(support.times[narrow].mean())
    bound = _bound(
        observed, observed.sum() * share, size, np.arange(n_items), np.unique(support.item)
    )
    followers = np.bincount(support.item[narrow], minlength=n_items)
    bound[followers > MANY * len(np.unique(support.user))] = 1.0
    np.minimum.at(weights, support.user[narrow], bound[support.item[narrow]])


def _weigh_new(support: Support, n_items: int, seconds: int, weights: Doubles) -> None:
    """Bound what those who came in the same days give an item by what older customers give it."""
    new = support.first_time - support.begun <= NEW_SECONDS
    rows = np.flatnonzero(new & (support.share > min(NARROW_SHARES)))
    if not len(rows):
        return
    rows = rows[np.lexsort((support.begun[rows], support.item[rows]))]
    item, begun, times = support.item[rows], support.begun[rows], support.times[rows]
    if support.times[~new].sum() < ENOUGH * times.sum():
        return
    observed = Log(item, begun, times).between(item, begun, seconds)
    crowd = Log(0 * item, begun, times).between(0 * item, begun, seconds)
    older = Log(support.item[~new], support.first_time[~new], support.times[~new])
    # What is new or in season has a share of its own in the days of the surge.
    then = Log(0 * older.item, older.time, older.times).between(0 * item, begun, seconds)
    loyal = ~new & (support.share > min(NARROW_SHARES))
    share = np.maximum.reduce(
        [
            _shares(_sum(older.item, older.times, n_items))[item],
            _shares(_sum(support.item, support.times * loyal, n_items))[item],
            older.between(item, begun, seconds) / (then + PRIOR * n_items),
        ]
    )
    bound = _bound(observed, crowd * share, float(times.mean()), item, np.unique(support.item))
    # A customer is part of every surge that begins up to `seconds` before them.
    span = int(begun.max() - begun.min()) + seconds + 1
    keys = item * span + (begun - begun.min())
    first = np.searchsorted(keys, keys - seconds, side="right")
    stop = np.searchsorted(keys, keys, side="right")
    np.minimum.at(weights, support.user[rows], lowest(bound, first, stop))


def _bound(observed: Doubles, expected: Doubles, size: float, item: Ints, items: Ints) -> Doubles:
    """(n,) what is usual over what was observed where that is far beyond it, else 1.

    `size` is what one customer gives on average; `item` (n,) whose amounts these are, `items`
    all items anybody succeeded with.
    """
    ratio = observed / (expected + SPREAD * np.sqrt(expected * size) + SPREAD * size)
    highest = np.zeros(int(items.max()) + 1)
    inside = item < len(highest)
    np.maximum.at(highest, item[inside], ratio[inside])
    beyond = 2 + int(np.ceil(UNUSUAL * len(items)))
    usual = max(1.0, float(np.sort(highest[items])[-min(beyond + 1, len(items))]))
    bound: Doubles = np.where(ratio > FAR * usual, usual / np.maximum(ratio, usual), 1.0)
    return bound


@dataclass(frozen=True)
class Log:
    """Amounts by item and time, to be summed over stretches of time."""

    item: Ints
    time: Ints
    times: Doubles

    def between(self, item: Ints, begin: Ints, seconds: int) -> Doubles:
        """(n,) sums of each `item` over [begin, begin + seconds)."""
        if not len(self.item):
            return np.zeros(len(item))
        base = min(int(self.time.min()), int(begin.min()))
        span = max(int(self.time.max()), int(begin.max())) - base + seconds + 1
        order = np.lexsort((self.time, self.item))
        keys = self.item[order] * span + (self.time[order] - base)
        total = np.append(0.0, np.cumsum(self.times[order]))
        low = item * span + (begin - base)
        first, stop = np.searchsorted(keys, low), np.searchsorted(keys, low + seconds)
        sums: Doubles = total[stop] - total[first]
        return sums


def lowest(values: Doubles, first: Ints, stop: Ints) -> Doubles:
    """(n,) the least of `values[first:stop]` of each stretch, none of them empty.

    >>> lowest(np.array([3.0, 1.0, 2.0]), np.array([0, 2]), np.array([3, 3])).tolist()
    [1.0, 2.0]
    """
    # Level k holds the least of 2**k values from each place on; two of them cover any stretch.
    levels = [values]
    while 2 ** len(levels) <= len(values):
        half, below = 2 ** (len(levels) - 1), levels[-1]
        levels.append(np.minimum(below[:-half], below[half:]))
    level = np.frexp((stop - first).astype(np.float64))[1] - 1
    lowest_of = np.empty(len(first))
    for k, least in enumerate(levels):
        mine = level == k
        lowest_of[mine] = np.minimum(least[first[mine]], least[stop[mine] - 2**k])
    return lowest_of


def _shares(observed: Doubles) -> Doubles:
    """Each item's share, every item credited with a little."""
    credited: Doubles = (observed + PRIOR) / (observed + PRIOR).sum()
    return credited


def _sum(item: Ints, amount: Doubles, n_items: int) -> Doubles:
    return np.bincount(item, amount, n_items).astype(np.float64)
