"""EASE: the closed-form linear auto-encoder over items.

Source: Steck 2019, Embarrassingly shallow autoencoders for sparse data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from propense.errors import TrainError
from propense.models.counts.recent_items import Sources, Whole, row_offsets
from propense.models.rivals.items.item_rival import ItemRival, Stored, taste, tie_breaker
from propense.schemas import Floats, Histories, Ids

OPTIONS: dict[str, tuple[Any, ...]] = {
    "fade": (1.0, 0.5, 1.5, 0.0),
    "penalty": (250.0, 1000.0, 50.0, 4000.0),
}
_CELLS = 1 << 18
"""Weights gathered at once while scoring: what the processor's cache holds."""


@dataclass(frozen=True)
class Ease(ItemRival):
    """Item-to-item weights, solved at once; the latest items weigh most."""

    weighted_items: Ids
    """(n_weighted,) the items the weights are about, ascending."""
    weights: Floats
    """(n_weighted, n_weighted) from row to column, diagonal 0."""
    popularity: Floats
    fade: float
    name: ClassVar[str] = "ease"

    def scores(
        self, histories: Histories, user: Whole, end: Whole, as_of: Whole | None = None
    ) -> Floats:
        out = np.tile(tie_breaker(self.popularity), (len(user), 1))
        sources = self._weighted_sources(taste(histories, user, end, self.fade))
        length = np.diff(sources.offsets)
        heard = np.flatnonzero(length)
        total, lower = np.cumsum(length[heard]), 0
        at_once = max(1, _CELLS // max(1, len(self.weighted_items)))
        while lower < len(heard):
            done = total[lower - 1] if lower else 0
            upper = max(lower + 1, int(np.searchsorted(total, done + at_once, side="right")))
            rows = heard[lower:upper]
            piece = slice(int(sources.offsets[rows[0]]), int(sources.offsets[rows[-1] + 1]))
            weights = self.weights[sources.item[piece]]
            weights *= sources.weight[piece, None].astype(np.float32)
            # Added row by row in order, so a customer's scores are the same alone.
            sums = np.add.reduceat(weights, sources.offsets[rows] - piece.start, axis=0)
            out[rows[:, None], self.weighted_items] += sums
            lower = upper
        return out

    def _weighted_sources(self, sources: Sources) -> Sources:
        """Sources whose items have weights, as indices into `weighted_items`."""
        position = np.minimum(
            np.searchsorted(self.weighted_items, sources.item), max(len(self.weighted_items) - 1, 0)
        )
        here = self.weighted_items[position] == sources.item
        length = np.bincount(sources.row[here], minlength=len(sources))
        return Sources(row_offsets(length), position[here].astype(np.int32), sources.weight[here])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "known": self.weighted_items,
            "weights": self.weights,
            "popularity": self.popularity,
        }

    def settings(self) -> dict[str, float | int | str | bool]:
        return {"fade": self.fade}

    @classmethod
    def restore(cls, stored: Stored) -> Ease:
        """The rival that was saved."""
        arrays = stored.arrays
        return cls(
            stored.n_items, stored.notes, arrays["known"], arrays["weights"],
            arrays["popularity"], float(stored.settings["fade"]),
        )  # fmt: skip


def choose_items(popularity: Floats, most: int) -> Ids:
    """The items taken at least once, the `most` popular where there are more, ascending."""
    interacted = np.flatnonzero(popularity > 0)
    if len(interacted) > most:
        order = np.argsort(-popularity[interacted], kind="stable")
        interacted = np.sort(interacted[order[:most]])
    return interacted.astype(np.int32)


def solve(interacted: Any, items: Ids, penalty: float) -> Floats:
    """Weights (n_weighted, n_weighted) that best rebuild `interacted` from its other items.

    B = I - P / diag(P) with P = (X'X + penalty I)^-1, by Cholesky in float32, in place:
    one matrix of n_weighted squared float32 beside the sparse counts.
    Raises TrainError if it cannot be solved.
    """
    from scipy.linalg import lapack

    chosen = interacted[:, items]
    gram = np.asfortranarray((chosen.T @ chosen).toarray(), dtype=np.float32)
    gram[np.diag_indices_from(gram)] += penalty
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1)
    if not failed:
        factor, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise TrainError(
            f"ease: the item matrix of {len(items)} items cannot be inverted with penalty "
            f"{penalty}; use a larger penalty"
        )
    _mirror(factor)
    diagonal = np.diagonal(factor).copy()
    # Symmetric, so the transpose is the same matrix in row order, without a copy.
    weights: Floats = factor.T
    weights /= -diagonal
    weights[np.diag_indices_from(weights)] = 0
    return weights


def _mirror(matrix: Floats, size: int = 1024) -> None:
    """Copy the lower triangle, which is all LAPACK fills, to the upper one."""
    for first in range(0, len(matrix), size):
        stop = first + size
        corner = matrix[first:stop, first:stop]
        lower = np.tril(corner, -1)
        corner[:] = lower + lower.T + np.diag(np.diagonal(corner))
        matrix[first:stop, stop:] = matrix[stop:, first:stop].T
