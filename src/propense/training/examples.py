"""The train part as examples: windows of events, and the queries and next items in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from propense.encoding.batches import (
    EventClock,
    Sequences,
    event_arrays,
    pad_index,
    plan_queries,
    query_time,
    visible_end,
)
from propense.encoding.windows import Pairs, Windows, cut_windows, find_pairs, own_rows
from propense.schemas import FIRST_KNOWN, AsOfRows, Doubles, Floats, Histories, Ints, TableFeatures

PASS_CELLS = 2_000_000
"""Most events and queries of one pass: on large data a pass is a random share of the windows, so
that validation runs often enough to stop in time."""
QUERIES_PER_WINDOW = 8
"""Most queries of one window in one pass; the others follow in later passes."""


PART_PADDING = 64
"""Padded cells of one part of a step at most; another part costs about as much."""


@dataclass(frozen=True)
class Batch:
    """The arrays of one part of a step."""

    events: dict[str, np.ndarray]
    """(n, longest) each; see encoding.batches.event_arrays."""
    query_row: Ints
    """(n, most) row of the train rows, -1 where padded."""
    query_length: Ints
    query_time: np.ndarray
    pair_sequence: Ints
    """(n_pairs,) sequence of the batch each next-item pair belongs to."""
    pair_position: Ints
    """(n_pairs,) its event within the sequence."""
    pair_item: Ints
    pair_head: Ints
    pair_weight: Floats | None = None
    """(n_pairs,) how much each pair's loss counts; None: 1."""


@dataclass(frozen=True)
class Examples:
    """Everything the loop draws batches from."""

    histories: Histories
    clock: EventClock
    windows: Windows
    pairs: Pairs
    head_of_action: Ints
    """(n_actions,) next-item head of each action, -1 for none."""
    rows: AsOfRows
    features: TableFeatures
    queries: Sequences
    event_weight: Floats | None = None
    """(n_events,) how much guessing each event counts; None: 1."""

    @property
    def n_tokens(self) -> int:
        return int((self.windows.stop - self.windows.start).sum())


def collect_examples(
    histories: Histories,
    clock: EventClock,
    train_end: Ints,
    rows: AsOfRows,
    features: TableFeatures,
    head_of_action: Ints,
    max_length: int,
    weight: Doubles | None = None,
) -> Examples:
    """Windows over the train events, with the queries and next-item pairs of each.

    `weight` (n_users,) is how much the next items of each user count.
    """
    wanted = (
        head_of_action[histories.action] >= 0 if histories.n_events else np.zeros(0, dtype=bool)
    )
    pairs = find_pairs(histories, train_end, wanted)
    visible = visible_end(histories, rows.user, rows.as_of)
    teaches = train_end > histories.offsets[:-1]
    teaches[rows.user] = True
    # A row whose as-of time is after the customer's last event still belongs to the last window.
    reach = train_end.copy()
    np.maximum.at(reach, rows.user, visible)
    windows = cut_windows(histories, reach, np.flatnonzero(teaches), max_length)
    return Examples(
        histories, clock, windows, pairs, head_of_action, rows, features,
        own_rows(windows, rows.user, visible),
        None if weight is None
        else np.repeat(weight.astype(np.float32), np.diff(histories.offsets)),
    )  # fmt: skip


def draw_steps(
    examples: Examples, max_cells: int, rng: np.random.Generator
) -> tuple[list[list[Ints]], Sequences]:
    """One pass: the windows of each step, in parts of similar length, and the queries of each.

    A step holds windows drawn by chance, whatever their length: customers with short
    histories answer differently from those with long ones, and steps that met only one kind
    would pull the network back and forth.
    """
    queries = draw_queries(examples.queries, QUERIES_PER_WINDOW, rng)
    length = examples.windows.stop - examples.windows.start
    asked = (queries.n_queries > 0) | (length > 1)
    order = rng.permutation(np.flatnonzero(asked))
    size = length + queries.n_queries
    reach = np.cumsum(size[order])
    steps: list[list[Ints]] = []
    begin, held = 0, 0
    while begin < len(order) and held < PASS_CELLS:
        stop = max(begin + 1, int(np.searchsorted(reach, held + max_cells, side="right")))
        steps.append(part_by_length(order[begin:stop], size))
        begin, held = stop, int(reach[stop - 1])
    return steps, queries


def part_by_length(chosen: Ints, size: Ints) -> list[Ints]:
    """Sequences divided into parts, longest first; each pads PART_PADDING cells at most.

    >>> [part.tolist() for part in part_by_length(np.arange(4), np.array([90, 3, 4, 80]))]
    [[0, 3], [2, 1]]
    """
    chosen = chosen[np.argsort(-size[chosen], kind="stable")]
    sizes = size[chosen]
    total = np.append(0, np.cumsum(sizes))
    parts, begin = [], 0
    while begin < len(chosen):
        # Cells padded if the part extended to each of the next positions.
        padded = sizes[begin] * np.arange(1, len(chosen) - begin + 1) - (
            total[begin + 1 :] - total[begin]
        )
        stop = begin + int(np.searchsorted(padded, PART_PADDING, side="right"))
        parts.append(chosen[begin:stop])
        begin = stop
    return parts


def draw_queries(queries: Sequences, most: int, rng: np.random.Generator) -> Sequences:
    """At most `most` random queries a sequence, in their order."""
    n_queries = queries.n_queries
    if n_queries.max(initial=0) <= most:
        return queries
    owner = np.repeat(np.arange(len(queries)), n_queries)
    lottery = np.lexsort((rng.random(len(owner)), owner))
    position = np.arange(len(owner)) - queries.row_offsets[:-1][owner]
    chosen = np.sort(lottery[position < most])
    return Sequences(
        queries.start, queries.stop,
        np.concatenate([[0], np.cumsum(np.minimum(n_queries, most))]).astype(np.int64),
        queries.rows[chosen], queries.visible[chosen],
    )  # fmt: skip


def build_batch(examples: Examples, chosen: Ints, queries: Sequences) -> Batch:
    """The arrays of the `chosen` windows."""
    windows = examples.windows
    start, stop, own = windows.start[chosen], windows.stop[chosen], windows.own[chosen]
    plan = plan_queries(queries, chosen)
    row = np.maximum(plan.row, 0)
    as_of = examples.rows.as_of[row] if len(examples.rows) else np.zeros(row.shape, np.int64)
    # A window owns the targets whose end is in (own, stop]: the end of event e is e + 1.
    first = np.searchsorted(examples.pairs.target, np.maximum(own, start))
    last = np.searchsorted(examples.pairs.target, stop)
    n_pairs = np.maximum(last - first, 0)
    index, real = pad_index(first, n_pairs)
    chosen_pairs = index[real]
    sequence = np.repeat(np.arange(len(chosen)), n_pairs)
    position = examples.pairs.source[chosen_pairs] - start[sequence]
    inside = position >= 0
    target = examples.pairs.target[chosen_pairs[inside]]
    histories = examples.histories
    return Batch(
        events=event_arrays(histories, examples.clock, start, stop - start),
        query_row=plan.row,
        query_length=plan.length,
        query_time=query_time(histories, start, stop, as_of),
        pair_sequence=sequence[inside],
        pair_position=position[inside],
        pair_item=histories.item[target].astype(np.int64),
        pair_head=examples.head_of_action[histories.action[target]],
        pair_weight=None if examples.event_weight is None else examples.event_weight[target],
    )


def table_batches(n_rows: int, size: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Random rows in batches of `size`: the pass of a network without a sequence part."""
    order = rng.permutation(n_rows)
    for begin in range(0, n_rows, size):
        yield order[begin : begin + size]


def draw_negatives(n_items: int, count: int, rng: np.random.Generator) -> Ints:
    """At most `count` uniform negatives among known items, none twice, ascending."""
    return np.unique(rng.integers(FIRST_KNOWN, n_items, count))
