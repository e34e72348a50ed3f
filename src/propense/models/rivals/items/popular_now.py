"""The items that are popular when a list is asked for, the same for everyone.

Unlike popularity up to the training's end it goes on counting: of validation and test it knows what
had happened by the time of each row, as a shop's list of best sellers does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from propense.models.counts.decayed import HALF_LIVES, DecayedCounts
from propense.models.counts.live import LiveCounts
from propense.models.counts.recent_items import Whole
from propense.models.rivals.items.item_rival import ItemRival, Stored
from propense.schemas import Floats, Histories

OPTIONS: dict[str, tuple[Any, ...]] = {"half_life_days": (7.0, 30.0, 1.0, 90.0)}


@dataclass(frozen=True)
class PopularNow(ItemRival):
    """Counts that halve every so many days; ties by the longest span."""

    half_life_days: float
    counts: DecayedCounts
    name: ClassVar[str] = "popular_now"
    changes_with_time: ClassVar[bool] = True

    def scores(
        self, histories: Histories, user: Whole, end: Whole, as_of: Whole | None = None
    ) -> Floats:
        if as_of is None:
            as_of = np.full(len(user), self.counts.stop)
        counted = self.counts.at(as_of)
        longest = counted[-1].max(axis=1, keepdims=True)
        span = counted[HALF_LIVES.index(self.half_life_days)]
        scores: Floats = span + 1e-6 * counted[-1] / np.maximum(longest, 1e-9)
        return scores

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return self.counts.arrays()

    def settings(self) -> dict[str, float | int | str | bool]:
        return {
            "half_life_days": self.half_life_days,
            "step": self.counts.step,
            "start": self.counts.start,
        }

    @classmethod
    def restore(cls, stored: Stored) -> PopularNow:
        """The rival that was saved. Raises BundleError where it is damaged."""
        settings = stored.settings
        counts = DecayedCounts(int(settings["step"]), int(settings["start"]), **stored.arrays)
        counts.check("an item rival")
        half_life = float(settings["half_life_days"])
        return cls(stored.n_items, stored.notes, half_life, LiveCounts.of(counts))
