"""The events of each customer side by side: partitions by keyed hash, then sorted shards.

The engine does the one step that needs the whole table at once, assigning rows to
partitions by the first bits of SHA-256 of the customer's id. What follows is done
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
from propense.encoding.history import HINDSIGHT, Hindsight, hindsight_of
from propense.errors import SplitError
from propense.schemas import Ints
from propense.tables.engine.engine import TableEngine
from propense.tables.splitting.cuts import Clock
from propense.tables.splitting.ledger import Ledger
from propense.tables.splitting.survey import SURVEYED, Survey, take_survey
from propense.times import MICROS_PER_SECOND

SHARD_SEED: Final = 0
"""A customer's shard is floor(n_shards * unit_hash(user_id, SHARD_SEED, "shard"))."""
SHARD_ROWS: Final = 100_000
"""With fewer rows than this a shard, fewer shards are made: 8, 16, 32 or 64."""

_TIME: Final = pa.timestamp("us")
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
    """Clean events and users in partitions of the same customers: one a shard."""

    folder: Path
    profile: Any
    """Arrow schema of the users table; user_id alone where there is none."""
    has_events: bool
    n_shards: int
    observed: tuple[int, int] | None = None
    """First and last second of the events that are read; None reads all."""

    def events(self, number: int, columns: tuple[str, ...] = tuple(_EVENTS.names)) -> Any:
        """One partition's events as an Arrow table of `columns`, typed as ARCHITECTURE says."""
        names = columns if self.observed is None else tuple(dict.fromkeys((*columns, EVENT_TIME)))
        schema = pa.schema([_EVENTS.field(name) for name in names])
        table = _read(self.folder / "events", number, self.n_shards, schema)
        if self.observed is None:
            return table
        first, last = self.observed
        time = table[EVENT_TIME].cast(pa.int64())
        inside = pc.and_(
            pc.greater_equal(time, first * MICROS_PER_SECOND),
            pc.less(time, (last + 1) * MICROS_PER_SECOND),
        )
        return table.filter(inside).select(list(columns))

    def users(self, number: int) -> Any:
        """One partition's profiles, every column of the users table."""
        return _read(self.folder / "users", number, self.n_shards, self.profile)

    def hindsight(self, number: int) -> Any:
        """One partition's stretches in which a history was not yet what it is now."""
        schema = pa.schema([(USER_ID, pa.string()), ("begin", _TIME), ("end", _TIME)])
        return _read(self.folder / "hindsight", number, self.n_shards, schema)

    def customers(self, number: int, columns: tuple[str, ...] | None = None) -> Any:
        """Profiles by user_id, nulls for customers known only from events; default all columns."""
        profiles = self.users(number)
        profiles = profiles if columns is None else profiles.select(columns)
        all_ids = [profiles[USER_ID]]
        if self.has_events:
            all_ids.append(self.events(number, (USER_ID,))[USER_ID])
        ids = pc.unique(pa.chunked_array([chunk for column in all_ids for chunk in column.chunks],
                                         type=pa.string()))  # fmt: skip
        ids = ids.take(pc.sort_indices(ids))
        users = profiles.take(pc.index_in(ids, value_set=profiles[USER_ID].combine_chunks()))
        return users.set_column(users.column_names.index(USER_ID), USER_ID, ids).combine_chunks()

    @cached_property
    def survey(self) -> Survey:
        """One pass over times, actions and sources."""
        numbers = range(self.n_shards if self.has_events else 0)
        return take_survey(self.events(number, SURVEYED) for number in numbers)

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
        """The n-th event's second: the day by counting, then the second within the day."""
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

    def seconds_between(
        self, first: int, stop: int, sources: tuple[str, ...] | None = None
    ) -> Ints:
        """Seconds of the events from `first` until `stop`, of some sources or of all, in order."""
        chosen = []
        for number in range(self.n_shards):
            events = self.events(number, (EVENT_TIME, SOURCE))
            if sources is not None:
                source = pc.fill_null(events[SOURCE], "")
                events = events.filter(pc.is_in(source, value_set=pa.array(sources, pa.string())))
            times = events[EVENT_TIME].cast(pa.int64()).to_numpy() // MICROS_PER_SECOND
            chosen.append(times[(times >= first) & (times < stop)])
        return np.sort(np.concatenate(chosen))

    def _times(self) -> Iterator[Ints]:
        for number in range(self.n_shards):
            times = self.events(number, (EVENT_TIME,))[EVENT_TIME].cast(pa.int64())
            yield times.to_numpy() // MICROS_PER_SECOND


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
    hindsight: Hindsight | None = None

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
            pc.fill_null(_whole(self.events[ITEM_ID].dictionary_encode()).indices, -1)
            .to_numpy()
            .astype(np.int64),
            pc.fill_null(self.events[COUNT], np.nan).to_numpy(),
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


def partition(engine: TableEngine, clean: Path, folder: Path) -> Partitions:
    """Assign the clean events and users to partitions under `folder`.

    Raises SplitError if there are neither events nor users.
    """
    shutil.rmtree(folder, ignore_errors=True)
    events, users = clean / "events", clean / "users.parquet"
    event_files, user_files = _files(events), _files(users)
    if not event_files and not user_files:
        raise SplitError(
            f"there is nothing to split: neither {events} nor {users} exists; run clean first"
        )
    n_rows = (
        sum(pq.read_metadata(file).num_rows for file in files)
        for files in (event_files, user_files)
    )
    n_shards = shards_for(max(n_rows))
    profile = pa.schema([(USER_ID, pa.string())])
    if event_files:
        table = engine.read_parquet(events)
        names = [name for name in _EVENTS.names if name in table.columns]
        _assign(engine, table.select(names), folder / "events", n_shards)
    if (clean / HINDSIGHT).exists():
        _assign(engine, engine.read_parquet(clean / HINDSIGHT), folder / "hindsight", n_shards)
    if user_files:
        table = engine.read_parquet(users)
        profile = _naive(table.schema().to_pyarrow())
        _assign(engine, table, folder / "users", n_shards)
    return Partitions(folder, profile, bool(event_files), n_shards)


def shards_for(n_rows: int) -> int:
    """How many shards hold `n_rows`: a power of two between 8 and 64.

    >>> shards_for(1_000), shards_for(1_000_000), shards_for(10**9)
    (8, 16, 64)
    """
    n = 8
    while n < 64 and n_rows > n * SHARD_ROWS:
        n *= 2
    return n


def read_shard(partitions: Partitions, number: int) -> Shard:
    """One shard: its customers and their events, in order."""
    users = partitions.customers(number)
    events = partitions.events(number)
    ids = users[USER_ID].combine_chunks()
    user = pc.index_in(events[USER_ID], value_set=ids).to_numpy().astype(np.int64)
    survey = partitions.survey
    events = events.take(pa.array(_in_order(events, user, survey.timed)))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(ids)))])
    hindsight = hindsight_of(partitions.hindsight(number), ids)
    return Shard(users, events.select(list(EVENT_FIELDS)), offsets, survey.actions, hindsight)


def _in_order(events: Any, user: Ints, timed: bool) -> Any:
    """Indices that sort by customer, then (event_time, action, item_id, value), nulls first.

    Source and count come last, so that the order of arrival never shows; without times the
    column `order` replaces event_time. The words are only compared where times are equal.
    """
    when = events[EVENT_TIME if timed else ORDER].cast(pa.int64())
    times = pc.fill_null(when, np.iinfo(np.int64).max).to_numpy()
    order = np.lexsort((times, user))
    same = (np.diff(user[order]) == 0) & (np.diff(times[order]) == 0)
    opens = np.concatenate([[True], ~same])[: len(order)]
    tied = ~opens
    tied[:-1] |= same
    tied_rows = np.flatnonzero(tied)
    if len(tied_rows):
        rows = order[tied_rows]
        group = np.cumsum(opens)[tied_rows]
        order[tied_rows] = rows[np.lexsort((*_words_first(events.take(pa.array(rows))), group))]
    return order


def _words_first(events: Any) -> tuple[Any, ...]:
    """Sort keys of events of one time, the last compared first."""
    return (
        _rank(events[SOURCE]),
        pc.fill_null(events[COUNT], -np.inf).to_numpy(),
        pc.fill_null(events[VALUE], np.iinfo(np.int64).min).to_numpy(),
        _rank(events[ITEM_ID]),
        _rank(events[ACTION]),
    )


def _rank(words: Any) -> Ints:
    """Each word's rank among the distinct words in the order of their bytes, null is -1."""
    coded = _whole(words.dictionary_encode())
    ranks = np.empty(len(coded.dictionary), dtype=np.int64)
    ranks[pc.sort_indices(coded.dictionary).to_numpy()] = np.arange(len(ranks))
    codes = pc.fill_null(coded.indices, -1).to_numpy()
    ranked: Ints = np.append(ranks, -1)[codes]
    return ranked


def _files(path: Path) -> list[Path]:
    """A Parquet file, or those of a folder."""
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path] if path.exists() else []


_HEX: Final = "0123456789abcdef"
_KEYS: Final = {
    8: ("0011223344556677", None),
    16: (_HEX, None),
    32: (_HEX, "0000000011111111"),
    64: (_HEX, "0000111122223333"),
}
"""Number of shards -> what the first two hexadecimal digits of the hash become in its key."""


def _assign(engine: TableEngine, table: ibis.expr.types.Table, folder: Path, n_shards: int) -> None:
    """Write `table` in one folder a partition; see SHARD_SEED for the rule."""
    digest = (ibis.literal(f"shard:{SHARD_SEED}:") + table[USER_ID]).hexdigest("sha256")
    first, second = _KEYS[n_shards]
    key = digest.substr(0, 1).translate(_HEX, first)
    if second is not None:
        key = key + digest.substr(1, 1).translate(_HEX, second)
    engine.write_partitions(table.mutate(partition=key), folder, by="partition")


def _key(number: int, n_shards: int) -> str:
    """The folder's name of a partition.

    >>> _key(7, 8), _key(31, 32), _key(63, 64)
    ('7', 'f1', 'f3')
    """
    if n_shards <= 16:
        return f"{number:x}"
    minor = n_shards // 16
    return f"{number // minor:x}{number % minor}"


def _read(folder: Path, number: int, n_shards: int, schema: Any) -> Any:
    """A partition's files as one table of `schema`; a column they lack is all null."""
    name = _key(number, n_shards)
    tables = []
    for file in sorted((folder / f"partition={name}").glob("*.parquet")):
        content = pq.ParquetFile(file).read(columns=schema.names)
        columns = [
            content[field.name].cast(field.type)
            if field.name in content.column_names
            else pa.nulls(content.num_rows, field.type)
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
