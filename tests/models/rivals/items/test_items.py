"""The item rivals: known truths, what a list may hold, and the published reference."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from propense.errors import BundleError, SettingsError, TrainError
from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k, recall_at_k
from propense.models.counts.cooccurrence import prune
from propense.models.counts.transitions import CountSettings, fit_counts
from propense.models.rivals.item_loading import load_item_rival
from propense.models.rivals.item_rivals import ITEM_RIVALS, fit_item_rival
from propense.models.rivals.items.ease import Ease, solve
from propense.models.rivals.items.item_knn import ItemKnn, find_neighbours
from propense.models.rivals.items.item_rival import (
    ItemSetup,
    draw_targets,
    interactions,
    taste,
)
from propense.models.rivals.items.markov import Markov
from propense.models.rivals.tuning import climb
from propense.models.top_k import top_items
from propense.schemas import NONE, Histories, Targets
from tests.support.real_data import real_data

DAY = 86_400


def in_order(*users: list[int], time: np.ndarray | None = None) -> Histories:
    item = np.array([item for user in users for item in user], np.int32)
    length = np.array([len(user) for user in users])
    offsets = np.append(0, np.cumsum(length)).astype(np.int64)
    position = np.arange(len(item)) - np.repeat(offsets[:-1], length)
    return Histories(
        user_ids=np.array([f"u{user}" for user in range(len(users))], object),
        offsets=offsets,
        time=position if time is None else time,
        action=np.full(len(item), 2, np.int16),
        item=item,
        source=np.full(len(item), 2, np.int16),
        value=np.full(len(item), np.nan, np.float32),
        count=np.ones(len(item), np.float32),
        timed=time is not None,
    )


def last_items(histories: Histories, back: int) -> Targets:
    """Leave-one-out: each user's event `back` from the end."""
    end = histories.offsets[1:] - back
    n = histories.n_users
    return Targets(
        user=np.arange(n, dtype=np.int32),
        end=end,
        item_offsets=np.arange(n + 1),
        items=histories.item[end],
        part=np.full(n, back == 1, np.int8) + 1,
    )


def ring(n_users: int, n_items: int, rng: np.random.Generator) -> Histories:
    """Everybody takes one item after the next, from a random start."""
    start = rng.integers(0, n_items, n_users)
    return in_order(*[((np.arange(8) + first) % n_items + 2).tolist() for first in start])


scores = arrays(
    np.float32, st.tuples(st.integers(1, 5), st.integers(1, 70)),
    elements=st.sampled_from([-np.inf, 0.0, 1.0, 2.0]),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(scores, st.integers(1, 9))
def test_top_items_sorts_by_score_then_index(block: np.ndarray, k: int) -> None:
    result = top_items(block, k)
    for row, line in enumerate(block):
        order = [
            position
            for position in np.lexsort((np.arange(len(line)), -line))
            if line[position] > -9
        ]
        wanted = (order + [NONE] * k)[:k]
        assert result[row].tolist() == wanted


def test_markov_knows_the_ring_and_popularity_does_not() -> None:
    histories = ring(300, 30, np.random.default_rng(0))
    train_end, test = histories.offsets[1:] - 2, last_items(histories, 1)
    for name, low, high in (("markov", 0.9, 1.0), ("popularity", 0.0, 0.4)):
        rival = fit_item_rival(name, histories, train_end, 32, ItemSetup(trials=3))
        ranked = rival.rank(histories, test.user, test.end, 10)
        value = ndcg_at_k(find_hits(ranked, test.item_offsets, test.items), 10).mean()
        assert low <= value <= high, name


@pytest.mark.parametrize("name", ITEM_RIVALS)
def test_a_customer_who_is_there_twice_at_half_weight_is_there_once(name: str) -> None:
    rng = np.random.default_rng(2)
    users = [rng.integers(2, 20, rng.integers(1, 9)).tolist() for _ in range(60)]
    doubled = [user for user in users for _ in range(2)]
    asked = in_order(*users)
    answers = []
    for histories, weight in (
        (asked, None), (in_order(*doubled), np.full(120, 0.5)),
        (in_order(*users, *users[:20]), np.array([1.0] * 60 + [1e-9] * 20)),
    ):  # fmt: skip
        rival = fit_item_rival(
            name, histories, histories.offsets[1:], 20, ItemSetup(repeat=True), weight=weight
        )
        answers.append(rival.scores(asked, np.arange(60), asked.offsets[1:]))
    assert np.allclose(answers[0], answers[1], rtol=1e-4, atol=1e-6)
    assert np.allclose(answers[0], answers[2], rtol=1e-4, atol=1e-6)


def test_items_of_one_moment_share_what_their_customer_weighs() -> None:
    rng = np.random.default_rng(3)
    users = [rng.integers(2, 12, 6).tolist() for _ in range(30)]
    time = np.tile([0, 0, 1, 1, 1, 2], 30)
    once = in_order(*users, time=time)
    twice = in_order(*users, *users, time=np.tile(time, 2))
    chosen = CountSettings(together=0.3)
    counts = fit_counts(once, once.offsets[1:], 12, chosen)
    halved = fit_counts(twice, twice.offsets[1:], 12, chosen, weight=np.full(60, 0.5))
    assert np.array_equal(counts.successor, halved.successor)
    assert np.allclose(counts.mass, halved.mass) and np.allclose(counts.row_mass, halved.row_mass)


@pytest.mark.parametrize("name", ["item_knn", "ease"])
def test_items_of_one_group_recommend_each_other(name: str) -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 2, 80)
    users = [(rng.permutation(10)[:6] + 2 + 10 * group).tolist() for group in groups]
    histories = in_order(*users)
    rival = fit_item_rival(name, histories, histories.offsets[1:], 22, ItemSetup())
    ranked = rival.rank(histories, np.arange(80), histories.offsets[1:], 4)
    assert ((ranked - 2) // 10 == groups[:, None]).all()


def test_ease_is_the_closed_form() -> None:
    rng = np.random.default_rng(2)
    histories = in_order(*[(rng.permutation(12)[:5] + 2).tolist() for _ in range(40)])
    interacted = interactions(histories, histories.offsets[1:], 14, None)
    items = np.arange(2, 14, dtype=np.int32)
    weights = solve(interacted, items, 7.0)
    dense = interacted.toarray()[:, 2:].astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + 7 * np.eye(12))
    wanted = -inverse / np.diagonal(inverse)
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(weights, wanted, atol=1e-5)
    # Each column solves a ridge regression of its item on the others.
    others = np.delete(dense, 3, axis=1)
    ridge = np.linalg.solve(others.T @ others + 7 * np.eye(11), others.T @ dense[:, 3])
    np.testing.assert_allclose(np.delete(weights[:, 3], 3), ridge, atol=1e-5)


def test_ease_keeps_to_the_most_popular_items_and_says_so() -> None:
    rng = np.random.default_rng(3)
    users = [(np.minimum(rng.permutation(20)[:6], 15) + 2).tolist() for _ in range(60)]
    histories = in_order(*users)
    rival = fit_item_rival(
        "ease", histories, histories.offsets[1:], 25, ItemSetup(max_items_ease=5)
    )
    assert isinstance(rival, Ease)
    assert rival.weighted_items.tolist() == sorted(rival.weighted_items.tolist())
    assert len(rival.weighted_items) == 5
    assert 17 in rival.weighted_items
    assert "weights for the 5 most popular of 16 items" in rival.notes.remarks[0]
    ranked = rival.rank(histories, np.arange(60), histories.offsets[1:], 25)
    assert ((ranked > 0).sum(axis=1) == [23 - len(set(user)) for user in users]).all()


def test_cosine_by_hand() -> None:
    """2 and 3 share two of the users that 2 (three) and 3 (two) have; 4 meets only 2."""
    histories = in_order([2, 3], [3, 2, 3], [2, 4])
    interacted = interactions(histories, histories.offsets[1:], 5, None)
    near = find_neighbours(interacted, interacted, 10, 0.0)
    row = slice(near.offsets[2], near.offsets[3])
    assert near.item[row].tolist() == [3, 4]
    np.testing.assert_allclose(near.similarity[row], [2 / np.sqrt(6), 1 / np.sqrt(3)], rtol=1e-6)
    shrunk = find_neighbours(interacted, interacted, 1, 10.0)
    assert shrunk.item[slice(*shrunk.offsets[2:4])].tolist() == [3]
    assert shrunk.similarity[shrunk.offsets[2]] == pytest.approx(2 / (np.sqrt(6) + 10))


def test_pruning_keeps_the_largest_and_the_lower_column_on_ties() -> None:
    length, column, value = prune(np.array([[1.0, 3, 3, 2], [0, 0, 4, 0]]), 2)
    assert length.tolist() == [2, 1]
    assert column.tolist() == [1, 2, 2]
    assert value.tolist() == [3, 3, 4]
    _, column, _ = prune(np.array([[5.0, 5, 5]]), 2)
    assert column.tolist() == [0, 1]


def test_taste_weighs_an_item_by_its_latest_position() -> None:
    histories = in_order([2, 3, 2, 4], [])
    result = taste(histories, np.array([0, 1]), np.array([4, 4]), 1.0)
    assert result.offsets.tolist() == [0, 3, 3]
    assert result.item.tolist() == [2, 3, 4]
    np.testing.assert_allclose(result.weight, [1 / 2, 1 / 3, 1])


def test_recent_popularity_wins_where_taste_moves() -> None:
    """Item 2 was taken by many long ago, item 3 by some just now, and 3 is what is next."""
    users = [[2] for _ in range(50)] + [[3] for _ in range(20)] + [[4, 3] for _ in range(30)]
    time = np.concatenate([np.zeros(50), np.full(20, 200), np.tile([201.0, 202.0], 30)]) * DAY
    histories = in_order(*users, time=time.astype(np.int64))
    train_end = histories.offsets[1:].copy()
    train_end[70:] -= 1
    validation = last_items(histories, 1)
    rows = np.arange(70, 100)
    validation = Targets(
        validation.user[rows], validation.end[rows], np.arange(31), validation.items[rows],
        validation.part[rows],
    )  # fmt: skip
    rival = fit_item_rival("popularity", histories, train_end, 5, ItemSetup(k=1), validation)
    assert rival.notes.settings["half_life_days"] != 0
    assert rival.notes.score == 1.0
    ranked = rival.rank(histories, validation.user, validation.end, 1)
    assert (ranked == 3).all()


def test_lists_hold_what_they_may() -> None:
    histories = in_order([2, 3, 1, 0], [4], [])
    user, end = np.arange(3), histories.offsets[1:]
    for name in ITEM_RIVALS:
        rival = fit_item_rival(name, histories, end, 5, ItemSetup())
        unseen = rival.rank(histories, user, end, 4)
        assert [sorted(row) for row in unseen.tolist()] == [
            [0, 0, 0, 4], [0, 0, 2, 3], [0, 2, 3, 4],
        ], name  # fmt: skip
        everything = rival.rank(histories, user, end, 4, "none")
        assert (np.sort(everything, axis=1) == [0, 2, 3, 4]).all(), name
        nobody_owns = np.zeros(3, bool)
        owned = rival.rank(histories, user, end, 4, "seen", nobody_owns)
        assert (owned == everything).all(), name


def test_only_successes_are_counted_but_every_action_is_a_cause() -> None:
    """Action 3 leads to success 2: item 2 seen, then item 4 bought."""
    histories = in_order(*[[2, 4, 3] for _ in range(9)])
    action = np.tile(np.array([3, 2, 3], np.int16), 9)
    histories = Histories(**{**vars(histories), "action": action})
    setup = ItemSetup(positive=(2,))
    rival = fit_item_rival("markov", histories, histories.offsets[1:], 5, setup)
    assert isinstance(rival, Markov)
    assert rival.counts.successes.tolist() == [0, 0, 0, 0, 9]
    assert rival.counts.successor.tolist() == [4]
    popular = fit_item_rival("popularity", histories, histories.offsets[1:], 5, setup)
    first = popular.rank(histories, np.array([0]), np.array([0]), 1)
    assert first.tolist() == [[4]]
    near = fit_item_rival("item_knn", histories, histories.offsets[1:], 5, setup)
    assert isinstance(near, ItemKnn)
    assert set(near.neighbours.item.tolist()) == {4}


def test_validation_chooses_and_the_account_says_what() -> None:
    histories = ring(200, 30, np.random.default_rng(4))
    train_end, validation = histories.offsets[1:] - 2, last_items(histories, 2)
    setup = ItemSetup(trials=4, max_targets=50)
    rival = fit_item_rival("markov", histories, train_end, 32, setup, validation)
    assert rival.notes.trials == 4
    assert rival.notes.rows == 200 * 6
    assert rival.notes.score is not None
    assert rival.notes.score > 0.9
    assert rival.notes.remarks == ("settings chosen on 50 of 200 rows",)
    assert rival.notes.measure == "ndcg@10"
    default = fit_item_rival("markov", histories, train_end, 32, setup)
    assert "settings are the defaults" in default.notes.remarks[0]


def test_climbing_ignores_what_is_within_noise() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(2, 400))

    def make(chosen: dict[str, int]) -> tuple[np.ndarray, None]:
        better = 0.02 * chosen["a"] + 0.5 * chosen["b"]
        return noise[chosen["a"]] - noise[chosen["a"]].mean() + better, None

    result = climb({"a": (0, 1), "b": (0, 1)}, make, 8)
    assert result.settings == {"a": 0, "b": 1}
    assert result.trials == 3


def test_drawn_targets_keep_their_items() -> None:
    targets = Targets(
        np.arange(4, dtype=np.int32), np.arange(4), np.array([0, 2, 2, 3, 6]),
        np.array([2, 3, 4, 5, 6, 7], np.int32), np.ones(4, np.int8),
    )  # fmt: skip
    drawn = draw_targets(targets, 3, np.random.default_rng(6))
    assert len(drawn) == 3
    for row, user in enumerate(drawn.user):
        ours = drawn.items[drawn.item_offsets[row] : drawn.item_offsets[row + 1]]
        wanted = targets.items[targets.item_offsets[user] : targets.item_offsets[user + 1]]
        assert ours.tolist() == wanted.tolist()


def test_what_cannot_be_fitted_is_refused() -> None:
    histories = in_order([2, 3], [3])
    with pytest.raises(SettingsError, match="'markow'; did you mean 'markov'"):
        fit_item_rival("markow", histories, histories.offsets[1:], 4, ItemSetup())
    with pytest.raises(SettingsError, match="event index a user: 2 users, got 1"):
        fit_item_rival("ease", histories, histories.offsets[2:], 4, ItemSetup())
    with pytest.raises(SettingsError, match=r"user 1 must be .* in 2\.\.3, got 7"):
        fit_item_rival("ease", histories, np.array([2, 7]), 4, ItemSetup())
    with pytest.raises(TrainError, match="none of the 3 train events is a success"):
        fit_item_rival("item_knn", histories, histories.offsets[1:], 4, ItemSetup(positive=(9,)))


def test_a_folder_without_a_rival_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"items\.safetensors' is missing"):
        load_item_rival(tmp_path)
    (tmp_path / "items.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(BundleError, match="cannot be read"):
        load_item_rival(tmp_path)


@pytest.mark.data
def test_markov_reaches_its_reference_on_amazon_beauty() -> None:
    """Full ranking, leave-one-out, train without the last two: ndcg@10 .0523, recall@10 .0836."""
    path = real_data("amazon-beauty/Beauty.txt.gz")
    with gzip.open(path, "rt") as lines:
        users = [[int(word) + 1 for word in line.split()[1:]] for line in lines]
    histories = in_order(*users)
    n_items = int(histories.item.max()) + 1
    assert (histories.n_users, n_items - 2, histories.n_events) == (22_363, 12_101, 198_502)
    rival = fit_item_rival("markov", histories, histories.offsets[1:] - 2, n_items, ItemSetup())
    test = last_items(histories, 1)
    ranked = rival.rank(histories, test.user, test.end, 10)
    hits = find_hits(ranked, test.item_offsets, test.items)
    assert ndcg_at_k(hits, 10).mean() >= 0.0523
    assert recall_at_k(hits, 10).mean() >= 0.0836


def test_what_is_popular_now_goes_on_counting_and_never_looks_ahead():
    """Item 2 is popular in train, item 3 from day 100 on."""
    day = 86_400
    times = [[n * 600, 100 * day + n * 600, 101 * day + n * 600] for n in range(8)]
    histories = Histories(
        user_ids=np.array([f"u{n}" for n in range(8)], object),
        offsets=np.arange(9) * 3, time=np.array(times).ravel(),
        action=np.full(24, 2, np.int16), item=np.array([2, 3, 3] * 8, np.int32),
        source=np.full(24, 2, np.int16), value=np.full(24, np.nan, np.float32),
        count=np.ones(24, np.float32),
    )  # fmt: skip
    train_end = np.arange(8) * 3 + 1
    rival = fit_item_rival("popular_now", histories, train_end, 4, ItemSetup(repeat=True))
    user, end = np.zeros(2, np.int64), np.zeros(2, np.int64)
    as_of = np.array([100 * day, 101 * day])
    ranked = rival.rank(histories, user, end, 1, "none", as_of=as_of)
    assert ranked.ravel().tolist() == [2, 3]
    assert rival.rank(histories, user[:1], end[:1], 1, "none").tolist() == [[3]]
