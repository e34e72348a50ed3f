"""What is popular at a time: beside a plain twin that goes through the events one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.errors import BundleError
from propense.models.counts.decayed import (
    HALF_LIVES,
    STEP,
    DecayedCounts,
    count_by_step,
    load_decayed,
    popular_opinions,
)
from propense.schemas import FIRST_KNOWN, Histories

N_USERS, N_ITEMS, N_ACTIONS, DAY = 4, 6, 4, 86_400
SUCCESS = np.array([False, False, True, False])

events = st.lists(
    st.tuples(
        st.integers(0, N_USERS - 1), st.integers(0, 40 * DAY), st.integers(1, N_ACTIONS - 1),
        st.integers(0, N_ITEMS - 1),
    ),
    max_size=40,
)  # fmt: skip


def histories_of(some: list[tuple[int, int, int, int]]) -> Histories:
    some = sorted(some)
    user, time, action, item = np.array(some, np.int64).reshape(-1, 4).T
    return Histories(
        user_ids=np.array([f"u{n}" for n in range(N_USERS)], object),
        offsets=np.append(0, np.cumsum(np.bincount(user, minlength=N_USERS))),
        time=time, action=action.astype(np.int16), item=item.astype(np.int32),
        source=np.full(len(some), 2, np.int16), value=np.full(len(some), np.nan, np.float32),
        count=np.ones(len(some), np.float32),
    )  # fmt: skip


def plainly(some: list[tuple[int, int, int, int]], as_of: int, weight: np.ndarray) -> np.ndarray:
    """(n_half_lives, n_items), one event after the other."""
    out = np.zeros((len(HALF_LIVES), N_ITEMS))
    met = set()
    for user, time, action, item in sorted(some):
        if not SUCCESS[action] or item < FIRST_KNOWN or (user, item, time // DAY) in met:
            continue
        met.add((user, item, time // DAY))
        age = as_of // STEP - time // STEP
        if age > 0:
            for row, half_life in enumerate(HALF_LIVES):
                out[row, item] += weight[user] * 0.5 ** (age * STEP / DAY / half_life)
    return out


def counted(some: list[tuple[int, int, int, int]], weight: np.ndarray) -> DecayedCounts:
    histories = histories_of(some)
    return count_by_step(histories, histories.offsets[1:], N_ITEMS, SUCCESS, weight)


@given(events, st.lists(st.integers(0, 60 * DAY), min_size=1, max_size=6))
def test_counts_are_those_of_the_plain_twin(some, as_of):
    weight = np.array([1.0, 0.5, 1.0, 0.1])
    at = counted(some, weight).at(np.array(as_of))
    assert at.shape == (len(HALF_LIVES), len(as_of), N_ITEMS)
    for row, time in enumerate(as_of):
        np.testing.assert_allclose(at[:, row], plainly(some, time, weight), rtol=1e-5, atol=1e-7)


@given(events, st.integers(0, 50 * DAY), st.integers(0, 50 * DAY))
def test_the_past_in_the_base_changes_no_later_moment(some, since, as_of):
    whole = counted(some, np.ones(N_USERS))
    later = whole.since(since)
    asked = np.array([max(since, as_of, whole.start * STEP)])
    np.testing.assert_allclose(later.at(asked), whole.at(asked), rtol=1e-5, atol=1e-7)
    assert (later.number >= since // STEP).all()


@given(events, st.integers(0, 50 * DAY))
def test_no_moment_sees_its_own_step_or_later_ones(some, as_of):
    """Nothing looks ahead: the log cut at the beginning of the step gives the same."""
    begun = as_of // STEP * STEP
    before = [one for one in some if one[1] < begun]
    whole, cut = counted(some, np.ones(N_USERS)), counted(before, np.ones(N_USERS))
    asked = np.array([as_of])
    np.testing.assert_allclose(whole.at(asked), cut.at(asked), rtol=1e-6, atol=1e-9)


def test_ten_thousand_events_of_ten_customers_within_a_day_count_as_ten():
    many = [(user, 1000 * DAY + n * 8, 2, 3) for user in range(4) for n in range(2_500)]
    few = [(user, 1000 * DAY, 2, 3) for user in range(4)]
    as_of = np.array([1001 * DAY])
    ones = np.ones(N_USERS)
    assert np.array_equal(counted(many, ones).at(as_of), counted(few, ones).at(as_of))


def test_a_new_item_rises_and_an_old_one_keeps_a_little():
    some = [(user, 10 * DAY + 60 * user, 2, 2) for user in range(4)]
    some += [(user, 400 * DAY + 60 * user, 2, 3) for user in range(4)]
    popular = counted(some, np.ones(N_USERS))
    prior = np.array([0, 0, 0.4, 0.2, 0.2, 0.2])
    month, week = popular_opinions(popular.at(np.array([400 * DAY, 401 * DAY])), prior)
    np.testing.assert_allclose(month.sum(axis=1), 1, rtol=1e-5)
    assert week[0, 3] < week[0, 2] and week[1].argmax() == month[1].argmax() == 3
    assert week[1, 2] > week[1, 4] > 0


def test_files_are_read_back_and_damaged_ones_refused(tmp_path: Path):
    popular = counted([(0, 5 * DAY, 2, 3), (1, 6 * DAY, 2, 4)], np.ones(N_USERS))
    popular.save(tmp_path / "popular")
    again = load_decayed(tmp_path / "popular")
    as_of = np.array([9 * DAY])
    assert np.array_equal(again.at(as_of), popular.at(as_of))
    more = again.with_new_items(2).at(as_of)
    assert more.shape[2] == N_ITEMS + 2 and (more[:, :, N_ITEMS:] == 0).all()
    for wrong in (
        DecayedCounts(STEP, 0, popular.base, popular.number[::-1], popular.item, popular.count),
        DecayedCounts(STEP, 0, popular.base, popular.number, popular.item + 9, popular.count),
        DecayedCounts(STEP, 0, popular.base[:2], popular.number, popular.item, popular.count),
        DecayedCounts(0, 0, popular.base, popular.number, popular.item, popular.count),
        DecayedCounts(STEP, 0, popular.base, popular.number[:1], popular.item, popular.count),
    ):
        wrong.save(tmp_path / "wrong")
        with pytest.raises(BundleError):
            load_decayed(tmp_path / "wrong")
