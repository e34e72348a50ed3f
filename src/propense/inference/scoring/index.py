"""Items with the highest dot product, found without an exact product for each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from propense.errors import MissingExtraError
from propense.files import replacing
from propense.models.top_k import best_indices
from propense.schemas import NONE, Floats, Ids, Ints

EXACT_UP_TO: Final = 200_000
"""Up to this many rankable items are all scored exactly, in a millisecond or two."""
CLOSELY: Final = 20
"""Items scored exactly for each one asked for,"""
LEAST_CLOSELY: Final = 1_000
"""and at least so many."""
_TRAINED_ON: Final = 100_000
_AT_ONCE: Final = 65_536
_SEED: Final = 0


class ItemIndex:
    """Finds the items whose vectors have the highest dot product with a query vector.

    Up to EXACT_UP_TO rankable items the answer is exact. With more, all are scored by a
    sketch of 4 bits a number (random rotation, then fast-scan product quantisation; André et
    al. 2015), and the best of these exactly. A graph or a partition would be faster still, but
    misses more where the query is unlike the items, and takes minutes to build.
    """

    def __init__(self, vectors: Floats, rows: Ints, sketch: Any | None) -> None:
        """Use `build`."""
        self._vectors = vectors
        self._rows = rows
        """Rankable items, ascending."""
        self._sketch = sketch

    @staticmethod
    def build(
        vectors: Floats, rankable: npt.NDArray[np.bool_], cache: Path | None = None
    ) -> ItemIndex:
        """An index of the `rankable` rows of (n_items, d) vectors, which it keeps a hold of.

        A million vectors of 64 numbers take about 10 seconds. With `cache`, a file that is
        named after the content of the vectors, the sketch is read from there or written there.
        Raises MissingExtraError where there are many items and faiss is not installed.
        """
        rows = np.flatnonzero(rankable)
        if len(rows) <= EXACT_UP_TO:
            return ItemIndex(vectors, rows, None)
        sketch = None if cache is None else _read_sketch(cache, vectors.shape[1], len(rows))
        if sketch is None:
            sketch = _make_sketch(vectors, rows)
            if cache is not None:
                _write_sketch(sketch, cache)
        return ItemIndex(vectors, rows, sketch)

    def search(self, wanted: Floats, n: int) -> tuple[Ids, Floats]:
        """The best `n` items of each row of `wanted` (m, d), best first, ties to the lower
        index, and their dot products; both (m, n), filled with NONE and minus infinity.
        """
        wanted = np.ascontiguousarray(wanted, np.float32)
        items = np.full((len(wanted), n), NONE, np.int32)
        scores = np.full((len(wanted), n), -np.inf, np.float32)
        for row, near in enumerate(self._near(wanted, n)):
            # One product a row of the matrix: the same bits whatever else is looked for.
            products = self._vectors[near] @ wanted[row] if near is not None else (
                (self._vectors @ wanted[row])[self._rows]
            )  # fmt: skip
            best = best_indices(products, n)
            items[row, : len(best)] = (self._rows if near is None else near)[best]
            scores[row, : len(best)] = products[best]
        return items, scores

    def _near(self, wanted: Floats, n: int) -> list[Ints | None]:
        """Items to score exactly for each row, ascending; None for all."""
        if self._sketch is None:
            return [None] * len(wanted)
        reach = min(max(CLOSELY * n, LEAST_CLOSELY), len(self._rows))
        _, rows_of_query = self._sketch.search(wanted, reach)
        return [self._rows[np.sort(positions[positions >= 0])] for positions in rows_of_query]


def _make_sketch(vectors: Floats, rows: Ints) -> Any:
    faiss = _faiss()
    width = vectors.shape[1]
    name = f"RR{width},PQ{width}x4fs"
    sketch = faiss.index_factory(width, name, faiss.METRIC_INNER_PRODUCT)
    rng = np.random.default_rng(_SEED)
    drawn = np.sort(rng.choice(rows, min(_TRAINED_ON, len(rows)), replace=False))
    sketch.train(np.ascontiguousarray(vectors[drawn]))
    for first in range(0, len(rows), _AT_ONCE):
        sketch.add(np.ascontiguousarray(vectors[rows[first : first + _AT_ONCE]]))
    return sketch


def _read_sketch(file: Path, width: int, n_rows: int) -> Any | None:
    """The sketch in a file; None where there is none, or one of something else."""
    faiss = _faiss()
    try:
        sketch = faiss.read_index(str(file))
    except RuntimeError:
        return None
    return sketch if (sketch.d, sketch.ntotal) == (width, n_rows) else None


def _write_sketch(sketch: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file, per_process=True) as unfinished:
        _faiss().write_index(sketch, str(unfinished))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("serve", "faiss-cpu") from error
    return faiss
