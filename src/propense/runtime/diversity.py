"""Making a list item by item: quotas, and items unlike each other."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from propense.inference.artifact.catalogue import Coded, Tokens
from propense.models.top_k import best_indices, unit_vectors
from propense.schemas import Floats, Ids, Ints

POOL: Final = 5
"""Of a list of `k` items that are to be unlike each other, the best `POOL * k` compete,"""
LEAST_POOL: Final = 50
"""and at least so many: otherwise what fits nobody would win by being unlike."""
_NEVER: Final = np.float32(-np.inf)


class Quota(NamedTuple):
    """At most `limit` items of one value."""

    limit: int
    column: Coded | Tokens

    def values(self, items: Ids | Ints) -> list[tuple[int, ...]]:
        """What each item counts against; an item of which nothing is known, nothing."""
        column = self.column
        if isinstance(column, Tokens):
            begins, ends = column.offsets[items].tolist(), column.offsets[items + 1].tolist()
            spans = zip(begins, ends, strict=True)
            return [tuple(column.codes[begin:end].tolist()) for begin, end in spans]
        return [(code,) if code >= 0 else () for code in column.codes[items].tolist()]


class QuotaCounter:
    """How many of each value a list has so far.

    Places are those in `items`, or item indices where it is None.
    """

    def __init__(self, quotas: tuple[Quota, ...], items: Ids | None) -> None:
        self._quotas = quotas
        self._items = items
        self._counts: list[dict[int, int]] = [{} for _ in quotas]

    def items_at(self, places: Ints) -> Ids | Ints:
        """Item indices of places."""
        return places if self._items is None else self._items[places]

    def values_at(self, places: Ints) -> list[tuple[tuple[int, ...], ...]]:
        """What the item at each place counts against, quota by quota."""
        items = self.items_at(places)
        if not self._quotas:
            return [()] * len(places)
        return list(zip(*(quota.values(items) for quota in self._quotas), strict=True))

    def admit(self, values: tuple[tuple[int, ...], ...]) -> bool:
        """Whether there is room for an item of these values; if so, it takes it."""
        for quota, counts, own in zip(self._quotas, self._counts, values, strict=True):
            for value in own:
                if counts.get(value, 0) >= quota.limit:
                    return False
        for counts, own in zip(self._counts, values, strict=True):
            for value in own:
                counts[value] = counts.get(value, 0) + 1
        return True

    def fill(self, chosen: list[int], worth: Floats, k: int) -> list[int]:
        """Places of a list of `k` that begins with `chosen`, the rest by worth."""
        out, known = list(chosen), set(chosen)
        done, reach = 0, 2 * k + 8
        while len(out) < k:
            order = best_indices(worth, reach)
            fresh = order[done:]
            for place, values in zip(fresh.tolist(), self.values_at(fresh), strict=True):
                if place not in known and self.admit(values):
                    out.append(place)
                    if len(out) == k:
                        break
            if len(order) < reach:
                break
            done, reach = len(order), 8 * reach
        return out


def pick_unlike(
    worth: Floats, counter: QuotaCounter, k: int, diversity: np.float32, vectors: Floats
) -> tuple[list[int], np.float32]:
    """A list of `k` by maximal marginal relevance (Carbonell & Goldstein 1998).

    Among the best of all each next item has the highest
    (1 - diversity) * relevance - diversity * cosine with the most similar item above it.
    Relevance is the worth, scaled to 0 .. 1 over those that compete; ties go to the better. What
    quotas then leave open is filled by worth. `vectors` has a row an item index.
    Returns places, best first, and the lowest worth that had a say in them, minus infinity
    where fewer competed than may.
    """
    size = max(POOL * k, LEAST_POOL)
    pool = best_indices(worth, size)
    if not len(pool) or not k:
        return [], _NEVER
    value = worth[pool]
    spread = value[0] - value[-1]
    relevance = (value - value[-1]) / spread if spread > 0 else np.zeros_like(value)
    merit = (np.float32(1) - diversity) * relevance
    units = unit_vectors(vectors[counter.items_at(pool)])
    values, likest = counter.values_at(pool), np.zeros(len(pool), np.float32)
    chosen: list[int] = []
    for _ in range(len(pool)):
        best = int(np.argmax(merit - diversity * likest))
        merit[best] = _NEVER
        if not counter.admit(values[best]):
            continue
        likeness = units @ units[best]
        likest = np.maximum(likest, likeness) if chosen else likeness
        chosen.append(int(pool[best]))
        if len(chosen) == k:
            break
    listed = counter.fill(chosen, worth, k)
    if len(pool) < size:
        return listed, _NEVER
    return listed, min(value[-1], worth[listed].min())
