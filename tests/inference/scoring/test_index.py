"""The index of items: exact where it says so, near enough where not, and the same every time."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from propense.errors import MissingExtraError
from propense.inference.scoring import index as module
from propense.inference.scoring.index import ItemIndex
from propense.models.top_k import best_indices, unit_vectors
from propense.schemas import NONE

N_ITEMS, WIDTH = 6_000, 16


@pytest.fixture
def vectors() -> np.ndarray:
    rng = np.random.default_rng(3)
    centre = rng.normal(size=(40, WIDTH))[rng.integers(0, 40, N_ITEMS)]
    return (centre + 0.5 * rng.normal(size=(N_ITEMS, WIDTH))).astype(np.float32)


@pytest.fixture
def rankable() -> np.ndarray:
    rankable = np.ones(N_ITEMS, bool)
    rankable[:2] = False
    rankable[2::7] = False
    return rankable


@pytest.fixture
def many(monkeypatch):
    """So many items count as many."""
    monkeypatch.setattr(module, "EXACT_UP_TO", 1_000)


def wanted_near(vectors: np.ndarray) -> np.ndarray:
    return vectors[10:60] + 0.1


def test_few_items_are_answered_exactly(vectors, rankable):
    index = ItemIndex.build(vectors, rankable)
    assert index._sketch is None
    items, scores = index.search(vectors[:5], 20)
    for row in range(5):
        products = [(-float(vectors[i] @ vectors[row]), i) for i in np.flatnonzero(rankable)]
        assert items[row].tolist() == [i for _, i in sorted(products)[:20]]
        assert np.allclose(scores[row], [-p for p, _ in sorted(products)[:20]], atol=1e-4)


@pytest.mark.usefixtures("many")
def test_nearly_all_the_best_of_many_items_are_returned(vectors, rankable):
    index = ItemIndex.build(vectors, rankable)
    assert index._sketch is not None
    wanted = wanted_near(vectors)
    items, scores = index.search(wanted, 100)
    shares = []
    for row, asked in enumerate(wanted):
        products = np.where(rankable, vectors @ asked, -np.inf).astype(np.float32)
        shares.append(np.isin(best_indices(products, 100), items[row]).mean())
        assert np.allclose(scores[row], vectors[items[row]] @ asked, atol=1e-5)
        assert (np.diff(scores[row]) <= 0).all()
    assert np.mean(shares) > 0.99
    assert rankable[items].all()


@pytest.mark.usefixtures("many")
def test_the_same_alone_and_together_and_every_time(vectors, rankable):
    first, second = ItemIndex.build(vectors, rankable), ItemIndex.build(vectors, rankable)
    wanted = wanted_near(vectors)
    together = first.search(wanted, 50)
    again = second.search(wanted, 50)
    assert np.array_equal(together[0], again[0]) and np.array_equal(together[1], again[1])
    for row in range(5):
        alone = first.search(wanted[row : row + 1], 50)
        assert np.array_equal(alone[0][0], together[0][row])
        assert np.array_equal(alone[1][0], together[1][row])


def test_short_answers_are_filled_and_ties_go_to_the_lower_index():
    vectors = np.ones((8, 3), np.float32)
    rankable = np.array([0, 0, 1, 0, 1, 1, 0, 0], bool)
    items, scores = ItemIndex.build(vectors, rankable).search(vectors[:1], 5)
    assert items.tolist() == [[2, 4, 5, NONE, NONE]]
    assert scores.tolist() == [[3, 3, 3, -np.inf, -np.inf]]


@pytest.mark.usefixtures("many")
def test_the_cache_is_read_if_it_fits_and_made_anew_if_not(
    vectors, rankable, tmp_path, monkeypatch
):
    cache = tmp_path / "deep" / "index"
    first = ItemIndex.build(vectors, rankable, cache).search(vectors[:3], 30)
    assert cache.exists() and len(list(cache.parent.iterdir())) == 1
    made = []
    make = module._make_sketch
    monkeypatch.setattr(module, "_make_sketch", lambda *a: made.append(1) or make(*a))
    read = ItemIndex.build(vectors, rankable, cache).search(vectors[:3], 30)
    assert not made and np.array_equal(first[0], read[0])
    ItemIndex.build(vectors[:5_000], rankable[:5_000], cache)
    assert made == [1]
    cache.write_bytes(b"torn")
    torn = ItemIndex.build(vectors, rankable, cache).search(vectors[:3], 30)
    assert made == [1, 1] and np.array_equal(first[0], torn[0])


@pytest.mark.usefixtures("many")
def test_without_faiss_many_items_name_the_extra(vectors, rankable, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"propense\[serve\]"):
        ItemIndex.build(vectors, rankable)


@pytest.mark.usefixtures("many")
def test_few_rankable_items_among_many_need_no_faiss(vectors, rankable, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    rankable[1_000:] = False
    assert ItemIndex.build(vectors, rankable)._sketch is None


def test_unit_vectors_have_length_one_and_nothing_stays_nothing():
    made = unit_vectors(np.array([[3, 4], [0, 0]], np.float32))
    assert np.allclose(made, [[0.6, 0.8], [0, 0]])
    assert made.dtype == np.float32


@pytest.mark.parametrize("n", [1, 5, 300, 5_000])
@pytest.mark.parametrize("k", [1, 7, 100, 9_000])
def test_the_best_indices_are_those_of_a_sort(n, k):
    rng = np.random.default_rng(n + k)
    scores = rng.integers(0, 50, n).astype(np.float32)
    scores[rng.random(n) < 0.2] = -np.inf
    expected = sorted((-w, i) for i, w in enumerate(scores.tolist()) if w > -np.inf)[:k]
    assert best_indices(scores, k).tolist() == [i for _, i in expected]
