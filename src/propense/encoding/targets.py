"""What the next-item part is judged by, and where each user's train events end."""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from propense.encoding.history import EventIndex
from propense.encoding.windows import moment_starts
from propense.errors import SplitError
from propense.schemas import (
    FIRST_KNOWN,
    TEST,
    TRAIN,
    UNSEEN,
    VALIDATION,
    Doubles,
    Histories,
    Ints,
    SplitPlan,
    Targets,
)
from propense.settings import Recommend

UserParts = npt.NDArray[np.int8]


class Positives(Protocol):
    """What knows the actions that count as success: the encoder."""

    @property
    def positive(self) -> tuple[int, ...]: ...


def train_end(histories: Histories, plan: SplitPlan, user_part: UserParts | None) -> Ints:
    """(n_users,) absolute event index, exclusive, of each user's train events.

    By time: events before `validation_from`. By user or group: all events of train users,
    none of others. Leave-one-out: all but the last two of users with three or more.

    Raises SplitError if the plan asks for moments or parts that are not there.
    """
    begin, stop = histories.offsets[:-1], histories.offsets[1:]
    if plan.by == "leave_one_out":
        return np.where(stop - begin >= 3, stop - 2, stop)
    if plan.by == "time":
        if not histories.timed or plan.validation_from is None:
            raise SplitError(
                "a split by time needs event times and validation_from; "
                'choose [split] by = "user" or "leave_one_out"'
            )
        users = np.arange(histories.n_users)
        cut = np.full(histories.n_users, plan.validation_from, np.int64)
        return EventIndex(histories).before(users, cut)
    if user_part is None:
        raise SplitError(f"a split by {plan.by} needs the part of every user, but got none")
    return np.where(user_part == TRAIN, stop, begin)


def make_targets(
    histories: Histories,
    plan: SplitPlan,
    recommend: Recommend | None,
    encoder: Positives,
    user_part: UserParts | None,
    shown: npt.NDArray[np.bool_] | None = None,
) -> Targets:
    """Validation and test rows; training makes its own from `train_end`.

    An event counts if its action is positive and it has an item, which without `repeat`
    the user must not have had a positive action on before. By time: the first moment of a
    user within the part that has such events. By user or group: the last such moment of
    users of the part. Leave-one-out: the last but one event (validation) and the last
    (test) of users with three or more, if they count. History ends where the moment
    begins. An item unknown to the vocabulary stays as UNSEEN: nobody can guess it, it is a miss. So
    does an item that no list may show: False in `shown` (n_items,).
    There are no rows where nothing is recommended.
    """
    if recommend is None:
        nothing = np.zeros(0, np.int32)
        return Targets(nothing, nothing.astype(np.int64), np.zeros(1, np.int64), nothing,
                       nothing.astype(np.int8))  # fmt: skip
    counts = _countable(histories, encoder.positive, recommend.repeat)
    group = moment_starts(histories)
    if plan.by == "leave_one_out":
        chosen, part = _leave_one_out(histories, counts)
    elif plan.by == "time":
        chosen, part = _first_in_time(histories, plan, counts, group)
    else:
        if user_part is None:
            raise SplitError(f"a split by {plan.by} needs the part of every user, but got none")
        chosen, part = _last_of_users(histories, counts, group, user_part)
    user = owner_of(histories)[chosen].astype(np.int32)
    end = group[chosen]
    items = histories.item[chosen]
    if shown is not None:
        items = np.where(shown[items], items, np.int32(UNSEEN)).astype(np.int32)
    # One row a (part, user); its items are distinct.
    order = np.lexsort((items, user, part))
    user, end, part = user[order], end[order], part[order]
    items = items[order]
    row_fresh = np.ones(len(order), bool)
    row_fresh[1:] = (np.diff(user) != 0) | (np.diff(part) != 0)
    fresh = row_fresh.copy()
    fresh[1:] |= np.diff(items) != 0
    heads = row_fresh[fresh]
    return Targets(
        user=user[row_fresh],
        end=end[row_fresh],
        item_offsets=np.append(np.flatnonzero(heads), len(heads)).astype(np.int64),
        items=items[fresh],
        part=part[row_fresh],
    )


def successive_targets(
    histories: Histories,
    begin: int,
    stop: int,
    encoder: Positives,
    repeat: bool,
    shown: npt.NDArray[np.bool_] | None = None,
) -> Targets:
    """Every moment from `begin` (seconds) up to `stop`, exclusive, with events that count as in
    `make_targets`, in the order of customers and time; all of them test rows."""
    counts = _countable(histories, encoder.positive, repeat)
    chosen = np.flatnonzero(counts & (histories.time >= begin) & (histories.time < stop))
    end = moment_starts(histories)[chosen]
    items = histories.item[chosen]
    if shown is not None:
        items = np.where(shown[items], items, np.int32(UNSEEN)).astype(np.int32)
    order = np.lexsort((items, end))
    end, items = end[order], items[order]
    head = np.ones(len(end), bool)
    head[1:] = np.diff(end) != 0
    fresh = head.copy()
    fresh[1:] |= np.diff(items) != 0
    n_rows = int(head.sum())
    return Targets(
        user=owner_of(histories)[end[head]].astype(np.int32),
        end=end[head],
        item_offsets=np.append(np.flatnonzero(head[fresh]), int(fresh.sum())).astype(np.int64),
        items=items[fresh],
        part=np.full(n_rows, TEST, np.int8),
    )


def cut_plan(plan: SplitPlan, number: int, begin: int) -> SplitPlan:
    """The plan of cut `number`, 0 the split's own, of lists alone; its test ends where that of the
    cut after it begins. `begin` is when the first event happened, in seconds.

    Raises SplitError where the split has no cut, or nothing is left to train on.
    """
    if plan.by != "time" or plan.validation_from is None or plan.test_from is None:
        raise SplitError(
            f'[split] cuts needs a split by time, this one is by {plan.by}; set by = "time", or '
            f"cuts = 1"
        )
    if plan.end is None:
        raise SplitError("[split] cuts needs the end of observation; split again")
    back = number * (plan.end + 1 - plan.test_from)
    validation_from = plan.validation_from - back
    if validation_from <= begin:
        raise SplitError(
            f"[split] cuts: before cut {number + 1} nothing is left to train on; set cuts to at "
            f"most {number}, or a smaller share of test in fractions"
        )
    return msgspec.structs.replace(
        plan, goals=[], validation_from=validation_from, test_from=plan.test_from - back,
        end=plan.end - back,
    )  # fmt: skip


def owner_of(histories: Histories) -> Ints:
    """(n_events,) user of each event."""
    return np.repeat(np.arange(histories.n_users), np.diff(histories.offsets))


def _countable(histories: Histories, positive: tuple[int, ...], repeat: bool) -> np.ndarray:
    """Events that may be a target; see make_targets."""
    good = np.isin(histories.action, np.array(positive, np.int16)) & (histories.item >= UNSEEN)
    if repeat:
        return good
    index = np.flatnonzero(good & (histories.item >= FIRST_KNOWN))
    if not len(index):
        return good
    key = owner_of(histories)[index] * (np.int64(histories.item.max()) + 1) + histories.item[index]
    order = np.argsort(key, kind="stable")
    again = np.zeros(len(order), bool)
    again[1:] = np.diff(key[order]) == 0
    good[index[order[again]]] = False
    return good


def _leave_one_out(histories: Histories, counts: np.ndarray) -> tuple[Ints, UserParts]:
    stop = histories.offsets[1:][np.diff(histories.offsets) >= 3]
    chosen = np.concatenate([stop - 2, stop - 1])
    part = np.repeat(np.array([VALIDATION, TEST], np.int8), len(stop))
    countable = counts[chosen]
    return chosen[countable], part[countable]


def _first_in_time(
    histories: Histories, plan: SplitPlan, counts: np.ndarray, group: Ints
) -> tuple[Ints, UserParts]:
    """Events of each user's first countable moment in validation, and in test."""
    if plan.validation_from is None or plan.test_from is None:
        raise SplitError("a split by time needs validation_from and test_from, but got none")
    index = np.flatnonzero(counts & (histories.time >= plan.validation_from))
    part = np.where(histories.time[index] < plan.test_from, VALIDATION, TEST).astype(np.int8)
    user = owner_of(histories)[index]
    fresh = np.ones(len(index), bool)
    fresh[1:] = (np.diff(user) != 0) | (np.diff(part) != 0)
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(index)), 0))
    first_group = group[index] == group[index[first]] if len(index) else np.zeros(0, bool)
    return index[first_group], part[first_group]


def _last_of_users(
    histories: Histories, counts: np.ndarray, group: Ints, user_part: UserParts
) -> tuple[Ints, UserParts]:
    """Events of the last countable moment of each validation and test user."""
    owner = owner_of(histories)
    index = np.flatnonzero(counts & (user_part[owner] > TRAIN))
    user = owner[index]
    last = np.searchsorted(user, user, side="right") - 1
    last_group = group[index] == group[index[last]] if len(index) else np.zeros(0, bool)
    return index[last_group], user_part[user[last_group]]


def count_items(
    histories: Histories, ends: Ints, n_items: int, weight: Doubles | None = None
) -> Doubles:
    """(n_items,) events of each item within train, each as much as its customer's `weight`
    (n_users,), default 1."""
    lengths = np.diff(histories.offsets)
    counted = np.arange(histories.n_events) < np.repeat(ends, lengths)
    counted &= histories.item >= UNSEEN
    each = None if weight is None else np.repeat(weight, lengths)[counted]
    return np.bincount(histories.item[counted], each, n_items).astype(np.float64)


def find_popularity(
    histories: Histories, ends: Ints, n_items: int, weight: Doubles | None = None
) -> Doubles:
    """(n_items,) share of the train events that name each item, weighed as in `count_items`."""
    counts = count_items(histories, ends, n_items, weight)
    shares: Doubles = counts / max(float(counts.sum()), 1e-9)
    return shares
