"""The counting Markov chain: what usually follows the items of the last few moments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from propense.models.counts.recent_items import Whole
from propense.models.counts.transitions import CountSettings, TransitionCounts
from propense.models.rivals.items.item_rival import ItemRival, Stored
from propense.schemas import Floats, Histories

OPTIONS: dict[str, tuple[Any, ...]] = {
    "sharpness": (0.5, 1.0, 0.0),
    "n_lags": (10, 20, 5),
    "fade": (1.0, 0.7, 1.5),
    "smoothing": (1.0, 0.1),
    "together": (0.0, 0.3),
}


@dataclass(frozen=True)
class Markov(ItemRival):
    """Transition counts with a back-off to popularity."""

    counts: TransitionCounts
    name: ClassVar[str] = "markov"

    def scores(
        self, histories: Histories, user: Whole, end: Whole, as_of: Whole | None = None
    ) -> Floats:
        return self.counts.opinions(histories, user, end)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        counts = self.counts
        return {
            "offsets": counts.offsets, "successor": counts.successor, "mass": counts.mass,
            "row_mass": counts.row_mass, "successes": counts.successes,
        }  # fmt: skip

    def settings(self) -> dict[str, float | int | str | bool]:
        return msgspec.structs.asdict(self.counts.settings)

    @classmethod
    def restore(cls, stored: Stored) -> Markov:
        """The rival that was saved."""
        settings = msgspec.convert(stored.settings, CountSettings)
        return cls(stored.n_items, stored.notes, TransitionCounts(settings, **stored.arrays))


def has_sets(histories: Histories) -> bool:
    """Whether any moment holds more than one event."""
    if not histories.timed or histories.n_events < 2:
        return False
    same = np.diff(histories.time) == 0
    inside = np.ones(histories.n_events, bool)
    inside[histories.offsets[:-1][np.diff(histories.offsets) > 0]] = False
    return bool((same & inside[1:]).any())
