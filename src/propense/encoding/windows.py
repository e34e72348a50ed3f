"""Training windows: every event is learned from once, with a full past where there is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from propense.encoding.batches import Sequences
from propense.schemas import FIRST_KNOWN, Histories, Ids, Ints


@dataclass(frozen=True)
class Pairs:
    """Next-item examples: the state after event `source` is to guess event `target`.

    `source` is the last event of the moment before the target's moment, so items of one
    basket are never each other's target.
    """

    source: Ints
    target: Ints


def find_pairs(histories: Histories, train_end: Ints, wanted: np.ndarray) -> Pairs:
    """All examples within train; `wanted` (n_events,) marks events worth guessing.

    Worked example: times 1, 1, 2 with items A, B, C give the pairs B -> C only (the second
    event speaks for its moment); the first moment has no past and is nobody's target.
    """
    n_events = histories.n_events
    if n_events == 0:
        nothing = np.zeros(0, np.int64)
        return Pairs(nothing, nothing)
    group_start = moment_starts(histories)
    lengths = np.diff(histories.offsets)
    begin = np.repeat(histories.offsets[:-1], lengths)
    limit = np.repeat(train_end, lengths)
    event = np.arange(n_events)
    good = (group_start > begin) & (event < limit) & wanted & (histories.item >= FIRST_KNOWN)
    target = np.flatnonzero(good)
    return Pairs(group_start[target] - 1, target)


def moment_starts(histories: Histories) -> Ints:
    """(n_events,) index of the first event of each event's moment; without times its own."""
    n_events = histories.n_events
    fresh = np.ones(n_events, bool)
    if histories.timed and n_events:
        fresh[1:] = np.diff(histories.time) != 0
    first = histories.offsets[:-1][np.diff(histories.offsets) > 0]
    fresh[first] = True
    return np.maximum.accumulate(np.where(fresh, np.arange(n_events), 0))


@dataclass(frozen=True)
class Windows:
    """Slices of at most `max_length` events a user, and what each owns.

    Consecutive windows of one user overlap by a quarter; a window owns what ends in
    (`own`, `stop`], so each pair and each row belongs to exactly one window and sees at
    least a quarter of a window of past where there is that much.
    """

    user: Ids
    start: Ints
    stop: Ints
    own: Ints

    def __len__(self) -> int:
        return len(self.user)


def cut_windows(histories: Histories, train_end: Ints, users: Ints, max_length: int) -> Windows:
    """Windows over the train events of `users`, at least one a user (it may be empty).

    Worked example: 8 events, max_length 4 -> [0, 4) owns (0, 4], [3, 7) owns (4, 7],
    [4, 8) owns (7, 8].
    """
    begin = histories.offsets[:-1][users]
    end = np.maximum(train_end[users], begin)
    stride = max(1, max_length - max_length // 4)
    total = end - begin
    n_windows = 1 + np.maximum(0, -(-(total - max_length) // stride))
    owner = np.repeat(np.arange(len(users)), n_windows)
    first = np.cumsum(n_windows) - n_windows
    position = np.arange(len(owner)) - first[owner]
    stop = np.minimum(begin[owner] + max_length + position * stride, end[owner])
    start = np.maximum(begin[owner], stop - max_length)
    own = np.where(
        position == 0, begin[owner] - 1, begin[owner] + max_length + (position - 1) * stride
    )
    return Windows(users[owner].astype(np.int32), start, stop, own)


def own_rows(windows: Windows, row_user: np.ndarray, visible: Ints) -> Sequences:
    """Give each row (user, visible end) to the window that owns it.

    Raises ValueError where a row's user has no window or reads beyond the last one.
    """
    stride = 1 + max(int(windows.stop.max(initial=0)), int(visible.max(initial=0)))
    key = _key(windows.user, windows.stop, stride)
    position = np.searchsorted(key, _key(row_user, visible, stride), side="left")
    safe = np.minimum(position, len(windows) - 1)
    if len(row_user) and ((position >= len(windows)) | (windows.user[safe] != row_user)).any():
        raise ValueError("a row reads events beyond its user's last window")
    order = np.lexsort((visible, position))
    counts = np.bincount(position, minlength=len(windows))
    return Sequences(
        windows.start, windows.stop,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), order, visible[order],
    )  # fmt: skip


def _key(user: np.ndarray, position: Ints, stride: int) -> Ints:
    """Orders by user, then by place in the log, which is below `stride`."""
    return user.astype(np.int64) * np.int64(stride) + position
