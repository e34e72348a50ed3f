"""Customers who are there twice: equal in every feature column and in their whole history.

A model that has seen one of them in train knows the label of the other in test, so they belong in
one part. Equal rows of a table with few coarse columns are different people, though: 200 customers
may share an age band and a country. So equal customers count as duplicates only where nobody else
was expected to be like them. How many were is

    n_customers * sqrt(product of the share of customers with each value, and with each event)

as if columns and events were independent, but half of what they say were said twice, since columns
overlap. Where that is above CHANCE, or where
a group is so large that its values are rather a default, equal customers are left as they are.

Columns in which no two customers are equal, such as a row number or an e-mail address, are not
compared: they differ between two copies of a customer, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propense.columns import ACTION, DUPLICATE_GROUP, EVENT_TIME, ITEM_ID, USER_ID, VALUE
from propense.encoding.profiles import feature_names
from propense.schemas import Doubles, Ints, PlanWarning
from propense.settings import Settings
from propense.tables.splitting.hashes import Hashes, hash_cells, salted
from propense.tables.splitting.shards import Partitions
from propense.words import format_text

CHANCE: Final = 0.01
"""Customers expected to be like a group by chance, above which it is no group of duplicates."""
MOST: Final = 10
"""Customers of a group of duplicates at most, or MOST_SHARE of all where that is more."""
MOST_SHARE: Final = 0.01
NOTICED: Final = 0.01
"""Share of customers who are there twice, from which on it is a warning."""
_COUNTERS: Final = 1 << 22
"""Counters of events at most: several may share one, which makes them look more usual."""
_FEW_WORDS: Final = 64
"""Words at most of a column that is looked at beside others, and how many others."""
_SAMPLE: Final = 100_000
_ENOUGH: Final = 30
_HISTORY: Final = (ACTION, ITEM_ID, EVENT_TIME, VALUE)

Codes = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Duplicates:
    """Groups of equal customers."""

    group: Ints
    """(n_customers,) number of the customer's group, -1 for none; in the order of the partitions,
    and by user_id within each."""
    sizes: Ints
    """Customers of each partition."""

    @property
    def customers(self) -> int:
        """Customers that have an equal one."""
        return int((self.group >= 0).sum())

    @property
    def groups(self) -> int:
        return int(self.group.max(initial=-1)) + 1

    def of_partition(self, number: int) -> Any:
        """The groups of a partition's customers as an Arrow array, null for none."""
        stop = int(self.sizes[: number + 1].sum())
        group = self.group[stop - int(self.sizes[number]) : stop]
        return pa.array(group, pa.int64(), mask=group < 0)

    def same_key(self, keys: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The keys (n_customers,), the least of each group for all of its customers."""
        shared = keys.copy()
        member = np.flatnonzero(self.group >= 0)
        order = member[np.lexsort((keys[member].astype(str), self.group[member]))]
        heads = np.flatnonzero(np.diff(self.group[order], prepend=-1))
        shared[order] = keys[order[heads]][self.group[order]]
        return shared


def find_duplicates(partitions: Partitions, names: Sequence[str]) -> Duplicates:
    """Compare all customers by the profile columns `names` and by their events.

    Memory: 4 bytes for each customer and column; events are read one partition at a time.
    """
    columns: dict[str, list[Codes]] = {name: [] for name in names}
    pieces: list[Hashes] = []
    counters = Counters.of(partitions)
    for number in range(partitions.n_shards):
        users = partitions.customers(number, (USER_ID, *names))
        for name in names:
            columns[name].append((hash_cells(users[name]) >> np.uint64(32)).astype(np.uint32))
        history = np.zeros(users.num_rows, np.uint64)
        if partitions.has_events:
            owner, events, words = _events(partitions, number, users)
            with np.errstate(over="ignore"):
                np.add.at(history, owner, events)
            counters.add(events, words)
        pieces.append(history)
    sizes = np.array([len(piece) for piece in pieces])
    prints = np.concatenate(pieces)
    codes = [np.concatenate(columns.pop(name)) for name in names]
    # By name: the order of the columns must not show.
    compared = [codes[k] for k in sorted(range(len(names)), key=lambda k: names[k])]
    compared = [column for column in compared if _repeats(column)]
    with np.errstate(over="ignore"):
        for salt, column in enumerate(compared):
            prints = prints + salted(column.astype(np.uint64), salt)
    group = _equal(prints)
    members = np.flatnonzero(group >= 0)
    heads = members[np.unique(group[members], return_index=True)[1]]
    if not len(heads):
        return Duplicates(group, sizes)
    surprise = _surprise_of_columns(compared, heads)
    if partitions.has_events:
        surprise += _surprise_of_events(partitions, sizes, heads, counters, len(prints))
    expected = len(prints) * np.exp(0.5 * surprise)
    size = np.bincount(group[members])
    small = size <= max(MOST, MOST_SHARE * len(prints))
    # Where many are there twice for certain, it is less surprising of others.
    certain = float(size[(expected <= CHANCE) & small].sum()) / len(prints)
    good = (expected <= max(CHANCE, certain / 2)) & small
    twice = _share_beyond_chance(size, len(prints))
    good |= (len(prints) * np.exp(surprise) <= twice / 2) & small
    number_of = np.append(np.where(good, np.cumsum(good) - 1, -1), -1)
    return Duplicates(number_of[group], sizes)


class Wording(NamedTuple):
    """What is said of duplicates."""

    notes: list[str]
    warnings: list[PlanWarning]


def describe(duplicates: Duplicates, by: str, together: bool) -> Wording:
    """What was done with customers who are there twice; a warning where they are many."""
    n, n_users = duplicates.customers, len(duplicates.group)
    if not n:
        return Wording([], [])
    if together:
        what = "they are kept together; [split] keep_duplicates_together = false divides them"
    elif by == "user":
        what = "some are in train and in test, which flatters every model"
    elif by == "group":
        what = "they are divided where their groups are"
    else:
        what = "each of them is learned from and counted again"
    note = (
        f"{n:,} customers are there twice: they equal another one in all features and events "
        f"({duplicates.groups:,} groups; {DUPLICATE_GROUP} in parts/users.parquet): {what}"
    )
    if n < NOTICED * n_users:
        return Wording([note], [])
    key = "split.duplicates_together" if together else "split.duplicates"
    text = format_text(key, n=f"{n:,}", n_users=f"{n_users:,}")
    return Wording([note], [PlanWarning("duplicate_customers", text)])


def compared_columns(names: Sequence[str], settings: Settings) -> list[str]:
    """The profile columns that customers are compared by: the features."""
    return feature_names(names, settings) if len(names) > 1 else []


@dataclass(frozen=True)
class Counters:
    """How often each event occurs, and each action with each item."""

    events: Ints
    words: Ints

    @staticmethod
    def of(partitions: Partitions) -> Counters:
        """Nothing counted yet; a power of two that suits the data."""
        n_events = partitions.survey.n_events if partitions.has_events else 0
        size = min(_COUNTERS, 1 << (4 * n_events).bit_length())
        return Counters(np.zeros(size, np.int64), np.zeros(size, np.int64))

    def index(self, hashes: Hashes) -> Ints:
        """Which counter is whose."""
        return (hashes & np.uint64(len(self.events) - 1)).astype(np.int64)

    def add(self, events: Hashes, words: Hashes) -> None:
        """Count these, too."""
        self.events[:] += np.bincount(self.index(events), minlength=len(self.events))
        self.words[:] += np.bincount(self.index(words), minlength=len(self.words))


def _events(partitions: Partitions, number: int, users: Any) -> tuple[Ints, Hashes, Hashes]:
    """Each event's customer, as a row of `users`; hashes of what happened when, and of what."""
    table = partitions.events(number, (USER_ID, *_HISTORY))
    owner = pc.index_in(table[USER_ID], value_set=users[USER_ID].combine_chunks())
    with np.errstate(over="ignore"):
        words = np.full(table.num_rows, 1, np.uint64)
        for salt, name in enumerate((ACTION, ITEM_ID)):
            words += salted(hash_cells(table[name]), salt)
        events = words.copy()
        for salt, name in enumerate((EVENT_TIME, VALUE), 2):
            events += salted(hash_cells(table[name]), salt)
    return owner.to_numpy().astype(np.int64), salted(events, 0), salted(words, 0)


def _repeats(column: Codes) -> bool:
    """Whether customers share values, more than the few whose hashes are equal by chance."""
    hashes = np.sort(column[column != 0])
    chance = len(hashes) ** 2 / 2.0**33
    return not len(hashes) or int((np.diff(hashes) == 0).sum()) > 2 * chance


def _equal(prints: Hashes) -> Ints:
    """(n,) number of each group of two or more equal numbers, -1 for those that are alone."""
    _, inverse, counts = np.unique(prints, return_inverse=True, return_counts=True)
    several = counts > 1
    number: Ints = np.where(several, np.cumsum(several) - 1, -1)[inverse]
    return number


def _share_beyond_chance(size: Ints, n_customers: int) -> float:
    """Share of the customers in groups of two or three that no kind of chance explains.

    Groups of k equal customers, drawn from whatever distribution, are n_k in expectation, with
    n_k ** 2 <= (k + 1) / k * n_(k - 1) * n_(k + 1): k! n_k are moments of a mixture of Poisson
    distributions. Where everybody is there twice, n_2 is large and n_1 and n_3 are none.
    """
    n_of = np.bincount(np.minimum(size, 5), minlength=6).astype(np.float64)
    n_of[1] = n_customers - size.sum()
    most = n_of + 3 * np.sqrt(n_of) + 9
    beyond = 0.0
    for k in (2, 3):
        usual = np.sqrt((k + 1) / k * most[k - 1] * most[k + 1])
        beyond += k * max(0.0, float(n_of[k] - usual))
    return beyond / n_customers


def _count_equal(column: Codes, rows: Ints) -> Ints:
    """How many customers have the value of each of the `rows`."""
    ordered = np.sort(column)
    wanted = column[rows]
    left = np.searchsorted(ordered, wanted, "left")
    counts: Ints = np.searchsorted(ordered, wanted, "right") - left
    return counts


def _surprise_of_columns(columns: Sequence[Codes], rows: Ints) -> Doubles:
    """(n_rows,) log of the share of customers with each value of the `rows`, added up.

    Columns of few words often say the same of a customer: such a value counts by its share among
    those with the value of another column that makes it most likely.
    """
    total = np.zeros(len(rows))
    earlier: list[tuple[Ints, Ints, int]] = []
    for column in columns:
        share = _count_equal(column, rows) / len(column)
        sample = column[:: -(-len(column) // _SAMPLE)]
        words, word = np.unique(sample, return_inverse=True)
        if len(words) <= _FEW_WORDS:
            own = np.minimum(np.searchsorted(words, column[rows]), len(words) - 1)
            for others, other, n_others in earlier[-_FEW_WORDS:]:
                table = np.bincount(others * len(words) + word, minlength=n_others * len(words))
                together = table.reshape(n_others, len(words))
                beside = together.sum(axis=1)[other]
                likely = together[other, own] / np.maximum(beside, _ENOUGH)
                share = np.maximum(share, np.where(beside >= _ENOUGH, likely, 0))
            earlier.append((word, own, len(words)))
        total += np.log(share)
    return total


def _surprise_of_events(
    partitions: Partitions, sizes: Ints, heads: Ints, counters: Counters, n_customers: int
) -> Doubles:
    """(n_heads,) log of the share of customers with such a history.

    Customers of one course or shop choose the same items, so that an item counts once, the
    rarest; then, for each event, the share of its item's events that were at that time. Without
    times every item counts.
    """
    first = np.concatenate([[0], np.cumsum(sizes)])
    row_of = np.full(n_customers, -1, np.int64)
    row_of[heads] = np.arange(len(heads))
    total, rarest = np.zeros(len(heads)), np.zeros(len(heads))
    for number in range(partitions.n_shards):
        here = row_of[first[number] : first[number + 1]]
        if (here < 0).all():
            continue
        users = partitions.customers(number, (USER_ID,))
        owner, events, words = _events(partitions, number, users)
        asked = here[owner]
        some = asked >= 0
        n_words = counters.words[counters.index(words[some])]
        n_events = counters.events[counters.index(events[some])]
        share = np.log(np.minimum(n_words / n_customers, 1.0))
        if partitions.survey.timed:
            np.minimum.at(rarest, asked[some], share)
            share = np.log(np.minimum(n_events / n_words, 1.0))
        np.add.at(total, asked[some], share)
    return total + rarest
