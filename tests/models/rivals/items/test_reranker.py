"""The reranker learns from what was known, finds what matters, and reads back as it was."""

import itertools

import numpy as np
import pytest

from propense.models.rivals.item_loading import load_item_rival
from propense.models.rivals.item_rivals import fit_item_rival
from propense.models.rivals.items.item_rival import ItemSetup, score_ranking
from propense.models.rivals.items.reranker import Reranker
from propense.models.rivals.items.reranker_features import NAMES, candidates_of, features_of
from propense.schemas import Histories, Targets

DAY = 86_400
N_ITEMS, N_USERS = 122, 150
START = 18_000 * DAY


def shop(seed: int = 0) -> Histories:
    """Each customer takes their favourite every week; else what is in fashion that month."""
    rng = np.random.default_rng(seed)
    times, items, length = [], [], []
    for _ in range(N_USERS):
        favourite = int(rng.integers(2, N_ITEMS))
        day = np.sort(rng.integers(0, 200, 25))
        fashion = 2 + (day // 30 * 17 + rng.integers(0, 5, 25)) % (N_ITEMS - 2)
        times += [START + int(one) * DAY + int(rng.integers(DAY)) for one in day]
        items += np.where(rng.random(25) < 0.5, favourite, fashion).tolist()
        length.append(25)
    offsets = np.append(0, np.cumsum(length))
    time = np.concatenate([np.sort(times[a:b]) for a, b in itertools.pairwise(offsets)])
    n = len(time)
    return Histories(
        user_ids=np.array([f"u{k}" for k in range(N_USERS)], object), offsets=offsets, time=time,
        action=np.full(n, 2, np.int16), item=np.array(items, np.int32),
        source=np.full(n, 2, np.int16), value=np.full(n, np.nan, np.float32),
        count=np.ones(n, np.float32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def histories() -> Histories:
    return shop()


def ends_at(histories: Histories, day: int) -> np.ndarray:
    user = np.repeat(np.arange(N_USERS), np.diff(histories.offsets))
    before = np.bincount(user[histories.time < START + day * DAY], minlength=N_USERS)
    return histories.offsets[:-1] + before


def next_items(histories: Histories, ends: np.ndarray) -> Targets:
    some = np.flatnonzero(ends < histories.offsets[1:])
    return Targets(
        some.astype(np.int32), ends[some], np.arange(len(some) + 1),
        histories.item[ends[some]], np.zeros(len(some), np.int8),
    )  # fmt: skip


def until(histories: Histories, n_users: int, ends: np.ndarray) -> Histories:
    """The first customers, with their events before `ends`."""
    begin = histories.offsets[:n_users]
    index = np.concatenate([np.arange(a, b) for a, b in zip(begin, ends[:n_users], strict=True)])
    return Histories(
        histories.user_ids[:n_users], np.append(0, np.cumsum(ends[:n_users] - begin)),
        histories.time[index], histories.action[index], histories.item[index],
        histories.source[index], histories.value[index], histories.count[index],
    )  # fmt: skip


SETUP = ItemSetup(repeat=True, trials=1)


@pytest.fixture(scope="module")
def rival(histories: Histories) -> Reranker:
    fitted = fit_item_rival("reranker", histories, ends_at(histories, 160), N_ITEMS, SETUP)
    assert isinstance(fitted, Reranker)
    return fitted


def test_it_is_ahead_of_each_kind_of_evidence_alone(histories: Histories, rival: Reranker):
    ends = ends_at(histories, 160)
    targets = next_items(histories, ends_at(histories, 170))
    reached = score_ranking(rival, histories, targets, SETUP).mean()
    for name in ("popular_now", "frequency", "markov", "popularity"):
        other = fit_item_rival(name, histories, ends, N_ITEMS, SETUP)
        assert reached > score_ranking(other, histories, targets, SETUP).mean() + 0.02, name


def test_later_events_change_nothing(histories: Histories):
    day = 160
    ends, user = ends_at(histories, day), np.arange(N_USERS)
    as_of = np.full(N_USERS, START + day * DAY)
    before = until(histories, N_USERS, ends)
    whole, cut = (
        fit_item_rival("reranker", some, own, N_ITEMS, SETUP)
        for some, own in ((histories, ends), (before, before.offsets[1:]))
    )
    assert whole.forest == cut.forest
    scores = whole.scores(histories, user, ends, as_of)
    assert np.array_equal(scores, cut.scores(before, user, before.offsets[1:], as_of))


def test_one_customer_is_scored_as_among_others(histories: Histories, rival: Reranker):
    user, end = np.arange(20), ends_at(histories, 170)[:20]
    as_of = START + 170 * DAY + user * 3_700
    together = rival.scores(histories, user, end, as_of)
    for row in (0, 7, 19):
        one = slice(row, row + 1)
        alone = rival.scores(histories, user[one], end[one], as_of[one])
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-6)
    assert (together > 0).any() and np.isfinite(together).all()


def test_it_reads_back_as_it_was(tmp_path, histories: Histories, rival: Reranker):
    rival.save(tmp_path)
    again = load_item_rival(tmp_path)
    user, end = np.arange(N_USERS), ends_at(histories, 170)
    as_of = np.full(N_USERS, START + 170 * DAY)
    assert np.array_equal(
        again.scores(histories, user, end, as_of), rival.scores(histories, user, end, as_of)
    )


def test_features_are_what_they_are_called(histories: Histories, rival: Reranker):
    user, end = np.array([3]), ends_at(histories, 100)[[3]]
    as_of = np.array([START + 100 * DAY])
    evidence = rival.evidence
    candidates = candidates_of(evidence, histories, user, end, as_of)
    features = features_of(evidence, histories, user, end, as_of, candidates)
    assert features.shape[1] == len(NAMES)
    of = {name: features[:, column] for column, name in enumerate(NAMES)}
    own = slice(int(histories.offsets[3]), int(end[0]))
    items, times = histories.item[own], histories.time[own]
    for row, item in enumerate(candidates.item):
        mine = times[items == item]
        assert of["own_successes"][row] == len(mine)
        if len(mine):
            assert of["days_since_success"][row] == pytest.approx(
                (as_of[0] - mine.max()) / DAY, rel=1e-5
            )
        else:
            assert np.isnan(of["days_since_success"][row])
    assert set(items.tolist()) <= set(candidates.item.tolist())


def test_a_history_of_which_nothing_can_be_learned_gives_candidates_by_popularity():
    few = until(shop(1), 2, shop(1).offsets[:-1] + 1)
    rival = fit_item_rival("reranker", few, few.offsets[1:], N_ITEMS, SETUP)
    assert "no moment" in rival.notes.remarks[0]
    ranked = rival.rank(few, np.arange(2), few.offsets[1:], 5, "none")
    assert (ranked[:, 0] >= 2).all()
