"""The one scorer: report, `propense score` and service get their numbers here.

`Graphs` hides what runs the graph (torch while training, ONNX Runtime afterwards); everything
before and after it is numpy and the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from propense.encoding.batches import (
    EventClock,
    Sequences,
    event_arrays,
    group_queries,
    plan_batches,
    plan_queries,
    query_time,
    visible_end,
)
from propense.models.shape import NetworkShape
from propense.schemas import Doubles, Floats, Histories, Ids, Ints, TableFeatures

MAX_CELLS = 16_384
"""Padded events and queries in one run of the graph."""

Arrays = Mapping[str, np.ndarray]


class Graphs(Protocol):
    """The network's two graphs. Arrays are float32, indices int64.

    Both read `item_vectors` (n, length, width), the event arrays of encoding.batches, and
    `query_length` (n, queries).
    """

    def next_item(self, inputs: Arrays) -> tuple[Floats, Floats]:
        """The vector each head looks for (n, queries, heads, width), and each head's logit."""
        ...

    def goals(self, inputs: Arrays) -> Floats:
        """Probability or expected value (n, queries, goals), before calibration.

        Reads also `query_time`, `numeric` (n, queries, n_numeric) and `categorical`.
        """
        ...


@dataclass(frozen=True)
class Scorer:
    """A network's graphs and the item vectors each of them reads."""

    shape: NetworkShape
    graphs: Graphs
    item_vectors: Floats
    """(n_items, width) for the next-item graph; an ensemble's vectors are concatenated."""
    goal_vectors: Floats
    """(n_items, width) for the goals' graph; the same array where both keep one pass's weights."""

    def score_goals(
        self,
        histories: Histories,
        clock: EventClock,
        features: TableFeatures,
        user: Ids,
        as_of: Ints,
    ) -> Doubles:
        """Every goal of each (user, as_of), (n_rows, n_goals), before calibration."""
        out = np.empty((len(user), len(self.shape.goals)), np.float64)
        sequences = self._sequences(histories, user, as_of)
        for chosen in plan_batches(sequences.length, sequences.n_queries, MAX_CELLS):
            plan = plan_queries(sequences, chosen)
            row = np.maximum(plan.row, 0)
            inputs = self._events(histories, clock, sequences, chosen, self.goal_vectors)
            inputs |= {
                "query_length": plan.length,
                "query_time": query_time(
                    histories, sequences.start[chosen], sequences.stop[chosen], as_of[row]
                ),
                "numeric": features.numeric[row],
                "categorical": features.categorical[row].astype(np.int64),
            }
            out[plan.row[plan.real]] = self.graphs.goals(inputs)[plan.real]
        return out

    def seek_items(
        self, histories: Histories, clock: EventClock, user: Ids, end: Ints
    ) -> tuple[Floats, Floats]:
        """The vectors that the customer looks for after the events before `end` (absolute index).

        Returns (n, heads, width) and each head's probability (n, heads). Rows without any
        event get zeros and equal probabilities.
        """
        n_heads, width = self.shape.n_item_heads, self.item_vectors.shape[1]
        wanted = np.zeros((len(user), n_heads, width), np.float32)
        share = np.full((len(user), n_heads), 1 / n_heads, np.float32)
        heard = np.flatnonzero(end > histories.offsets[:-1][user])
        sequences = group_queries(
            histories.offsets[:-1][user[heard]], end[heard], self.shape.max_length
        )
        for chosen in plan_batches(sequences.length, sequences.n_queries, MAX_CELLS):
            plan = plan_queries(sequences, chosen)
            inputs = self._events(histories, clock, sequences, chosen, self.item_vectors)
            vectors_wanted, logits = self.graphs.next_item(inputs | {"query_length": plan.length})
            row = heard[plan.row[plan.real]]
            wanted[row] = vectors_wanted[plan.real]
            share[row] = _softmax(logits[plan.real])
        return wanted, share

    def _sequences(self, histories: Histories, user: Ids, as_of: Ints) -> Sequences:
        begin = histories.offsets[:-1][user]
        if not self.shape.has_sequence:
            return group_queries(np.arange(len(user)), np.arange(len(user)), 0)
        return group_queries(begin, visible_end(histories, user, as_of), self.shape.max_length)

    def _events(
        self,
        histories: Histories,
        clock: EventClock,
        sequences: Sequences,
        chosen: Ints,
        vectors: Floats,
    ) -> dict[str, np.ndarray]:
        if not self.shape.has_sequence:
            return {}
        arrays = event_arrays(histories, clock, sequences.start[chosen], sequences.length[chosen])
        return {"item_vectors": vectors[arrays.pop("item")], **arrays}


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    out: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return out
