"""The gate finds the powers that targets were drawn with."""

from __future__ import annotations

import numpy as np
import pytest

from propense.inference.scoring.ranking import LOG_LEAST
from propense.schemas import FIRST_KNOWN, Targets
from propense.training.gate import OpinionBlock, climb

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
def test_powers_are_fitted(true):
    rng = np.random.default_rng(0)
    spoken = opinions(rng, len(true))
    logits = sum(power * one.astype(np.float64) for power, one in zip(true, spoken, strict=True))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p[:, :FIRST_KNOWN] = 0
    p /= p.sum(axis=1, keepdims=True)
    items = np.array([rng.choice(N_ITEMS, p=row) for row in p], np.int32)
    targets = Targets(
        np.zeros(N_ROWS, np.int32), np.zeros(N_ROWS, np.int64), np.arange(N_ROWS + 1), items,
        np.ones(N_ROWS, np.int8),
    )  # fmt: skip
    assert climb([OpinionBlock(spoken, targets)]) == pytest.approx(true, abs=0.07)


def test_rows_read_anew_each_step_give_the_powers_of_rows_that_are_held():
    rng = np.random.default_rng(5)
    spoken = opinions(rng, 3)
    items = np.argmax(spoken[0] + spoken[2] + rng.gumbel(size=(N_ROWS, N_ITEMS)), axis=1)
    items = np.maximum(items, FIRST_KNOWN).astype(np.int32)

    def block(rows):
        n = len(items[rows])
        targets = Targets(
            np.zeros(n, np.int32), np.zeros(n, np.int64), np.arange(n + 1), items[rows],
            np.ones(n, np.int8),
        )  # fmt: skip
        return OpinionBlock([opinion[rows] for opinion in spoken], targets)

    class Anew:
        steps = 0

        def __iter__(self):
            self.steps += 1
            return (block(slice(first, first + 500)) for first in range(0, N_ROWS, 500))

    anew, cold = Anew(), Anew()
    near = climb([block(slice(0, N_ROWS, 10))])
    gate, held = climb(anew, near), climb(cold)
    assert gate == pytest.approx(held, abs=1e-6)
    assert abs(near[0] - held[0]) > 1e-3
    assert anew.steps < cold.steps - 1, "few steps are enough from nearby"


def test_items_left_out_of_the_lists_are_not_fitted_to():
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
    gate = climb([block])
    assert gate[1] > 1 > gate[0]


def test_an_opinion_that_misleads_is_silenced_and_two_that_do_leave_the_network():
    rng = np.random.default_rng(2)
    network, counted = opinions(rng)

    def targets(items):
        return Targets(
            np.zeros(N_ROWS, np.int32), np.zeros(N_ROWS, np.int64), np.arange(N_ROWS + 1),
            items.astype(np.int32), np.ones(N_ROWS, np.int8),
        )  # fmt: skip

    real = slice(FIRST_KNOWN, None)
    least = network[:, real].argmin(axis=1) + FIRST_KNOWN
    turned = -network
    turned[:, :FIRST_KNOWN] = LOG_LEAST
    gate = climb([OpinionBlock((network, turned), targets(least))])
    assert gate[0] == 0 and gate[1] > 1
    neither = climb([OpinionBlock((network, network), targets(least))])
    assert neither == pytest.approx((1.0, 0.0))
    right = np.where(np.arange(N_ROWS) % 2, counted[:, real].argmax(axis=1) + FIRST_KNOWN, least)
    gate = climb([OpinionBlock((network, counted), targets(right))])
    assert gate[0] == 0 and gate[1] > 0.1


def test_few_rows_do_not_silence_the_network():
    rng = np.random.default_rng(3)
    network, counted = opinions(rng)
    few = Targets(
        np.zeros(3, np.int32), np.zeros(3, np.int64), np.arange(4),
        counted[:3].argmax(axis=1).astype(np.int32), np.ones(3, np.int8),
    )  # fmt: skip
    gate = climb([OpinionBlock((network[:3], counted[:3]), few)])
    assert gate[0] > 0.5
