"""Padding, grouping and windows against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propense.encoding.batches import (
    event_arrays,
    group_queries,
    plan_batches,
    plan_queries,
    query_time,
    read_clock,
    visible_end,
)
from propense.encoding.windows import cut_windows, find_pairs, own_rows
from propense.schemas import NO_TIME, Histories

DAY = 86_400


def log(times: list[list[int]], timed: bool = True) -> Histories:
    """Histories whose items are numbered 2, 3, ... in the order of the log."""
    flat = np.array([t for user in times for t in user], np.int64)
    n = len(flat)
    return Histories(
        user_ids=np.array([f"u{i}" for i in range(len(times))], object),
        offsets=np.concatenate([[0], np.cumsum([len(user) for user in times])]).astype(np.int64),
        time=flat,
        action=np.full(n, 2, np.int16),
        item=np.arange(2, n + 2, dtype=np.int32),
        source=np.full(n, 2, np.int16),
        value=np.where(np.arange(n) % 2, np.nan, 3.0).astype(np.float32),
        count=np.ones(n, np.float32),
        timed=timed,
    )


logs = st.lists(st.lists(st.integers(0, 30), max_size=12).map(sorted), min_size=1, max_size=6)


@given(logs, st.integers(1, 5), st.data())
@settings(deadline=None, max_examples=60)
def test_each_row_and_pair_belongs_to_one_window(times, max_length, data):
    histories = log([[t * DAY for t in user] for user in times])
    users = np.arange(len(times))
    ends = histories.offsets[1:]
    windows = cut_windows(histories, ends, users, max_length)
    rows = data.draw(st.lists(st.tuples(st.sampled_from(list(users)), st.integers(0, 31))))
    user = np.array([u for u, _ in rows], np.int64)
    as_of = np.array([t * DAY for _, t in rows], np.int64)
    visible = visible_end(histories, user, as_of)
    for (u, t), end in zip(rows, visible, strict=True):
        assert end - histories.offsets[u] == sum(time < t for time in times[u])
    owned = own_rows(windows, user, visible)
    assert sorted(owned.rows.tolist()) == list(range(len(rows)))
    for window in range(len(windows)):
        length = windows.stop[window] - windows.start[window]
        assert 0 <= length <= max_length
        for index in range(owned.row_offsets[window], owned.row_offsets[window + 1]):
            assert windows.start[window] <= owned.visible[index] <= windows.stop[window]
            assert user[owned.rows[index]] == windows.user[window]
            full = owned.visible[index] - histories.offsets[windows.user[window]]
            seen = owned.visible[index] - windows.start[window]
            assert seen >= min(full, max_length // 4 + 1)


def test_items_of_one_moment_are_never_each_others_target():
    histories = log([[1, 1, 2, 3, 3], [4, 4]])
    pairs = find_pairs(histories, histories.offsets[1:], np.ones(7, bool))
    assert list(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == [
        (1, 2), (2, 3), (2, 4),
    ]  # fmt: skip


def test_pairs_end_with_train():
    histories = log([[1, 2, 3, 4]])
    pairs = find_pairs(histories, np.array([3]), np.ones(4, bool))
    assert pairs.target.tolist() == [1, 2]


def test_a_row_beyond_the_last_window_is_refused():
    histories = log([[1, 2, 3, 4]])
    windows = cut_windows(histories, np.array([2]), np.array([0]), 4)
    with pytest.raises(ValueError, match="beyond"):
        own_rows(windows, np.array([0]), np.array([4]))


@given(logs, st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_grouped_queries_read_what_each_reads_alone(times, max_length):
    histories = log(times)
    user = np.repeat(np.arange(len(times)), 4)
    as_of = np.tile(np.array([0, 7, 15, 40]), len(times))
    begin = histories.offsets[:-1][user]
    visible = visible_end(histories, user, as_of)
    groups = group_queries(begin, visible, max_length)
    assert sorted(groups.rows.tolist()) == list(range(len(user)))
    plan = plan_queries(groups, np.arange(len(groups)))
    for sequence in range(len(groups)):
        for row, length in zip(plan.row[sequence], plan.length[sequence], strict=True):
            if row >= 0:
                assert groups.start[sequence] == max(begin[row], visible[row] - max_length)
                assert groups.start[sequence] + length == visible[row]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), min_size=1, max_size=80),
    st.integers(8, 200),
)
@settings(deadline=None, max_examples=60)
def test_batches_cover_all_and_fit(sizes, max_cells):
    length, queries = (np.array(column) for column in zip(*sizes, strict=True))
    batches = plan_batches(length, queries, max_cells)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(sizes)))
    for batch in batches:
        cells = len(batch) * (length[batch].max() + queries[batch].max())
        assert cells <= max_cells or len(batch) == 1


def test_little_padding_on_skewed_lengths():
    rng = np.random.default_rng(1)
    length = np.minimum(rng.geometric(0.1, 20_000), 128)
    batches = plan_batches(length, np.zeros_like(length), 2048)
    cells = sum(len(batch) * length[batch].max() for batch in batches)
    assert 1 - length.sum() / cells < 0.10


def test_event_arrays_are_padded_on_the_right():
    histories = log([[DAY, 3 * DAY, 4 * DAY], [2 * DAY]])
    arrays = event_arrays(histories, read_clock(histories), np.array([0, 3]), np.array([3, 1]))
    assert arrays["item"].tolist() == [[2, 3, 4], [5, 0, 0]]
    assert arrays["time"].tolist() == [[0, 2, 3], [0, 0, 0]]
    assert arrays["valued"].tolist() == [[1, 0, 1], [0, 0, 0]]
    assert arrays["gap"][0].tolist() == pytest.approx([0, np.log1p(48), np.log1p(24)])
    assert arrays["weekday"].tolist() == [[5, 7, 1], [6, 0, 0]]  # 2 January 1970 was a Friday


def test_a_last_sequence_without_queries_has_none():
    histories = log([[1, 2], [3]])
    windows = cut_windows(histories, histories.offsets[1:], np.arange(2), 4)
    owned = own_rows(windows, np.array([0, 0]), np.array([1, 2]))
    plan = plan_queries(owned, np.array([0, 1]))
    assert plan.row.tolist() == [[0, 1], [-1, -1]]


def test_offsets_move_the_local_hour():
    histories = log([[0]])
    clock = read_clock(histories, np.array([8 * 3600]))
    assert clock.hour.tolist() == [9]


def test_order_only_and_empty_logs():
    histories = log([[0, 1, 2], []], timed=False)
    user = np.array([0, 1])
    as_of = np.full(2, NO_TIME)
    assert visible_end(histories, user, as_of).tolist() == [3, 3]
    arrays = event_arrays(histories, read_clock(histories), np.array([0, 3]), np.array([3, 0]))
    assert not arrays["time"].any()
    assert not arrays["hour"].any()
    days = query_time(histories, np.array([0, 3]), np.array([3, 3]), as_of[:, None])
    assert days.tolist() == [[0], [0]]
    empty = log([[], []])
    arrays = event_arrays(empty, read_clock(empty), np.array([0, 0]), np.array([0, 0]))
    assert arrays["item"].shape == (2, 0)
    assert find_pairs(empty, empty.offsets[1:], np.zeros(0, bool)).target.size == 0
