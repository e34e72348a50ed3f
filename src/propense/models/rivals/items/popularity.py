"""The most popular items, the same for everyone; recent ones count more if that is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from propense.models.counts.own_items import Mask
from propense.models.counts.recent_items import Whole, ragged_ranges
from propense.models.rivals.items.item_rival import ItemRival, Stored
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories

OPTIONS: dict[str, tuple[Any, ...]] = {"half_life_days": (0.0, 30.0, 7.0, 90.0, 1.0)}
"""Half-life 0: all events weigh the same. Times are needed for any other."""
_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Popularity(ItemRival):
    """One score an item."""

    half_life_days: float
    popularity: Floats
    name: ClassVar[str] = "popularity"

    def scores(
        self, histories: Histories, user: Whole, end: Whole, as_of: Whole | None = None
    ) -> Floats:
        return np.tile(self.popularity, (len(user), 1))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"popularity": self.popularity}

    def settings(self) -> dict[str, float | int | str | bool]:
        return {"half_life_days": self.half_life_days}

    @classmethod
    def restore(cls, stored: Stored) -> Popularity:
        """The rival that was saved."""
        half_life = float(stored.settings["half_life_days"])
        return cls(stored.n_items, stored.notes, half_life, stored.arrays["popularity"])


def count_popularity(
    histories: Histories,
    train_end: Whole,
    n_items: int,
    success: Mask | None,
    half_life_days: float,
    weight: Doubles | None = None,
) -> Floats:
    """(n_items,) successes of each item before `train_end`, halved every half-life, as much as
    their user's `weight` (n_users,), default 1."""
    length = np.maximum(train_end - histories.offsets[:-1], 0)
    event = ragged_ranges(histories.offsets[:-1], length)
    counted = histories.item[event] >= FIRST_KNOWN
    if success is not None:
        counted &= success[histories.action[event]]
    event = event[counted]
    each = np.ones(len(event)) if weight is None else np.repeat(weight, length)[counted]
    if half_life_days and len(event):
        age = (histories.time[event].max() - histories.time[event]) / _SECONDS_PER_DAY
        each = each * 0.5 ** (age / half_life_days)
    return np.bincount(histories.item[event], each, n_items).astype(np.float32)
