"""From the vectors a customer looks for to a list of items, over the whole catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from propense.encoding.batches import chunks
from propense.inference.scoring.gate import (
    COUNTS,
    FADING,
    MONTH,
    OWN,
    WEEK,
    Gate,
    groups_of,
)
from propense.models.counts.decayed import STEP, DecayedCounts, popular_opinions
from propense.models.counts.own_items import own_opinions, seen_items
from propense.models.shape import ItemHead
from propense.models.top_k import top_items
from propense.schemas import NONE, Doubles, Floats, Histories, Ids, Ints

BLOCK = 256
"""Customers scored against the catalogue at once."""
HELD_TWICE = 4_000_000
"""Numbers."""
LOG_LEAST = np.log(np.float32(1e-30))
"""Logarithm that represents a probability of 0."""

HELD_STEPS = 4
EVEN_SHARE = 0.1
"""Share of the uniform distribution in the prior of a customer without events."""


class Counts(Protocol):
    """The count part: a second opinion on the next item from transitions alone."""

    @property
    def met(self) -> np.ndarray:
        """(n_items,) which items were ever counted."""
        ...

    def opinions(self, histories: Histories, user: Ids, end: Ints) -> Floats:
        """Probabilities (n, n_items)."""
        ...


def log_of(opinion: Floats) -> Floats:
    """Logarithms, at least `LOG_LEAST`; in place."""
    np.log(np.maximum(opinion, np.exp(LOG_LEAST), out=opinion), out=opinion)
    return np.maximum(opinion, LOG_LEAST, out=opinion)


@dataclass(frozen=True)
class Ranker:
    """Scores every item for a customer and keeps the best."""

    item_vectors: Floats
    heads: tuple[ItemHead, ...]
    rankable: np.ndarray
    """(n_items,) False for none, unseen, and items nothing is known about."""
    popularity: Doubles
    """(n_items,) the scores for a customer without any event."""
    counts: Counts | None = None
    gate: Gate | None = None
    popular: DecayedCounts | None = None
    """What has been popular; None where the data have no times."""

    def probabilities(
        self,
        wanted: Floats,
        share: Floats,
        histories: Histories,
        user: Ids,
        end: Ints,
        as_of: Ints | None,
    ) -> Floats:
        """P(item) of each row by the weighted heads, mixed with the other opinions; (n, n_items).

        `as_of` (n,) is when each row is asked about, in seconds; None where the data have no
        times.
        """
        n_events = end - histories.offsets[:-1][user]
        if self.counts is None or self.gate is None:
            return self.network_probabilities(wanted, share, n_events > 0)
        opinions = self.log_opinions(
            wanted, share, histories, user, end, as_of, self.gate.used
        )  # fmt: skip
        return self.gate.mix(opinions, self.groups_of(histories, user, end, as_of))

    def groups_of(self, histories: Histories, user: Ids, end: Ints, as_of: Ints | None) -> Ints:
        """(n,) the gate's group of each row."""
        n_events = end - histories.offsets[:-1][user]
        if as_of is None or not histories.n_events:
            return groups_of(n_events, None)
        last = histories.time[np.maximum(end - 1, 0)]
        return groups_of(n_events, self.step_of(as_of) - last)

    def log_opinions(
        self,
        wanted: Floats,
        share: Floats,
        histories: Histories,
        user: Ids,
        end: Ints,
        as_of: Ints | None,
        asked: Sequence[bool],
    ) -> list[Floats | None]:
        """Logarithms of the opinions that are `asked` for, in the order of `OPINIONS`, (n,
        n_items) each.

        An item that no train event names has no counts: it gets the catalogue's average
        probability, so that content alone decides the rank of a new item.
        """
        assert self.counts is not None
        heard = end > histories.offsets[:-1][user]
        opinions: list[Floats | None] = [None] * len(asked)
        opinions[0] = self.network_probabilities(wanted, share, heard)
        if asked[COUNTS]:
            counted = self.counts.opinions(histories, user, end)
            unmet, n_rankable = self.unmet
            counted[:, unmet] = 1 / n_rankable
            opinions[COUNTS] = counted
        if asked[OWN]:
            opinions[OWN] = own_opinions(histories, user, end, self.prior)
        if as_of is not None and asked[FADING]:
            step = self.step_of(as_of)
            opinions[FADING] = own_opinions(histories, user, end, self.prior, step)
        logs = [None if opinion is None else log_of(opinion) for opinion in opinions]
        if as_of is not None and (asked[MONTH] or asked[WEEK]):
            logs[MONTH], logs[WEEK] = self.popular_logs(as_of)
        return logs

    def popular_logs(self, as_of: Ints) -> tuple[Floats, Floats]:
        """Logarithms of what is popular at each time, for about a month and a week; (n, n_items)
        each."""
        assert self.popular is not None
        steps, row = np.unique(self.step_of(as_of), return_inverse=True)
        month, week = popular_opinions(self.popular.at(steps), self.prior)
        return log_of(month)[row], log_of(week)[row]

    def popular_logs_now(self, as_of: int) -> tuple[Floats, Floats]:
        """`popular_logs` of one time, (n_items,) each, held for all who ask within its step."""
        step = int(self.step_of(np.array([as_of]))[0])
        logs = self._held_logs.get(step)
        if logs is None:
            month, week = self.popular_logs(np.array([step]))
            logs = month[0], week[0]
            if len(self._held_logs) >= HELD_STEPS:
                self._held_logs.clear()
            self._held_logs[step] = logs
        return logs

    def forget(self) -> None:
        """Drop what is held of `popular`."""
        self._held_logs.clear()

    @cached_property
    def _held_logs(self) -> dict[int, tuple[Floats, Floats]]:
        return {}

    @property
    def changes_with_time(self) -> bool:
        """Whether a list depends on when it is asked for: by an opinion, or by how long the
        customer was away."""
        return self.gate is not None and (
            any(power > 0 for row in self.gate.powers for power in row[FADING:])
            or (self.popular is not None and self.gate.depends_on_absence)
        )

    def step_of(self, as_of: Ints) -> Ints:
        """(n,) the beginning, in seconds, of the step of each time: what changes with time alone
        changes from step to step."""
        step = STEP if self.popular is None else self.popular.step
        begun: Ints = as_of // step * step
        return begun

    @cached_property
    def prior(self) -> Doubles:
        """Popularity mixed with a uniform share, so that an item without events is not ruled
        out."""
        even = self.rankable / max(int(self.rankable.sum()), 1)
        prior: Doubles = (1 - EVEN_SHARE) * self.popularity + EVEN_SHARE * even
        return prior

    @cached_property
    def unmet(self) -> tuple[Ints, int]:
        """Rankable items no event of train names, and how many items are rankable."""
        assert self.counts is not None
        never = self.rankable & ~self.counts.met & (self.popularity == 0)
        return np.flatnonzero(never), max(int(self.rankable.sum()), 1)

    @cached_property
    def vectors_across(self) -> Floats:
        """(width, n_items): item vectors in the memory order of one customer's product, where
        they are few enough to be held twice."""
        across = self.item_vectors.T
        return np.ascontiguousarray(across) if across.size <= HELD_TWICE else across

    @cached_property
    def shut(self) -> Floats:
        """(n_items,) added to scores: minus infinity where an item is never listed, otherwise 0."""
        return np.where(self.rankable, 0, -np.inf).astype(np.float32)

    def network_probabilities(self, wanted: Floats, share: Floats, heard: np.ndarray) -> Floats:
        """The network's own P(item); a customer without events gets `prior`."""
        out = np.zeros((len(wanted), len(self.item_vectors)), np.float32)
        weights = np.array([head.weight for head in self.heads], np.float32)
        belief = share * weights
        belief /= np.maximum(belief.sum(axis=1, keepdims=True), 1e-12)
        for number, head in enumerate(self.heads):
            if head.weight > 0:
                logits = wanted[:, number] @ self.item_vectors.T + self.shut
                logits -= logits.max(axis=1, keepdims=True)
                np.exp(logits, out=logits)
                logits *= (belief[:, number] / logits.sum(axis=1))[:, None]
                out += logits
        out[~heard] = self.prior
        return out

    def rank(
        self,
        wanted: Floats,
        share: Floats,
        histories: Histories,
        user: Ids,
        end: Ints,
        as_of: Ints | None,
        k: int,
        positive: np.ndarray | None = None,
    ) -> tuple[Ids, Floats]:
        """Best `k` items of each row at its time, and their probabilities, best first;
        both (n, k).

        `positive` (n_actions,) marks the actions that make an item the customer's own; such
        items are left out. None where customers take the same item again. A list is filled
        with NONE where fewer than `k` items remain.
        """
        ranked = np.zeros((len(user), k), np.int32)
        scores = np.zeros((len(user), k), np.float32)
        shut = np.flatnonzero(~self.rankable)
        for rows in chunks(len(user), BLOCK):
            block = self.probabilities(
                wanted[rows], share[rows], histories, user[rows], end[rows],
                None if as_of is None else as_of[rows],
            )  # fmt: skip
            if positive is not None:
                row, item = seen_items(histories, user[rows], end[rows], positive)
                block[row, item] = -np.inf
            block[:, shut] = -np.inf
            ranked[rows] = top_items(block, k)
            listed = np.take_along_axis(block, ranked[rows].astype(np.int64), axis=1)
            scores[rows] = np.where(ranked[rows] == NONE, 0, listed)
        return ranked, scores
