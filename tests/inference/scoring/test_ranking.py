"""Lists over the catalogue: order, what is left out, short lists, the gate."""

from __future__ import annotations

import numpy as np

from propense.inference.scoring.gate import Gate
from propense.inference.scoring.ranking import Ranker
from propense.models.counts.own_items import own_opinions
from propense.models.shape import ItemHead
from propense.schemas import NONE, Histories


def histories() -> Histories:
    """One customer with items 2 (viewed) and 3 (bought); one without events."""
    return Histories(
        user_ids=np.array(["a", "b"], object),
        offsets=np.array([0, 2, 2]),
        time=np.array([1, 2]),
        action=np.array([2, 3], np.int16),
        item=np.array([2, 3], np.int32),
        source=np.array([2, 2], np.int16),
        value=np.full(2, np.nan, np.float32),
        count=np.ones(2, np.float32),
    )


def ranker(**more: object) -> Ranker:
    """Four items on a line; what is looked for is a number."""
    vectors = np.array([[0], [0], [1], [2], [3], [4]], np.float32)
    rankable = np.array([False, False, True, True, True, True])
    popularity = np.array([0, 0, 0.5, 0.3, 0.2, 0.0])
    heads = (ItemHead("buy", (3,), 1.0), ItemHead("other", (2,), 0.0))
    return Ranker(vectors, heads, rankable, popularity, **more)  # type: ignore[arg-type]


WANTED = np.array([[[1.0], [-1.0]], [[0.0], [0.0]]], np.float32)
SHARE = np.array([[0.1, 0.9], [0.5, 0.5]], np.float32)
USER, END = np.array([0, 1], np.int32), np.array([2, 2])
BOUGHT = np.array([False, False, False, True])


def test_best_first_by_the_weighted_head_and_popular_for_strangers():
    ranked, p = ranker().rank(WANTED, SHARE, histories(), USER, END, None, 4)
    assert ranked.tolist() == [[5, 4, 3, 2], [2, 3, 4, 5]]
    assert np.isclose(p[0].sum(), 1)
    assert (np.diff(p, axis=1) < 0).all()


def test_owned_items_are_left_out_and_short_lists_are_filled_with_none():
    ranked, p = ranker().rank(WANTED, SHARE, histories(), USER, END, None, 4, BOUGHT)
    assert ranked.tolist() == [[5, 4, 2, NONE], [2, 3, 4, 5]]
    assert p[0, 3] == 0


class Opinion:
    """Counts that are sure of item 2 and never met items 4 and 5; train knows 4."""

    met = np.array([False, False, True, True, False, False])

    def opinions(self, histories, user, end):
        sure = np.full((len(user), 6), 0.01, np.float32)
        sure[:, 2] = 0.96
        return sure


def test_own_frequencies_count_where_customers_repeat():
    """The first customer's own: one event each of two items; the stranger has none."""
    alone = ranker().probabilities(WANTED, SHARE, histories(), USER, END, None)
    gate = Gate.of(1.0, 0.0, 1.5)
    made = ranker(counts=Opinion(), gate=gate)
    p = made.probabilities(WANTED, SHARE, histories(), USER, END, None)
    assert np.allclose(p.sum(axis=1), 1)
    own = own_opinions(histories(), USER, END, np.array([0, 0, *[0.25] * 4]))
    gained = p[0, 2:] / alone[0, 2:]
    interacted = own[0, 2:] > own[0, 2:].min()
    assert interacted.any() and gained[interacted].min() > gained[~interacted].max()


def test_the_gate_multiplies_powers_of_both_opinions():
    alone = ranker().probabilities(WANTED, SHARE, histories(), USER, END, None)
    deaf = ranker(counts=Opinion(), gate=Gate.of(1.0))
    assert np.allclose(deaf.probabilities(WANTED, SHARE, histories(), USER, END, None), alone)
    mixed = ranker(counts=Opinion(), gate=Gate.of(0.5, 2.0))
    p = mixed.probabilities(WANTED, SHARE, histories(), USER, END, None)
    counted = np.array([0.96, 0.01, 0.01, 0.25])  # new: the average of four items
    expected = alone[:, 2:] ** 0.5 * counted**2
    assert np.allclose(p[:, 2:], expected / expected.sum(axis=1, keepdims=True), atol=1e-6)
    assert p[:, :2].max() < 1e-6
