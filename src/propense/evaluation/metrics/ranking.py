"""Metrics of ranked lists over the full catalogue: one value a row, then a mean.

Gains are binary: an item is relevant or it is not. A row with nothing relevant gives nan,
never 0. Lists are item indices, best first, `NONE` where a list is short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from propense.errors import EvaluationError
from propense.schemas import FIRST_KNOWN, NONE, Doubles, Ids, Ints


@dataclass(frozen=True)
class Hits:
    """Which entries of each list are relevant.

    `hit` (n_rows, length) bool, an item repeated in a list counts at its first place only;
    `n_relevant` (n_rows,) distinct relevant items.
    """

    hit: npt.NDArray[np.bool_]
    n_relevant: Ints


def find_hits(ranked: Ids, item_offsets: Ints, items: Ids) -> Hits:
    """Compare lists (n_rows, length) with relevant items in compressed sparse rows.

    Relevant items of row r are `items[item_offsets[r]:item_offsets[r + 1]]`, a set:
    repeats count once.

    >>> hits = find_hits(np.array([[5, 7, 3]]), np.array([0, 2]), np.array([7, 9]))
    >>> hits.hit.tolist(), hits.n_relevant.tolist()
    ([[False, True, False]], [2])

    Raises EvaluationError if the number of rows differs.
    """
    n_rows, length = ranked.shape
    if len(item_offsets) != n_rows + 1:
        raise EvaluationError(
            f"ranked lists have {n_rows} rows, relevant items have {len(item_offsets) - 1}; "
            f"they must be the same rows"
        )
    width = int(max(ranked.max(initial=0), items.max(initial=0))) + 1
    row = np.repeat(np.arange(n_rows), np.diff(item_offsets))
    real = items != NONE
    relevant = np.unique(row[real] * width + items[real].astype(np.int64))
    n_relevant = np.bincount(relevant // width, minlength=n_rows).astype(np.int64)
    if n_rows == 0 or length == 0 or len(relevant) == 0:
        return Hits(np.zeros(ranked.shape, np.bool_), n_relevant)
    wanted = np.arange(n_rows)[:, None] * width + ranked.astype(np.int64)
    index = np.minimum(np.searchsorted(relevant, wanted), len(relevant) - 1)
    hit = (relevant[index] == wanted) & (ranked != NONE)
    order = np.argsort(ranked, axis=1, kind="stable")
    by_item = np.take_along_axis(ranked, order, axis=1)
    repeated = np.zeros(ranked.shape, np.bool_)
    np.put_along_axis(repeated, order[:, 1:], by_item[:, 1:] == by_item[:, :-1], axis=1)
    return Hits(hit & ~repeated, n_relevant)


def recall_at_k(hits: Hits, k: int) -> Doubles:
    """Share of a row's relevant items among the first k: hits / n_relevant.

    Note the denominator is n_relevant, not min(k, n_relevant), so that with more than k
    relevant items even a perfect list stays below 1.

    >>> hits = find_hits(np.array([[5, 7, 3]]), np.array([0, 2]), np.array([7, 9]))
    >>> recall_at_k(hits, 2).tolist(), recall_at_k(hits, 1).tolist()
    ([0.5], [0.0])
    """
    n_hits = _first(hits, k).sum(axis=1)
    return _where_relevant(hits, n_hits / np.maximum(hits.n_relevant, 1))


def hit_at_k(hits: Hits, k: int) -> Doubles:
    """1 where at least one relevant item is among the first k, else 0."""
    return _where_relevant(hits, np.where(_first(hits, k).any(axis=1), 1.0, 0.0))


def ndcg_at_k(hits: Hits, k: int) -> Doubles:
    """Normalised discounted cumulative gain, binary gains, discount 1 / log2(rank + 1).

    The ideal puts min(k, n_relevant) relevant items first, so a perfect list is 1.
    Source: Järvelin & Kekäläinen 2002. Differs from libraries whose ideal always has k
    relevant items.

    >>> hits = find_hits(np.array([[5, 7, 3]]), np.array([0, 1]), np.array([7]))
    >>> round(float(ndcg_at_k(hits, 3)[0]), 6)
    0.63093
    """
    first = _first(hits, k)
    discount = 1 / np.log2(np.arange(2, k + 2))
    gained = first @ discount[: first.shape[1]]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(hits.n_relevant, k)]
    return _where_relevant(hits, gained / np.where(ideal > 0, ideal, 1))


def mrr_at_k(hits: Hits, k: int) -> Doubles:
    """1 / rank of the first relevant item, 0 where it is not among the first k.

    >>> hits = find_hits(np.array([[5, 7, 3]]), np.array([0, 1]), np.array([7]))
    >>> mrr_at_k(hits, 3).tolist()
    [0.5]
    """
    first = _first(hits, k)
    rank = np.argmax(first, axis=1) + 1 if first.shape[1] else np.ones(len(first))
    return _where_relevant(hits, np.where(first.any(axis=1), 1 / rank, 0.0))


def coverage_at_k(ranked: Ids, k: int, n_items: int) -> float:
    """Share of the catalogue, indices FIRST_KNOWN to `n_items`, that is in at least one list.

    >>> coverage_at_k(np.array([[2, 3], [2, 5]]), 1, 6)
    0.25
    """
    catalogue = n_items - FIRST_KNOWN
    if catalogue < 1:
        return float("nan")
    shown = np.unique(ranked[:, :k])
    return float((shown >= FIRST_KNOWN).sum() / catalogue)


def novelty_at_k(ranked: Ids, k: int, popularity: Doubles) -> Doubles:
    """Mean self-information of each list, -log2 of an item's share of train events, in bits.

    An item without train events counts as half the rarest item's share. An empty list is
    nan. Source: Zhou et al. 2010 (PNAS 107:4511), there over users instead of events.

    >>> novelty_at_k(np.array([[2, 3]]), 2, np.array([0, 0, 0.5, 0.25])).tolist()
    [1.5]
    """
    seen = popularity > 0
    if not seen.any():
        return np.full(len(ranked), np.nan)
    bits = -np.log2(np.where(seen, popularity, popularity[seen].min() / 2))
    first = ranked[:, :k]
    listed = first != NONE
    n_listed = listed.sum(axis=1)
    total = np.where(listed, bits[first], 0).sum(axis=1)
    return np.where(n_listed > 0, total / np.maximum(n_listed, 1), np.nan)


def _first(hits: Hits, k: int) -> npt.NDArray[np.bool_]:
    if k < 1:
        raise EvaluationError(f"k must be at least 1, got {k}")
    return hits.hit[:, :k]


def _where_relevant(hits: Hits, value: Doubles) -> Doubles:
    return np.where(hits.n_relevant > 0, value, np.nan)
