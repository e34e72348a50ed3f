"""Which items a customer's own history names, and how often. Numpy only: the service reads it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from propense.models.counts.recent_items import Whole, ragged_ranges
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Ints

SMOOTHING = 1.0
"""Events of popularity that an own frequency is mixed with."""
FADING_SECONDS = 120 * 86_400
"""Half-life of an event in a frequency that fades."""

Mask = npt.NDArray[np.bool_]


def seen_items(
    histories: Histories, user: Whole, end: Whole, owned_by: Mask | None = None
) -> tuple[Ints, Ints]:
    """(row, item) pairs of the known items each row's history names."""
    begin = histories.offsets[:-1][user]
    length = np.maximum(end - begin, 0)
    event = ragged_ranges(begin, length)
    row = np.repeat(np.arange(len(user)), length)
    item = histories.item[event].astype(np.int64)
    named = item >= FIRST_KNOWN
    if owned_by is not None:
        named &= owned_by[histories.action[event]]
    return row[named], item[named]


def own_events(
    histories: Histories, user: Whole, end: Whole, n_items: int, moment: Whole | None = None
) -> Floats:
    """(n, n_items) how many events of the history before `end` name each known item; as of
    `moment` (n,), in seconds, an event halves each `FADING_SECONDS`."""
    begin = histories.offsets[:-1][user]
    length = np.maximum(end - begin, 0)
    event = ragged_ranges(begin, length)
    row = np.repeat(np.arange(len(user)), length)
    item = histories.item[event].astype(np.int64)
    named = item >= FIRST_KNOWN
    event, row, item = event[named], row[named], item[named]
    weight = None
    if moment is not None:
        age = np.maximum(moment[row] - histories.time[event], 0)
        weight = 0.5 ** (age / FADING_SECONDS)
    counted = np.bincount(row * n_items + item, weight, len(user) * n_items)
    out: Floats = counted.reshape(len(user), n_items).astype(np.float32)
    return out


def own_opinions(
    histories: Histories, user: Whole, end: Whole, popularity: Doubles, moment: Whole | None = None
) -> Floats:
    """P(item) by the customer's own frequencies, smoothed by popularity, (n, n_items); those as of
    `moment` fade, see `own_events`.

    Worked example: after items 2, 2, 3, with popularity .5, .25, .25 of items 2, 3, 4, the row is
    2.5 / 4, 1.25 / 4, .25 / 4.
    """
    out = own_events(histories, user, end, len(popularity), moment)
    total = out.sum(axis=1, keepdims=True) + np.float32(SMOOTHING)
    out += (SMOOTHING * popularity).astype(np.float32)
    out /= total
    return out
