"""Makes a list from boosted scores: the best, within quotas, and items unlike each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from propense.inference.artifact.catalogue import Coded, Tokens
from propense.models.top_k import best_indices, unit_vectors
from propense.schemas import Floats, Ids, Ints

POOL: Final = 5
"""For a list of `k` diverse items the best `POOL * k` compete,"""
LEAST_POOL: Final = 50
"""and at least so many: otherwise items that suit nobody would win by being unlike the others."""
_NEVER: Final = np.float32(-np.inf)


class Quota(NamedTuple):
    """At most `limit` items of one value."""

    limit: int
    column: Coded | Tokens

    def values(self, items: Ids | Ints) -> list[tuple[int, ...]]:
        """The values that each item counts against; none for an item without a value."""
        column = self.column
        if isinstance(column, Tokens):
            begins, ends = column.offsets[items].tolist(), column.offsets[items + 1].tolist()
            spans = zip(begins, ends, strict=True)
            return [tuple(column.codes[begin:end].tolist()) for begin, end in spans]
        return [(code,) if code >= 0 else () for code in column.codes[items].tolist()]


@dataclass(frozen=True)
class ListMaker:
    """How lists are made. Scores are boosted; minus infinity excludes an item."""

    quotas: tuple[Quota, ...] = ()
    diversity: float = 0.0
    """0: by score alone; 1: by unlikeness alone."""
    vectors: Floats | None = None
    """(n_items, d), whose cosine says how alike two items are; needed for diversity."""

    def make(self, scores: Floats, items: Ids | None, k: int) -> tuple[Ints, np.float32]:
        """A list of at most `k`.

        Returns positions in `scores`, best first, and the lowest score that influenced them:
        minus infinity where fewer competed than could. `items` are the sorted item indices that
        `scores` are of, None for all items.
        """
        counter = QuotaCounter(self.quotas, items)
        lowest = np.float32(np.inf)
        if self.diversity > 0 and self.vectors is not None:
            listed, lowest = pick_diverse(
                scores, counter, k, np.float32(self.diversity), self.vectors
            )
            positions = np.array(listed, np.int64)
        elif self.quotas:
            positions = np.array(counter.fill([], scores, k), np.int64)
        else:
            positions = best_indices(scores, k)
        return positions, scores[positions].min(initial=lowest)


class QuotaCounter:
    """How many items of each value a list has so far.

    Positions are those in `items`; they are item indices if it is None.
    """

    def __init__(self, quotas: tuple[Quota, ...], items: Ids | None) -> None:
        self._quotas = quotas
        self._items = items
        self._counts: list[dict[int, int]] = [{} for _ in quotas]

    def items_at(self, positions: Ints) -> Ids | Ints:
        """The item indices at positions."""
        return positions if self._items is None else self._items[positions]

    def values_at(self, positions: Ints) -> list[tuple[tuple[int, ...], ...]]:
        """The values that the item at each position counts against, quota by quota."""
        items = self.items_at(positions)
        if not self._quotas:
            return [()] * len(positions)
        return list(zip(*(quota.values(items) for quota in self._quotas), strict=True))

    def admit(self, values: tuple[tuple[int, ...], ...]) -> bool:
        """Whether the quotas allow an item with these values; if so, it is counted."""
        for quota, counts, own in zip(self._quotas, self._counts, values, strict=True):
            for value in own:
                if counts.get(value, 0) >= quota.limit:
                    return False
        for counts, own in zip(self._counts, values, strict=True):
            for value in own:
                counts[value] = counts.get(value, 0) + 1
        return True

    def fill(self, chosen: list[int], scores: Floats, k: int) -> list[int]:
        """Positions of a list of `k` that begins with `chosen`, the rest by score."""
        listed, excluded = list(chosen), set(chosen)
        done, reach = 0, 2 * k + 8
        while len(listed) < k:
            order = best_indices(scores, reach)
            fresh = order[done:]
            for position, values in zip(fresh.tolist(), self.values_at(fresh), strict=True):
                if position not in excluded and self.admit(values):
                    listed.append(position)
                    if len(listed) == k:
                        break
            if len(order) < reach:
                break
            done, reach = len(order), 8 * reach
        return listed


def pick_diverse(
    scores: Floats, counter: QuotaCounter, k: int, diversity: np.float32, vectors: Floats
) -> tuple[list[int], np.float32]:
    """A list of `k` by maximal marginal relevance (Carbonell & Goldstein 1998).

    Among the best of all each next item has the highest
    (1 - diversity) * relevance - diversity * cosine with the most similar item above it.
    Relevance is the score, scaled to 0 .. 1 over those that compete; ties go to the better. Where
    the quotas leave positions open, the list is filled by score. `vectors` has a row an item.
    Returns positions, best first, and the lowest score that influenced them: minus infinity
    where fewer competed than could.
    """
    size = max(POOL * k, LEAST_POOL)
    pool = best_indices(scores, size)
    if not len(pool) or not k:
        return [], _NEVER
    best_scores = scores[pool]
    spread = best_scores[0] - best_scores[-1]
    relevance = (
        (best_scores - best_scores[-1]) / spread if spread > 0 else np.zeros_like(best_scores)
    )
    merit = (np.float32(1) - diversity) * relevance
    units = unit_vectors(vectors[counter.items_at(pool)])
    values, highest_cosine = counter.values_at(pool), np.zeros(len(pool), np.float32)
    chosen: list[int] = []
    for _ in range(len(pool)):
        best = int(np.argmax(merit - diversity * highest_cosine))
        merit[best] = _NEVER
        if not counter.admit(values[best]):
            continue
        cosine = units @ units[best]
        highest_cosine = np.maximum(highest_cosine, cosine) if chosen else cosine
        chosen.append(int(pool[best]))
        if len(chosen) == k:
            break
    listed = counter.fill(chosen, scores, k)
    if len(pool) < size:
        return listed, _NEVER
    return listed, min(best_scores[-1], scores[listed].min())
