"""Every user's events as compressed sparse rows, from shards or from live events; and the stretches
of time in which a history was not yet what it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from propense import columns
from propense.encoding.arrow import as_words, micros_of, word_of
from propense.encoding.event_log import EventLog, Piece, join_pieces, order_events
from propense.encoding.vocabulary import Vocabulary
from propense.errors import SourceError
from propense.schemas import NO_TIME, Histories, Ints, Targets
from propense.times import MICROS_PER_SECOND

HINDSIGHT: Final = "hindsight.parquet"
"""In the clean folder: user_id, begin, end."""
Bools = npt.NDArray[np.bool_]


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
    index_of = {name: index for index, name in enumerate(names)}
    strangers = [owner for owner in owners if owner not in index_of]
    if strangers:
        if user_ids is not None and len(names) == 1 and set(strangers) == {""}:
            owners = [names[0]] * len(owners)
        else:
            raise SourceError(
                f"event of user {strangers[0]!r}, but the history asked for is of {names[:5]!r}"
            )
    user = np.array([index_of[owner] for owner in owners], np.int64)
    order = np.argsort(user, kind="stable")
    ordered = [events[index] for index in order.tolist()]
    piece = Piece(
        user_ids=np.array(names, object),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(names)))]),
        micros=_live_integers(ordered, columns.EVENT_TIME),
        action=_words_of(ordered, columns.ACTION),
        item=_words_of(ordered, columns.ITEM_ID),
        source=_words_of(ordered, columns.SOURCE),
        value=_live_integers(ordered, columns.VALUE),
        count=pa.array([_number_of(event, columns.COUNT) for event in ordered], pa.float64()),
    )
    return index_log(
        join_pieces([order_events(piece, encoder.timed, "live events")], encoder.timed), encoder
    )


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


class EventIndex:
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
        self._key = user * np.int64(span) + self._time_code(time)

    def _time_code(self, time: Ints) -> Ints:
        if self._times is not None:
            return np.searchsorted(self._times, time)
        low, high = self._base, self._base + self._span - 1
        return np.clip(time, low, high) - np.int64(low)

    def before(self, user: np.ndarray, time: Ints) -> Ints:
        """Absolute index of the user's first event at or after `time`; its end if none."""
        wanted = user.astype(np.int64) * np.int64(self._span) + self._time_code(time)
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


def without_hindsight(
    targets: Targets, histories: Histories, hindsight: Hindsight | None
) -> Targets:
    """The targets whose history was known at their moment."""
    if hindsight is None or not len(targets):
        return targets
    as_of = histories.time[targets.end]
    covered = hindsight.covers(targets.user.astype(np.int64), as_of, 1)
    return targets.take(np.flatnonzero(~covered))
