"""Columns as a model sees them at as_of: days since a time, nothing of what is later.

A cell that is masked at as_of still says something: that it was filled in later. So whether a cell
is empty is looked at beside what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from propense.columns import FOLD, PART, USER_ID
from propense.encoding.arrow import as_numbers, as_seconds, as_words, one_array
from propense.encoding.profiles import infer_kind
from propense.schemas import NO_TIME, Doubles, Ints
from propense.settings import TableSource
from propense.tables.doctor.leaks.pairs import FEW_VALUES, codes_of, differing_share
from propense.times import SECONDS_PER_DAY

RARE: Final = 0.005
"""Shares of empty cells below which, or of filled ones, being empty is not looked at."""
MANY_WORDS: Final = 50
"""From so many different words on, their order in the alphabet is looked at too: dates as text."""


@dataclass(frozen=True)
class View:
    """One way in which a column can tell something: what it holds, or whether it is empty."""

    column: str
    of: Literal["cells", "empty"]
    numbers: Doubles | None
    """(n,) nan where empty; None for words without an order."""
    codes: Ints | None = None
    """(n,) codes of words, -1 where empty."""

    @cached_property
    def few_values(self) -> bool:
        """Whether it has so few values that two honest groups could look like a leak."""
        if self.numbers is None:
            return True
        return len(np.unique(self.numbers[~np.isnan(self.numbers)])) < FEW_VALUES

    @cached_property
    def differing(self) -> float:
        """Share of any two customers that differ in it."""
        if self.codes is not None:
            return differing_share(np.where(self.codes < 0, np.nan, self.codes))
        return 0.0 if self.numbers is None else differing_share(self.numbers)


@dataclass(frozen=True)
class Columns:
    """The columns of a table of customers or items, (n,) each, in the table's order."""

    ids: Any
    numbers: dict[str, Doubles]
    """nan where missing."""
    words: dict[str, tuple[Ints, list[str]]]
    """Codes, -1 where missing, and the words."""
    times: dict[str, Ints]
    """Seconds, NO_TIME where missing."""
    valid_from: Ints
    """Seconds from which on the row is known; NO_TIME is always."""

    def __len__(self) -> int:
        return len(self.valid_from)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.numbers, *self.words, *self.times)

    @property
    def filled(self) -> Any:
        """(n,) mask of the rows with any cell: customers without a profile have none."""
        masks = [~np.isnan(cells) for cells in self.numbers.values()]
        masks += [codes >= 0 for codes, _ in self.words.values()]
        masks += [cells != NO_TIME for cells in self.times.values()]
        return np.any(masks, axis=0) if masks else np.zeros(len(self), bool)

    def days_since(self, name: str, rows: Ints, as_of: Ints) -> Doubles:
        """(n_rows,) days since a time, nan where it is missing or later than `as_of`."""
        cells = self.times[name][rows]
        seen = (cells != NO_TIME) & (cells <= as_of)
        return np.where(seen, (as_of - np.where(seen, cells, 0)) / SECONDS_PER_DAY, np.nan)

    def later(self, name: str, rows: Ints, as_of: int) -> Any:
        """(n_rows,) mask of the times that lie after `as_of`."""
        cells = self.times[name][rows]
        return (cells != NO_TIME) & (cells > as_of)

    def views(self, rows: Ints, as_of: int) -> Iterator[View]:
        """What the columns of the rows, by index, can tell at one time."""
        visible = self.valid_from[rows] <= as_of
        for name, cells in self.numbers.items():
            numbers = np.where(visible, cells[rows], np.nan)
            yield View(name, "cells", numbers)
            yield from _empty(name, np.isnan(numbers))
        for name, (codes, words) in self.words.items():
            own = np.where(visible, codes[rows], -1)
            numbers = np.where(own >= 0, own, np.nan)
            if len(words) <= 2:
                yield View(name, "cells", numbers)
            else:
                yield View(name, "cells", None, own)
            if len(words) > MANY_WORDS:
                yield View(name, "cells", numbers)
            yield from _empty(name, own < 0)
        for name in self.times:
            days = np.where(visible, self.days_since(name, rows, np.full(len(rows), as_of)), np.nan)
            yield View(name, "cells", days)
            yield from _empty(name, np.isnan(days))


def _empty(name: str, mask: Any) -> Iterator[View]:
    if RARE <= mask.mean() <= 1 - RARE:
        yield View(name, "empty", mask.astype(np.float64))


def read_columns(table: Any, source: TableSource, key: str, names: Sequence[str]) -> Columns:
    """The columns `names` of an Arrow table, by the kinds that the encoder takes them for.

    Lists and texts of many words are left out: models read them as bags of words.
    """
    numbers: dict[str, Doubles] = {}
    words: dict[str, tuple[Ints, list[str]]] = {}
    times: dict[str, Ints] = {}
    for name in names:
        column = one_array(table[name])
        kind = dict(source.types).get(name) or infer_kind(name, column, False)[0]
        if kind == "numeric":
            numbers[name] = as_numbers(column)
        elif kind == "time":
            times[name] = as_seconds(column)
        elif kind == "categorical":
            words[name] = codes_of(as_words(column).to_numpy(zero_copy_only=False))
    valid = source.valid_from if source.valid_from in table.column_names else None
    return Columns(
        ids=one_array(table[key]),
        numbers=numbers,
        words=words,
        times=times,
        valid_from=np.full(table.num_rows, NO_TIME) if valid is None else as_seconds(table[valid]),
    )


def profile_names(table: Any) -> list[str]:
    """The columns of parts/users.parquet that come from the users table."""
    return [name for name in table.column_names if name not in (USER_ID, PART, FOLD)]


def take_rows(table: Any, ids: Any) -> Any:
    """Rows of a users table in the order of `ids`; absent customers have nulls."""
    index = pa.compute.index_in(ids, value_set=one_array(table[USER_ID]))
    rows = table.take(index)
    return rows.set_column(rows.column_names.index(USER_ID), USER_ID, ids)
