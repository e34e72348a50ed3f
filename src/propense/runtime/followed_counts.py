"""What one engine knows of the records of popularity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from propense.inference.bundle import Bundle
from propense.inference.scoring.gate import MONTH, WEEK
from propense.models.counts.decayed import DecayedCounts
from propense.models.counts.live import LiveCounts
from propense.models.rivals.items.popular_now import PopularNow
from propense.models.rivals.items.reranker import Reranker
from propense.schemas import Doubles, Ids, Ints

VISITOR_WEIGHT: Final = 0.2
"""A visitor nobody has identified counts so much: ids of visitors cost nothing to make up."""
_DAY: Final = 86_400
GRACE_SECONDS: Final = 10
"""Lists use a step so long after it has begun, or a quarter of it if that is less: until then all
processes have read what was counted."""


class StepRecord(msgspec.Struct, frozen=True):
    """What was taken between two counts."""

    begin: int
    """The beginning, in seconds, of the step that had just begun."""
    step: int
    """Its seconds."""
    actions: tuple[str, ...]
    """Those that counted; empty: all."""
    until: int
    """The store's number of the last event that was looked at."""
    items: tuple[str, ...] = ()
    """Of each cell, the item taken,"""
    numbers: tuple[int, ...] = ()
    """the number of the step within which it was,"""
    customers: tuple[int, ...] = ()
    """by how many customers"""
    visitors: tuple[int, ...] = ()
    """and by how many visitors."""


def weights_of(day: Ints, item: Ids, customers: Doubles, visitors: Doubles) -> Doubles:
    """(n,) how much each cell counts.

    Within a UTC day the visitors of an item count at most as much as its customers, or as one.
    """
    _, group = np.unique(np.stack([day, item]), axis=1, return_inverse=True)
    most = np.maximum(np.bincount(group, customers), 1.0)
    total = VISITOR_WEIGHT * np.bincount(group, visitors)
    share = np.minimum(1.0, most / np.maximum(total, 1e-9))
    weights: Doubles = customers + VISITOR_WEIGHT * visitors * share[group]
    return weights


class FollowedCounts:
    """The live counts of one engine, brought up to date by records."""

    def __init__(
        self, counts: LiveCounts, index_of: Mapping[str, int], actions: tuple[str, ...]
    ) -> None:
        """`index_of` finds the engine's items by id."""
        self._counts = counts
        self._index_of = index_of
        self._parts: dict[str, tuple[int, Ints, Ids, Doubles, Doubles]] = {}
        self.actions = actions
        """Those that count; empty: all."""
        self.step = counts.step
        """Seconds."""
        self.number = -1
        """Of the records when they were followed last."""
        self.has_begun = False
        """Whether a first step was just followed, so that what was answered of it is outdated."""

    def in_use(self, as_of: int) -> int:
        """See LiveCounts."""
        return self._counts.in_use(as_of)

    def follow(self, records: Mapping[str, StepRecord], versions: Mapping[str, int]) -> None:
        """Take over all records, in their order; those known by key and version are not read."""
        self._parts = {
            key: self._part(key, record, versions[key]) for key, record in records.items()
        }
        # Of the step before too: until the newest is due, it is in use.
        for begin in sorted({record.begin for record in records.values()})[-2:]:
            parts = [self._parts[key] for key, one in records.items() if one.begin <= begin]
            number = np.concatenate([part[1] for part in parts])
            item = np.concatenate([part[2] for part in parts])
            customers, visitors = (
                np.concatenate([part[column] for part in parts]) for column in (3, 4)
            )
            count = weights_of(number * self.step // _DAY, item, customers, visitors)
            due = begin + min(GRACE_SECONDS, self.step // 4)
            self.has_begun |= self._counts.follow(begin, due, number, item, count)

    def forget(self) -> None:
        """Drop what is held of single steps."""
        self._counts.held.clear()

    @property
    def stop(self) -> int:
        """Seconds: the bundle's own counts end there."""
        return self._counts.stop

    def _part(
        self, key: str, record: StepRecord, version: int
    ) -> tuple[int, Ints, Ids, Doubles, Doubles]:
        held = self._parts.get(key)
        if held is not None and held[0] == version:
            return held
        item = np.array([self._index_of.get(one, -1) for one in record.items], np.int32)
        has_item = item >= 0
        numbers = np.array(record.numbers, np.int64)
        customers = np.array(record.customers, np.float64)
        visitors = np.array(record.visitors, np.float64)
        return version, numbers[has_item], item[has_item], customers[has_item], visitors[has_item]


def followed_counts(bundle: Bundle) -> FollowedCounts | None:
    """The live counts that a bundle's lists depend on; None where they do not."""
    rival, ranker = bundle.item_rival, bundle.ranker
    counts: DecayedCounts | None = None
    if isinstance(rival, PopularNow | Reranker):
        counts = rival.counts
    elif rival is None and ranker is not None and ranker.gate is not None:
        used = ranker.gate.used
        counts = ranker.popular if used[MONTH] or used[WEEK] else None
    if not isinstance(counts, LiveCounts):
        return None
    encoder = bundle.encoder
    actions = tuple(sorted(encoder.actions.word(index) for index in encoder.positive))
    return FollowedCounts(counts, bundle.catalogue.index_of, actions)
