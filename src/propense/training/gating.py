"""How far network and counts are believed when both speak: learned on validation."""

from __future__ import annotations

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
_START = np.array([1.0, 0.0])


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
    the lists, None where nothing does. Both opinions are of data that neither has seen, so
    neither is flattered. The likelihood is concave in the powers.
    """
    most = max(MOST_CELLS // max(len(ranker.item_vectors), 1), 1)
    if len(targets) > most:
        targets = targets.take(np.linspace(0, len(targets) - 1, most).astype(np.int64))
    return climb(_read(scorer, ranker, histories, clock, targets, owned))


def climb(blocks: list[OpinionBlock]) -> Gate:
    """The most likely powers of at least 0, by Newton's steps."""
    powers = _climb(blocks, np.array([True, True]))
    if powers.min() < 0:
        # An opinion that misleads is not heard at all.
        powers = np.maximum(_climb(blocks, powers >= 0), 0)
    network, counts = powers.tolist() if powers.any() else _START.tolist()
    return Gate(network, counts)


def _climb(blocks: list[OpinionBlock], free: np.ndarray) -> Doubles:
    """The top over the `free` powers, the others held at 0."""
    n_rows = max(sum(int(block.asked.sum()) for block in blocks), 1)
    prior = max(_PRIOR_ROWS / n_rows, _LEAST_PRIOR)
    powers = np.where(free, _START, 0.0)
    for _ in range(_STEPS):
        gradient, curvature = prior * (_START - powers), prior * np.eye(2)
        for block in blocks:
            up, bend = block.slopes(powers)
            gradient += up / n_rows
            curvature += bend / n_rows
        step = np.zeros(2)
        if free.any():
            step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        powers = powers + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-5:
            break
    return powers


class OpinionBlock:
    """Opinions of some rows, and the items that came."""

    def __init__(self, network: Floats, counted: Floats, came: Targets) -> None:
        self.network, self.counted = network, counted
        row = np.repeat(np.arange(len(came)), np.diff(came.item_offsets))
        known = (came.items >= FIRST_KNOWN) & (network[row, came.items] > LOG_LEAST)
        self.row, self.item = row[known], came.items[known]
        n_items = np.bincount(self.row, minlength=len(came))
        self.share = 1 / n_items[self.row]
        self.asked = n_items > 0

    def slopes(self, powers: Doubles) -> tuple[Doubles, Doubles]:
        """Gradient (2,) of the log likelihood by the powers, and minus its Hessian (2, 2).

        A row's items share one unit. The gradient is what came less what was expected, the
        Hessian the covariance of the two opinions.
        """
        p = Gate(*powers.tolist()).mix(self.network, self.counted)

        def expect(one: Floats, other: Floats | None = None) -> Doubles:
            product = one if other is None else one * other
            out: Doubles = np.einsum("ij,ij->i", p, product).astype(np.float64)[self.asked]
            return out

        opinions = (self.network, self.counted)
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
    """The two opinions of every row."""
    wanted, share = scorer.seek_items(histories, clock, targets.user, targets.end)
    blocks = []
    for rows in chunks(len(targets), BLOCK):
        came = targets.take(np.arange(len(targets))[rows])
        opinions = ranker.log_opinions(wanted[rows], share[rows], histories, came.user, came.end)
        if owned is not None:
            row, item = seen_items(histories, came.user, came.end, owned)
            for opinion in opinions:
                opinion[row, item] = LOG_LEAST
        blocks.append(OpinionBlock(*opinions, came))
    return blocks
