"""A log in canonical order, its words as codes: where shards and live events meet.

An encoder can be fitted on a log and the log indexed afterwards, so shards are read once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from propense import columns
from propense.encoding.arrow import as_micros, as_words, integers, missing
from propense.encoding.vocabulary import Vocabulary
from propense.errors import SourceError
from propense.schemas import Floats, Ids, Ints, Words
from propense.times import MICROS_PER_SECOND

_FIELDS: Final = (
    columns.EVENT_TIME, columns.ACTION, columns.ITEM_ID, columns.VALUE, columns.COUNT,
    columns.SOURCE,
)  # fmt: skip


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
        counts = np.bincount(codes[codes >= 0], minlength=len(self.words))
        return {word: int(n) for word, n in zip(self.words, counts, strict=True) if n}


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
        pieces.append(order_events(_flatten(table, str(shard)), timed, str(shard)))
    return join_pieces(pieces, timed)


def log_until(log: EventLog, stop: int) -> EventLog:
    """The log without the events from `stop` (seconds) on; it keeps all customers."""
    stays = log.time < stop
    user = np.repeat(np.arange(len(log.user_ids)), np.diff(log.offsets))
    offsets = np.append(0, np.cumsum(np.bincount(user[stays], minlength=len(log.user_ids))))

    def cut(column: Coded) -> Coded:
        return replace(column, codes=column.codes[stays])

    return replace(
        log, offsets=offsets, time=log.time[stays], action=cut(log.action), item=cut(log.item),
        source=cut(log.source), value=log.value[stays], count=log.count[stays],
    )  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """Events of one shard; columns are Arrow arrays with nulls."""

    user_ids: Words
    offsets: Ints
    micros: Any
    action: Any
    item: Any
    source: Any
    value: Any
    count: Any


def _flatten(table: Any, where: str) -> Piece:
    users = as_words(table[columns.USER_ID])
    lists = table["events"]
    lists = pa.concat_arrays(lists.chunks) if lists.num_chunks != 1 else lists.chunk(0)
    lengths = integers(pc.list_value_length(lists))
    events = pc.list_flatten(lists)
    field_names = {events.type.field(index).name for index in range(events.type.num_fields)}
    lacking = [name for name in _FIELDS if name not in field_names]
    if lacking:
        raise SourceError(f"shard {where!r}: its events have no field {lacking[0]!r}")
    field = {name: pc.struct_field(events, name) for name in _FIELDS}
    time = field[columns.EVENT_TIME]
    micros = (
        pa.nulls(len(time), pa.int64())
        if pa.types.is_null(time.type)
        else pa.array(as_micros(time), mask=missing(time))
    )
    return Piece(
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


def order_events(piece: Piece, timed: bool, where: str) -> Piece:
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
    return Piece(
        piece.user_ids, piece.offsets, piece.micros.take(order), piece.action.take(order),
        piece.item.take(order), piece.source.take(order), piece.value.take(order),
        piece.count.take(order),
    )  # fmt: skip


def _sorted_strictly(keys: list[np.ndarray]) -> bool:
    user, time = keys
    return not ((user[1:] == user[:-1]) & (time[1:] <= time[:-1])).any()


def _sorted(keys: list[np.ndarray]) -> bool:
    """Whether rows ascend by the keys; only ties of one key look at the next."""
    position = np.arange(len(keys[0]) - 1) if len(keys[0]) else np.zeros(0, np.int64)
    for key in keys:
        before, after = key[position], key[position + 1]
        if (after < before).any():
            return False
        position = position[after == before]
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
    present = ~missing(column)
    filled = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return present, filled


def join_pieces(pieces: list[Piece], timed: bool) -> EventLog:
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
    values = (integers(micro_units) / columns.MICRO_UNITS).astype(np.float32)
    values[missing(micro_units)] = np.nan
    return values


def _weights(counts: Any) -> Floats:
    filled = pc.fill_null(counts, 1.0).to_numpy(zero_copy_only=False)
    return np.array(filled, np.float32)
