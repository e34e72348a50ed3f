"""The recommendation shelf: three slots, filled at random by a known policy."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints
from propense.worlds.education.calendar import Calendar, seconds_of_day
from propense.worlds.education.catalogue import Catalogue, available_weights
from propense.worlds.education.chain import CONSIDER, HUNGRY
from propense.worlds.education.events import Visits

N_SLOTS: Final = 3
POLICIES: Final = ("random", "popular")
P_RANDOM: Final = 0.3
_P_SHOWN: Final = 0.12
_LAST_DAYS: Final = 200
_SEEN: Final = np.array([1.0, 0.7, 0.5])


@dataclass(frozen=True)
class Interests:
    """The part of the hidden state that decides on clicks; arrays (n,), one value a visit."""

    phase: Ints
    taste: Ints
    second_taste: Ints
    target: Ints
    """Course considered, or -1."""
    last: Ints
    """Course finished last, or -1."""

    def take(self, chosen: Ints) -> Interests:
        """Those of some visits."""
        return Interests(*(getattr(self, part.name)[chosen] for part in fields(self)))


@dataclass
class Shelf:
    """Impressions of one chunk; slots are filled independently of one another."""

    pieces: list[dict[str, npt.NDArray[np.generic]]] = field(default_factory=list)

    def show(
        self,
        rng: np.random.Generator,
        calendar: Calendar,
        catalogue: Catalogue,
        visits: Visits,
        interests: Interests,
    ) -> Ints:
        """Show the shelf on some app visits of the last days; visits advance by the time it takes.

        Returns (n,) the course whose page each visit opened from the shelf, -1 for none.
        """
        clicked = np.full(len(visits), -1, np.int64)
        if visits.day < calendar.days - _LAST_DAYS:
            return clicked
        row = np.flatnonzero(visits.app & (rng.random(len(visits)) < _P_SHOWN))
        month = int(calendar.month[visits.day])
        weights = available_weights(catalogue, month)[: catalogue.n_courses]
        p_of_policy = shelf_policies(weights)
        policy = (rng.random(len(row)) >= P_RANDOM).astype(np.int64)
        first_click = np.full(len(row), -1, np.int64)
        for slot in range(N_SLOTS):
            item = _draw(rng, np.cumsum(p_of_policy, axis=1)[policy])
            p_click = _SEEN[slot] * _p_click_if_seen(catalogue, interests.take(row), item)
            click = rng.random(len(row)) < p_click
            first_click = np.where(click & (first_click < 0), item, first_click)
            self.pieces.append(
                {
                    "user": visits.customer[row].astype(np.int32),
                    "item": item.astype(np.int32),
                    "position": np.full(len(row), slot + 1, np.int64),
                    "p_action": np.round(p_of_policy[policy, item], 9),
                    "policy": policy,
                    "time": visits.clock[row] + int(seconds_of_day(visits.day)) * 1000,
                    "outcome": click.astype(np.int64),
                }
            )
        clicked[row] = first_click
        visits.clock += visits.step
        return clicked

    def columns(self) -> dict[str, npt.NDArray[np.generic]]:
        """user, item, position, p_action, policy, time (ms), outcome; in time order."""
        if not self.pieces:
            return {}
        names = self.pieces[0].keys()
        joined = {name: np.concatenate([piece[name] for piece in self.pieces]) for name in names}
        order = np.lexsort((joined["position"], joined["user"], joined["time"]))
        return {name: values[order] for name, values in joined.items()}


def shelf_policies(weights: Doubles) -> Doubles:
    """(2, n_courses) chance of each course under the random and the popular policy."""
    published = (weights > 0) / np.count_nonzero(weights)
    popular = 0.5 * published + 0.5 * weights / weights.sum()
    return np.stack([published, popular])


def _p_click_if_seen(catalogue: Catalogue, interests: Interests, item: Ints) -> Doubles:
    """(n,) P(click | seen) of one item for each visit, from taste and phase."""
    track = catalogue.track[item]
    follows = catalogue.prerequisite[item] == interests.last
    p: Doubles = (
        0.02
        + 0.12 * (track == interests.taste)
        + 0.06 * (track == interests.second_taste)
        + 0.30 * ((interests.phase == CONSIDER) & (item == interests.target))
        + 0.25 * ((interests.phase == HUNGRY) & follows & (interests.last >= 0))
    )
    return p


def _draw(rng: np.random.Generator, cumulative: Doubles) -> Ints:
    below = (cumulative <= rng.random(len(cumulative))[:, None]).sum(axis=1)
    chosen: Ints = np.minimum(below, cumulative.shape[1] - 1)
    return chosen
