"""How far network, counts and own frequencies are believed: learned on validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from propense.encoding.batches import EventClock, chunks
from propense.inference.ranking import BLOCK, LOG_LEAST, Gate, Ranker
from propense.inference.scorer import Scorer
from propense.models.rivals.items import seen_items
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Targets

MOST_CELLS = 1 << 25
"""Rows times items that the powers are learned on: 256 MB."""
_STEPS = 50
_PRIOR_ROWS, _LEAST_PRIOR = 20.0, 1e-3
"""Pull towards the network alone, which decides where rows are few or the two say the same."""
_START = np.array([1.0, 0.0, 0.0])


def fit_gate(
    scorer: Scorer,
    ranker: Ranker,
    histories: Histories,
    clock: EventClock,
    targets: Targets,
    owned: np.ndarray | None,
) -> Gate:
    """The gate that makes the validation targets most likely among what may be listed.

    `ranker` holds the counts; `owned` (n_actions,) marks the actions that take an item out of
    the lists; None where nothing does, and then the customer's own frequencies are heard too.
    All opinions are of data that none has seen, so none is flattered. The likelihood is
    concave in the powers.
    """
    most = max(MOST_CELLS // max(len(ranker.item_vectors), 1), 1)
    if len(targets) > most:
        targets = targets.take(np.linspace(0, len(targets) - 1, most).astype(np.int64))
    return climb(_read(scorer, ranker, histories, clock, targets, owned))


def climb(blocks: list[OpinionBlock]) -> Gate:
    """The most likely powers of at least 0, by Newton's steps."""
    free = np.ones(len(blocks[0].opinions), bool)
    powers = _climb(blocks, free)
    while (powers < 0).any():
        # An opinion that misleads is not heard at all.
        free &= powers >= 0
        powers = _climb(blocks, free)
    return Gate(*(powers if powers.any() else _START[: len(free)]).tolist())


def _climb(blocks: list[OpinionBlock], free: np.ndarray) -> Doubles:
    """The top over the `free` powers, the others held at 0."""
    n_rows = max(sum(int(block.asked.sum()) for block in blocks), 1)
    prior = max(_PRIOR_ROWS / n_rows, _LEAST_PRIOR)
    start = _START[: len(free)]
    powers = np.where(free, start, 0.0)
    for _ in range(_STEPS):
        gradient, curvature = prior * (start - powers), prior * np.eye(len(free))
        for block in blocks:
            up, bend = block.slopes(powers)
            gradient += up / n_rows
            curvature += bend / n_rows
        step = np.zeros(len(free))
        if free.any():
            step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        powers = powers + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-5:
            break
    return powers


class OpinionBlock:
    """Opinions of some rows, and the items that came."""

    def __init__(self, opinions: Sequence[Floats], came: Targets) -> None:
        self.opinions = opinions
        network = opinions[0]
        row = np.repeat(np.arange(len(came)), np.diff(came.item_offsets))
        known = (came.items >= FIRST_KNOWN) & (network[row, came.items] > LOG_LEAST)
        self.row, self.item = row[known], came.items[known]
        n_items = np.bincount(self.row, minlength=len(came))
        self.share = 1 / n_items[self.row]
        self.asked = n_items > 0

    def slopes(self, powers: Doubles) -> tuple[Doubles, Doubles]:
        """Gradient of the log likelihood by the powers, (n_opinions,), and minus its Hessian.

        A row's items share one unit. The gradient is what came less what was expected, the
        Hessian the covariance of the opinions.
        """
        p = Gate(*powers.tolist()).mix(*self.opinions)

        def expect(one: Floats, other: Floats | None = None) -> Doubles:
            product = one if other is None else one * other
            out: Doubles = np.einsum("ij,ij->i", p, product).astype(np.float64)[self.asked]
            return out

        opinions = self.opinions
        means = [expect(one) for one in opinions]
        up = np.array([
            (self.share * one[self.row, self.item]).sum() - mean.sum()
            for one, mean in zip(opinions, means, strict=True)
        ])  # fmt: skip
        bend = np.array([
            [(expect(one, other) - mean * other_mean).sum()
             for other, other_mean in zip(opinions, means, strict=True)]
            for one, mean in zip(opinions, means, strict=True)
        ])  # fmt: skip
        return up, bend


def _read(
    scorer: Scorer,
    ranker: Ranker,
    histories: Histories,
    clock: EventClock,
    targets: Targets,
    owned: np.ndarray | None,
) -> list[OpinionBlock]:
    """The opinions of every row."""
    wanted, share = scorer.seek_items(histories, clock, targets.user, targets.end)
    blocks = []
    for rows in chunks(len(targets), BLOCK):
        came = targets.take(np.arange(len(targets))[rows])
        opinions = ranker.log_opinions(
            wanted[rows], share[rows], histories, came.user, came.end, with_own=owned is None
        )
        if owned is not None:
            row, item = seen_items(histories, came.user, came.end, owned)
            for opinion in opinions:
                opinion[row, item] = LOG_LEAST
        blocks.append(OpinionBlock(opinions, came))
    return blocks
