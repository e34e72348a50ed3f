"""The count part against a plain twin, by hand, and what it promises its readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from propense.errors import BundleError, SettingsError, TrainError
from propense.models.counts.recent_items import read_recent_items
from propense.models.counts.transitions import CountSettings, fit_counts, load_counts
from propense.schemas import Histories

Event = tuple[int, int, int]
"""(time, action, item)"""


def make_histories(users: list[list[Event]], timed: bool = True) -> Histories:
    events = [event for user in users for event in sorted(user)]
    n = len(events)
    time, action, item = np.array(events, np.int64).reshape(n, 3).T
    return Histories(
        user_ids=np.array([f"u{position}" for position in range(len(users))], object),
        offsets=np.append(0, np.cumsum([len(user) for user in users])).astype(np.int64),
        time=time.copy(),
        action=action.astype(np.int16),
        item=item.astype(np.int32),
        source=np.full(n, 2, np.int16),
        value=np.full(n, np.nan, np.float32),
        count=np.ones(n, np.float32),
        timed=timed,
    )


def in_order(*items: list[int]) -> Histories:
    return make_histories(
        [[(position, 2, item) for position, item in enumerate(user)] for user in items], timed=False
    )


def plain_sources(events: list[Event], n_lags: int, fade: float) -> dict[int, float]:
    """Item -> weight, by walking back moment by moment; the twin of RecentItems.recent."""
    moments: list[list[int]] = []
    last_time = None
    for time, _, item in events:
        if item < 2:
            continue
        if time == last_time:
            moments[-1].append(item)
        else:
            moments.append([item])
        last_time = time
    positions: list[list[int]] = []
    before: list[int] = []
    for moment in moments:
        if positions and set(before) == {moment[0]}:
            positions[-1] = positions[-1] + moment
        else:
            positions.append(list(moment))
        before = moment
    out: dict[int, float] = {}
    for lag, position in enumerate(reversed(positions[-n_lags:]), start=1):
        for item in position:
            out[item] = out.get(item, 0) + lag**-fade / len(position)
    return out


def plain_counts(
    users: list[list[Event]], how: CountSettings, n_items: int
) -> tuple[np.ndarray, np.ndarray]:
    counted, successes = np.zeros((n_items, n_items)), np.zeros(n_items)
    for user in users:
        events, seen = sorted(user), set[int]()
        for time, action, item in events:
            if item < 2 or action != 2 or (not how.repeat and item in seen):
                continue
            seen.add(item)
            successes[item] += 1
            past = [event for event in events if event[0] < time]
            for source, weight in plain_sources(past, how.n_lags, how.fade).items():
                counted[source, item] += weight
    return counted, successes


def plain_answer(
    counted: np.ndarray, successes: np.ndarray, events: list[Event], how: CountSettings
) -> np.ndarray:
    popularity = np.where(np.arange(len(successes)) >= 2, successes + 1, 0)
    popularity = popularity / popularity.sum()
    score, total = np.zeros(len(successes)), 0.0
    for source, weight in plain_sources(events, how.n_lags, how.fade).items():
        mass = counted[source].sum()
        if mass:
            score += weight * counted[source] / mass**how.sharpness
            total += weight * mass / mass**how.sharpness
    return (score + how.smoothing * popularity) / (total + how.smoothing)


BOUGHT = np.array([False, False, True, False])

user_events = st.lists(
    st.tuples(st.integers(0, 5), st.integers(2, 3), st.integers(0, 6)), max_size=8, unique=True
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(user_events, min_size=1, max_size=4),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.booleans(),
)
def test_counts_equal_their_plain_twin(
    users: list[list[Event]], n_lags: int, fade: float, sharpness: float, repeat: bool
) -> None:
    how = CountSettings(n_lags=n_lags, fade=fade, sharpness=sharpness, repeat=repeat)
    counted, successes = plain_counts(users, how, 7)
    histories = make_histories(users)
    everyone = np.arange(len(users))
    if not successes.any():
        with pytest.raises(TrainError, match=f"none of the {histories.n_events} events"):
            fit_counts(histories, histories.offsets[1:], 7, how, BOUGHT)
        return
    counts = fit_counts(histories, histories.offsets[1:], 7, how, BOUGHT)
    answer = counts.opinions(histories, everyone, histories.offsets[1:])
    wanted = [plain_answer(counted, successes, sorted(user), how) for user in users]
    np.testing.assert_allclose(answer, wanted, atol=2e-6)
    np.testing.assert_allclose(counts.row_mass, counted.sum(axis=1), atol=1e-5)


def test_by_hand() -> None:
    """2 3 4 twice and 2 3 5 once: after 3 comes 4 with weight 2 of 3, from 2 half as much."""
    histories = in_order([2, 3, 4], [2, 3, 4], [2, 3, 5], [2, 3])
    how = CountSettings(n_lags=2, sharpness=0.0, smoothing=1e-9)
    counts = fit_counts(histories, histories.offsets[1:], 6, how)
    p = counts.opinions(histories, np.array([3]), histories.offsets[-1:])
    # From 3 (weight 1): 4 twice, 5 once. From 2 (weight 1/2): 3 four times, at lag 2 4 and 5.
    expected = np.array([0, 0, 0, 0.5 * 4, 2 + 0.5 * 2 * 0.5, 1 + 0.5 * 0.5])
    np.testing.assert_allclose(p[0], expected / expected.sum(), atol=1e-6)


def test_items_of_one_moment_never_cause_each_other_unless_asked() -> None:
    baskets = make_histories([[(1, 2, 2), (1, 2, 3)], [(1, 2, 2), (1, 2, 3), (9, 2, 4)]])
    separate = fit_counts(baskets, baskets.offsets[1:], 5)
    assert separate.mass.tolist() == [0.5, 0.5]
    assert separate.successor.tolist() == [4, 4]
    beside = fit_counts(baskets, baskets.offsets[1:], 5, CountSettings(together=1.0))
    assert beside.successor.tolist() == [3, 4, 2, 4]
    # The first user's basket is no effect of anything, the moment itself still pairs its items.
    assert beside.mass.tolist() == [1.0, 0.5, 1.0, 0.5]


def test_repeating_one_item_does_not_push_the_others_out() -> None:
    clicks = in_order([2, 3, 3, 3, 3, 3])
    recent_items = read_recent_items(clicks, np.array([0]), np.array([6]))
    sources = recent_items.recent(np.array([0]), np.array([6]), 2, 1.0, 100)
    weight = np.bincount(sources.item, sources.weight)
    assert weight[2] == pytest.approx(0.5)
    assert weight[3] == pytest.approx(1.0)


def test_rows_sum_to_one_even_when_pruned() -> None:
    rng = np.random.default_rng(0)
    histories = in_order(*[rng.integers(2, 40, 12).tolist() for _ in range(60)])
    counts = fit_counts(histories, histories.offsets[1:], 40, CountSettings(max_successors=3))
    assert np.diff(counts.offsets).max() == 3
    p = counts.opinions(histories, np.arange(60), histories.offsets[1:])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (p[:, :2] == 0).all()
    assert (p[:, 2:] > 0).all()


def test_together_and_alone_are_the_same_numbers() -> None:
    rng = np.random.default_rng(1)
    histories = in_order(*[rng.integers(2, 30, rng.integers(0, 9)).tolist() for _ in range(50)])
    counts = fit_counts(histories, histories.offsets[1:], 30)
    user, end = np.arange(50), histories.offsets[1:]
    together = counts.opinions(histories, user, end)
    for row in range(0, 50, 7):
        alone = counts.opinions(histories, user[[row]], end[[row]])
        np.testing.assert_array_equal(alone[0], together[row])


def test_events_after_train_are_not_counted() -> None:
    histories = in_order([2, 3, 4, 5], [2, 3, 5, 4])
    early = fit_counts(histories, histories.offsets[:-1] + 2, 6)
    assert early.successor.tolist() == [3]
    assert early.successes.tolist() == [0, 0, 2, 2, 0, 0]


def test_saved_counts_answer_the_same(tmp_path: Path) -> None:
    histories = in_order([2, 3, 4], [3, 4, 5, 2])
    counts = fit_counts(histories, histories.offsets[1:], 6, CountSettings(n_lags=2))
    counts.save(tmp_path / "counts.safetensors")
    again = load_counts(tmp_path / "counts.safetensors")
    assert again.settings == counts.settings
    user = np.array([0, 1])
    np.testing.assert_array_equal(
        again.opinions(histories, user, histories.offsets[1:]),
        counts.opinions(histories, user, histories.offsets[1:]),
    )
    counts.save(tmp_path / "twin.safetensors")
    first = (tmp_path / "counts.safetensors").read_bytes()
    assert first == (tmp_path / "twin.safetensors").read_bytes()


def test_what_is_no_counts_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"gone\.safetensors' is missing"):
        load_counts(tmp_path / "gone.safetensors")
    (tmp_path / "text").write_text("not a tensor in sight")
    with pytest.raises(BundleError, match="text' cannot be read"):
        load_counts(tmp_path / "text")
    save_file(
        {"a": np.zeros(1)},
        tmp_path / "other",
        metadata={"propense": '{"format": "propense-counts-99"}'},
    )
    with pytest.raises(BundleError, match="propense-counts-99"):
        load_counts(tmp_path / "other")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_lags": 0}, "n_lags must be at least 1, got 0"),
        ({"fade": -0.5}, "fade must not be below 0, got -0.5"),
        ({"smoothing": 0.0}, "smoothing must be above 0, got 0.0"),
        ({"sharpness": 1.5}, "sharpness must be in [0, 1], got 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], message: str) -> None:
    histories = in_order([2, 3])
    with pytest.raises(SettingsError) as caught:
        fit_counts(histories, histories.offsets[1:], 4, CountSettings(**wrong))
    assert message in str(caught.value)
