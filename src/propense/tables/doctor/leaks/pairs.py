"""Whether a column knows how a quantity of the log goes on after as_of.

Customers whose quantity is equal (or next to equal) at as_of are compared in pairs: a column that
was known then can rarely say which of the two will have more later. One that was filled in
afterwards says it nearly always. The measure is the share of right pairs, an AUC between customers
of the same past. It asks for no straight line, so money in cents, logarithms, ranks, dates and
tiers of an amount are all found, and a few wrong cells do not hide them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints
from propense.times import SECONDS_PER_DAY

KNOWS: Final = 0.93
"""Share of right pairs from which a column of few values knows the future."""
KNOWS_NUMBERS: Final = 0.90
"""The same for a column of many values, which no honest column comes near."""
FEW_VALUES: Final = 10
SURELY: Final = 0.85
"""The lower bound of the share must reach this too, whatever the number of pairs."""
MIN_PAIRS: Final = 60
EQUAL: Final = 0.8
"""Share of the customers whose quantity changes later from which a column that equals its final
value knows the future, however few they are."""
MIN_CHANGED: Final = 20
NOTICEABLE: Final = 0.1
"""Pairs of the same past that differ in the column, relative to pairs of any past, below which
the column says what the past says already."""
MANY: Final = 2_000
"""With fewer customers than this, each is in more pairs, and pairs are less alike."""
BIN: Final = 24
"""Customers of about the same past, among whom those who came at about the same time are pairs."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of customers with the same past: `more` will have more of the quantity than `less`."""

    more: Ints
    less: Ints
    half: Ints
    """(n_customers,) 0 or 1: pairs are made within halves, so that an order of words that is
    learned on one half can be tried on the other."""
    rank: Doubles
    """(n_customers,) rank of each customer's future."""
    overlap: int
    """Pairs that say as much as one pair of customers who are in no other."""


@dataclass(frozen=True)
class Match:
    """How well a column tells pairs apart."""

    right: float
    """Share of the differing pairs that it tells right, its direction chosen; at least .5."""
    rising: bool
    """Whether more in the column is more later."""
    n_pairs: int
    share: float
    """Pairs of the same past that differ in the column, relative to pairs of any past."""
    overlap: int

    @property
    def certain(self) -> bool:
        """Whether there are enough pairs, and enough of them differ to add to what is known."""
        return self.n_pairs >= MIN_PAIRS and self.share >= NOTICEABLE

    def knows(self, few_values: bool) -> bool:
        """Whether no column that was known at as_of tells so many pairs right."""
        return self.certain and self.reaches(KNOWS if few_values else KNOWS_NUMBERS, SURELY)

    def reaches(self, right: float, surely: float) -> bool:
        """Whether the share is at least `right`, and its lower bound (Wilson's) `surely`."""
        n = self.n_pairs / self.overlap
        if self.right < right or not n:
            return False
        spread = 2 * np.sqrt(self.right * (1 - self.right) / n + 1 / n**2)
        return bool((self.right + 2 / n - spread) / (1 + 4 / n) >= surely)


def make_pairs(past: Doubles, future: Doubles, entry: Ints, silence: Ints, seed: int = 0) -> Pairs:
    """Pairs of customers with the same `past` whose `future` differs.

    All arguments (n_customers,); `entry` is when each came, `silence` the seconds since the last
    event. Those of a pair have been silent about as long, and came at about the same time: with as
    many events, who came later is more active, and who has been silent for long has left.
    """
    n = len(past)
    half = np.random.default_rng(seed).permutation(n) % 2
    quiet = np.log2(1 + np.maximum(silence, 0) / SECONDS_PER_DAY).astype(np.int64)
    stratum = past_bins(past) * 2 + half
    if n >= MANY:
        stratum = stratum * 64 + quiet
    order = np.lexsort((entry, quiet, stratum))
    more, less = [], []
    steps = 2 if n >= MANY else 6
    for step in range(1, steps + 1):
        first, second = order[:-step], order[step:]
        same = stratum[first] == stratum[second]
        first, second = first[same], second[same]
        above, below = future[first] > future[second], future[first] < future[second]
        more += [first[above], second[below]]
        less += [second[above], first[below]]
    joined = np.concatenate(more)
    rank = np.empty(n)
    rank[np.argsort(future, kind="stable")] = np.arange(n)
    return Pairs(joined, np.concatenate(less), half, rank, 2 * steps)


def past_bins(past: Doubles) -> Ints:
    """(n,) equal pasts in one bin, and of different ones BIN customers."""
    _, index, counts = np.unique(past, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    bins: Ints = (middle // BIN).astype(np.int64)[index]
    return bins


def match_numbers(cells: Doubles, pairs: Pairs, differing: float | None = None) -> Match:
    """How well numbers (nan where missing) tell the pairs apart.

    `differing` is the share of any pairs that differ in the column, where it is known already.
    """
    difference = cells[pairs.more] - cells[pairs.less]
    above = int(np.count_nonzero(difference > 0))
    n_pairs = above + int(np.count_nonzero(difference < 0))
    there = len(difference) - int(np.count_nonzero(np.isnan(difference)))
    right = above / n_pairs if n_pairs else 0.5
    differing = differing_share(cells) if differing is None else differing
    share = n_pairs / there / differing if there and differing else 0.0
    return Match(max(right, 1 - right), right >= 0.5, n_pairs, share, pairs.overlap)


def match_words(codes: Ints, pairs: Pairs, differing: float | None = None) -> Match:
    """How well words (-1 where missing) tell the pairs apart, in the order that the customers of
    the other half teach."""
    n_words = int(codes.max(initial=-1)) + 1
    group = pairs.half * (n_words + 1) + codes + 1
    n = np.bincount(group, minlength=2 * (n_words + 1))
    total = np.bincount(group, weights=pairs.rank, minlength=2 * (n_words + 1))
    means = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    means[[0, n_words + 1]] = np.nan
    taught = means[(1 - pairs.half) * (n_words + 1) + codes + 1]
    match = match_numbers(taught, pairs, differing)
    return match if match.rising else Match(0.5, True, match.n_pairs, match.share, pairs.overlap)


def equal_share(cells: Doubles, past: Doubles, final: Doubles, is_time: bool) -> float:
    """Share of the customers whose quantity changes after as_of and whose cell is its final value:
    on the same day, or as a number in units, hundredths or as it is kept.

    0 where fewer than MIN_CHANGED change, or where the cells have few different values.
    """
    changed = (past != final) & ~np.isnan(cells)
    cells, final = cells[changed], final[changed]
    if len(cells) < MIN_CHANGED or len(np.unique(cells)) < FEW_VALUES:
        return 0.0
    if is_time:
        return float((np.abs(cells - np.abs(final)) < SECONDS_PER_DAY).mean())
    return max(
        float((np.abs(cells * unit - final) <= 1e-6 * np.abs(final)).mean())
        for unit in (1.0, 1e4, 1e6)
    )


def differing_share(cells: npt.NDArray[Any]) -> float:
    """Share of the pairs of any two customers that differ in the column; nan is no value.

    >>> differing_share(np.array([1.0, 1.0, 2.0, np.nan, 2.0]))
    0.5
    """
    numbers = cells.astype(np.float64)
    _, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    n = counts.sum()
    return float(1 - (counts**2).sum() / n**2) if n else 0.0


def codes_of(words: npt.NDArray[Any]) -> tuple[Ints, list[str]]:
    """(n,) codes of words in their order, -1 for None."""
    there = np.array([word is not None for word in words], bool)
    codes = np.full(len(words), -1)
    distinct, index = np.unique(words[there].astype(str), return_inverse=True)
    codes[there] = index
    return codes, distinct.tolist()
