"""Rules of a list: what may be shown, what goes first, how many of a kind, how unlike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from propense.errors import RefusedError, SettingsError
from propense.inference.artifact.catalogue import Catalogue
from propense.inference.scoring.candidates import Candidates
from propense.models.top_k import LEAST, best_indices
from propense.runtime.diversity import Quota, QuotaCounter, pick_unlike
from propense.schemas import FIRST_KNOWN, NO_TIME, Floats, Ids, Ints
from propense.settings import Scenario

Mask = npt.NDArray[np.bool_]

_NEVER: Final = np.float32(-np.inf)
_FOREVER: Final = np.iinfo(np.int64).max


class Chosen(NamedTuple):
    """A list, best first."""

    items: Ids
    """(m,), m <= k: fewer where the rules leave no more."""
    scores: Floats
    """(m,) as they were ordered by: boosted."""
    why: tuple[str, ...]
    """Of each item the boosts that moved it, "" where none did."""
    sure: bool
    """False where an item that was not among the candidates might belong into the list: give
    more candidates. Always true of the whole catalogue."""


@dataclass(frozen=True)
class Extra:
    """What a request asks for on top of the scenario."""

    without: Ids
    """Items not to show, sorted."""
    only: tuple[Mask, ...]
    """(n_items,) each."""
    never: tuple[Mask, ...]

    @staticmethod
    def compile(
        catalogue: Catalogue,
        exclude: Sequence[str] = (),
        only: Mapping[str, Sequence[str]] | None = None,
        never: Mapping[str, Sequence[str]] | None = None,
    ) -> Extra:
        """Ids and values as indices and masks. An id nobody knows is left out already.

        Raises RefusedError naming the nearest column or value where there is none of that name.
        """
        known = (catalogue.index_of.get(word) for word in exclude)
        without = np.array(sorted({i for i in known if i is not None}), np.int32)
        try:
            return Extra(without, _masks(catalogue, only or {}), _masks(catalogue, never or {}))
        except ValueError as error:
            raise RefusedError(str(error)) from error


class Rules:
    """A scenario, compiled for one catalogue. Nothing of it changes."""

    def __init__(self, n_items: int, exclude: str) -> None:
        """Rules that allow every item; `compile` makes those of a scenario."""
        self.exclude = exclude
        self.looks_at_time = False
        """Whether the list hangs on the moment."""
        self._shut = np.zeros(n_items, np.float32)
        """0 or minus infinity, so that one addition shuts items out."""
        self._shut[:FIRST_KNOWN] = -np.inf
        self._factor: Floats | None = None
        self._most_factor = np.float32(1)
        self._boosts: tuple[_Boost, ...] = ()
        self._quotas: tuple[Quota, ...] = ()
        self._window: _Window | None = None
        self._diversity = np.float32(0)
        self._vectors = np.zeros((0, 0), np.float32)

    @staticmethod
    def compile(
        scenario: Scenario,
        catalogue: Catalogue,
        owned_default: bool,
        rankable: Mask | None = None,
        vectors: Floats | None = None,
    ) -> Rules:
        """The rules of a scenario.

        `owned_default` says whether owned items are left out where the scenario does not say;
        `rankable` (n_items,) which items may be listed at all; `vectors` (n_items, d) tell how
        like two items are.
        Raises SettingsError on a column or a value that the catalogue does not have, naming
        the nearest, and on numbers that mean nothing.
        """
        default = "owned" if owned_default else "nothing"
        exclude = default if scenario.exclude == "default" else scenario.exclude
        rules = Rules(catalogue.n_items, exclude)
        if rankable is not None:
            rules._shut[~rankable] = -np.inf
        try:
            for mask in _masks(catalogue, scenario.only):
                rules._shut[~mask] = -np.inf
            for mask in _masks(catalogue, scenario.never):
                rules._shut[mask] = -np.inf
            rules._boost(catalogue, scenario.boosts)
            rules._quotas = tuple(
                _quota(catalogue, name, limit) for name, limit in scenario.at_most.items()
            )
            if scenario.available_from is not None or scenario.available_until is not None:
                rules._window = _window(catalogue, scenario, rules._shut)
                rules.looks_at_time = True
        except ValueError as error:
            raise SettingsError(f"a rule of [serve.scenarios] cannot be obeyed: {error}") from error
        if scenario.diversity > 0:
            if vectors is None:
                raise SettingsError(
                    "a rule of [serve.scenarios] cannot be obeyed: diversity needs a bundle whose "
                    "network recommends items; set diversity = 0"
                )
            rules._diversity = np.float32(scenario.diversity)
            rules._vectors = vectors
        return rules

    def choose(
        self,
        scores: Floats,
        owned: Ids,
        seen: Ids,
        now: int,
        k: int,
        extra: Extra | None = None,
    ) -> Chosen:
        """The best `k` items by `scores` (n_items,), higher is better, that the rules allow.

        Minus infinity is never shown; equal scores go to the lower index. A boost multiplies
        a score (it divides one below 0). `owned` and `seen` are indices; `now` is in seconds.
        """
        worth = self._weigh(scores, self._factor)
        worth += self._shut_at(now)
        if self.exclude != "nothing":
            worth[owned] = _NEVER
            if self.exclude == "seen":
                worth[seen] = _NEVER
        if extra is not None:
            worth[extra.without] = _NEVER
            for mask in extra.only:
                worth = np.where(mask, worth, _NEVER)
            for mask in extra.never:
                worth = np.where(mask, _NEVER, worth)
        return self._choose(worth, None, k, -np.inf)

    def choose_among(
        self,
        candidates: Candidates,
        owned: Ids,
        seen: Ids,
        now: int,
        k: int,
        extra: Extra | None = None,
    ) -> Chosen:
        """The same from some items alone. Where it is `sure`, the list is that of `choose`."""
        items, first = np.unique(candidates.items, return_index=True)
        factor = None if self._factor is None else self._factor[items]
        worth = self._weigh(candidates.scores[first], factor)
        worth += self._shut_at(now)[items]
        if self.exclude != "nothing":
            worth[_places(items, owned)] = _NEVER
            if self.exclude == "seen":
                worth[_places(items, seen)] = _NEVER
        if extra is not None:
            worth[_places(items, extra.without)] = _NEVER
            for mask in extra.only:
                worth[~mask[items]] = _NEVER
            for mask in extra.never:
                worth[mask[items]] = _NEVER
        floor = np.float32(candidates.floor)
        most = self._most_factor
        return self._choose(worth, items, k, float(floor * most if floor >= 0 else floor / most))

    def _weigh(self, scores: Floats, factor: Floats | None) -> Floats:
        """A copy of the scores, boosted."""
        if factor is None:
            return np.array(scores, np.float32)
        scores = np.asarray(scores, np.float32)
        if scores.min(initial=0) >= 0:
            return scores * factor
        return np.where(scores < 0, scores / factor, scores * factor)

    def _shut_at(self, now: int) -> Floats:
        return self._shut if self._window is None else self._window.at(now)

    def _choose(self, worth: Floats, items: Ids | None, k: int, bound: float) -> Chosen:
        """`worth` is of `items`, which are sorted; of all where None. No other item is worth
        more than `bound`."""
        counter = QuotaCounter(self._quotas, items)
        lowest = np.float32(np.inf)
        if self._diversity > 0:
            listed, lowest = pick_unlike(worth, counter, k, self._diversity, self._vectors)
            places = np.array(listed, np.int64)
        elif self._quotas:
            places = np.array(counter.fill([], worth, k), np.int64)
        else:
            places = best_indices(worth, k)
        scores, chosen = worth[places], counter.items_at(places).astype(np.int32)
        lowest = scores.min(initial=lowest)
        sure = bound < LEAST or (len(places) == k and bool(lowest > bound))
        return Chosen(chosen, scores, self._say(chosen), bool(sure))

    def _boost(self, catalogue: Catalogue, boosts: Mapping[str, Mapping[str, float]]) -> None:
        made = []
        for name, values in boosts.items():
            for value, factor in values.items():
                if not (0 < factor < np.inf):
                    raise ValueError(
                        f"the boost of {value!r} in column {name!r} is {factor:g}; give a factor "
                        f"above 0, or use `never`"
                    )
                mask = catalogue.holds(name, (value,))
                if self._factor is None:
                    self._factor = np.ones(catalogue.n_items, np.float32)
                self._factor[mask] *= np.float32(factor)
                made.append(_Boost(f"{name} {value} x{factor:g}", mask))
        self._boosts = tuple(made)
        if self._factor is not None:
            self._most_factor = self._factor.max(initial=0)

    def _say(self, items: npt.NDArray[np.integer]) -> tuple[str, ...]:
        if not self._boosts:
            return ("",) * len(items)
        said: list[list[str]] = [[] for _ in range(len(items))]
        for boost in self._boosts:
            for row in np.flatnonzero(boost.mask[items]).tolist():
                said[row].append(boost.words)
        return tuple(", ".join(words) for words in said)


class _Boost(NamedTuple):
    words: str
    mask: Mask


class _Window:
    """When each item may be shown; what holds at a moment is kept until it changes."""

    def __init__(self, opens: Ints, closes: Ints, shut: Floats) -> None:
        self._opens, self._closes, self._shut = opens, closes, shut
        self._changes = np.unique(np.concatenate([opens, closes]))
        self._now: tuple[int, Floats] = (-1, shut)

    def at(self, now: int) -> Floats:
        """0 or minus infinity of each item."""
        period = int(np.searchsorted(self._changes, now, side="right"))
        kept, shut = self._now
        if kept != period:
            shown = (self._opens <= now) & (now < self._closes)
            shut = np.where(shown, self._shut, _NEVER)
            self._now = (period, shut)
        return shut


def _masks(catalogue: Catalogue, rules: Mapping[str, Sequence[str]]) -> tuple[Mask, ...]:
    for name, values in rules.items():
        if not values:
            raise ValueError(f"a rule about column {name!r} names no value; name one")
    return tuple(catalogue.holds(name, tuple(values)) for name, values in rules.items())


def _quota(catalogue: Catalogue, name: str, limit: int) -> Quota:
    if limit < 1:
        raise ValueError(f"at_most of column {name!r} is {limit}; give 1 or more, or use `never`")
    tokens = catalogue.has_tokens(name)
    return Quota(limit, catalogue.tokens(name) if tokens else catalogue.column(name))


def _window(catalogue: Catalogue, scenario: Scenario, shut: Floats) -> _Window:
    opens = np.full(catalogue.n_items, NO_TIME)
    closes = np.full(catalogue.n_items, _FOREVER)
    if scenario.available_from is not None:
        opens = catalogue.times(scenario.available_from)
    if scenario.available_until is not None:
        until = catalogue.times(scenario.available_until)
        closes = np.where(until == NO_TIME, _FOREVER, until)
    return _Window(opens, closes, shut)


def _places(items: Ids, some: Ids) -> Ints:
    """Places of those of `some` that are among the sorted `items`."""
    if not len(items):
        return np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(items, some), len(items) - 1)
    there: Ints = place[items[place] == some]
    return there
