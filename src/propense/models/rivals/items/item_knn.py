"""Item-kNN: items liked by the same customers, by cosine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from propense.models.counts.cooccurrence import prune
from propense.models.counts.recent_items import Sources, Whole, ragged_ranges
from propense.models.rivals.items.item_rival import ItemRival, Stored, taste, tie_breaker
from propense.schemas import Doubles, Floats, Histories, Ids, Ints

OPTIONS: dict[str, tuple[Any, ...]] = {
    "fade": (1.0, 0.5, 1.5, 0.0),
    "n_neighbours": (200, 50, 1000, 20),
    "shrink": (0.0, 10.0),
}
_PIECE = 1 << 22
_PAIRS = 1 << 25


@dataclass(frozen=True)
class Neighbours:
    """The nearest items of each, in compressed rows."""

    offsets: Ints
    item: Ids
    similarity: Floats


@dataclass(frozen=True)
class ItemKnn(ItemRival):
    """Sum of the similarities to what the customer took, the latest weighing most."""

    neighbours: Neighbours
    popularity: Floats
    fade: float
    name: ClassVar[str] = "item_knn"

    def scores(
        self, histories: Histories, user: Whole, end: Whole, as_of: Whole | None = None
    ) -> Floats:
        return spread(self.neighbours, taste(histories, user, end, self.fade), self.popularity)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        near = self.neighbours
        return {
            "offsets": near.offsets, "item": near.item, "similarity": near.similarity,
            "popularity": self.popularity,
        }  # fmt: skip

    def settings(self) -> dict[str, float | int | str | bool]:
        return {"fade": self.fade}

    @classmethod
    def restore(cls, stored: Stored) -> ItemKnn:
        """The rival that was saved."""
        arrays = stored.arrays
        near = Neighbours(arrays["offsets"], arrays["item"], arrays["similarity"])
        fade = float(stored.settings["fade"])
        return cls(stored.n_items, stored.notes, near, arrays["popularity"], fade)


def find_neighbours(interacted: Any, liked: Any, n_neighbours: int, shrink: float) -> Neighbours:
    """Cosine between columns of `interacted` and of `liked` (n_users, n_items), sparse.

    similarity(a, b) = shared(a, b) / (sqrt(n_a n_b) + shrink), the `n_neighbours` highest
    of each a, itself left out; n_a is the squared length of a's column.
    """
    from scipy import sparse

    n_items = interacted.shape[1]
    by_item = sparse.csr_array(interacted.T)
    n_interacted, n_liked = _squared_lengths(interacted), _squared_lengths(liked)
    total = np.cumsum(np.minimum(by_item @ np.diff(liked.indptr).astype(np.float64), n_items))
    parts, lower = [], 0
    while lower < n_items:
        done = total[lower - 1] if lower else 0
        upper = max(lower + 1, int(np.searchsorted(total, done + _PAIRS, side="right")))
        block = sparse.coo_array(by_item[lower:upper] @ liked)
        other = block.row + lower != block.col
        row, column, shared = block.row[other], block.col[other], block.data[other]
        cosine = shared / (np.sqrt(n_interacted[row + lower] * n_liked[column]) + shrink)
        parts.append(
            prune(sparse.csr_array((cosine, (row, column)), shape=block.shape), n_neighbours)
        )
        lower = upper
    offsets = np.append(0, np.cumsum(np.concatenate([part[0] for part in parts])))
    return Neighbours(
        offsets.astype(np.int64),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
    )


def _squared_lengths(matrix: Any) -> Doubles:
    """(n_items,) of the columns."""
    squares = matrix.data.astype(np.float64) ** 2
    return np.bincount(matrix.indices, squares, matrix.shape[1]).astype(np.float64)


def spread(near: Neighbours, sources: Sources, popularity: Floats) -> Floats:
    """(n, n_items) weighted sums of similarities, above a whisper of popularity."""
    n_items = len(popularity)
    out = np.tile(tie_breaker(popularity), (len(sources), 1))
    begin = near.offsets[sources.item]
    length = near.offsets[sources.item + 1] - begin
    base = sources.row * n_items
    cost, flat, lower = np.cumsum(length), out.reshape(-1), 0
    while lower < len(length):
        done = cost[lower - 1] if lower else 0
        upper = max(lower + 1, int(np.searchsorted(cost, done + _PIECE, side="right")))
        piece = slice(lower, upper)
        index = ragged_ranges(begin[piece], length[piece])
        cell = np.repeat(base[piece], length[piece]) + near.item[index]
        weight = np.repeat(sources.weight[piece].astype(np.float32), length[piece])
        np.add.at(flat, cell, weight * near.similarity[index])
        lower = upper
    return out
