"""What the customer takes most often, then what everyone does; for people who repeat.

The strongest plain rule of next-basket recommendation (Li et al. 2023, A next basket
recommendation reality check). The network's own-frequency opinion reads the same counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from propense.models.counts.recent_items import Whole
from propense.models.rivals.items.item_rival import ItemRival, Stored, seen_items, tie_breaker
from propense.schemas import Doubles, Floats, Histories

SMOOTHING = 1.0
"""Events of popularity that an own frequency is mixed with."""


@dataclass(frozen=True)
class Frequency(ItemRival):
    """Own events of each item, ties and the rest by popularity."""

    popularity: Floats
    name: ClassVar[str] = "frequency"

    def scores(self, histories: Histories, user: Whole, end: Whole) -> Floats:
        return own_events(histories, user, end, self.n_items) + tie_breaker(self.popularity)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"popularity": self.popularity}

    def settings(self) -> dict[str, float | int | str | bool]:
        return {}

    @classmethod
    def restore(cls, stored: Stored) -> Frequency:
        """The rival that was saved."""
        return cls(stored.n_items, stored.notes, stored.arrays["popularity"])


def own_events(histories: Histories, user: Whole, end: Whole, n_items: int) -> Floats:
    """(n, n_items) how many events of the history before `end` name each known item."""
    row, item = seen_items(histories, user, end)
    counted = np.bincount(row * n_items + item, minlength=len(user) * n_items)
    out: Floats = counted.reshape(len(user), n_items).astype(np.float32)
    return out


def own_opinions(histories: Histories, user: Whole, end: Whole, popularity: Doubles) -> Floats:
    """P(item) by the customer's own frequencies, smoothed by popularity, (n, n_items).

    Worked example: after items 2, 2, 3, with popularity .5, .25, .25 of items 2, 3, 4, the row is
    2.5 / 4, 1.25 / 4, .25 / 4.
    """
    out = own_events(histories, user, end, len(popularity))
    total = out.sum(axis=1, keepdims=True) + np.float32(SMOOTHING)
    out += (SMOOTHING * popularity).astype(np.float32)
    out /= total
    return out
