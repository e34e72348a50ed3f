"""The powers of the opinions in the product of experts, fitted on validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from propense.encoding.batches import EventClock, chunks
from propense.inference.scoring.gate import (
    FADING,
    MONTH,
    N_GROUPS,
    OPINIONS,
    OWN,
    WEEK,
    Gate,
)
from propense.inference.scoring.ranking import BLOCK, LOG_LEAST, Ranker
from propense.inference.scoring.scorer import Scorer
from propense.models.counts.own_items import seen_items
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Targets
from propense.training.gate_tuning import Shortlists

MOST_CELLS, HELD_CELLS = 1 << 25, 1 << 22
"""Rows times items that the powers are learned on, and those of them that are held at once: 32 MB
an opinion. The powers of the held ones are nearly those of all, whose opinions are recomputed each
step."""
_STEPS = 50
_PRIOR_ROWS, _LEAST_PRIOR = 20.0, 1e-3
"""Pull towards the network alone, which decides where rows are few or two opinions say the same."""


def fit_gate(
    scorer: Scorer,
    ranker: Ranker,
    histories: Histories,
    clock: EventClock,
    targets: Targets,
    owned: np.ndarray | None,
) -> Gate:
    """The gate that makes the validation targets most likely among what may be listed, moved to
    where its lists are best: for all rows first, then for each group of them.

    `ranker` holds the counts; `owned` (n_actions,) marks the actions that take an item out of
    the lists; None where nothing does, and then the customer's own frequencies count too.
    All opinions are of data that none has seen, so none is flattered. The likelihood is
    concave in the powers.
    """
    asked = np.ones(len(OPINIONS), bool)
    if owned is not None:
        asked[[OWN, FADING]] = False
    if ranker.popular is None:
        asked[[FADING, MONTH, WEEK]] = False
    n_items = max(len(ranker.item_vectors), 1)
    every = _Opinions(
        scorer, ranker, histories, clock, _spread(targets, MOST_CELLS // n_items), owned, asked
    )
    few = replace(every, targets=_spread(every.targets, HELD_CELLS // n_items))
    powers = climb(list(few))
    if len(few.targets) < len(every.targets):
        powers = climb(every, powers)
    shortlists = Shortlists((block.opinions, block.targets) for block in every)
    rows_of = every.targets
    groups = ranker.groups_of(histories, rows_of.user, rows_of.end, rows_of.as_of(histories))
    powers = shortlists.tune(powers, np.arange(len(groups)))
    rows = np.zeros((N_GROUPS, len(OPINIONS)))
    for group, row in enumerate(rows):
        row[asked] = shortlists.tune(powers, np.flatnonzero(groups == group))
    return Gate(tuple(tuple(row) for row in rows.tolist()))


def _spread(targets: Targets, most: int) -> Targets:
    """At most so many, at least one, evenly over all."""
    n_targets = max(most, 1)
    if len(targets) <= n_targets:
        return targets
    return targets.take(np.linspace(0, len(targets) - 1, n_targets).astype(np.int64))


def climb(blocks: Iterable[OpinionBlock], near: Doubles | None = None) -> Doubles:
    """The most likely powers (n_opinions,) of at least 0, by Newton's steps.

    `blocks` are gone over once a step, few times where `near` is nearly the answer.
    """
    n_opinions = len(next(iter(blocks)).opinions)
    free = np.ones(n_opinions, bool)
    powers = _climb(blocks, free, _alone(n_opinions) if near is None else near)
    while (powers < 0).any():
        # An opinion with a negative power is left out.
        free &= powers >= 0
        powers = _climb(blocks, free, powers)
    return powers if powers.any() else _alone(n_opinions)


def _alone(n_opinions: int) -> Doubles:
    """The powers of the network alone."""
    powers: Doubles = np.eye(1, n_opinions)[0]
    return powers


def _climb(blocks: Iterable[OpinionBlock], free: np.ndarray, start: Doubles) -> Doubles:
    """The top over the `free` powers, the others held at 0."""
    believed = _alone(len(free))
    powers = np.where(free, start, 0.0)
    for _ in range(_STEPS):
        n_rows, gradient, curvature = 0, np.zeros(len(free)), np.zeros((len(free), len(free)))
        for block in blocks:
            up, bend = block.slopes(powers)
            n_rows += int(block.asked.sum())
            gradient += up
            curvature += bend
        n_rows = max(n_rows, 1)
        prior = max(_PRIOR_ROWS / n_rows, _LEAST_PRIOR)
        gradient = gradient / n_rows + prior * (believed - powers)
        curvature = curvature / n_rows + prior * np.eye(len(free))
        step = np.zeros(len(free))
        if free.any():
            step[free] = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        powers = powers + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-5:
            break
    return powers


class OpinionBlock:
    """The opinions of some rows, and their next items."""

    def __init__(self, opinions: Sequence[Floats], targets: Targets) -> None:
        self.opinions, self.targets = opinions, targets
        network = opinions[0]
        row = np.repeat(np.arange(len(targets)), np.diff(targets.item_offsets))
        learnable = (targets.items >= FIRST_KNOWN) & (network[row, targets.items] > LOG_LEAST)
        self.row, self.item = row[learnable], targets.items[learnable]
        n_items = np.bincount(self.row, minlength=len(targets))
        self.share = 1 / n_items[self.row]
        self.asked = n_items > 0

    def slopes(self, powers: Doubles) -> tuple[Doubles, Doubles]:
        """Gradient of the log likelihood by the powers, (n_opinions,), and minus its Hessian.

        A row's items share one unit. The gradient is observed minus expected, the
        Hessian the covariance of the opinions.
        """
        p = self._mixed(powers)

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

    def _mixed(self, powers: Doubles) -> Floats:
        logits = np.zeros_like(self.opinions[0])
        for opinion, power in zip(self.opinions, powers.astype(np.float32), strict=True):
            logits += power * opinion
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits


@dataclass(frozen=True)
class _Opinions:
    """The opinions of every row, recomputed in each iteration."""

    scorer: Scorer
    ranker: Ranker
    histories: Histories
    clock: EventClock
    targets: Targets
    owned: np.ndarray | None
    asked: np.ndarray

    @cached_property
    def sought(self) -> tuple[Floats, Floats]:
        """What each row's customer looks for, and its shares of the heads."""
        return self.scorer.seek_items(
            self.histories, self.clock, self.targets.user, self.targets.end
        )

    def __iter__(self) -> Iterator[OpinionBlock]:
        wanted, share = self.sought
        for rows in chunks(len(self.targets), BLOCK):
            targets = self.targets.take(np.arange(len(self.targets))[rows])
            every = self.ranker.log_opinions(
                wanted[rows], share[rows], self.histories, targets.user, targets.end,
                targets.as_of(self.histories), self.asked.tolist(),
            )  # fmt: skip
            opinions = [opinion for opinion in every if opinion is not None]
            if self.owned is not None:
                row, item = seen_items(self.histories, targets.user, targets.end, self.owned)
                for opinion in opinions:
                    opinion[row, item] = LOG_LEAST
            yield OpinionBlock(opinions, targets)
