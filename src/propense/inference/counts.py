"""The count part where it is served: reading it, and its candidates for large catalogues."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from propense.models.counts import TransitionCounts, load_counts
from propense.models.trails import Whole, ragged_ranges, row_offsets
from propense.schemas import NONE, Floats, Histories, Ids


def read_counts(path: Path) -> TransitionCounts:
    """The counts of a bundle. Raises BundleError if missing or of another format."""
    return load_counts(path)


def find_candidates(
    counts: TransitionCounts, histories: Histories, user: Whole, end: Whole, n: int
) -> tuple[Ids, Floats]:
    """The `n` items with the highest transition score of each row, without the catalogue.

    Returns items (n_rows, n), best first, NONE where fewer were ever seen to follow, and
    their scores before popularity is mixed in. Cost depends on the successors of the row's
    items, not on the catalogue, so it serves where `opinions` would be too wide.
    """
    sources = counts.read(histories, user, end)
    begin = counts.offsets[sources.item]
    length = counts.offsets[sources.item + 1] - begin
    index = ragged_ranges(begin, length)
    weight = np.repeat(counts.source_weight(sources), length) * counts.mass[index]
    key = np.repeat(sources.row, length) * counts.n_items + counts.successor[index]
    pair, group = np.unique(key, return_inverse=True)
    score = np.bincount(group, weight, len(pair)).astype(np.float32)
    row, item = pair // counts.n_items, pair % counts.n_items
    order = np.lexsort((item, -score, row))
    offsets = row_offsets(np.bincount(row, minlength=len(user)))
    rank = np.arange(len(order)) - offsets[row]
    kept = rank < n
    items = np.full((len(user), n), NONE, np.int32)
    scores = np.zeros((len(user), n), np.float32)
    items[row[kept], rank[kept]] = item[order][kept]
    scores[row[kept], rank[kept]] = score[order][kept]
    return items, scores
