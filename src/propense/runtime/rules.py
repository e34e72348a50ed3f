"""The rules of lists: filters, boosts and availability; quotas and diversity are diversity.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from propense.errors import RefusedError, SettingsError
from propense.inference.artifact.catalogue import Catalogue
from propense.inference.scoring.candidates import Candidates
from propense.models.top_k import LEAST
from propense.runtime.diversity import ListMaker, Quota
from propense.schemas import FIRST_KNOWN, NO_TIME, Floats, Ids, Ints
from propense.settings import Scenario

Mask = npt.NDArray[np.bool_]

_NEVER: Final = np.float32(-np.inf)
_FOREVER: Final = np.iinfo(np.int64).max


class Chosen(NamedTuple):
    """A list, best first."""

    items: Ids
    """(m,) with m <= k: fewer where the rules allow fewer."""
    scores: Floats
    """(m,) boosted scores, by which the items are ordered."""
    why: tuple[str, ...]
    """The boosts of each item, "" where there are none."""
    sure: bool
    """False where an item that is not a candidate might belong in the list: then more candidates
    are needed. Always true for the whole catalogue."""


@dataclass(frozen=True)
class Extra:
    """What a request adds to the rules of its scenario."""

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
        """Ids and values as indices and masks; unknown ids are ignored.

        Raises RefusedError for an unknown column or value, naming the nearest one.
        """
        indices = (catalogue.index_of.get(item_id) for item_id in exclude)
        without = np.array(sorted({i for i in indices if i is not None}), np.int32)
        try:
            return Extra(without, _masks(catalogue, only or {}), _masks(catalogue, never or {}))
        except ValueError as error:
            raise RefusedError(str(error)) from error


class Rules:
    """The rules of a scenario, compiled for one catalogue. They do not change."""

    def __init__(self, n_items: int, exclude: str) -> None:
        """Rules that allow every item; `compile` makes the rules of a scenario."""
        self.exclude = exclude
        self.looks_at_time = False
        """Whether the list depends on the time."""
        self._excluded = np.zeros(n_items, np.float32)
        """0, or minus infinity for items never shown, so that one addition excludes them."""
        self._excluded[:FIRST_KNOWN] = -np.inf
        self._factor: Floats | None = None
        self._most_factor = np.float32(1)
        self._boosts: tuple[_Boost, ...] = ()
        self._window: _Window | None = None
        self._list_maker = ListMaker()

    @staticmethod
    def compile(
        scenario: Scenario,
        catalogue: Catalogue,
        owned_default: bool,
        rankable: Mask | None = None,
        vectors: Floats | None = None,
    ) -> Rules:
        """The rules of a scenario.

        `owned_default` says whether owned items are excluded if the scenario does not say;
        `rankable` (n_items,) which items can be listed at all; the cosine of `vectors`
        (n_items, d) is how alike two items are.
        Raises SettingsError for a column or value that the catalogue does not have, naming the
        nearest one, and for invalid numbers.
        """
        default = "owned" if owned_default else "nothing"
        exclude = default if scenario.exclude == "default" else scenario.exclude
        rules = Rules(catalogue.n_items, exclude)
        if rankable is not None:
            rules._excluded[~rankable] = -np.inf
        try:
            for mask in _masks(catalogue, scenario.only):
                rules._excluded[~mask] = -np.inf
            for mask in _masks(catalogue, scenario.never):
                rules._excluded[mask] = -np.inf
            rules._add_boosts(catalogue, scenario.boosts)
            quotas = tuple(
                _quota(catalogue, name, limit) for name, limit in scenario.at_most.items()
            )
            if scenario.available_from is not None or scenario.available_until is not None:
                rules._window = _window(catalogue, scenario, rules._excluded)
                rules.looks_at_time = True
        except ValueError as error:
            raise SettingsError(f"a rule of [serve.scenarios] is invalid: {error}") from error
        if scenario.diversity > 0 and vectors is None:
            raise SettingsError(
                "a rule of [serve.scenarios] is invalid: diversity needs a bundle whose network "
                "recommends items; set diversity = 0"
            )
        rules._list_maker = ListMaker(quotas, scenario.diversity, vectors)
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

        A score of minus infinity is never shown; equal scores go to the lower index. A boost
        multiplies a score (it divides one below 0). `owned` and `seen` are item indices; `now`
        is in seconds.
        """
        boosted = self._apply(scores, None, owned, seen, now, extra)
        return self._choose(boosted, None, k, -np.inf)

    def choose_among(
        self,
        candidates: Candidates,
        owned: Ids,
        seen: Ids,
        now: int,
        k: int,
        extra: Extra | None = None,
    ) -> Chosen:
        """The same for some items alone. If the result is `sure`, it is the list of `choose`."""
        items, first = np.unique(candidates.items, return_index=True)
        boosted = self._apply(candidates.scores[first], items, owned, seen, now, extra)
        floor, most = np.float32(candidates.floor), self._most_factor
        return self._choose(boosted, items, k, float(floor * most if floor >= 0 else floor / most))

    def _apply(
        self,
        scores: Floats,
        items: Ids | None,
        owned: Ids,
        seen: Ids,
        now: int,
        extra: Extra | None,
    ) -> Floats:
        """Boosted copies of the scores of `items` (sorted; None: all), minus infinity for an item
        that must not be shown."""

        def own(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return values if items is None else values[items]

        def positions(some: Ids) -> Ids | Ints:
            return some if items is None else _positions(items, some)

        boosted = _boosted(scores, None if self._factor is None else own(self._factor))
        boosted += own(self._excluded if self._window is None else self._window.at(now))
        if self.exclude != "nothing":
            boosted[positions(owned)] = _NEVER
            if self.exclude == "seen":
                boosted[positions(seen)] = _NEVER
        if extra is not None:
            boosted[positions(extra.without)] = _NEVER
            for mask in extra.only:
                boosted[~own(mask)] = _NEVER
            for mask in extra.never:
                boosted[own(mask)] = _NEVER
        return boosted

    def _choose(self, boosted: Floats, items: Ids | None, k: int, bound: float) -> Chosen:
        """No item beside `items` has a boosted score above `bound`."""
        positions, lowest = self._list_maker.make(boosted, items, k)
        chosen = (positions if items is None else items[positions]).astype(np.int32)
        sure = bound < LEAST or (len(positions) == k and bool(lowest > bound))
        return Chosen(chosen, boosted[positions], self._boosts_of(chosen), bool(sure))

    def _add_boosts(self, catalogue: Catalogue, boosts: Mapping[str, Mapping[str, float]]) -> None:
        compiled = []
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
                compiled.append(_Boost(f"{name} {value} x{factor:g}", mask))
        self._boosts = tuple(compiled)
        if self._factor is not None:
            self._most_factor = self._factor.max(initial=0)

    def _boosts_of(self, items: Ids) -> tuple[str, ...]:
        """The text of each item's boosts."""
        if not self._boosts:
            return ("",) * len(items)
        texts: list[list[str]] = [[] for _ in range(len(items))]
        for boost in self._boosts:
            for row in np.flatnonzero(boost.mask[items]).tolist():
                texts[row].append(boost.text)
        return tuple(", ".join(words) for words in texts)


class _Boost(NamedTuple):
    text: str
    mask: Mask


class _Window:
    """When each item can be shown. The state between two changes is computed once."""

    def __init__(self, opens: Ints, closes: Ints, excluded: Floats) -> None:
        self._opens, self._closes, self._excluded = opens, closes, excluded
        self._changes = np.unique(np.concatenate([opens, closes]))
        self._current: tuple[int, Floats] = (-1, excluded)

    def at(self, now: int) -> Floats:
        """(n_items,) 0, or minus infinity for items that cannot be shown at the time `now`."""
        period = int(np.searchsorted(self._changes, now, side="right"))
        current, excluded = self._current
        if current != period:
            available = (self._opens <= now) & (now < self._closes)
            excluded = np.where(available, self._excluded, _NEVER)
            self._current = (period, excluded)
        return excluded


def _masks(catalogue: Catalogue, rules: Mapping[str, Sequence[str]]) -> tuple[Mask, ...]:
    for name, values in rules.items():
        if not values:
            raise ValueError(f"the rule for column {name!r} lists no values; give at least one")
    return tuple(catalogue.holds(name, tuple(values)) for name, values in rules.items())


def _quota(catalogue: Catalogue, name: str, limit: int) -> Quota:
    if limit < 1:
        raise ValueError(f"at_most of column {name!r} is {limit}; give 1 or more, or use `never`")
    tokens = catalogue.has_tokens(name)
    return Quota(limit, catalogue.tokens(name) if tokens else catalogue.column(name))


def _window(catalogue: Catalogue, scenario: Scenario, excluded: Floats) -> _Window:
    opens = np.full(catalogue.n_items, NO_TIME)
    closes = np.full(catalogue.n_items, _FOREVER)
    if scenario.available_from is not None:
        opens = catalogue.times(scenario.available_from)
    if scenario.available_until is not None:
        until = catalogue.times(scenario.available_until)
        closes = np.where(until == NO_TIME, _FOREVER, until)
    return _Window(opens, closes, excluded)


def _boosted(scores: Floats, factor: Floats | None) -> Floats:
    """A copy of the scores, boosted."""
    if factor is None:
        return np.array(scores, np.float32)
    scores = np.asarray(scores, np.float32)
    if scores.min(initial=0) >= 0:
        return scores * factor
    return np.where(scores < 0, scores / factor, scores * factor)


def _positions(items: Ids, some: Ids) -> Ints:
    """The positions in the sorted `items` of those of `some` that are among them."""
    if not len(items):
        return np.zeros(0, np.int64)
    position = np.minimum(np.searchsorted(items, some), len(items) - 1)
    positions: Ints = position[items[position] == some]
    return positions
