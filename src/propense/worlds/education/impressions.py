"""The recommendation shelf: three places, filled at random by a known policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from propense.schemas import Doubles, Ints
from propense.worlds.education.calendar import seconds_of_day
from propense.worlds.education.catalogue import available_weights
from propense.worlds.education.chain import CONSIDER, HUNGRY
from propense.worlds.education.events import VIEW, Visits

if TYPE_CHECKING:
    from propense.worlds.education.life import Chunk

N_PLACES: Final = 3
POLICIES: Final = ("random", "popular")
P_RANDOM: Final = 0.3
_P_SHOWN: Final = 0.12
_LAST_DAYS: Final = 200
_SEEN: Final = np.array([1.0, 0.7, 0.5])


@dataclass
class Shelf:
    """Impressions of one chunk; places are filled independently of one another."""

    pieces: list[dict[str, npt.NDArray[np.generic]]] = field(default_factory=list)

    def show(self, chunk: Chunk, visits: Visits) -> None:
        """Show the shelf on some app visits of the last days; a click opens the course page."""
        if visits.day < chunk.platform.calendar.days - _LAST_DAYS:
            return
        rng = chunk.rng
        row = np.flatnonzero(visits.app & (rng.random(len(visits)) < _P_SHOWN))
        who = visits.who[row]
        month = int(chunk.platform.calendar.month[visits.day])
        catalogue = chunk.platform.catalogue
        weights = available_weights(catalogue, month)[: catalogue.n_courses]
        p_of_policy = shelf_policies(weights)
        policy = (rng.random(len(row)) >= P_RANDOM).astype(np.int64)
        clicks = np.zeros(len(row), bool)
        clicked = np.full(len(row), -1, np.int64)
        for place in range(N_PLACES):
            item = _draw(rng, np.cumsum(p_of_policy, axis=1)[policy])
            p_click = _SEEN[place] * _interest(chunk, who, item)
            click = rng.random(len(row)) < p_click
            clicked[click & ~clicks] = item[click & ~clicks]
            clicks |= click
            self.pieces.append(
                {
                    "user": who.astype(np.int32),
                    "item": item.astype(np.int32),
                    "position": np.full(len(row), place + 1, np.int64),
                    "p_action": np.round(p_of_policy[policy, item], 9),
                    "policy": policy,
                    "time": visits.clock[row] + int(seconds_of_day(visits.day)) * 1000,
                    "outcome": click.astype(np.int64),
                }
            )
        shown = np.zeros(len(visits), bool)
        shown[row[clicks]] = True
        item_of_visit = np.full(len(visits), -1, np.int64)
        item_of_visit[row] = clicked
        visits.clock += visits.step
        chunk.log.add(visits, shown, item_of_visit, VIEW)

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


def _interest(chunk: Chunk, who: Ints, item: Ints) -> Doubles:
    """P(click | seen) of each person for each item, from taste and phase."""
    catalogue = chunk.platform.catalogue
    track = catalogue.track[item]
    phase = chunk.phase[who]
    follows = catalogue.prerequisite[item] == chunk.last[who]
    p: Doubles = (
        0.02
        + 0.12 * (track == chunk.taste[who])
        + 0.06 * (track == chunk.second_taste[who])
        + 0.30 * ((phase == CONSIDER) & (item == chunk.target[who]))
        + 0.25 * ((phase == HUNGRY) & follows & (chunk.last[who] >= 0))
    )
    return p


def _draw(rng: np.random.Generator, cumulative: Doubles) -> Ints:
    below = (cumulative <= rng.random(len(cumulative))[:, None]).sum(axis=1)
    chosen: Ints = np.minimum(below, cumulative.shape[1] - 1)
    return chosen
