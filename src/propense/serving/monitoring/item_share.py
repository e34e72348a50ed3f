"""Whether an item is suddenly in many more lists than before, or than in training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from propense.inference.artifact.reference_profile import ItemShares

WINDOW: Final = 2_000
"""Lists in a window."""
RATIO: Final = 2.0
"""Ratio to the window before that raises an alarm."""
AGAINST_TRAINING: Final = 4.0
"""Ratio to training that raises an alarm. Lists follow what customers do, so they slowly move
away from those of training."""
Z: Final = 6.0
"""Standard errors. With 10,000 items tested in each window, one false alarm in 100,000 windows."""
LEAST_SHARE: Final = 0.05
"""Fraction of lists below which an item never raises an alarm."""
CALMER: Final = 0.75
"""An alarm ends below this fraction of what raised it."""
LONGEST: Final = 10
"""Windows after which an alarm against the window before ends."""
DEEPEST: Final = 50
"""Positions of a list that are counted; items further down are hardly seen."""

Against = Literal["window", "training"]


class ItemShareAlarm(msgspec.Struct, frozen=True):
    """An item whose share of the lists has jumped."""

    item_id: str
    share: float
    """Fraction of the lists of the last whole window that held it."""
    before: float
    """The same in the window before, or in the lists of training."""
    against: Against
    z: float

    def __str__(self) -> str:
        then = "in the window before" if self.against == "window" else "in training"
        return f"item {self.item_id!r} is in {self.share:.1%} of lists, {self.before:.1%} {then}"


class ItemShareMonitor:
    """Counts the items of the lists served, in windows of `window` lists.

    It holds at most `2 * window * DEEPEST` counts. A list costs some microseconds; the last one of
    a window about 1 ms, when its items are tested. For one thread.
    """

    def __init__(self, trained: ItemShares, window: int = WINDOW) -> None:
        if window < 1:
            raise ValueError(f"a window must hold at least one list, got {window}")
        self._trained = trained
        # Items that the profile does not name were in no more lists than its rarest one.
        most_of_others = min(trained.items.values(), default=0.0)
        self._others = most_of_others if len(trained.items) >= 100 else 0.0
        self._window = window
        self._present: Counter[str] = Counter()
        self._before: Counter[str] | None = None
        self._n_lists = 0
        self._active: dict[tuple[str, Against], ItemShareAlarm] = {}
        self._age: Counter[tuple[str, Against]] = Counter()
        self._raised: list[ItemShareAlarm] = []
        self.top: tuple[float, float, float] = (0.0, 0.0, 0.0)
        """Fraction of all positions that the 1, 10 and 100 most shown items had in the last whole
        window."""

    def observe_list(self, items: Sequence[str]) -> None:
        """Count one list that was shown, in which no item occurs twice."""
        self._present.update(items[:DEEPEST])
        self._n_lists += 1
        if self._n_lists >= self._window:
            self._finish_window()

    @property
    def active(self) -> list[ItemShareAlarm]:
        """Active alarms, the greatest share first."""
        return sorted(self._active.values(), key=lambda alarm: (-alarm.share, alarm.item_id))

    def take_alarms(self) -> list[ItemShareAlarm]:
        """Alarms raised since the last call."""
        raised, self._raised = self._raised, []
        return raised

    def _finish_window(self) -> None:
        """Test the items of a full window and begin the next one."""
        n = self._n_lists
        shares = {
            item: count / n for item, count in self._present.items() if count >= LEAST_SHARE * n
        }
        for key, alarm in list(self._active.items()):
            self._age[key] += 1
            old = alarm.against == "window" and self._age[key] >= LONGEST
            if old or not self._persists(alarm, shares.get(alarm.item_id, 0.0)):
                del self._active[key], self._age[key]
        for item, share in shares.items():
            if self._before is not None:
                self._test(item, share, self._before[item] / n, n, "window")
            if self._trained.n_lists:
                trained = self._trained.items.get(item, self._others)
                self._test(item, share, trained, self._trained.n_lists, "training")
        self.top = _top(self._present)
        self._before, self._present, self._n_lists = self._present, Counter(), 0

    def _test(
        self, item: str, share: float, before: float, n_before: int, against: Against
    ) -> None:
        ratio = RATIO if against == "window" else AGAINST_TRAINING
        z = _z(share, self._n_lists, before, n_before)
        if share < ratio * before or z < Z or (item, against) in self._active:
            return
        alarm = ItemShareAlarm(item, share, before, against, z)
        self._active[item, against] = alarm
        self._raised.append(alarm)

    def _persists(self, alarm: ItemShareAlarm, share: float) -> bool:
        ratio = RATIO if alarm.against == "window" else AGAINST_TRAINING
        return share >= max(LEAST_SHARE, CALMER * ratio * alarm.before)


def _z(share: float, n: int, before: float, n_before: int) -> float:
    """Difference of two shares in standard errors, under the hypothesis that they are equal."""
    pooled = (share * n + before * n_before) / (n + n_before)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_before))
    return (share - before) / error if error > 0 else 0.0


def _top(counts: Counter[str]) -> tuple[float, float, float]:
    total = counts.total()
    most = [n for _, n in counts.most_common(100)]
    one, ten, hundred = (sum(most[:k]) / total if total else 0.0 for k in (1, 10, 100))
    return one, ten, hundred
