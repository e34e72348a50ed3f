"""The gate finds the powers that targets were drawn with."""

from __future__ import annotations

import numpy as np
import pytest

from propense.inference.ranking import LOG_LEAST, Gate
from propense.schemas import FIRST_KNOWN, Targets
from propense.training.gating import OpinionBlock, climb

N_ROWS, N_ITEMS = 6000, 40


def opinions(rng: np.random.Generator, n_opinions: int = 2) -> tuple[np.ndarray, ...]:
    """Logarithms of unlike opinions, none and unseen next to impossible."""
    made = []
    for _ in range(n_opinions):
        p = rng.dirichlet(np.full(N_ITEMS, 0.5), N_ROWS) + 1e-4
        logs = np.log(p / p.sum(axis=1, keepdims=True))
        logs[:, :FIRST_KNOWN] = np.log(1e-30)
        made.append(logs.astype(np.float32))
    return tuple(made)


@pytest.mark.parametrize(
    "true", [(0.8, 0.5), (1.0, 0.0), (0.0, 1.2), (0.5, 0.3, 0.7), (0.8, 0.0, 0.4)]
)
def test_powers_are_found(true):
    rng = np.random.default_rng(0)
    spoken = opinions(rng, len(true))
    p = Gate(*true).mix(*spoken).astype(np.float64)
    p[:, :FIRST_KNOWN] = 0
    p /= p.sum(axis=1, keepdims=True)
    items = np.array([rng.choice(N_ITEMS, p=row) for row in p], np.int32)
    targets = Targets(
        np.zeros(N_ROWS, np.int32), np.zeros(N_ROWS, np.int64), np.arange(N_ROWS + 1), items,
        np.ones(N_ROWS, np.int8),
    )  # fmt: skip
    found = climb([OpinionBlock(spoken, targets)])
    powers = (found.network, found.counts, found.own)
    assert powers == pytest.approx((*true, 0.0)[:3], abs=0.07)


def test_what_was_taken_out_of_the_lists_is_not_learned_from():
    """The counts are right about every item but those the customers own already."""
    rng = np.random.default_rng(1)
    network, counted = opinions(rng)
    owned = np.full((N_ROWS, 1), N_ITEMS - 1)
    items = counted[:, :-1].argmax(axis=1).astype(np.int32)
    items[0] = N_ITEMS - 1
    targets = Targets(
        np.zeros(N_ROWS, np.int32), np.zeros(N_ROWS, np.int64), np.arange(N_ROWS + 1), items,
        np.ones(N_ROWS, np.int8),
    )  # fmt: skip
    for opinion in (network, counted):
        np.put_along_axis(opinion, owned, LOG_LEAST, axis=1)
    block = OpinionBlock((network, counted), targets)
    assert not block.asked[0] and block.asked[1:].all()
    found = climb([block])
    assert found.counts > 1 > found.network


def test_an_opinion_that_misleads_is_silenced_and_two_that_do_leave_the_network():
    rng = np.random.default_rng(2)
    network, counted = opinions(rng)

    def targets(items):
        return Targets(
            np.zeros(N_ROWS, np.int32), np.zeros(N_ROWS, np.int64), np.arange(N_ROWS + 1),
            items.astype(np.int32), np.ones(N_ROWS, np.int8),
        )  # fmt: skip

    known = slice(FIRST_KNOWN, None)
    least = network[:, known].argmin(axis=1) + FIRST_KNOWN
    turned = -network
    turned[:, :FIRST_KNOWN] = LOG_LEAST
    found = climb([OpinionBlock((network, turned), targets(least))])
    assert found.network == 0 and found.counts > 1
    neither = climb([OpinionBlock((network, network), targets(least))])
    assert (neither.network, neither.counts) == pytest.approx((1.0, 0.0))
    right = np.where(np.arange(N_ROWS) % 2, counted[:, known].argmax(axis=1) + FIRST_KNOWN, least)
    found = climb([OpinionBlock((network, counted), targets(right))])
    assert found.network == 0 and found.counts > 0.1


def test_few_rows_do_not_silence_the_network():
    rng = np.random.default_rng(3)
    network, counted = opinions(rng)
    few = Targets(
        np.zeros(3, np.int32), np.zeros(3, np.int64), np.arange(4),
        counted[:3].argmax(axis=1).astype(np.int32), np.ones(3, np.int8),
    )  # fmt: skip
    found = climb([OpinionBlock((network[:3], counted[:3]), few)])
    assert found.network > 0.5
