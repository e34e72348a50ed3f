"""The powers of a gate moved to where the lists of validation are best.

The likelihood weighs every item of the catalogue; a list shows ten. So the most likely powers are
where the search begins, and each power is moved as long as ndcg@10 gains more than its noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from propense.inference.scoring.ranking import LOG_LEAST
from propense.models.top_k import best_indices
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Ints, Targets

K: Final = 10
NEAR: Final = 60
"""Items of a row that each opinion puts into the shortlist: no other comes into a list of ten."""
FACTORS: Final = (0.0, 0.5, 0.75, 4 / 3, 2.0)
"""What a power is multiplied with in one try."""
FIRST: Final = 0.1
"""Part of the greatest power that is tried for an opinion that has none."""
_ROUNDS: Final = 4
_LEAST_ROWS: Final = 50
"""With fewer rows powers stay where they are."""
_CERTAIN: Final = 1.0
"""Standard errors that a gain must exceed."""


class Shortlists:
    """The opinions of some rows on the items that may come into their lists."""

    def __init__(self, blocks: Iterable[tuple[Sequence[Floats], Targets]]) -> None:
        """`blocks` of all opinions (n, n_items) with their rows."""
        opinions, hits, listed, ideal = [], [], [], []
        gain = 1 / np.log2(np.arange(2, K + 2))
        best = np.append(0.0, np.cumsum(gain))
        for block, targets in blocks:
            items = [_shortlist([opinion[row] for opinion in block]) for row in range(len(targets))]
            width = max(map(len, items), default=0)
            index = np.zeros((len(items), width), np.int64)
            held = np.zeros(index.shape, bool)
            hit = np.zeros(index.shape, bool)
            for row, own in enumerate(items):
                index[row, : len(own)] = own
                held[row, : len(own)] = True
                sought = slice(*targets.item_offsets[row : row + 2])
                hit[row, : len(own)] = np.isin(own, targets.items[sought])
            opinions.append(np.stack([np.take_along_axis(one, index, 1) for one in block]))
            hits.append(hit)
            listed.append(held)
            ideal.append(best[np.minimum(np.diff(targets.item_offsets), K)])
        width = max((each.shape[1] for each in hits), default=0)
        self._opinions = np.concatenate([_widened(each, width) for each in opinions], axis=1)
        self._hit = np.concatenate([_widened(each, width) for each in hits])
        self._listed = np.concatenate([_widened(each, width) for each in listed])
        self._ideal = np.concatenate(ideal)
        self._gain = gain

    def ndcg(self, powers: Doubles, rows: Ints) -> Doubles:
        """(n,) ndcg@10 of the lists that these powers make."""
        scores = np.tensordot(powers.astype(np.float32), self._opinions[:, rows], 1)
        scores[~self._listed[rows]] = -np.inf
        k = min(K, scores.shape[1])
        first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        hit = np.take_along_axis(self._hit[rows], first, axis=1)
        out: Doubles = (hit * self._gain[:k]).sum(axis=1) / self._ideal[rows]
        return out

    def tune(self, powers: Doubles, rows: Ints) -> Doubles:
        """Powers whose lists are better for `rows`, beginning with these."""
        if len(rows) < _LEAST_ROWS:
            return powers
        reached = self.ndcg(powers, rows)
        for _ in range(_ROUNDS):
            moved = False
            for index in range(len(powers)):
                before = powers[index]
                tries = [before * factor for factor in FACTORS] if before else [
                    FIRST * powers.max()
                ]  # fmt: skip
                for power in tries:
                    other = powers.copy()
                    other[index] = power
                    if not other.any():
                        continue
                    ndcg = self.ndcg(other, rows)
                    gain = ndcg - reached
                    if gain.mean() > _CERTAIN * gain.std() / np.sqrt(len(rows)):
                        powers, reached, moved = other, ndcg, True
            if not moved:
                break
        return powers


def _shortlist(opinions: Sequence[Floats]) -> Ints:
    """The items that any opinion puts among its best, that may be listed."""
    every = np.unique(np.concatenate([best_indices(one, NEAR) for one in opinions]))
    can = (every >= FIRST_KNOWN) & (opinions[0][every] > LOG_LEAST)
    items: Ints = every[can].astype(np.int64)
    return items


def _widened(array: np.ndarray, width: int) -> np.ndarray:
    more = [(0, 0)] * (array.ndim - 1) + [(0, width - array.shape[-1])]
    return np.pad(array, more)
