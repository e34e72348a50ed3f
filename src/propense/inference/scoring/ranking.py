"""From the vectors a customer looks for to a list of items, over the whole catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from propense.encoding.batches import chunks
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


@dataclass(frozen=True)
class Gate:
    """Mixes opinions: a product of powers, scaled to sum to 1.

    P(item) ~ network(item) ** `network` * counts(item) ** `counts` * own(item) ** `own`. An
    item must be likely in every opinion; one that any opinion rules out loses, unlike in an
    average (products of experts; Hinton 2002). With little evidence counts are flat, hence mild.
    """

    network: float
    counts: float
    own: float = 0.0
    """Power of the customer's own frequencies; above 0 only where customers repeat items."""

    def mix(self, network: Floats, counted: Floats, own: Floats | None = None) -> Floats:
        """(n, n_items) logarithms of the opinions -> one probability."""
        logits = np.float32(self.network) * network
        logits += np.float32(self.counts) * counted
        if own is not None:
            logits += np.float32(self.own) * own
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        out: Floats = logits
        return out


def even_prior(ranker: Ranker) -> Doubles:
    """Popularity mixed with a uniform share, so that an item without events is not ruled out."""
    even = ranker.rankable / max(int(ranker.rankable.sum()), 1)
    prior: Doubles = (1 - EVEN_SHARE) * ranker.popularity + EVEN_SHARE * even
    return prior


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

    def probabilities(
        self, wanted: Floats, share: Floats, histories: Histories, user: Ids, end: Ints
    ) -> Floats:
        """P(item) of each row by the weighted heads, mixed with the counts; (n, n_items)."""
        if self.counts is None or self.gate is None:
            heard = end > histories.offsets[:-1][user]
            return self.network_probabilities(wanted, share, heard)
        with_own = self.gate.own > 0
        return self.gate.mix(*self.log_opinions(wanted, share, histories, user, end, with_own))

    def log_opinions(
        self,
        wanted: Floats,
        share: Floats,
        histories: Histories,
        user: Ids,
        end: Ints,
        with_own: bool,
    ) -> tuple[Floats, ...]:
        """Logarithms of what network, counts and, asked `with_own`, the customer's own
        frequencies hold of each item, (n, n_items) each.

        An item that no train event names has no counts: it gets the catalogue's average
        probability, so that content alone decides the rank of a new item.
        """
        assert self.counts is not None
        heard = end > histories.offsets[:-1][user]
        network = self.network_probabilities(wanted, share, heard)
        counted = self.counts.opinions(histories, user, end)
        unmet, n_rankable = self.unmet
        counted[:, unmet] = 1 / n_rankable
        opinions = [network, counted]
        if with_own:
            opinions.append(own_opinions(histories, user, end, even_prior(self)))
        for opinion in opinions:
            np.log(np.maximum(opinion, np.exp(LOG_LEAST), out=opinion), out=opinion)
            np.maximum(opinion, LOG_LEAST, out=opinion)
        return tuple(opinions)

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
        """The network's own P(item); a customer without events gets popularity."""
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
        out[~heard] = self.popularity
        return out

    def rank(
        self,
        wanted: Floats,
        share: Floats,
        histories: Histories,
        user: Ids,
        end: Ints,
        k: int,
        positive: np.ndarray | None = None,
    ) -> tuple[Ids, Floats]:
        """Best `k` items of each row and their probabilities, best first; both (n, k).

        `positive` (n_actions,) marks the actions that make an item the customer's own; such
        items are left out. None where customers take the same item again. A list is filled
        with NONE where fewer than `k` items remain.
        """
        ranked = np.zeros((len(user), k), np.int32)
        scores = np.zeros((len(user), k), np.float32)
        shut = np.flatnonzero(~self.rankable)
        for rows in chunks(len(user), BLOCK):
            block = self.probabilities(wanted[rows], share[rows], histories, user[rows], end[rows])
            if positive is not None:
                row, item = seen_items(histories, user[rows], end[rows], positive)
                block[row, item] = -np.inf
            block[:, shut] = -np.inf
            ranked[rows] = top_items(block, k)
            listed = np.take_along_axis(block, ranked[rows].astype(np.int64), axis=1)
            scores[rows] = np.where(ranked[rows] == NONE, 0, listed)
        return ranked, scores
