"""Stretches of time in which a customer's history was not yet what it is now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense import columns
from propense.encoding.arrow import as_words
from propense.schemas import NO_TIME, Histories, Ints, Targets
from propense.times import MICROS_PER_SECOND

HINDSIGHT: Final = "hindsight.parquet"
"""In the clean folder: user_id, begin, end."""
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Hindsight:
    """Stretches, sorted by customer. A history has events in a stretch that were joined to the
    customer only at its end, or lacks events from its begin on."""

    user: Ints
    """(n,) index of the customer."""
    begin: Ints
    """(n,) microseconds: the first such event."""
    end: Ints
    """(n,) microseconds, the largest integer where it never ends."""

    def covers(self, user: Ints, as_of: Ints, within: int) -> Bools:
        """(n_rows,) whether nobody could know a row's history then, or its events from `as_of`
        to `within` seconds later are not all there.

        `as_of` (n_rows,) are seconds; rows without a time (NO_TIME) are not covered.
        """
        mine = np.isin(user, self.user) & (as_of != NO_TIME)
        covered = np.zeros(len(user), dtype=np.bool_)
        user, micros = user[mine], as_of[mine] * MICROS_PER_SECOND
        begun = _count_before(self.user, self.begin, user, micros + within * MICROS_PER_SECOND)
        covered[mine] = begun > _count_before(self.user, self.end, user, micros)
        return covered


def _count_before(owner: Ints, times: Ints, user: Ints, limit: Ints) -> Ints:
    """How many of each user's `times` are before `limit`."""
    codes = np.unique(np.concatenate([times, limit]), return_inverse=True)[1]
    n = np.int64(len(codes) + 1)
    keys = np.sort(owner * n + codes[: len(times)])
    wanted = user * n
    begin = np.searchsorted(keys, wanted)
    return np.searchsorted(keys, wanted + codes[len(times) :]) - begin


def hindsight_of(table: Any, user_ids: Any) -> Hindsight | None:
    """The stretches of the customers `user_ids`; None where there are none.

    `table` has the columns user_id, begin and end (timestamps; no end: it never ends).
    """
    names = pa.array(user_ids, pa.string()) if not isinstance(user_ids, pa.Array) else user_ids
    user = pc.index_in(as_words(table[columns.USER_ID]), value_set=names)
    table, user = table.filter(pc.is_valid(user)), user.drop_null()
    if not len(user):
        return None
    owner = np.asarray(user.to_numpy(zero_copy_only=False), np.int64)
    order = np.argsort(owner, kind="stable")
    begin = table["begin"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    end = table["end"].cast(pa.timestamp("us")).cast(pa.int64())
    end = pc.fill_null(end, np.iinfo(np.int64).max).to_numpy()
    return Hindsight(owner[order], begin[order], end[order])


def read_hindsight(path: Path, user_ids: Any) -> Hindsight | None:
    """The stretches that cleaning wrote; None where it found none."""
    if not path.exists():
        return None
    return hindsight_of(pq.read_table(path), user_ids)


def without_hindsight(
    targets: Targets, histories: Histories, hindsight: Hindsight | None
) -> Targets:
    """The targets whose history was known at their moment."""
    if hindsight is None or not len(targets):
        return targets
    as_of = histories.time[targets.end]
    covered = hindsight.covers(targets.user.astype(np.int64), as_of, 1)
    return targets.take(np.flatnonzero(~covered))
