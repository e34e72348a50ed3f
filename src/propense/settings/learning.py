"""Settings of the customer network: [features], [model], [train] and [tuning]."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from propense.settings.record import Count, Record

SMALL_TABLE, _FEW_EXAMPLES = 30_000, 500_000
"""Rows of a table, and rows or next items of any data, up to which networks are averaged."""
_FEW_IF_SPARSE, _FEW_OF_AN_ITEM = 2_000_000, 100
"""The limit if an item has fewer examples than the second number."""
MAX_TRAIN_ROWS = 600_000
"""Largest number of as-of rows that the network learns from."""


class Features(Record, frozen=True):
    """What the encoder makes of history and profile."""

    windows: tuple[str, ...] = ("7d", "30d", "90d")
    """Time spans over which events are counted."""
    max_actions: int = 16
    """Number of actions with a count of their own; rarer actions share one."""
    min_item_events: int = 1
    """Items with fewer events in train share the index of unseen items."""
    text_buckets: int = 16_384
    """Number of hash buckets for character n-grams."""


class Model(Record, frozen=True):
    """The customer network."""

    size: Literal["small", "base", "large"] = "base"
    """Size of the network; width, depth and length follow from it."""
    ensemble: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None
    """Number of networks averaged, 1 to 8. Default: 4 for tables without events up to 30,000 rows,
    otherwise 2 up to 500,000 rows or next items (2,000,000 if an item has fewer than 100),
    otherwise 1."""

    dropout: Annotated[float, msgspec.Meta(ge=0, le=0.9)] | None = None
    """Dropout of the sequence part. Default: between .5 (few examples an item) and .1 (many)."""
    table_dropout: Annotated[float, msgspec.Meta(ge=0, le=0.9)] | None = None
    """Dropout of the tabular part. Default: derived from the number of rows."""

    def count_networks(self, n_examples: int, table: bool, n_items: int = 0) -> int:
        """Number of networks to train on `n_examples` next items or labelled rows, whichever are
        more; `table` if there are no events at all.

        With few examples, or few for each item, much of what one network predicts is chance.

        >>> Model().count_networks(131_413, table=False), Model().count_networks(10**6, table=False)
        (2, 1)
        >>> Model().count_networks(5_000, table=True), Model(ensemble=1).count_networks(5_000, True)
        (4, 1)
        """
        if self.ensemble is not None:
            return self.ensemble
        if table and n_examples <= SMALL_TABLE:
            return 4
        sparse = n_examples < _FEW_OF_AN_ITEM * n_items
        return 2 if n_examples <= (_FEW_IF_SPARSE if sparse else _FEW_EXAMPLES) else 1


class Train(Record, frozen=True):
    """How and for how long to train."""

    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Seed. On CPUs, the same seed, versions, threads and machine give the same network."""
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=1)] = 3e-3
    """Learning rate of AdamW; constant after a short warm-up."""
    max_epochs: Count = 200
    """Largest number of epochs; patience usually stops earlier."""
    patience: Count | None = None
    """Epochs to wait for a better validation score. Default: derived from the data's size."""
    max_minutes: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Minutes of training, checked after each epoch; default: no limit. Where it ends a training,
    the network depends on how fast the machine was."""
    checkpoint_seconds: float = 60.0
    """Seconds between checkpoints, so the most work that a kill can lose."""
    threads: Count | None = None
    """Number of threads. Default: one for every core."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device. auto: a CUDA device if there is one; matrix products there use bfloat16."""
    warm_start: Literal["auto", "never"] = "auto"
    """auto: if data was only added since the run's last training, start from its weights."""
    downweight_shilling: bool = True
    """Give customers who push a few items in step with others less weight in recommendations."""


class Tuning(Record, frozen=True):
    """A search over the learning rate and the two dropouts, judged on validation only. There is
    no search without this table. Needs `pip install 'propense[tuning]'`."""

    trials: Count = 12
    """Number of trials. Each trains one network; the first one has the usual values."""
    max_minutes: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Minutes after which no trial begins. Default: no limit."""
