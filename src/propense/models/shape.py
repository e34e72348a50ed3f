"""The sizes of a customer network: one setting, the rest derived from the data."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from propense.schemas import GoalPlan
from propense.settings.learning import SMALL_TABLE

GOALS_GRAPH: Final = "goals"
NEXT_ITEM_GRAPH: Final = "next_item"
ITEMS_GRAPH: Final = "items"


class ItemHead(msgspec.Struct, frozen=True):
    """One next-item question: which item comes with one of these actions?"""

    name: str
    actions: tuple[int, ...]
    weight: float
    """Weight of its probabilities in a recommendation; with 0 it only trains the shared layers."""


WEIGHTS: Final = 9
"""Version of a network's files and parameters: their names, shapes and meaning."""


class NetworkShape(msgspec.Struct, frozen=True, kw_only=True):
    """Every size of one network; written beside its weights.

    A part is absent where its sizes are 0: no `max_length` means no sequence part, no
    goals no tabular part, no `item_heads` no next-item head.
    """

    dim: int
    n_layers: int
    n_attention_heads: int
    max_length: int
    n_items: int
    n_actions: int
    n_sources: int
    timed: bool
    item_heads: tuple[ItemHead, ...] = ()
    n_seen: int = 0
    """Items below this index were seen in train; the others are known by their content alone."""
    content_cardinalities: tuple[int, ...] = ()
    n_content_numeric: int = 0
    text_buckets: int = 0
    n_numeric: int = 0
    n_bins: int = 0
    cardinalities: tuple[int, ...] = ()
    goals: tuple[GoalPlan, ...] = ()
    hidden: int = 0
    members: int = 0
    dropout: float = 0.2
    table_dropout: float = 0.1
    ensemble: int = 1
    """Networks of this shape, trained independently and averaged."""
    packed: int = 1
    """Tabular parts in each network, trained in the same steps and averaged."""

    @property
    def n_item_heads(self) -> int:
        return len(self.item_heads)

    @property
    def graphs(self) -> tuple[str, ...]:
        """The graphs this network has: its goals, the next item, or both."""
        asked = ((GOALS_GRAPH, bool(self.goals)), (NEXT_ITEM_GRAPH, bool(self.item_heads)))
        return tuple(graph for graph, there in asked if there)

    @property
    def has_content(self) -> bool:
        return bool(self.content_cardinalities or self.n_content_numeric or self.text_buckets)

    @property
    def has_sequence(self) -> bool:
        return self.max_length > 0


class Dial(msgspec.Struct, frozen=True):
    """The sizes that `[model] size` chooses."""

    dim: int
    n_layers: int
    n_attention_heads: int
    max_length: int


DIALS: dict[Literal["small", "base", "large"], Dial] = {
    "small": Dial(32, 1, 2, 64),
    "base": Dial(64, 2, 2, 128),
    "large": Dial(128, 3, 4, 256),
}


def derive_dropout(n_pairs: int, n_items: int) -> float:
    """Dropout of the sequence part from the number of examples an item has.

    .5 at 10 examples an item, .2 at 300, never under .1: sparse catalogues overfit first.

    >>> derive_dropout(131_413, 12_101), derive_dropout(10_000_000, 1_000)
    (0.49, 0.1)
    """
    density = max(n_pairs, 1) / max(n_items, 1)
    return round(min(0.5, max(0.1, 0.5 - 0.2 * math.log10(max(density, 1) / 10))), 2)


def derive_table(n_rows: int, n_parts: int) -> tuple[int, int, float]:
    """(hidden, members, dropout) of a tabular part from the number of train rows.

    Small tables gain from many members and pay little for them, those of all parts that are
    averaged counted together; large ones need few.

    >>> derive_table(5_000, 4), derive_table(1_000_000, 1)
    ((64, 4, 0.1), (128, 4, 0.1))
    """
    if n_rows <= SMALL_TABLE:
        return 64, max(4, 16 // n_parts), 0.1
    if n_rows <= 200_000:
        return 128, 8, 0.15
    return 128, 4, 0.1
