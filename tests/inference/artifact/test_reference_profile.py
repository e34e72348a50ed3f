"""What a fingerprint says is what was there; its bounds change nothing of the log."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.encoding.profiles import Profiles
from propense.errors import BundleError
from propense.export.reference_profile import event_parts, share_of_lists
from propense.history.records import LiveEvent
from propense.inference.artifact.reference_profile import (
    ANY,
    OTHER,
    Bounds,
    ItemShares,
    ReferenceProfile,
    make_histogram,
    make_range,
    make_shares,
    micro_range,
    read_reference_profile,
    write_reference_profile,
)
from propense.schemas import TEST, TRAIN, VALIDATION, Histories

FINITE = st.floats(-1e6, 1e6, width=32)


@given(st.lists(st.one_of(FINITE, st.just(float("nan"))), max_size=80), st.integers(1, 10))
def test_shares_of_a_histogram_are_all_there_is(numbers, n_bins):
    made = make_histogram(np.array(numbers, np.float64), n_bins)
    assert made.n == len(numbers)
    assert len(made.shares) == len(made.edges) + 1
    assert list(made.edges) == sorted(set(made.edges))
    if numbers:
        assert sum(made.shares) + made.missing == pytest.approx(1, abs=1e-4)
        counted = made.count(np.array(numbers, np.float64)) / len(numbers)
        assert counted == pytest.approx([*made.shares, made.missing], abs=1e-5)


def test_quantile_bins_are_about_even():
    made = make_histogram(np.random.default_rng(0).normal(size=10_000))
    assert made.shares == pytest.approx([0.1] * 10, abs=0.001)
    constant = make_histogram(np.full(50, 3.0))
    assert (constant.edges, constant.shares) == ((3.0,), (0.0, 1.0))
    assert make_histogram(np.full(3, np.nan)).missing == 1


def test_rare_words_are_others():
    shares = make_shares([(f"w{n}", n) for n in range(100)], most=50)
    assert len(shares) == 51 and next(iter(shares)) == "w99"
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert shares[OTHER] == pytest.approx(sum(range(50)) / sum(range(100)), abs=1e-5)
    assert make_shares([]) == {}


@given(st.lists(FINITE, min_size=1, max_size=50), st.data())
def test_bounds_hold_everything_that_was_logged(numbers, data):
    everything = np.array(numbers, np.float32)
    typical = everything[: data.draw(st.integers(0, len(numbers)))]
    low, high = make_range(everything, typical)
    assert low <= everything.min() and everything.max() <= high
    assert (low >= 0) == (everything.min() >= 0)
    assert (high <= 0) == (everything.max() <= 0)


def test_bounds_reach_twice_as_far_as_the_greatest():
    assert make_range(np.array([5.0, 100.0]), np.array([5.0, 6.0])) == (0.0, 200.0)
    assert make_range(np.array([-10.0, 2.0]), np.array([-10.0, 2.0]))[0] <= -20
    assert make_range(np.array([np.nan]), np.array([])) is None


BOUNDS = Bounds(
    values={"pay": micro_range((0.0, 200.0)), ANY: micro_range((-50.0, 400.0))},
    counts={"pay": (0.0, 4.0), ANY: (0.0, 8.0)},
    numbers=((0.0, 100.0), None),
)


def event(action="pay", value=None, count=None):
    return LiveEvent(1, action, "C1", value, count, "app")


@pytest.mark.parametrize(
    ("example", "wanted"),
    [
        (event(value=150_000_000), event(value=150_000_000)),
        (event(value=10**15), event(value=200_000_000)),
        (event(value=-1), event(value=0)),
        (event(count=1e9), event(count=4.0)),
        (event(count=float("inf"), value=10**18), event(count=4.0, value=200_000_000)),
        (event("never seen", 10**15, 1e9), event("never seen", 400_000_000, 8.0)),
        (event("never seen", -(10**15)), event("never seen", -50_000_000)),
    ],
)
def test_an_event_outside_is_held_at_the_edge(example, wanted):
    copy = LiveEvent(*(getattr(example, name) for name in example.__struct_fields__))
    assert BOUNDS.clip_event(example) == wanted
    assert example == copy, "the store keeps the event as received"


def test_an_event_inside_is_itself():
    for one in (event(), event(value=5), event(value=200_000_000, count=4.0)):
        assert BOUNDS.clip_event(one) is one


def test_a_value_where_there_never_was_one_says_nothing():
    clipped = Bounds().clip_event(event(value=5, count=7.0))
    assert clipped == event(value=None, count=1.0)


def test_numbers_of_profiles_are_held():
    numeric = np.array([[50, 1e9], [1e9, -5], [np.nan, 0], [-np.inf, 0]], np.float32)
    nothing = np.zeros((4, 0), np.int32)
    profiles = Profiles(numeric, nothing, nothing.astype(np.int64), np.zeros(4, np.int64), {})
    held, n_clipped = BOUNDS.clip_profiles(profiles)
    assert n_clipped == 2
    assert held.numeric[:, 0].tolist()[:2] == [50, 100] and held.numeric[3, 0] == 0
    assert np.isnan(held.numeric[2, 0])
    assert held.numeric[:, 1].tolist() == numeric[:, 1].tolist()
    assert profiles.numeric[1, 0] == np.float32(1e9), "the customer's own are left as they are"
    assert BOUNDS.clip_profiles(held) == (held, 0)


def test_item_shares_of_lists():
    ranked = np.array([[2, 3, 0], [2, 4, 3], [2, 0, 0]], np.int32)
    made = share_of_lists(ranked, ("a", "b", "c", "d"))
    assert made == ItemShares(3, (0.5, 1.0, 1.0), {"a": 1.0, "b": 0.666667, "c": 0.333333})
    assert share_of_lists(np.zeros((2, 3), np.int32), ()) == ItemShares(2)


def dataset(by, **fields):
    """Three customers with 4, 1 and 3 events, a second apart."""
    offsets = np.array([0, 4, 5, 8])
    time = np.array([0, 1, 2, 3, 0, 1, 2, 3], np.int64)
    words = np.zeros(8, np.int16)
    numbers = np.zeros(8, np.float32)
    histories = Histories(
        np.array(["a", "b", "c"], object), offsets, time, words, words.astype(np.int32), words,
        numbers, numbers,
    )  # fmt: skip
    plan = SimpleNamespace(by=by, test_from=fields.pop("test_from", None))
    return SimpleNamespace(histories=histories, plan=plan, **fields)


def test_every_event_has_its_part():
    by_time = dataset("time", test_from=3, train_end=np.array([2, 5, 6]), user_part=None)
    assert event_parts(by_time).tolist() == [
        TRAIN, TRAIN, VALIDATION, TEST, TRAIN, TRAIN, VALIDATION, TEST,
    ]  # fmt: skip
    parts = np.array([TRAIN, VALIDATION, TEST], np.int8)
    by_user = dataset("user", train_end=np.array([4, 4, 5]), user_part=parts)
    assert event_parts(by_user).tolist() == [TRAIN] * 4 + [VALIDATION] + [TEST] * 3
    last = dataset("leave_one_out", train_end=np.array([2, 5, 6]), user_part=None)
    assert event_parts(last).tolist() == [
        TRAIN, TRAIN, VALIDATION, TEST, TRAIN, TRAIN, VALIDATION, TEST,
    ]  # fmt: skip


def test_the_file_is_the_same_for_the_same(tmp_path):
    made = ReferenceProfile(
        n_events=3, actions={"pay": 1.0}, goals={"pay": make_histogram(np.arange(9.0))},
        bounds=BOUNDS,
    )  # fmt: skip
    write_reference_profile(made, tmp_path)
    first = (tmp_path / "reference_profile.json").read_bytes()
    assert read_reference_profile(tmp_path) == made
    write_reference_profile(read_reference_profile(tmp_path), tmp_path)
    assert (tmp_path / "reference_profile.json").read_bytes() == first
    (tmp_path / "reference_profile.json").write_bytes(first[:50])
    with pytest.raises(BundleError, match=r"reference_profile\.json of bundle"):
        read_reference_profile(tmp_path)
    (tmp_path / "reference_profile.json").unlink()
    with pytest.raises(BundleError, match="pack it again"):
        read_reference_profile(tmp_path)
