"""What a customer wants next: the distribution of every favourite and payment."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints
from propense.worlds.education.catalogue import Catalogue
from propense.worlds.education.chain import CONSIDER, HUNGRY, WANDER

MAIN_TASTE: Final = 0.50
SECOND_TASTE: Final = 0.25
STEP_UP: Final = 2.5
"""Factor of a course above the first level, once unlocked."""
ON_TARGET: Final = 0.85
SUCCESSOR: Final = 0.75
ASTRAY: Final = 0.70
"""Share of a wanderer's choices that follow the crowd instead of the taste."""

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PreferenceState:
    """The part of the hidden state that decides on the course; arrays (n,)."""

    phase: Ints
    taste: Ints
    second_taste: Ints
    sensitivity: Ints
    target: Ints
    """Course considered, or -1."""
    last: Ints
    """Course finished last, or -1."""
    owned: Booleans
    """(n, n_courses)."""

    def take(self, chosen: Ints) -> PreferenceState:
        """Some of the customers."""
        return PreferenceState(
            **{part.name: getattr(self, part.name)[chosen] for part in fields(self)}
        )


def preference(
    state: PreferenceState, catalogue: Catalogue, available: Doubles, crowd: Doubles
) -> Doubles:
    """(n, n_courses) P(course | a favourite or payment now); rows sum to 1.

    `available` (n_courses,) is the popularity of published courses, `crowd` (n_tracks,) the
    season's share of each track. Owned and locked courses have probability 0.
    """
    unlocked = unlocked_courses(state.owned, catalogue)
    own = _by_taste(state, catalogue, available, crowd) * unlocked
    own = _rows_to_one(own)
    wanderer = state.phase == WANDER
    if wanderer.any():
        common = (available * crowd[catalogue.track[: catalogue.n_courses]])[None, :]
        astray = _rows_to_one(common * unlocked[wanderer])
        own[wanderer] = (1 - ASTRAY) * own[wanderer] + ASTRAY * astray
    hungry = np.flatnonzero((state.phase == HUNGRY) & (state.last >= 0))
    if len(hungry):
        follows = catalogue.prerequisite[None, :] == state.last[hungry, None]
        after = own[hungry] * 0 + available[None, :] * follows * unlocked[hungry]
        some = after.sum(axis=1) > 0
        after = _rows_to_one(after[some])
        own[hungry[some]] = (1 - SUCCESSOR) * own[hungry[some]] + SUCCESSOR * after
    bent = np.flatnonzero((state.phase == CONSIDER) & (state.target >= 0))
    own[bent] *= 1 - ON_TARGET
    own[bent, state.target[bent]] += ON_TARGET
    return own


def unlocked_courses(owned: Booleans, catalogue: Catalogue) -> Booleans:
    """(n, n_courses) not owned and, if there is a prerequisite, that is owned."""
    needs = catalogue.prerequisite
    ready = owned[:, np.maximum(needs, 0)]
    ready[:, needs < 0] = True
    ready &= ~owned
    ready[:, catalogue.price[: catalogue.n_courses] == 0] = False
    return ready


def draw_course(rng: np.random.Generator, p: Doubles) -> Ints:
    """(n,) one course a row of `p`."""
    cumulative = np.cumsum(p, axis=1)
    drawn = rng.random(len(p)) * cumulative[:, -1]
    chosen: Ints = np.minimum((cumulative <= drawn[:, None]).sum(axis=1), p.shape[1] - 1)
    return chosen


def _by_taste(
    state: PreferenceState, catalogue: Catalogue, available: Doubles, crowd: Doubles
) -> Doubles:
    n = catalogue.n_courses
    customer = np.arange(len(state.phase))
    share = np.tile((1 - MAIN_TASTE - SECOND_TASTE) * crowd, (len(customer), 1))
    share[customer, state.taste] += MAIN_TASTE
    share[customer, state.second_taste] += SECOND_TASTE
    track = catalogue.track[:n]
    pull = available / np.bincount(track, available, share.shape[1])[track]
    pull = pull * np.where(catalogue.level[:n] > 1, STEP_UP, 1.0)
    table: Doubles = (pull * catalogue.price_taste)[state.sensitivity]
    return share[:, track] * table


def _rows_to_one(weights: Doubles) -> Doubles:
    total = weights.sum(axis=1, keepdims=True)
    shares: Doubles = weights / np.where(total > 0, total, 1.0)
    return shares
