"""Whether an item suddenly stands in many more lists than before, or than in training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from propense.inference.artifact.reference_profile import ItemShares

WINDOW: Final = 2_000
"""Lists."""
RATIO: Final = 2.0
AGAINST_TRAINING: Final = 4.0
"""Lists follow what customers do, so that they move away from training's slowly; less than
this is no alarm."""
Z: Final = 6.0
"""Standard errors. With 10,000 items looked at in each window, one false alarm in 100,000
windows."""
LEAST_SHARE: Final = 0.05
"""Of lists: who stands in fewer does not matter yet."""
CALMER: Final = 0.75
"""An alarm ends below this share of what raised it."""
LONGEST: Final = 10
"""Windows after which a jump against the window before is no news any more."""
DEEPEST: Final = 50
"""Places of a list that are counted; what stands below is hardly seen."""

Against = Literal["window", "training"]


class ItemShareAlarm(msgspec.Struct, frozen=True):
    """An item that jumped."""

    item_id: str
    share: float
    """Of the lists of the last whole window that held it."""
    before: float
    """Of the window before, or of training's lists."""
    against: Against
    z: float

    def __str__(self) -> str:
        then = "in the lists before" if self.against == "window" else "in those of training"
        return f"item {self.item_id!r} is in {self.share:.1%} of lists, {self.before:.1%} {then}"


class ItemShareMonitor:
    """Counts items of the lists served, window after window of `window` lists.

    At most `2 * window * DEEPEST` counts are held. A list costs some microseconds; the last of a
    window about 1 ms, when its items are judged. For one thread.
    """

    def __init__(self, trained: ItemShares, window: int = WINDOW) -> None:
        if window < 1:
            raise ValueError(f"a window must hold a list or more, got {window}")
        self._trained = trained
        # Items that training's table does not name stood in no more lists than its last one.
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
        """Share of all places that the 1, 10 and 100 most shown items took in the last whole
        window."""

    def observe_list(self, items: Sequence[str]) -> None:
        """One list that was shown; an item stands in it once."""
        self._present.update(items[:DEEPEST])
        self._n_lists += 1
        if self._n_lists >= self._window:
            self._cycle()

    @property
    def active(self) -> list[ItemShareAlarm]:
        """Alarms that hold, the greatest share first."""
        return sorted(self._active.values(), key=lambda alarm: (-alarm.share, alarm.item_id))

    def take_alarms(self) -> list[ItemShareAlarm]:
        """Alarms raised since the last call."""
        raised, self._raised = self._raised, []
        return raised

    def _cycle(self) -> None:
        """Judge the window that is full and begin the next."""
        n = self._n_lists
        shares = {
            item: count / n for item, count in self._present.items() if count >= LEAST_SHARE * n
        }
        for key, alarm in list(self._active.items()):
            self._age[key] += 1
            old = alarm.against == "window" and self._age[key] >= LONGEST
            if old or not self._holds(alarm, shares.get(alarm.item_id, 0.0)):
                del self._active[key], self._age[key]
        for item, share in shares.items():
            if self._before is not None:
                self._judge(item, share, self._before[item] / n, n, "window")
            if self._trained.n_lists:
                then = self._trained.items.get(item, self._others)
                self._judge(item, share, then, self._trained.n_lists, "training")
        self.top = _top(self._present)
        self._before, self._present, self._n_lists = self._present, Counter(), 0

    def _judge(self, item: str, share: float, then: float, n_then: int, against: Against) -> None:
        ratio = RATIO if against == "window" else AGAINST_TRAINING
        z = _z(share, self._n_lists, then, n_then)
        if share < ratio * then or z < Z or (item, against) in self._active:
            return
        alarm = ItemShareAlarm(item, share, then, against, z)
        self._active[item, against] = alarm
        self._raised.append(alarm)

    def _holds(self, alarm: ItemShareAlarm, share: float) -> bool:
        ratio = RATIO if alarm.against == "window" else AGAINST_TRAINING
        return share >= max(LEAST_SHARE, CALMER * ratio * alarm.before)


def _z(share: float, n: int, then: float, n_then: int) -> float:
    """Standard errors between two shares, as if they were one."""
    pooled = (share * n + then * n_then) / (n + n_then)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_then))
    return (share - then) / error if error > 0 else 0.0


def _top(counts: Counter[str]) -> tuple[float, float, float]:
    total = counts.total()
    most = [n for _, n in counts.most_common(100)]
    one, ten, hundred = (sum(most[:k]) / total if total else 0.0 for k in (1, 10, 100))
    return one, ten, hundred
