"""How opinions on the next item are mixed: a product of powers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from propense.schemas import Floats, Ints

OPINIONS: Final = ("network", "counts", "own", "own_fading", "popular_month", "popular_week")
"""The network; transitions; the customer's own frequencies, plain and fading; what has been popular
for about a month and for about a week."""
NETWORK, COUNTS, OWN, FADING, MONTH, WEEK = range(len(OPINIONS))
EVENTS_FROM: Final = (1, 5)
"""Rows with fewer events than the first, the second, and all others have powers of their own;"""
AWAY_SECONDS: Final = 12 * 3_600
"""those with events again by whether the last one was so long ago."""
N_GROUPS: Final = 2 * len(EVENTS_FROM) + 1

Opinions = Sequence[Floats | None]
"""Logarithms of P(item), each (n, n_items), in the order of `OPINIONS`; None where not asked."""


class Gate(msgspec.Struct, frozen=True):
    """Mixes opinions: a product of powers, scaled to sum to 1.

    P(item) ~ the product over opinions of opinion(item) ** power. An item must be likely in every
    opinion; one that any opinion rules out loses, unlike in an average (products of experts;
    Hinton 2002). With little evidence counts are flat, hence mild.
    """

    powers: tuple[tuple[float, ...], ...]
    """A row for each group of `groups_of`, a power of at least 0 for each opinion."""

    def __post_init__(self) -> None:
        if len(self.powers) != N_GROUPS or any(len(row) != len(OPINIONS) for row in self.powers):
            raise ValueError(f"a gate has {N_GROUPS} rows of {len(OPINIONS)} powers; train again")

    @classmethod
    def of(cls, *powers: float) -> Gate:
        """The same powers for all rows; opinions that are not named have none."""
        row = (*powers, *(0.0,) * (len(OPINIONS) - len(powers)))
        return cls((row,) * N_GROUPS)

    @property
    def depends_on_absence(self) -> bool:
        """Whether customers who were away have other powers."""
        return any(self.powers[row] != self.powers[row + 1] for row in range(1, N_GROUPS, 2))

    @property
    def used(self) -> tuple[bool, ...]:
        """Which opinions have any power. The network's is always asked for: the others say
        nothing of an item that they have not met."""
        return (True, *(any(power > 0 for power in column) for column in self._columns[1:]))

    @property
    def _columns(self) -> tuple[tuple[float, ...], ...]:
        return tuple(zip(*self.powers, strict=True))

    def mix(self, opinions: Opinions, groups: Ints) -> Floats:
        """One probability (n, n_items) for rows of these groups."""
        powers = np.array(self.powers, np.float32)[groups]
        logits: Floats | None = None
        for opinion, power in zip(opinions, powers.T, strict=True):
            if opinion is not None and power.any():
                term = opinion * power[:, None]
                logits = term if logits is None else np.add(logits, term, out=logits)
        assert logits is not None, "a gate has a power above 0"
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits


def groups_of(n_events: Ints, away: Ints | None) -> Ints:
    """(n,) the group of rows with so many events, the last one `away` seconds ago; None where the
    data have no times.

    >>> groups_of(np.array([0, 1, 4, 5, 90]), np.array([0, 9, 90_000, 9, 90_000])).tolist()
    [0, 1, 2, 3, 4]
    """
    by_events = np.searchsorted(np.array(EVENTS_FROM), n_events, side="right")
    groups: Ints = np.maximum(2 * by_events - 1, 0)
    if away is not None:
        groups = np.where((by_events > 0) & (away >= AWAY_SECONDS), groups + 1, groups)
    return groups
