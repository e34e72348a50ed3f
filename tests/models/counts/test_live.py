"""Counts that go on while a bundle serves are those of one count over everything."""

import numpy as np
import pytest

from propense.models.counts.decayed import HALF_LIVES, DecayedCounts
from propense.models.counts.live import LiveCounts

N_ITEMS = 6
STEP = 3600
FIRST = 1000
"""The number of the step after the last of the packed counts."""


def packed() -> DecayedCounts:
    rng = np.random.default_rng(0)
    number = np.sort(rng.integers(900, FIRST, 30))
    number[-1] = FIRST - 1
    item = rng.integers(2, N_ITEMS, 30).astype(np.int32)
    base = rng.random((len(HALF_LIVES), N_ITEMS))
    return DecayedCounts(STEP, 890, base, number, item, rng.random(30))


def drawn(seed: int, low: int, high: int):
    rng = np.random.default_rng(seed)
    return (rng.integers(low, high, 20), rng.integers(2, N_ITEMS, 20).astype(np.int32),
            rng.random(20))  # fmt: skip


def joined(*parts):
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def whole(parts) -> DecayedCounts:
    """The plain twin: one count over everything."""
    old = packed()
    number, item, count = joined((old.number, old.item, old.count), parts)
    order = np.argsort(number, kind="stable")
    return DecayedCounts(STEP, old.start, old.base, number[order], item[order], count[order])


def test_a_step_has_what_one_count_over_everything_has():
    live, parts = LiveCounts.of(packed()), drawn(1, FIRST, FIRST + 9)
    assert live.follow((FIRST + 10) * STEP, 0, *parts)
    for ahead in (10, 11, 40):
        asked = np.array([(FIRST + ahead) * STEP])
        np.testing.assert_allclose(live.at(asked), whole(parts).at(asked), rtol=1e-6)


def test_what_was_followed_before_does_not_matter():
    first, second = drawn(1, FIRST, FIRST + 9), drawn(2, FIRST + 5, FIRST + 19)
    slow, fast = LiveCounts.of(packed()), LiveCounts.of(packed())
    slow.follow((FIRST + 10) * STEP, 0, *first)
    assert not slow.follow((FIRST + 20) * STEP, 0, *joined(first, second))
    fast.follow((FIRST + 20) * STEP, 0, *joined(first, second))
    asked = np.array([(FIRST + 20) * STEP, (FIRST + 33) * STEP])
    assert np.array_equal(slow.at(asked), fast.at(asked))


def test_a_time_before_is_answered_by_what_was_known_then():
    live, parts = LiveCounts.of(packed()), drawn(1, FIRST, FIRST + 9)
    before = np.array([950 * STEP, FIRST * STEP])
    expected = packed().at(before)
    live.follow((FIRST + 10) * STEP, 0, *parts)
    live.follow((FIRST + 20) * STEP, 0, *joined(parts, drawn(2, FIRST + 9, FIRST + 19)))
    assert np.array_equal(live.at(before), expected)
    mixed = np.array([FIRST + 10, 950, FIRST + 20]) * STEP
    at = live.at(mixed)
    for column, asked in enumerate(mixed):
        assert np.array_equal(at[:, column], live.at(np.array([asked]))[:, 0])


def test_events_that_the_bundle_was_made_from_and_unknown_items_are_not_counted_again():
    live = LiveCounts.of(packed())
    old = np.array([FIRST - 1, FIRST - 50, FIRST + 1])
    live.follow((FIRST + 3) * STEP, 0, old, np.array([3, 3, N_ITEMS], np.int32), np.ones(3))
    asked = np.array([(FIRST + 3) * STEP])
    # Two roads of halving: equal up to the last bit.
    np.testing.assert_allclose(live.at(asked), packed().at(asked), rtol=1e-6)


def test_a_step_is_in_use_once_it_is_due():
    live = LiveCounts.of(packed())
    nothing = (np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0))
    now = FIRST * STEP
    assert live.in_use(now + 5) == now
    live.follow(now, now + 10, *nothing)
    live.follow(now + STEP, now + STEP + 10, *nothing)
    asked = [now + 9, now + 10, now + STEP, now + STEP + 9, now + STEP + 10, now + 9 * STEP]
    assert [live.in_use(one) for one in asked] == [now] * 4 + [now + STEP] * 2


def test_with_new_items_nothing_is_counted_yet():
    live = LiveCounts.of(packed())
    live.follow((FIRST + 3) * STEP, 0, *drawn(1, FIRST, FIRST + 2))
    more = live.with_new_items(2)
    assert isinstance(more, LiveCounts) and not more.closed and live.closed
    assert more.base.shape[1] == N_ITEMS + 2
    with pytest.raises(AttributeError):
        more.step = 5  # type: ignore[misc]
