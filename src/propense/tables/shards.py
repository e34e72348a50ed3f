"""Events of one customer side by side: partitions by keyed hash, then sorted shards.

The engine does the one thing that needs the whole table at once, dealing rows to 64
partitions by the first six bits of SHA-256 of the customer's id. What follows is done
partition by partition in Arrow, so every engine gives the same bytes in bounded memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense.columns import ACTION, COUNT, EVENT_TIME, ITEM_ID, ORDER, SOURCE, USER_ID, VALUE
from propense.errors import SplitError
from propense.schemas import Ints
from propense.tables.cuts import Clock
from propense.tables.engine import Engine
from propense.tables.labels import Ledger

N_PARTITIONS: Final = 64
SHARD_SEED: Final = 0
"""A customer's partition is floor(64 * unit_hash(user_id, SHARD_SEED, "shard"))."""
SHARD_EVENTS: Final = 100_000
"""Below this many events a shard, fewer shards are made; at least 8."""

EVENT_FIELDS: Final[dict[str, Any]] = {
    EVENT_TIME: pa.timestamp("us"),
    ACTION: pa.string(),
    ITEM_ID: pa.string(),
    VALUE: pa.int64(),
    COUNT: pa.float64(),
    SOURCE: pa.string(),
}
SHARD_SCHEMA: Final = pa.schema(
    [(USER_ID, pa.string()), ("events", pa.list_(pa.struct(list(EVENT_FIELDS.items()))))]
)
_EVENTS: Final = pa.schema([(USER_ID, pa.string()), *EVENT_FIELDS.items(), (ORDER, pa.int64())])


@dataclass(frozen=True)
class Partitions:
    """Clean events and users dealt to 64 partitions of the same customers."""

    folder: Path
    profile: Any
    """Arrow schema of the users table; user_id alone where there is none."""
    has_events: bool

    def events(self, number: int, columns: tuple[str, ...] = tuple(_EVENTS.names)) -> Any:
        """One partition's events as an Arrow table of `columns`, typed as ARCHITECTURE says."""
        schema = pa.schema([_EVENTS.field(name) for name in columns])
        return _read(self.folder / "events", number, schema)

    def users(self, number: int) -> Any:
        """One partition's profiles, every column of the users table."""
        return _read(self.folder / "users", number, self.profile)

    def customers(self, numbers: range, columns: tuple[str, ...] | None = None) -> Any:
        """Profiles by user_id, nulls for customers known only from events; default all columns."""
        profiles = pa.concat_tables([self.users(number) for number in numbers])
        profiles = profiles if columns is None else profiles.select(columns)
        chunks = profiles[USER_ID].chunks
        for number in numbers if self.has_events else ():
            chunks.append(pc.unique(self.events(number, (USER_ID,))[USER_ID]))
        ids = pc.unique(pa.chunked_array(chunks, type=pa.string()))
        ids = ids.take(pc.sort_indices(ids))
        users = profiles.take(pc.index_in(ids, value_set=profiles[USER_ID].combine_chunks()))
        return users.set_column(users.column_names.index(USER_ID), USER_ID, ids).combine_chunks()

    def groups(self) -> Iterator[range]:
        """The partitions of each shard, in the order of the shards."""
        size = N_PARTITIONS // self.survey.n_shards
        return (range(first, first + size) for first in range(0, N_PARTITIONS, size))

    @cached_property
    def survey(self) -> Survey:
        """One pass over times and actions."""
        n_events, n_timed = 0, 0
        actions: set[str | None] = set()
        begin: int | None = None
        end: int | None = None
        for number in range(N_PARTITIONS if self.has_events else 0):
            events = self.events(number, (EVENT_TIME, ACTION))
            n_events += events.num_rows
            n_timed += events.num_rows - events[EVENT_TIME].null_count
            actions.update(pc.unique(events[ACTION]).to_pylist())
            ends = pc.min_max(events[EVENT_TIME].cast(pa.int64())).as_py()
            if ends["min"] is not None:
                begin = ends["min"] if begin is None else min(begin, ends["min"])
                end = ends["max"] if end is None else max(end, ends["max"])
        if 0 < n_timed < n_events:
            raise SplitError(
                f"{n_events - n_timed:,} of {n_events:,} events have no event_time; give all "
                f"of them a time in cleaning, or none to learn from their order alone"
            )
        span = None
        if begin is not None and end is not None:
            span = (begin // 1_000_000, end // 1_000_000)
        words = sorted(word for word in actions if word is not None)
        return Survey(n_events, span, tuple(words))

    @property
    def clock(self) -> Clock:
        """When the events are. Raises SplitError where they have no times."""
        span = self.survey.span
        if span is None:
            raise SplitError(
                "the events have no times, so they cannot be cut by time; "
                'choose [split] by = "leave_one_out" or "user"'
            )
        return Clock(span[0], span[1], self.survey.n_events, self._nth)

    def _nth(self, n: int) -> int:
        """The n-th event's second: the day by counting, then the moment within the day."""
        span = self.survey.span
        if span is None:
            raise SplitError("the events have no times")
        begin, n_days = span[0], (span[1] - span[0]) // 86_400 + 1
        counts = np.zeros(n_days, dtype=np.int64)
        for times in self._times():
            counts += np.bincount((times - begin) // 86_400, minlength=n_days)
        day = int(np.searchsorted(np.cumsum(counts), n, side="right"))
        opens = begin + day * 86_400
        within = np.concatenate(
            [times[(times >= opens) & (times < opens + 86_400)] for times in self._times()]
        )
        rank = n - int(counts[:day].sum())
        return int(np.partition(within, rank)[rank])

    def _times(self) -> Iterator[Ints]:
        for number in range(N_PARTITIONS):
            times = self.events(number, (EVENT_TIME,))[EVENT_TIME].cast(pa.int64())
            yield times.to_numpy() // 1_000_000


@dataclass(frozen=True)
class Survey:
    """What the events are, all together."""

    n_events: int
    span: tuple[int, int] | None
    """Seconds of the first and the last event; None without times."""
    actions: tuple[str, ...]

    @property
    def timed(self) -> bool:
        return self.span is not None

    @property
    def n_shards(self) -> int:
        """A power of two between 8 and 64."""
        n = 8
        while n < N_PARTITIONS and self.n_events > n * SHARD_EVENTS:
            n *= 2
        return n


@dataclass(frozen=True)
class Shard:
    """Some customers, by user_id, and their events in order."""

    users: Any
    """Arrow table: profiles, also of customers known only from events (nulls)."""
    events: Any
    """Arrow table of EVENT_FIELDS, sorted by customer and order."""
    offsets: Ints
    """(n_users + 1,)"""
    words: tuple[str, ...]

    @property
    def user_ids(self) -> Any:
        return self.users[USER_ID].combine_chunks()

    @property
    def ledger(self) -> Ledger:
        """The events as arrays; `timed` data only."""
        action = pc.index_in(self.events[ACTION], value_set=pa.array(self.words, pa.string()))
        return Ledger(
            self.offsets,
            self.events[EVENT_TIME].cast(pa.int64()).to_numpy(),
            pc.fill_null(action, -1).to_numpy(),
            pc.fill_null(self.events[VALUE], 0).to_numpy(),
            self.words,
        )

    def write(self, file: Path) -> None:
        """One row a customer with a list of events, empty where there are none."""
        events = self.events.combine_chunks()
        structs = pa.StructArray.from_arrays(
            [_whole(events[name]) for name in EVENT_FIELDS],
            fields=[pa.field(name, kind) for name, kind in EVENT_FIELDS.items()],
        )
        lists = pa.ListArray.from_arrays(pa.array(self.offsets, pa.int32()), structs)
        table = pa.table([self.user_ids, lists], schema=SHARD_SCHEMA)
        pq.write_table(table, file, compression="zstd")


def partition(engine: Engine, clean: Path, folder: Path) -> Partitions:
    """Deal the clean events and users to partitions under `folder`.

    Raises SplitError if there are neither events nor users.
    """
    shutil.rmtree(folder, ignore_errors=True)
    events, users = clean / "events", clean / "users.parquet"
    has_events = events.is_dir() and any(events.glob("*.parquet"))
    if has_events:
        table = engine.read_parquet(events)
        kept = [name for name in _EVENTS.names if name in table.columns]
        _deal(engine, table.select(kept), folder / "events")
    profile = pa.schema([(USER_ID, pa.string())])
    if users.exists():
        table = engine.read_parquet(users)
        profile = _naive(table.schema().to_pyarrow())
        _deal(engine, table, folder / "users")
    elif not has_events:
        raise SplitError(
            f"there is nothing to split: neither {events} nor {users} exists; run clean first"
        )
    return Partitions(folder, profile, has_events)


def read_shard(partitions: Partitions, numbers: range) -> Shard:
    """The shard made of these partitions: every customer, every event, in order."""
    users = partitions.customers(numbers)
    events = pa.concat_tables([partitions.events(number) for number in numbers])
    ids = users[USER_ID].combine_chunks()
    user = pc.index_in(events[USER_ID], value_set=ids).to_numpy().astype(np.int64)
    survey = partitions.survey
    events = events.take(pa.array(_in_order(events, user, survey.timed)))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(ids)))])
    return Shard(users, events.select(list(EVENT_FIELDS)), offsets, survey.actions)


def _in_order(events: Any, user: Ints, timed: bool) -> Any:
    """Indices that sort by customer, then (event_time, action, item_id, value), nulls first.

    Source and count come last, so that the order of arrival never shows; without times the
    column `order` stands in for event_time. The words are only compared where times are equal.
    """
    when = events[EVENT_TIME if timed else ORDER].cast(pa.int64())
    moments = pc.fill_null(when, np.iinfo(np.int64).max).to_numpy()
    order = np.lexsort((moments, user))
    same = (np.diff(user[order]) == 0) & (np.diff(moments[order]) == 0)
    opens = np.concatenate([[True], ~same])[: len(order)]
    tied = ~opens
    tied[:-1] |= same
    places = np.flatnonzero(tied)
    if len(places):
        rows = order[places]
        moment = np.cumsum(opens)[places]
        order[places] = rows[np.lexsort((*_words_first(events.take(pa.array(rows))), moment))]
    return order


def _words_first(events: Any) -> tuple[Any, ...]:
    """Sort keys of events of one moment, the last compared first."""
    return (
        _rank(events[SOURCE]),
        pc.fill_null(events[COUNT], -np.inf).to_numpy(),
        pc.fill_null(events[VALUE], np.iinfo(np.int64).min).to_numpy(),
        _rank(events[ITEM_ID]),
        _rank(events[ACTION]),
    )


def _rank(words: Any) -> Ints:
    """Each word's place among the distinct words in the order of their bytes, null is -1."""
    coded = _whole(words.dictionary_encode())
    ranks = np.empty(len(coded.dictionary), dtype=np.int64)
    ranks[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(len(ranks))
    codes = pc.fill_null(coded.indices, -1).to_numpy()
    found: Ints = np.append(ranks, -1)[codes]
    return found


def _deal(engine: Engine, table: ibis.expr.types.Table, folder: Path) -> None:
    """Write `table` in one folder a partition; see SHARD_SEED for the rule."""
    digest = (ibis.literal(f"shard:{SHARD_SEED}:") + table[USER_ID]).hexdigest("sha256")
    second = digest.substr(1, 1)
    quarter = ibis.cases((second < "4", "0"), (second < "8", "1"), (second < "c", "2"), else_="3")
    engine.write_partitions(
        table.mutate(partition=digest.substr(0, 1) + quarter), folder, by="partition"
    )


def _read(folder: Path, number: int, schema: Any) -> Any:
    """A partition's files as one table of `schema`; a column they lack is all null."""
    name = f"{number // 4:x}{number % 4}"
    tables = []
    for file in sorted((folder / f"partition={name}").glob("*.parquet")):
        found = pq.ParquetFile(file).read(columns=schema.names)
        columns = [
            found[field.name].cast(field.type)
            if field.name in found.column_names
            else pa.nulls(found.num_rows, field.type)
            for field in schema
        ]
        tables.append(pa.table(columns, schema=schema))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _naive(schema: Any) -> Any:
    """The schema with times as microseconds UTC without a zone."""
    return pa.schema(
        [(field.name, pa.timestamp("us") if pa.types.is_timestamp(field.type) else field.type)
         for field in schema]
    )  # fmt: skip


def _whole(column: Any) -> Any:
    """A chunked column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
