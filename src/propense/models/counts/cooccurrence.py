"""How often one item leads to another, counted in blocks that fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from propense.models.counts.recent_items import Sources, row_offsets
from propense.schemas import Floats, Ids, Ints

_PAIRS = 1 << 23
"""Pairs held at once while counting: about 100 MB."""


@dataclass(frozen=True)
class Cooccurrence:
    """Items in compressed rows with what leads from the row's item to them."""

    offsets: Ints
    successor: Ids
    """(n_pairs,) ascending within a row."""
    mass: Floats
    row_mass: Floats
    """(n_items,) the row's sum before pruning."""


def count_pairs(
    sources: Sources, targets: Sources, n_items: int, most: int, together: float = 0.0
) -> Cooccurrence:
    """The sum over rows of source weight times target weight, the `most` largest an item.

    `together` adds pairs of different items among the targets of one row, each row
    sharing one unit an item, as much as the row's targets weigh.
    """
    from scipy import sparse

    shape = (len(sources), n_items)
    causes = sparse.csr_array((sources.weight, sources.item, sources.offsets), shape=shape)
    effects = sparse.csr_array((targets.weight, targets.item, targets.offsets), shape=shape)
    by_cause, by_effect = causes.T.tocsr(), effects.T.tocsr()
    ones = np.ones(len(targets.item))
    equal = sparse.csr_array((ones, targets.item, targets.offsets), shape=shape)
    shared = sparse.diags_array(1 / np.maximum(equal.sum(axis=1), 1)) @ equal
    cost = _bound(by_cause, targets, n_items)
    if together:
        cost += _bound(by_effect, targets, n_items)
    total = np.cumsum(cost)
    parts: list[tuple[Ints, Ids, Floats]] = []
    row_mass = np.zeros(n_items, np.float32)
    lower = 0
    while lower < n_items:
        done = total[lower - 1] if lower else 0
        upper = max(lower + 1, int(np.searchsorted(total, done + _PAIRS, side="right")))
        block = by_cause[lower:upper] @ effects
        if together:
            beside = _without_self(by_effect[lower:upper] @ shared, lower)
            block = block + together * beside
        row_mass[lower:upper] = block.sum(axis=1)
        parts.append(prune(block, most))
        lower = upper
    return Cooccurrence(
        row_offsets(np.concatenate([length for length, _, _ in parts])),
        np.concatenate([successor for _, successor, _ in parts]),
        np.concatenate([mass for _, _, mass in parts]),
        row_mass,
    )


def prune(block: Any, most: int) -> tuple[Ints, Ids, Floats]:
    """Row lengths, columns and values of a sparse block, the `most` largest of each row.

    Columns ascend within a row; equal values at the border go to the lower column.
    """
    from scipy import sparse

    block = sparse.csr_array(block)
    block.sum_duplicates()
    length = np.diff(block.indptr).astype(np.int64)
    column, value = block.indices.astype(np.int32), block.data.astype(np.float32)
    if length.max(initial=0) > most:
        row = np.repeat(np.arange(len(length)), length)
        order = np.lexsort((column, -value, row))
        rank = np.arange(len(order)) - np.repeat(block.indptr[:-1], length)
        largest = np.sort(order[rank < most])
        column, value = column[largest], value[largest]
        length = np.minimum(length, most)
    return length, column, value


def _bound(by_item: Any, targets: Sources, n_items: int) -> Any:
    """(n_items,) how many pairs each item can have at most."""
    pattern = by_item.copy()
    pattern.data = np.ones_like(pattern.data)
    return np.minimum(pattern @ np.diff(targets.offsets).astype(np.float64), n_items)


def _without_self(block: Any, first: int) -> Any:
    """The block, whose first row is item `first`, without pairs of an item with itself."""
    from scipy import sparse

    pairs = sparse.coo_array(block)
    other = pairs.row + first != pairs.col
    return sparse.csr_array(
        (pairs.data[other], (pairs.row[other], pairs.col[other])), shape=pairs.shape
    )
