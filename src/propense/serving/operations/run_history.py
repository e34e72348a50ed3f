"""A run's customers as a store keeps their past, read from its clean tables; of large logs only ids
are in memory at once."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from propense.columns import (
    ACTION,
    COUNT,
    EVENT_ID,
    EVENT_TIME,
    ITEM_ID,
    ORDER,
    SOURCE,
    USER_ID,
    VALUE,
)
from propense.encoding.profiles import feature_names
from propense.history.past import PastCustomer
from propense.history.retention import is_old
from propense.history.training_views import ALIAS, message_key
from propense.settings import Settings

EVENTS_AT_ONCE: Final = 3_000_000
"""Events that are sorted in memory at once; more are divided by customer first."""
_ROWS_AT_ONCE: Final = 100_000
_LIVE_ID: Final = re.compile(r"([0-9a-f]{32})-(\d{1,9})")
"""`training_views.event_id`: the event came from a live store."""

_KEY_DIGITS: Final = 32

_COLUMNS: Final = (
    USER_ID, EVENT_TIME, ORDER, ACTION, ITEM_ID, VALUE, COUNT, SOURCE, EVENT_ID,
)  # fmt: skip

Ints = np.ndarray[Any, np.dtype[np.int64]]


class RunHistory:
    """The clean tables of one run. Times are microseconds, money is in micro-units."""

    def __init__(
        self, clean: Path, settings: Settings, scratch: Path, oldest: int | None = None
    ) -> None:
        """`clean` is the folder that the clean stage wrote; parts of large logs are put into
        `scratch`, which `close` removes. Events before `oldest` are left out."""
        self._oldest = oldest
        self._clean = clean
        self._settings = settings
        self._scratch = scratch
        self.close()  # a loading that was killed may have divided another run
        self._events = _dataset(clean / "events")
        self._users = _dataset(clean / "users.parquet")
        self.n_events = 0 if self._events is None else self._events.count_rows()
        self.n_parts = max(1, -(-self.n_events // EVENTS_AT_ONCE))
        self._aliases = _aliases(clean / "identities.parquet")
        self._traits = self._trait_names()

    def user_ids(self) -> list[str]:
        """Every customer, once each."""
        unique: pa.Array = pa.array([], pa.string())
        for source in (self._events, self._users):
            for batch in () if source is None else source.to_batches(columns=[USER_ID]):
                chunks = [unique, pc.unique(batch[USER_ID].cast(pa.string()))]
                unique = pc.unique(pa.chunked_array(chunks))
        ids: list[str] = unique.drop_null().to_pylist()
        return ids

    def part(
        self, number: int, name_of: Callable[[str], str]
    ) -> Iterator[tuple[str, PastCustomer]]:
        """The customers of one of `n_parts`, in the order of their ids in the run, which come
        first; `name_of` gives the id that is stored."""
        events = _Events(self._events_of(number))
        profiles = self._profiles_of(number)
        position = {user_id: number for number, user_id in enumerate(events.user_ids)}
        encode = msgspec.msgpack.Encoder().encode
        for user_id in sorted(position.keys() | profiles.keys()):
            at = position.get(user_id)
            own = [] if at is None else events.rows_of(at)
            own = [row for row in own if not is_old(row[0], self._oldest)]
            past = PastCustomer(
                user_id=name_of(user_id),
                names=tuple(map(name_of, self._aliases.get(user_id, ()))),
                traits=profiles.get(user_id, b"{}"),
                events=encode(own),
                n_events=len(own),
            )
            yield user_id, past

    def close(self) -> None:
        """Remove what was divided."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _events_of(self, number: int) -> pa.Table:
        if self._events is None:
            return pa.table({name: pa.array([], pa.string()) for name in _COLUMNS})
        names = [name for name in _COLUMNS if name in self._events.schema.names]
        if self.n_parts == 1:
            return self._events.to_table(columns=names)
        folder = self._scratch / "events"
        if not folder.exists():
            self._divide(names, folder)
        return pq.read_table(folder / f"{number}.parquet")

    def _divide(self, names: list[str], folder: Path) -> None:
        """Write each part's events to a file of its own."""
        assert self._events is not None
        unfinished = folder.with_name("unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        schema = pa.schema([self._events.schema.field(name) for name in names])
        with ExitStack() as stack:
            writers = [
                stack.enter_context(pq.ParquetWriter(unfinished / f"{number}.parquet", schema))
                for number in range(self.n_parts)
            ]
            for batch in self._events.to_batches(columns=names):
                part = _part_of(batch[USER_ID], self.n_parts)
                for number, writer in enumerate(writers):
                    writer.write_batch(batch.filter(pa.array(part == number)))
        unfinished.rename(folder)

    def _profiles_of(self, number: int) -> dict[str, bytes]:
        """User id -> traits as JSON, of one part's customers in the users table."""
        profiles: dict[str, bytes] = {}
        if self._users is None:
            return profiles
        encode = msgspec.json.Encoder().encode
        for batch in self._users.to_batches(columns=[USER_ID, *self._traits]):
            mine = _part_of(batch[USER_ID], self.n_parts) == number
            for row in batch.filter(pa.array(mine)).to_pylist():
                user_id = row.pop(USER_ID)
                traits = {name: _plain(value) for name, value in row.items()}
                present = {name: value for name, value in traits.items() if value is not None}
                profiles[user_id] = encode(present)
        return profiles

    def _trait_names(self) -> list[str]:
        """The columns of the users table that a bundle can read."""
        table, source = self._settings.users, self._users
        if source is None or table is None:
            return []
        there = source.schema.names
        names = feature_names(there, self._settings)
        names += [name for name in (table.valid_from, *table.sensitive) if name is not None]
        return [name for name in dict.fromkeys(names) if name in there and name != USER_ID]


def _dataset(path: Path) -> Any:
    return ds.dataset(path, format="parquet") if path.exists() else None


def _aliases(path: Path) -> Mapping[str, Sequence[str]]:
    """Customer -> other ids, in order."""
    aliases: dict[str, list[str]] = {}
    source = _dataset(path)
    if source is not None:
        table = source.to_table(columns=[USER_ID, ALIAS]).sort_by([(ALIAS, "ascending")])
        for user_id, alias in zip(
            table[USER_ID].to_pylist(), table[ALIAS].to_pylist(), strict=True
        ):
            aliases.setdefault(user_id, []).append(alias)
    return aliases


def _part_of(user_ids: pa.Array, n_parts: int) -> Ints:
    """The part of each customer, by a hash of the id."""
    if n_parts == 1:
        return np.zeros(len(user_ids), np.int64)
    encoded = user_ids.dictionary_encode()
    words = [zlib.crc32(word.encode()) % n_parts for word in encoded.dictionary.to_pylist()]
    parts: Ints = np.array(words, np.int64)[encoded.indices.to_numpy()]
    return parts


class _Events:
    """Events by customer, oldest first, as `PastEvent` is encoded."""

    def __init__(self, events: pa.Table) -> None:
        self.user_ids: list[str] = []
        self._cells: list[Callable[[slice], list[Any]]] = []
        """Each column's cells of some rows."""
        self._event_ids: pa.Array | None = None
        self._begin = self._end = 0
        self._rows: list[tuple[Any, ...]] = []
        """Those from `_begin` to `_end`."""
        if not events.num_rows:
            return
        user = events[USER_ID].combine_chunks().dictionary_encode()
        words = user.dictionary.to_pylist()
        by_word = sorted(range(len(words)), key=words.__getitem__)
        self.user_ids = [words[number] for number in by_word]
        rank = np.empty(len(words), np.int64)
        rank[by_word] = np.arange(len(words))
        code = rank[user.indices.to_numpy()]
        sequence, when = _order_columns(events)
        order = np.lexsort((sequence, when, code))
        counts = np.bincount(code, minlength=len(words))
        self._bounds = np.concatenate([[0], np.cumsum(counts)])
        self._cells = [
            _plain_numbers(when[order]),
            _texts(events[ACTION], order),
            _texts(events[ITEM_ID], order),
            _optional(events[VALUE].cast(pa.int64()), order),
            _optional(events[COUNT].cast(pa.float64()), order),
            _texts(events[SOURCE], order),
        ]
        if EVENT_ID in events.column_names and events[EVENT_ID].null_count < len(events):
            self._event_ids = events[EVENT_ID].combine_chunks().take(pa.array(order))

    def rows_of(self, customer: int) -> list[tuple[Any, ...]]:
        """The rows of one customer; quick where customers are asked for in their order."""
        begin, end = int(self._bounds[customer]), int(self._bounds[customer + 1])
        if end > self._end or begin < self._begin:
            last = int(np.searchsorted(self._bounds, begin + _ROWS_AT_ONCE, side="right")) - 1
            self._begin, self._end = begin, max(end, int(self._bounds[last]))
            part = slice(self._begin, self._end)
            cells = [cell(part) for cell in self._cells]
            if self._event_ids is not None:
                messages = map(_message, self._event_ids[part].to_pylist())
                cells += map(list, zip(*messages, strict=True))
            self._rows = list(zip(*cells, strict=True))
        return self._rows[begin - self._begin : end - self._begin]


def _order_columns(events: pa.Table) -> tuple[Ints, Ints]:
    """Each event's place in its customer's sequence, where the log has an order, and its time;
    without times the place is the time."""
    sequence = np.zeros(events.num_rows, np.int64)
    if ORDER in events.column_names:
        sequence = events[ORDER].cast(pa.int64()).fill_null(0).to_numpy()
    time = events[EVENT_TIME]
    if time.null_count == len(time):
        return sequence, sequence
    return sequence, time.cast(pa.timestamp("us")).cast(pa.int64()).fill_null(0).to_numpy()


def _plain_numbers(numbers: Ints) -> Callable[[slice], list[Any]]:
    return lambda part: numbers[part].tolist()


def _texts(column: pa.ChunkedArray, order: Ints) -> Callable[[slice], list[Any]]:
    """Texts; equal ones are one object."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    words = np.array([None, *encoded.dictionary.to_pylist()], object)
    codes = encoded.indices.fill_null(-1).to_numpy()[order]
    return lambda part: words[codes[part] + 1].tolist()


def _optional(column: pa.ChunkedArray, order: Ints) -> Callable[[slice], list[Any]]:
    """Numbers, None where there is none."""
    numbers = column.fill_null(0).to_numpy()[order]
    missing = column.is_null().to_numpy()[order]

    def cells(part: slice) -> list[Any]:
        values = numbers[part].astype(object)
        values[missing[part]] = None
        some: list[Any] = values.tolist()
        return some

    return cells


def _message(event_id: str | None) -> tuple[bytes | None, int]:
    """The message of an event, and its place there."""
    if event_id is None:
        return None, -1
    match = _LIVE_ID.fullmatch(event_id) if len(event_id) > _KEY_DIGITS else None
    if match is not None:
        return bytes.fromhex(match[1]), int(match[2])
    return message_key(event_id), -1


def _plain(value: Any) -> Any:
    """A cell as JSON has it; times in UTC, None for what is no number."""
    if value is None or value != value:
        return None
    if isinstance(value, datetime):
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return utc.isoformat()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bool | int | float | str):
        return value
    return float(value) if hasattr(value, "as_tuple") else str(value)
