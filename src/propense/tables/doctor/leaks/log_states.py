"""What the log says of each customer at one time: counts, money, first and last events.

A column of the customers' table that follows such a quantity as it is at the end of the log, and
not as it was at as_of, was filled in afterwards. Only some customers are read: whole shards, which
are drawn by hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.columns import ACTION, EVENT_TIME, ITEM_ID, USER_ID, VALUE
from propense.schemas import Doubles, Ints, Words
from propense.times import MICROS_PER_SECOND, SECONDS_PER_DAY

MOST_CUSTOMERS: Final = 5_000
MOST_EVENTS: Final = 1_000_000
MOST_ACTIONS: Final = 8
"""Actions whose own counts, money and times are compared, the most frequent first."""
SESSION_GAP: Final = 30 * 60
"""Seconds without an event that end a session."""
_BATCH: Final = 20_000


@dataclass(frozen=True)
class Quantity:
    """One quantity of the log: its key in the texts (`log_KIND`) and the action it is of."""

    kind: str
    action: str | None = None


State = Callable[[int], Doubles]
"""A quantity of every customer just before a time in seconds, (n_customers,)."""


@dataclass(frozen=True)
class LogSample:
    """The events of some customers, by customer and time.

    `offsets` (n_customers + 1,) events of each; `time` seconds; `action` and `item` codes, -1
    where there is none; `value` micro-units, 0 where there is none.
    """

    user_ids: Any
    offsets: Ints
    time: Ints
    action: Ints
    item: Ints
    value: Doubles
    actions: tuple[str, ...]
    _before: dict[int, Ints] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def n_before(self, time: int) -> Ints:
        """(n_customers,) events before `time`."""
        if time not in self._before:
            running = _running(self.time < time)
            self._before[time] = np.diff(running[self.offsets]).astype(np.int64)
        return self._before[time]

    @cached_property
    def begin(self) -> int:
        return int(self.time.min(initial=np.iinfo(np.int64).max))

    @cached_property
    def first(self) -> Ints:
        """(n_customers,) time of the first event; the end of time for customers without."""
        has = np.diff(self.offsets) > 0
        first = np.full(len(self), np.iinfo(np.int64).max)
        first[has] = self.time[self.offsets[:-1][has]]
        return first

    def states(self, end: int) -> Iterator[tuple[Quantity, State]]:
        """Every quantity that is compared; `end` is the time of the last event."""
        everything = np.ones(len(self.time), bool)
        owner = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        opens = np.diff(owner, prepend=-1) != 0
        gap = np.diff(self.time, prepend=0)
        yield Quantity("last"), self._last(everything)
        yield Quantity("events"), self._sum(everything)
        yield Quantity("sessions"), self._sum(opens | (gap > SESSION_GAP))
        day = self.time // SECONDS_PER_DAY
        yield Quantity("days"), self._sum(opens | (np.diff(day, prepend=-1) != 0))
        if (self.item >= 0).any():
            yield Quantity("items"), self._sum(self._first_of_item(owner))
        yield Quantity("first"), self._first(everything, end)
        some = np.argsort(-np.bincount(self.action[self.action >= 0],
                                       minlength=len(self.actions)), kind="stable")  # fmt: skip
        for code in some[:MOST_ACTIONS]:
            mask = self.action == code
            word = self.actions[code]
            if not mask.all():
                yield Quantity("last_of", word), self._last(mask)
                yield Quantity("count_of", word), self._sum(mask)
                yield Quantity("first_of", word), self._first(mask, end)
            if self.value[mask].any():
                yield Quantity("money_of", word), self._sum(self.value * mask)
                yield Quantity("mean_of", word), self._mean(self.value * mask, mask)
        if self.value.any():
            yield Quantity("money"), self._sum(self.value)

    def _first_of_item(self, owner: Ints) -> Any:
        """Mask of the first event of each customer with each item."""
        named = np.flatnonzero(self.item >= 0)
        pair = owner[named] * (int(self.item.max(initial=0)) + 1) + self.item[named]
        mask = np.zeros(len(self.time), bool)
        mask[named[np.unique(pair, return_index=True)[1]]] = True
        return mask

    def _sum(self, weight: Any) -> State:
        running = _running(weight)
        start = self.offsets[:-1]
        return lambda time: running[start + self.n_before(time)] - running[start]

    def _mean(self, weight: Any, mask: Any) -> State:
        total, n = self._sum(weight), self._sum(mask)
        return lambda time: total(time) / np.maximum(n(time), 1)

    def _last(self, mask: Any) -> State:
        """Time of the last event; a day before the log begins where there is none."""
        number = np.where(mask, np.arange(len(mask)), -1)
        latest = np.concatenate([[-1], np.maximum.accumulate(number)]) if len(mask) else _NONE
        start = self.offsets[:-1]

        def state(time: int) -> Doubles:
            at = latest[start + self.n_before(time)]
            none = self.begin - SECONDS_PER_DAY
            return np.where(at >= start, self.time[np.maximum(at, 0)], none).astype(np.float64)

        return state

    def _first(self, mask: Any, end: int) -> State:
        """Minus the time of the first event, so that it grows; a day after `end` if none is."""
        starts = np.append(np.flatnonzero(mask), len(mask))
        at = starts[np.searchsorted(starts, self.offsets[:-1])]
        exists = at < self.offsets[1:]
        first = np.where(exists, self.time[np.minimum(at, len(mask) - 1)], 0)
        none = end + SECONDS_PER_DAY
        return lambda time: -np.where(exists & (first < time), first, none).astype(np.float64)


_NONE: Final = np.array([-1])


def _running(weight: Any) -> Doubles:
    """(n + 1,) sums of the first 0, 1, ... n weights."""
    return np.concatenate([[0.0], np.cumsum(weight, dtype=np.float64)])


def read_sample(shards: Path) -> LogSample:
    """The log of at most about MOST_CUSTOMERS customers, whole."""
    files = sorted(shards.glob("shard-*.parquet"))
    pieces: list[Any] = []
    n_customers = n_events = 0
    for file in files:
        with pq.ParquetFile(file) as opened:
            rows = opened.metadata.num_rows
            step = max(1, rows // MOST_CUSTOMERS)
            for batch in opened.iter_batches(_BATCH, columns=[USER_ID, "events"]):
                table = pa.table(batch).take(pa.array(np.arange(0, batch.num_rows, step)))
                pieces.append(table)
                n_customers += table.num_rows
                n_events += int(pc.sum(pc.list_value_length(table["events"])).as_py() or 0)
        if n_customers >= MOST_CUSTOMERS or n_events >= MOST_EVENTS:
            break
    table = pa.concat_tables(pieces).combine_chunks()
    most = max(n_customers / MOST_CUSTOMERS, n_events / MOST_EVENTS)
    if most > 1:
        table = table.take(pa.array(np.arange(0, n_customers, most).astype(np.int64)))
    return _of_table(table)


def _of_table(table: Any) -> LogSample:
    lists = table["events"].combine_chunks()
    events = lists.flatten()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    events_of = {name: events.field(name) for name in (EVENT_TIME, ACTION, ITEM_ID, VALUE)}
    action, words = _codes(events_of[ACTION])
    item, _ = _codes(events_of[ITEM_ID])
    return LogSample(
        user_ids=table[USER_ID].combine_chunks(),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        time=events_of[EVENT_TIME].cast(pa.int64()).to_numpy() // MICROS_PER_SECOND,
        action=action,
        item=item,
        value=pc.fill_null(events_of[VALUE], 0).cast(pa.float64()).to_numpy(zero_copy_only=False),
        actions=tuple(words),
    )  # fmt: skip


def _codes(column: Any) -> tuple[Ints, Words]:
    coded = column.dictionary_encode()
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, coded.dictionary.to_pylist()
