"""Jumps of a goal's base rate between the parts that neither chance nor drift explains."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np

from propense.schemas import PARTS, TRAIN, Doubles, Ints, PartCount, PlanWarning
from propense.tables.splitting.cuts import Grid
from propense.tables.splitting.labelled_rows import Rows
from propense.words import Text, format_text

LARGE: Final = float(np.log(2))
"""A smaller difference of log odds is no jump: odds that at most double or halve."""
DEVIATIONS: Final = 3.0
LEAST_DRIFT: Final = 0.1
"""Deviation of log odds from one as-of time to the next that every log can have."""


class RatesInTime:
    """Rows and positives of each goal at each as-of time of train, which show its drift."""

    def __init__(self, grid: Grid | None, n_goals: int) -> None:
        self._grid = grid
        n = 0 if grid is None else grid.n
        self.rows = np.zeros((n_goals, n), dtype=np.int64)
        self.positives = np.zeros((n_goals, n), dtype=np.int64)

    def add_rows(self, rows: Rows) -> None:
        """Count some rows; those that are not on the grid tell nothing of drift."""
        if self._grid is None:
            return
        slot, beside = np.divmod(rows.as_of - self._grid.first, self._grid.every)
        on = (rows.part == TRAIN) & (beside == 0) & (slot >= 0) & (slot < self._grid.n)
        for goal, (y, labelled) in enumerate(zip(rows.y, rows.labelled, strict=True)):
            for counts, chosen in ((self.rows, labelled), (self.positives, labelled & (y > 0))):
                counts[goal] += np.bincount(slot[on & chosen], minlength=self._grid.n)

    def drift(self, goal: int) -> float:
        """Standard deviation of the log odds over the as-of times of train."""
        seen = self.rows[goal] > 0
        if seen.sum() < 2:
            return LEAST_DRIFT
        odds = _log_odds(self.positives[goal][seen], self.rows[goal][seen])
        return max(LEAST_DRIFT, float(np.std(odds, ddof=1)))


def _log_odds(positives: Ints, rows: Ints) -> Doubles:
    return np.log((positives + 0.5) / (rows - positives + 0.5))


def _is_jump(positives: Ints, rows: Ints, users: Ints, drift: float) -> bool:
    """Whether two parts' rates differ by more than chance, by customers, and drift explain."""
    first, second = _log_odds(positives, rows)
    rate = positives / rows
    p = float(rate.mean())
    chance = p * (1 - p) * float((1 / users).sum())
    deviation = float(np.sqrt(chance + (drift * p * (1 - p)) ** 2))
    return bool(abs(first - second) > LARGE and abs(rate[0] - rate[1]) > DEVIATIONS * deviation)


def find_jumps(
    goals: Sequence[str], counts: Sequence[PartCount], rates: RatesInTime
) -> list[PlanWarning]:
    """A warning for each goal whose base rate differs between two parts by more than DEVIATIONS.

    The rows of a customer count once for chance. `counts` of folds have no jumps.
    """
    if [count.part for count in counts] != list(PARTS):
        return []
    warnings = []
    for index, name in enumerate(goals):
        rows = np.array([count.labelled.get(name, 0) for count in counts])
        positives = np.array([count.positives.get(name, 0) for count in counts])
        if not rows.all():
            continue
        users = np.minimum(rows, np.maximum([count.users for count in counts], 1))
        drift = rates.drift(index)
        pairs = [list(pair) for pair in combinations(range(len(PARTS)), 2)]
        if any(_is_jump(positives[two], rows[two], users[two], drift) for two in pairs):
            shares = [Text(*(f"{positives[i] / rows[i]:.1%}",) * 2) for i in range(len(PARTS))]
            text = format_text(
                "split.jump", goal=name, train=shares[0], validation=shares[1], test=shares[2]
            )
            warnings.append(PlanWarning("base_rate", text, name))
    return warnings
