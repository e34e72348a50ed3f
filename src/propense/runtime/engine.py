"""A bundle that answers: its words, its rules, and the customers it has read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from propense.errors import SettingsError, nearest
from propense.files import State
from propense.history.records import Customer
from propense.inference.artifact.clipping import Clipper
from propense.inference.bundle import Bundle, open_bundle
from propense.inference.new_items import with_items
from propense.inference.retrieval import NEAREST, Retriever, needs_retrieval
from propense.inference.scoring.candidates import Candidates
from propense.inference.single import score_one
from propense.models.shape import ItemHead
from propense.models.top_k import top_items, unit_vectors
from propense.runtime.customer_cache import Cache
from propense.runtime.customer_state import CustomerState, join, join_profiles
from propense.runtime.rules import Rules
from propense.schemas import FIRST_KNOWN, NONE, Doubles, Floats, Ids
from propense.settings import Scenario

DEFAULT: Final = "default"
FEW: Final = 3
"""Up to so many customers are scored one by one; more are a batch."""


Scores = Floats | Candidates
CustomerAsOf = tuple[CustomerState, int]
"""A customer as of a moment in seconds."""


@dataclass(frozen=True)
class PreparedScenario:
    """A scenario, ready: its rules, and how it weighs the actions."""

    name: str
    scenario: Scenario
    rules: Rules
    heads: tuple[ItemHead, ...] | None
    """None: as the bundle weighs them."""


@dataclass(frozen=True)
class Ask:
    """The scores of every item, asked for one customer."""

    known: CustomerState
    end: int
    """How many events are read."""
    place: PreparedScenario

    @property
    def key(self) -> tuple[object, ...]:
        """What the scores depend on, for one customer."""
        return ("scores", self.place.heads, self.end)


class ScoringEngine:
    """One network of one bundle. Nothing of it that answers depend on changes but its cache."""

    def __init__(
        self,
        version: str,
        bundle: Bundle,
        scenarios: Mapping[str, Scenario],
        cache_bytes: float,
        records: Sequence[Mapping[str, object]] = (),
        stock: State = None,
    ) -> None:
        """`records` are items that came or changed after the bundle was made, `stock` the state
        of the file that had them.

        Raises SettingsError on rules that name what the catalogue does not have, SourceError or
        BundleError on records that the bundle cannot take.
        """
        self.version = version
        self.packed = bundle
        """As it lies on the shelf."""
        if records and network_takes_items(bundle):
            bundle = with_items(bundle, records)
        self.bundle = bundle
        self.stock = stock
        self.cache = Cache(cache_bytes)
        self._clipper = Clipper(bundle.reference_profile.bounds, bundle.encoder.actions)
        self._nominees = Retriever(bundle) if needs_retrieval(bundle) else None
        named = {DEFAULT: Scenario(k=bundle.info.k), **scenarios}
        self.places = {name: self._prepare(name, scenario) for name, scenario in named.items()}

    @property
    def recommends(self) -> bool:
        return self.bundle.ranker is not None

    @property
    def policy(self) -> str:
        """Who ranks."""
        return self.bundle.info.item_champion

    def read(self, customer: Customer) -> CustomerState:
        """The customer as this bundle reads them."""
        return CustomerState(customer, self.bundle, self._clipper)

    def score(self, asked: Sequence[Ask]) -> list[Scores]:
        """Scores of every item, (n_items,) each, or of candidates where the catalogue is very
        large; what is known already is not made again."""
        found: list[Scores | None] = [ask.known.kept.get(ask.key) for ask in asked]
        lacking = [number for number, scores in enumerate(found) if scores is None]
        if self._nominees is not None:
            for number in lacking:
                found[number] = self.retrieve(asked[number])
        elif len(lacking) <= FEW:
            for number in lacking:
                ask = asked[number]
                known = ask.known
                found[number] = score_one(
                    self.bundle, known.histories, known.clock, ask.end, ask.place.heads
                )
        else:
            self._score_batch(asked, lacking, found)
        for number in lacking:
            ask, scores = asked[number], found[number]
            # Of the past only the integration test asks, and each moment once.
            if ask.end == ask.known.n_events and scores is not None:
                ask.known.keep(ask.key, scores)
                self.cache.grew(ask.known)
        return [scores for scores in found if scores is not None]

    def retrieve(self, ask: Ask, nearest: int = NEAREST) -> Candidates:
        """Candidates of a very large catalogue, `nearest` a head by the index."""
        assert self._nominees is not None
        known, heads = ask.known, ask.place.heads
        return self._nominees.retrieve(known.histories, known.clock, ask.end, heads, nearest)

    def _score_batch(
        self, asked: Sequence[Ask], numbers: Sequence[int], found: list[Scores | None]
    ) -> None:
        groups: dict[tuple[ItemHead, ...] | None, list[int]] = {}
        for number in numbers:
            groups.setdefault(asked[number].place.heads, []).append(number)
        for heads, members in groups.items():
            histories, clock, begin = join([asked[number].known for number in members])
            end = begin + np.array([asked[number].end for number in members])
            user = np.arange(len(members), dtype=np.int32)
            scores = self.bundle.item_scores(histories, clock, user, end, heads)
            for row, number in enumerate(members):
                found[number] = scores[row].copy()

    def predict(self, asked: Sequence[CustomerAsOf]) -> Doubles:
        """Every goal of each customer at a moment, calibrated; (n, n_goals)."""
        customers = [known for known, _ in asked]
        histories, clock, _ = join(customers)
        profiles = join_profiles(customers)
        user = np.arange(len(asked), dtype=np.int32)
        moments = np.array([as_of for _, as_of in asked], np.int64)
        return self.bundle.predict(histories, clock, profiles, user, moments)

    def popular(self) -> Floats:
        """What is offered to a customer of whom nothing is known, (n_items,)."""
        assert self.bundle.ranker is not None
        return self.bundle.ranker.popularity.astype(np.float32)

    def similar(self, index: int, k: int) -> tuple[Ids, Floats]:
        """The items most like one, by the angle of their vectors, and its cosine; best first."""
        assert self.bundle.ranker is not None
        likeness = self._unit_vectors @ self._unit_vectors[index]
        likeness[~self.bundle.ranker.rankable] = -np.inf
        likeness[index] = -np.inf
        best = top_items(likeness[None], k)[0]
        best = best[best != NONE]
        return best, likeness[best]

    @cached_property
    def _unit_vectors(self) -> Floats:
        return unit_vectors(self.bundle.scorer.item_vectors)

    def owned(self, known: CustomerState, end: int) -> Ids:
        """The items that the customer's first `end` events made their own; one may stand there
        more than once."""
        owning = self.bundle.owned
        items = known.histories.item[:end]
        if owning is None:
            return items[:0]
        items = items[owning[known.histories.action[:end]]]
        own: Ids = items[items >= FIRST_KNOWN]
        return own

    def seen(self, known: CustomerState, end: int) -> Ids:
        """The items of the customer's first `end` events, as often as they stand there."""
        items = known.histories.item[:end]
        met: Ids = items[items >= FIRST_KNOWN]
        return met

    def _prepare(self, name: str, scenario: Scenario) -> PreparedScenario:
        ranker = self.bundle.ranker
        rules = Rules.compile(
            scenario, self.bundle.catalogue, self.bundle.owned is not None,
            None if ranker is None else ranker.rankable,
            None if ranker is None else self._unit_vectors,
        )  # fmt: skip
        return PreparedScenario(name, scenario, rules, self._heads(name, scenario))

    def _heads(self, name: str, scenario: Scenario) -> tuple[ItemHead, ...] | None:
        if not scenario.weights:
            return None
        heads = self.bundle.info.shape.item_heads
        known = [head.name for head in heads]
        for action in scenario.weights:
            if action not in known:
                raise SettingsError(
                    f"[serve.scenarios.{name}] weights names {action!r}, which the network does "
                    f"not ask about; {nearest(action, known)}"
                )
        return tuple(
            ItemHead(head.name, head.actions, scenario.weights.get(head.name, 0.0))
            for head in heads
        )


def network_takes_items(bundle: Bundle) -> bool:
    """Whether there is a catalogue that items can be added to."""
    return bundle.ranker is not None


def open_engine(
    folder: Path,
    scenarios: Mapping[str, Scenario],
    cache_bytes: float,
    network: str | None = None,
    public_keys: Sequence[bytes] = (),
) -> ScoringEngine:
    """The bundle in `folder`, every file of it checked; one of `public_keys`, where there are
    any, must have signed it.

    Raises BundleError on a bundle that cannot be trusted, SettingsError on rules that name what
    its catalogue does not have.
    """
    bundle = open_bundle(folder, network=network, public_keys=public_keys)
    return ScoringEngine(folder.name, bundle, scenarios, cache_bytes)
