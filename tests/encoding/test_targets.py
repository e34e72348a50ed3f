"""Targets and the end of train, by every kind of split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.targets import (
    count_items,
    make_targets,
    successive_targets,
    train_end,
)
from propense.errors import SplitError
from propense.schemas import TEST, VALIDATION, Histories, SplitPlan, Targets
from propense.settings import Recommend

VIEW, PAY = 2, 3
ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([VIEW, PAY]), st.integers(0, 4)), max_size=9
)


@dataclass(frozen=True)
class Positive:
    positive: tuple[int, ...] = (PAY,)


def histories_of(logs: list[list[tuple[int, int, int]]], timed: bool = True) -> Histories:
    """Logs of (time, action, item)."""
    rows = [row for log in logs for row in (sorted(log) if timed else log)]
    n = len(rows)
    return Histories(
        np.array([str(k) for k in range(len(logs))], object),
        np.concatenate([[0], np.cumsum([len(log) for log in logs])]).astype(np.int64),
        np.array([row[0] for row in rows], np.int64).reshape(n),
        np.array([row[1] for row in rows], np.int16).reshape(n),
        np.array([row[2] for row in rows], np.int32).reshape(n),
        np.zeros(n, np.int16), np.zeros(n, np.float32), np.ones(n, np.float32), timed,
    )  # fmt: skip


def plan(by: Any, **more: Any) -> SplitPlan:
    return SplitPlan(by=by, timed=by == "time", goals=[], counts=[], **more)


BY_TIME = plan("time", validation_from=4, test_from=7, end=9)


def as_rows(targets: Targets) -> list[tuple[int, int, int, list[int]]]:
    """(part, user, end, items) of each row."""
    return [
        (int(targets.part[r]), int(targets.user[r]), int(targets.end[r]),
         targets.items[targets.item_offsets[r] : targets.item_offsets[r + 1]].tolist())
        for r in range(len(targets))
    ]  # fmt: skip


def test_by_time_the_first_positive_moment_of_each_part() -> None:
    log = [
        (1, PAY, 5), (4, VIEW, 6), (5, PAY, 5), (5, VIEW, 9), (6, PAY, 7), (6, PAY, 8),
        (6, PAY, 5), (7, PAY, 1), (8, PAY, 9),
    ]  # fmt: skip
    histories = histories_of([log, [(2, PAY, 5)]])
    assert train_end(histories, BY_TIME, None).tolist() == [1, 10]
    made = make_targets(histories, BY_TIME, Recommend(), Positive(), None)
    # Item 5 was already had, so moment 5 asks nothing; at 7 an item nobody knows is a miss.
    assert as_rows(made) == [(VALIDATION, 0, 4, [7, 8]), (TEST, 0, 7, [1])]
    again = make_targets(histories, BY_TIME, Recommend(repeat=True), Positive(), None)
    assert as_rows(again) == [(VALIDATION, 0, 2, [5]), (TEST, 0, 7, [1])]


def test_leave_one_out_the_last_two_of_three_or_more() -> None:
    logs = [[(0, PAY, 2), (0, PAY, 3), (0, PAY, 4), (0, PAY, 5)], [(0, PAY, 2), (0, PAY, 3)], []]
    histories = histories_of(logs, timed=False)
    assert train_end(histories, plan("leave_one_out"), None).tolist() == [2, 6, 6]
    made = make_targets(histories, plan("leave_one_out"), Recommend(), Positive(), None)
    assert as_rows(made) == [(VALIDATION, 0, 2, [4]), (TEST, 0, 3, [5])]


def test_leave_one_out_in_time_does_not_read_its_own_moment() -> None:
    histories = histories_of([[(1, PAY, 2), (2, PAY, 3), (3, PAY, 4), (3, PAY, 5)]])
    made = make_targets(histories, plan("leave_one_out"), Recommend(), Positive(), None)
    assert as_rows(made) == [(VALIDATION, 0, 2, [4]), (TEST, 0, 2, [5])]


def test_by_user_the_last_positive_moment_of_the_others() -> None:
    logs = [[(1, PAY, 2), (3, PAY, 3), (3, PAY, 4), (5, VIEW, 2)]] * 4
    histories = histories_of(logs)
    parts = np.array([0, 1, 2, -1], np.int8)
    assert train_end(histories, plan("user"), parts).tolist() == [4, 4, 8, 12]
    made = make_targets(histories, plan("user"), Recommend(), Positive(), parts)
    assert as_rows(made) == [(VALIDATION, 1, 5, [3, 4]), (TEST, 2, 9, [3, 4])]


def test_nothing_recommended_no_rows() -> None:
    histories = histories_of([[(5, PAY, 2)]])
    made = make_targets(histories, BY_TIME, None, Positive(), None)
    assert len(made) == 0 and made.item_offsets.tolist() == [0]


@settings(deadline=None, max_examples=80)
@given(st.lists(ROWS, min_size=1, max_size=4), st.booleans(),
       st.sampled_from(["time", "user", "leave_one_out"]))  # fmt: skip
def test_targets_are_as_defined(
    logs: list[list[tuple[int, int, int]]], repeat: bool, by: str
) -> None:
    histories = histories_of(logs)
    parts = np.arange(len(logs), dtype=np.int8) % 3 if by == "user" else None
    chosen = BY_TIME if by == "time" else plan(by)
    ends = train_end(histories, chosen, parts)
    made = make_targets(histories, chosen, Recommend(repeat=repeat), Positive(), parts)
    assert as_rows(made) == sorted(expected_rows(histories, by, repeat))
    for part, user, end, items in as_rows(made):
        begin = int(histories.offsets[user])
        assert begin <= end and items == sorted(set(items)) and items
        assert part in (VALIDATION, TEST)
        stop = int(histories.offsets[user + 1])
        assert end < stop
        own_time = histories.time[end]
        assert (histories.time[begin:end] < own_time).all()
        if by == "time":
            assert ends[user] <= end


def expected_rows(
    histories: Histories, by: str, repeat: bool
) -> list[tuple[int, int, int, list[int]]]:
    """The definition, user by user."""
    out = []
    for user in range(histories.n_users):
        begin, stop = int(histories.offsets[user]), int(histories.offsets[user + 1])
        had: set[int] = set()
        moments: list[tuple[int, int, list[int]]] = []  # (time, first event, items)
        for event in range(begin, stop):
            time, item = int(histories.time[event]), int(histories.item[event])
            if not moments or moments[-1][0] != time:
                moments.append((time, event, []))
            new = repeat or item == 1 or item not in had
            if histories.action[event] == PAY and item >= 1 and new:
                moments[-1][2].append(item)
                had.add(item)
        asked = [moment for moment in moments if moment[2]]
        if by == "time":
            for part, low, high in ((VALIDATION, 4, 7), (TEST, 7, 99)):
                within = [moment for moment in asked if low <= moment[0] < high][:1]
                out += [(part, user, first, sorted(set(items))) for _, first, items in within]
        elif by == "user" and user % 3 and asked:
            out.append((user % 3, user, asked[-1][1], sorted(set(asked[-1][2]))))
        elif by == "leave_one_out" and stop - begin >= 3:
            out += _last_two(histories, user, repeat)
    return out


def _last_two(
    histories: Histories, user: int, repeat: bool
) -> list[tuple[int, int, int, list[int]]]:
    begin, stop = int(histories.offsets[user]), int(histories.offsets[user + 1])
    out = []
    for part, event in ((VALIDATION, stop - 2), (TEST, stop - 1)):
        item = int(histories.item[event])
        earlier = {
            int(histories.item[k]) for k in range(begin, event) if histories.action[k] == PAY
        }
        counts = histories.action[event] == PAY and item >= 1
        if counts and (repeat or item == 1 or item not in earlier):
            first = min(k for k in range(begin, stop) if histories.time[k] == histories.time[event])
            out.append((part, user, first, [item]))
    return out


def test_items_are_counted_within_train_only() -> None:
    histories = histories_of([[(1, VIEW, 2), (2, PAY, 2), (5, PAY, 3)], [(1, PAY, 1), (2, PAY, 0)]])
    ends = train_end(histories, BY_TIME, None)
    assert count_items(histories, ends, 5).tolist() == [0, 1, 2, 0, 0]


def test_splits_that_cannot_be_are_refused() -> None:
    histories = histories_of([[(0, PAY, 2)]], timed=False)
    with pytest.raises(SplitError, match="needs event times and validation_from"):
        train_end(histories, BY_TIME, None)
    with pytest.raises(SplitError, match="a split by user needs the part of every user"):
        train_end(histories, plan("user"), None)
    with pytest.raises(SplitError, match="a split by group needs the part of every user"):
        make_targets(histories, plan("group"), Recommend(), Positive(), None)


@settings(deadline=None, max_examples=80)
@given(st.lists(ROWS, min_size=1, max_size=4), st.booleans())
def test_successive_targets_are_every_moment_of_test_and_the_first_is_that_of_the_split(
    logs: list[list[tuple[int, int, int]]], repeat: bool
) -> None:
    histories = histories_of(logs)
    every = successive_targets(histories, 7, 10, Positive(), repeat)
    expected = []
    for user in range(histories.n_users):
        begin, stop = histories.offsets[user], histories.offsets[user + 1]
        for time in sorted(set(histories.time[begin:stop].tolist())):
            if not 7 <= time < 10:
                continue
            before = [k for k in range(begin, stop) if histories.time[k] < time]
            had = {histories.item[k] for k in before if histories.action[k] == PAY}
            items = {
                int(histories.item[k])
                for k in range(begin, stop)
                if histories.time[k] == time and histories.action[k] == PAY
                and histories.item[k] >= 1 and (repeat or histories.item[k] not in had)
            }  # fmt: skip
            if items:
                expected.append((TEST, user, int(begin) + len(before), sorted(items)))
    assert as_rows(every) == expected
    made = make_targets(histories, BY_TIME, Recommend(repeat=repeat), Positive(), None)
    _, first = np.unique(every.user, return_index=True)
    assert as_rows(every.take(first)) == [row for row in as_rows(made) if row[0] == TEST]
