"""The customer's most frequent items, then everyone's; for data where customers repeat items.

The strongest plain rule of next-basket recommendation (Li et al. 2023, A next basket
recommendation reality check). The network's own-frequency opinion reads the same counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt

from propense.models.counts.own_items import own_events
from propense.models.counts.recent_items import Whole
from propense.models.rivals.items.item_rival import ItemRival, Stored, tie_breaker
from propense.schemas import Floats, Histories


@dataclass(frozen=True)
class Frequency(ItemRival):
    """Own events of each item, ties and the rest by popularity."""

    popularity: Floats
    name: ClassVar[str] = "frequency"

    def scores(
        self, histories: Histories, user: Whole, end: Whole, as_of: Whole | None = None
    ) -> Floats:
        return own_events(histories, user, end, self.n_items) + tie_breaker(self.popularity)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {"popularity": self.popularity}

    def settings(self) -> dict[str, float | int | str | bool]:
        return {}

    @classmethod
    def restore(cls, stored: Stored) -> Frequency:
        """The rival that was saved."""
        return cls(stored.n_items, stored.notes, stored.arrays["popularity"])
