"""Powers are moved where validation's lists get better beyond noise, and only there."""

from __future__ import annotations

import numpy as np

from propense.evaluation.metrics.ranking import find_hits, ndcg_at_k
from propense.models.top_k import top_items
from propense.schemas import FIRST_KNOWN, Targets
from propense.training.gate_tuning import K, Shortlists

N_ROWS, N_ITEMS = 800, 300


def rows_of(items: np.ndarray) -> Targets:
    n = len(items)
    return Targets(
        np.zeros(n, np.int32), np.zeros(n, np.int64), np.arange(n + 1), items.astype(np.int32),
        np.ones(n, np.int8),
    )  # fmt: skip


def noise(rng: np.random.Generator) -> np.ndarray:
    logs = rng.normal(size=(N_ROWS, N_ITEMS)).astype(np.float32)
    logs[:, :FIRST_KNOWN] = np.log(1e-30)
    return logs


def test_lists_of_shortlists_are_those_of_the_whole_catalogue():
    rng = np.random.default_rng(0)
    opinions = [noise(rng), noise(rng)]
    targets = rows_of(rng.integers(FIRST_KNOWN, N_ITEMS, N_ROWS))
    shortlists = Shortlists([(opinions, targets)])
    for powers in ([1.0, 0.0], [0.5, 2.0]):
        scores = powers[0] * opinions[0] + powers[1] * opinions[1]
        ranked = top_items(scores.astype(np.float32), K)
        whole = ndcg_at_k(find_hits(ranked, targets.item_offsets, targets.items), K)
        own = shortlists.ndcg(np.array(powers), np.arange(N_ROWS))
        np.testing.assert_allclose(own, whole, atol=1e-6)


def test_an_opinion_that_knows_the_items_gets_power_and_one_that_does_not_loses_it():
    rng = np.random.default_rng(1)
    items = rng.integers(FIRST_KNOWN, N_ITEMS, N_ROWS)
    knowing, guessing = noise(rng), noise(rng)
    knowing[np.arange(N_ROWS), items] += 3
    shortlists = Shortlists([([guessing, knowing], rows_of(items))])
    rows = np.arange(N_ROWS)
    powers = shortlists.tune(np.array([1.0, 0.0]), rows)
    assert powers[1] > 3 * powers[0]
    before = shortlists.ndcg(np.array([1.0, 0.0]), rows).mean()
    assert shortlists.ndcg(powers, rows).mean() > before + 0.2


def test_few_rows_move_nothing():
    rng = np.random.default_rng(2)
    items = rng.integers(FIRST_KNOWN, N_ITEMS, N_ROWS)
    knowing = noise(rng)
    knowing[np.arange(N_ROWS), items] += 3
    shortlists = Shortlists([([noise(rng), knowing], rows_of(items))])
    start = np.array([1.0, 0.0])
    assert np.array_equal(shortlists.tune(start, np.arange(20)), start)
