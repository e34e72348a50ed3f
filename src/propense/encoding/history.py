"""Every user's events as compressed sparse rows, from shards or from live events.

Both ways meet in `EventLog`: words as codes, not yet indices, so that an encoder can be
fitted on a log and the log indexed afterwards without reading the shards twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense import columns
from propense.encoding.arrow import (
    MICROS_PER_SECOND,
    as_micros,
    as_words,
    integers,
    micros_of,
    missing,
    word_of,
)
from propense.encoding.vocabulary import Vocabulary
from propense.errors import SourceError
from propense.schemas import Floats, Histories, Ids, Ints, Words

_FIELDS: Final = (
    columns.EVENT_TIME, columns.ACTION, columns.ITEM_ID, columns.VALUE, columns.COUNT,
    columns.SOURCE,
)  # fmt: skip


class Indexer(Protocol):
    """What turns words into indices: the encoder, or its vocabularies."""

    @property
    def actions(self) -> Vocabulary: ...
    @property
    def items(self) -> Vocabulary: ...
    @property
    def sources(self) -> Vocabulary: ...
    @property
    def timed(self) -> bool: ...


@dataclass(frozen=True)
class Coded:
    """A column of words: `words[codes]`, -1 where missing."""

    codes: Ids
    words: tuple[str, ...]

    def index(self, vocabulary: Vocabulary) -> Ids:
        """(n,) vocabulary indices."""
        table = np.append(vocabulary.index(self.words), np.int32(0))
        return table[self.codes]

    def count(self, chosen: np.ndarray) -> dict[str, int]:
        """How often each word occurs among the chosen places."""
        codes = self.codes[chosen]
        found = np.bincount(codes[codes >= 0], minlength=len(self.words))
        return {word: int(n) for word, n in zip(self.words, found, strict=True) if n}


@dataclass(frozen=True)
class EventLog:
    """A whole log in canonical order; see Histories for the arrays."""

    user_ids: Words
    offsets: Ints
    time: Ints
    action: Coded
    item: Coded
    source: Coded
    value: Floats
    count: Floats
    timed: bool


def load_histories(parts: Path, encoder: Indexer) -> Histories:
    """Histories of every user of `parts/shards`, users in shard order.

    Raises SourceError if there are no shards, or times are missing where there should be some.
    """
    return index_log(read_log(parts, encoder.timed), encoder)


def index_log(log: EventLog, encoder: Indexer) -> Histories:
    """The log's words as the encoder's indices."""
    return Histories(
        user_ids=log.user_ids,
        offsets=log.offsets,
        time=log.time,
        action=log.action.index(encoder.actions).astype(np.int16),
        item=log.item.index(encoder.items),
        source=log.source.index(encoder.sources).astype(np.int16),
        value=log.value,
        count=log.count,
        timed=log.timed,
    )


def read_log(parts: Path, timed: bool) -> EventLog:
    """All shards, one at a time; words stay codes.

    Raises SourceError if there are no shards, or times are missing where there should be some.
    """
    shards = sorted((parts / "shards").glob("shard-*.parquet"))
    if not shards:
        raise SourceError(f"no shards in {str(parts / 'shards')!r}; run the split stage first")
    pieces = []
    for shard in shards:
        try:
            table = pq.read_table(shard, columns=[columns.USER_ID, "events"])
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(f"shard {str(shard)!r} cannot be read: {error}") from error
        pieces.append(_order(_flatten(table, str(shard)), timed, str(shard)))
    return _join(pieces, timed)


def history_of(
    events: Sequence[Mapping[str, object]],
    encoder: Indexer,
    user_ids: Sequence[str] | None = None,
) -> Histories:
    """Histories of live events, in any order, equal to what the shards would give.

    An event has `action`, `event_time` (datetime, ISO 8601 text or microseconds since 1970
    UTC; none in data of order only, where the events must come in order), and perhaps
    `user_id`, `item_id`, `value` (whole micro-units), `count`, `source`. Users are
    `user_ids` in that order, events of others are refused; without it those of the events,
    by first appearance (a missing user_id is "").

    Raises SourceError on a user, time or number that cannot be used.
    """
    owners = [str(event.get(columns.USER_ID) or "") for event in events]
    names = list(dict.fromkeys(owners)) if user_ids is None else list(user_ids)
    places = {name: place for place, name in enumerate(names)}
    strangers = [owner for owner in owners if owner not in places]
    if strangers:
        if user_ids is not None and len(names) == 1 and set(strangers) == {""}:
            owners = [names[0]] * len(owners)
        else:
            raise SourceError(
                f"event of user {strangers[0]!r}, but the history asked for is of {names[:5]!r}"
            )
    user = np.array([places[owner] for owner in owners], np.int64)
    order = np.argsort(user, kind="stable")
    ordered = [events[place] for place in order.tolist()]
    piece = _Piece(
        user_ids=np.array(names, object),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(names)))]),
        micros=_live_integers(ordered, columns.EVENT_TIME),
        action=_words_of(ordered, columns.ACTION),
        item=_words_of(ordered, columns.ITEM_ID),
        source=_words_of(ordered, columns.SOURCE),
        value=_live_integers(ordered, columns.VALUE),
        count=pa.array([_number_of(event, columns.COUNT) for event in ordered], pa.float64()),
    )
    return index_log(_join([_order(piece, encoder.timed, "live events")], encoder.timed), encoder)


@dataclass(frozen=True)
class _Piece:
    """Events of one shard; columns are Arrow arrays with nulls."""

    user_ids: Words
    offsets: Ints
    micros: Any
    action: Any
    item: Any
    source: Any
    value: Any
    count: Any


def _flatten(table: Any, where: str) -> _Piece:
    users = as_words(table[columns.USER_ID])
    lists = table["events"]
    lists = pa.concat_arrays(lists.chunks) if lists.num_chunks != 1 else lists.chunk(0)
    lengths = integers(pc.list_value_length(lists))
    events = pc.list_flatten(lists)
    known = {events.type.field(place).name for place in range(events.type.num_fields)}
    lacking = [name for name in _FIELDS if name not in known]
    if lacking:
        raise SourceError(f"shard {where!r}: its events have no field {lacking[0]!r}")
    field = {name: pc.struct_field(events, name) for name in _FIELDS}
    time = field[columns.EVENT_TIME]
    micros = (
        pa.nulls(len(time), pa.int64())
        if pa.types.is_null(time.type)
        else pa.array(as_micros(time), mask=missing(time))
    )
    return _Piece(
        user_ids=np.asarray(users.to_numpy(zero_copy_only=False), object),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        micros=micros,
        action=_encode(field[columns.ACTION]),
        item=_encode(field[columns.ITEM_ID]),
        source=_encode(field[columns.SOURCE]),
        value=pc.cast(field[columns.VALUE], pa.int64()),
        count=pc.cast(field[columns.COUNT], pa.float64()),
    )


def _encode(column: Any) -> Any:
    """A dictionary array over int32 codes."""
    if pa.types.is_dictionary(column.type):
        return column
    return as_words(column).dictionary_encode()


def _words_of(events: Sequence[Mapping[str, object]], name: str) -> Any:
    return pa.array([word_of(event.get(name)) for event in events], pa.string()).dictionary_encode()


def _live_integers(events: Sequence[Mapping[str, object]], name: str) -> Any:
    if name == columns.EVENT_TIME:
        return pa.array([micros_of(event.get(name)) for event in events], pa.int64())
    numbers = []
    for event in events:
        number = _number_of(event, name)
        if number is not None and number != int(number):
            raise SourceError(
                f"event {name} {event.get(name)!r} is no whole number; money is in micro-units"
            )
        numbers.append(None if number is None else int(number))
    return pa.array(numbers, pa.int64())


def _number_of(event: Mapping[str, object], name: str) -> float | int | None:
    value = event.get(name)
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise SourceError(f"event {name} {value!r} is not a number")
    return value.item() if isinstance(value, np.number) else value


def _order(piece: _Piece, timed: bool, where: str) -> _Piece:
    """Events of each user in canonical order: most shards are already, then nothing moves.

    Order is (event_time, action, item_id, value, source, count), missing first. The last
    two make it total, so that an engine's own treatment of ties and nulls cannot show.
    """
    if not timed:
        return piece
    if piece.micros.null_count:
        raise SourceError(
            f"{where}: {piece.micros.null_count} events have no event_time beside others that "
            f"have one; clean the log, or leave the times out altogether"
        )
    user = np.repeat(np.arange(len(piece.offsets) - 1), np.diff(piece.offsets))
    keys: list[np.ndarray] = [user, integers(piece.micros)]
    if _sorted_strictly(keys):
        return piece
    keys += [_rank(piece.action), _rank(piece.item), *_nullable(piece.value), _rank(piece.source)]
    keys += [*_nullable(piece.count)]
    if _sorted(keys):
        return piece
    order = pa.array(np.lexsort(keys[::-1]))
    return _Piece(
        piece.user_ids, piece.offsets, piece.micros.take(order), piece.action.take(order),
        piece.item.take(order), piece.source.take(order), piece.value.take(order),
        piece.count.take(order),
    )  # fmt: skip


def _sorted_strictly(keys: list[np.ndarray]) -> bool:
    user, time = keys
    return not ((user[1:] == user[:-1]) & (time[1:] <= time[:-1])).any()


def _sorted(keys: list[np.ndarray]) -> bool:
    """Whether rows ascend by the keys; only ties of one key look at the next."""
    place = np.arange(len(keys[0]) - 1) if len(keys[0]) else np.zeros(0, np.int64)
    for key in keys:
        before, after = key[place], key[place + 1]
        if (after < before).any():
            return False
        place = place[after == before]
    return True


def _rank(column: Any) -> Ids:
    """Place of each word in the order of its UTF-8 bytes; -1 where missing."""
    words = column.dictionary
    ranks = np.empty(len(words) + 1, np.int32)
    ranks[pc.sort_indices(words).to_numpy()] = np.arange(len(words))
    ranks[-1] = -1
    return ranks[_codes(column)]


def _codes(column: Any) -> Ids:
    filled = pc.fill_null(pc.cast(column.indices, pa.int32()), -1)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.int32)


def _nullable(column: Any) -> Iterable[np.ndarray]:
    known = ~missing(column)
    filled = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return known, filled


def _join(pieces: list[_Piece], timed: bool) -> EventLog:
    lengths = np.concatenate([np.diff(piece.offsets) for piece in pieces])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if timed:
        time = np.concatenate(
            [np.floor_divide(integers(piece.micros), MICROS_PER_SECOND) for piece in pieces]
        )
    else:
        time = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return EventLog(
        user_ids=np.concatenate([piece.user_ids for piece in pieces]),
        offsets=offsets,
        time=time,
        action=_unify([piece.action for piece in pieces]),
        item=_unify([piece.item for piece in pieces]),
        source=_unify([piece.source for piece in pieces]),
        value=np.concatenate([_units(piece.value) for piece in pieces]),
        count=np.concatenate([_weights(piece.count) for piece in pieces]),
        timed=timed,
    )


def _unify(arrays: list[Any]) -> Coded:
    """One dictionary for all shards' codes."""
    if len(arrays) > 1:
        arrays = pa.chunked_array(arrays).unify_dictionaries().chunks
    codes = np.concatenate([_codes(array) for array in arrays])
    return Coded(codes, tuple(arrays[0].dictionary.to_pylist()))


def _units(micro_units: Any) -> Floats:
    """Units of the currency, nan where there is no value."""
    values = (integers(micro_units) / columns.MICRO).astype(np.float32)
    values[missing(micro_units)] = np.nan
    return values


def _weights(counts: Any) -> Floats:
    filled = pc.fill_null(counts, 1.0).to_numpy(zero_copy_only=False)
    return np.array(filled, np.float32)


class Moments:
    """Finds events by (user, time) in one sorted key."""

    def __init__(self, histories: Histories) -> None:
        self._histories = histories
        n_events = histories.n_events
        time = histories.time
        self._base = int(time.min()) if n_events else 0
        span = (int(time.max()) - self._base + 2) if n_events else 2
        user = np.repeat(np.arange(histories.n_users), np.diff(histories.offsets))
        self._times: Ints | None = None
        if span > (1 << 62) // max(histories.n_users, 1):
            self._times = np.unique(time)
            span = len(self._times) + 1
        self._span = span
        self._key = user * np.int64(span) + self._place(time)

    def _place(self, time: Ints) -> Ints:
        if self._times is not None:
            return np.searchsorted(self._times, time)
        low, high = self._base, self._base + self._span - 1
        return np.clip(time, low, high) - np.int64(low)

    def before(self, user: np.ndarray, time: Ints) -> Ints:
        """Absolute index of the user's first event at or after `time`; its end if none."""
        wanted = user.astype(np.int64) * np.int64(self._span) + self._place(time)
        return np.searchsorted(self._key, wanted, side="left").astype(np.int64)


def slice_users(histories: Histories, first: int, stop: int) -> Histories:
    """The histories of users `first` .. `stop` - 1, as views."""
    begin, end = int(histories.offsets[first]), int(histories.offsets[stop])
    return Histories(
        histories.user_ids[first:stop], histories.offsets[first : stop + 1] - begin,
        histories.time[begin:end], histories.action[begin:end], histories.item[begin:end],
        histories.source[begin:end], histories.value[begin:end], histories.count[begin:end],
        histories.timed,
    )  # fmt: skip
