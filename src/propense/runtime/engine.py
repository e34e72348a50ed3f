"""A bundle that answers: its network, its rules, and the customers it has read."""

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
from propense.inference.new_items import Misfit, with_items
from propense.inference.retrieval import NEAREST, Retriever, needs_retrieval
from propense.inference.scoring.candidates import Candidates
from propense.inference.single import score_one
from propense.models.shape import ItemHead
from propense.models.top_k import top_items, unit_vectors
from propense.runtime.customer_cache import Cache
from propense.runtime.customer_state import (
    CustomerState,
    history_of_events,
    join,
    join_profiles,
)
from propense.runtime.followed_counts import followed_counts
from propense.runtime.rules import Rules
from propense.schemas import FIRST_KNOWN, NONE, Doubles, Floats, Ids
from propense.security.signing import ANY_SIGNER, Signers
from propense.settings import Scenario

DEFAULT: Final = "default"
FEW: Final = 3
"""Up to so many customers are scored one by one, more as a batch."""

Scores = Floats | Candidates
CustomerAsOf = tuple[CustomerState, int]
"""A customer, and the time in seconds as of which they are asked about."""


@dataclass(frozen=True)
class PreparedScenario:
    """A scenario with its compiled rules and its weights of actions."""

    name: str
    scenario: Scenario
    rules: Rules
    heads: tuple[ItemHead, ...] | None
    """None: the bundle's own weights."""


@dataclass(frozen=True)
class ScoreRequest:
    """A question for the scores of every item, for one customer."""

    customer: CustomerState
    end: int
    """How many of their events are read."""
    step: int | None
    """When the list is asked for, by `ScoringEngine.step_of`."""
    scenario: PreparedScenario

    @property
    def key(self) -> tuple[object, ...]:
        """Everything that the scores of one customer depend on."""
        return ("scores", self.scenario.heads, self.end, self.step)


class ScoringEngine:
    """One network of one bundle. Apart from its cache it does not change."""

    def __init__(
        self,
        version: str,
        bundle: Bundle,
        scenarios: Mapping[str, Scenario],
        cache_bytes: float,
        records: Sequence[Mapping[str, object]] = (),
        items_state: State = None,
    ) -> None:
        """`records` are items that were sent after the bundle was made, `items_state` the state of
        their file.

        Raises SettingsError on rules with columns or values that the catalogue does not have,
        SourceError or BundleError on records that the bundle cannot take.
        """
        self.version = version
        self.packed = bundle
        """The bundle as it is on the shelf."""
        if records and network_takes_items(bundle):
            bundle = with_items(bundle, records)
        self.bundle = bundle
        self.items_state = items_state
        self.set_aside: tuple[Misfit, ...] = ()
        """Items that were sent and that this bundle cannot take."""
        self.cache = Cache(cache_bytes)
        self.followed = followed_counts(bundle)
        """What has been popular since the bundle was made; None where lists do not depend on it."""
        self._popular: tuple[int | None, Floats] | None = None
        self._clipper = Clipper(bundle.reference_profile.bounds, bundle.encoder.actions)
        self._retriever = Retriever(bundle) if needs_retrieval(bundle) else None
        named = {DEFAULT: Scenario(k=bundle.info.k), **scenarios}
        vectors = None if bundle.ranker is None else self._unit_vectors
        self.scenarios = {
            name: prepare_scenario(bundle, name, scenario, vectors)
            for name, scenario in named.items()
        }

    @property
    def recommends(self) -> bool:
        return self.bundle.ranker is not None

    @property
    def policy(self) -> str:
        """The name of what ranks items: the network or a rival."""
        return self.bundle.info.item_champion

    def read(self, customer: Customer) -> CustomerState:
        """The customer in this bundle's vocabulary."""
        return CustomerState(customer, self.bundle, self._clipper)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Scores of every item, (n_items,) each, or of candidates if the catalogue is very large.

        Cached scores are not computed again.
        """
        results: list[Scores | None] = [
            request.customer.cached.get(request.key) for request in requests
        ]
        missing = [index for index, scores in enumerate(results) if scores is None]
        if self._retriever is not None:
            for index in missing:
                results[index] = self.retrieve(requests[index])
        elif len(missing) <= FEW:
            for index in missing:
                request = requests[index]
                results[index] = score_one(
                    self.bundle, request.customer.histories, request.customer.clock, request.end,
                    request.step, request.scenario.heads,
                )  # fmt: skip
        else:
            self._score_batch(requests, missing, results)
        for index in missing:
            request, scores = requests[index], results[index]
            # Only integration tests ask about the past, and about each time once.
            if request.end == request.customer.n_events and scores is not None:
                request.customer.cache(request.key, scores)
                self.cache.update_size(request.customer)
        return [scores for scores in results if scores is not None]

    def retrieve(self, request: ScoreRequest, nearest: int = NEAREST) -> Candidates:
        """Candidates from a very large catalogue; the index gives `nearest` for each head."""
        assert self._retriever is not None
        customer, heads = request.customer, request.scenario.heads
        return self._retriever.retrieve(
            customer.histories, customer.clock, request.end, request.step, heads, nearest
        )

    def _score_batch(
        self, requests: Sequence[ScoreRequest], missing: Sequence[int], results: list[Scores | None]
    ) -> None:
        groups: dict[tuple[ItemHead, ...] | None, list[int]] = {}
        for index in missing:
            groups.setdefault(requests[index].scenario.heads, []).append(index)
        for heads, members in groups.items():
            histories, clock, begin = join([requests[index].customer for index in members])
            end = begin + np.array([requests[index].end for index in members])
            user = np.arange(len(members), dtype=np.int32)
            # One engine's requests all have a step, or none has.
            asked = [requests[index].step for index in members]
            steps = None if None in asked else np.array(asked)
            scores = self.bundle.item_scores(histories, clock, user, end, steps, heads)
            for row, index in enumerate(members):
                results[index] = scores[row].copy()

    def predict(self, questions: Sequence[CustomerAsOf]) -> Doubles:
        """Every goal of each customer as of a time, calibrated; (n, n_goals)."""
        customers = [customer for customer, _ in questions]
        histories, clock, _ = join(customers)
        profiles = join_profiles(customers)
        user = np.arange(len(questions), dtype=np.int32)
        as_of = np.array([time for _, time in questions], np.int64)
        return self.bundle.predict(histories, clock, profiles, user, as_of)

    def step_of(self, as_of: int) -> int | None:
        """The beginning, in seconds, of the step within which scores do not change with time
        alone; None where they never do."""
        ranker = self.bundle.ranker
        if ranker is None or not (self.bundle.item_rival or ranker).changes_with_time:
            return None
        if self.followed is not None:
            return self.followed.in_use(as_of)
        return int(ranker.step_of(np.array([as_of]))[0])

    def forget(self) -> None:
        """Drop all customers and what was popular from memory."""
        self.cache.clear()
        self._popular = None
        if self.followed is not None:
            self.followed.forget()
        if self.bundle.ranker is not None:
            self.bundle.ranker.forget()
        if self._retriever is not None:
            self._retriever.forget()

    def popular(self, as_of: int) -> Floats:
        """Scores for a customer without a history, (n_items,): what is popular at a time."""
        step, held = self.step_of(as_of), self._popular
        if held is None or held[0] != step:
            nobody = history_of_events("", [], self.bundle.encoder)
            steps = None if step is None else np.array([step])
            scores = self.bundle.item_scores(
                nobody, self.bundle.clock(nobody), np.zeros(1, np.int32), np.zeros(1, np.int64),
                steps,
            )[0]  # fmt: skip
            held = self._popular = step, scores
        return held[1].copy()

    def similar(self, index: int, k: int) -> tuple[Ids, Floats]:
        """The items most similar to one, and the cosine of their vectors; best first."""
        assert self.bundle.ranker is not None
        cosine = self._unit_vectors @ self._unit_vectors[index]
        cosine[~self.bundle.ranker.rankable] = -np.inf
        cosine[index] = -np.inf
        best = top_items(cosine[None], k)[0]
        best = best[best != NONE]
        return best, cosine[best]

    @cached_property
    def _unit_vectors(self) -> Floats:
        return unit_vectors(self.bundle.scorer.item_vectors)

    def owned(self, customer: CustomerState, end: int) -> Ids:
        """The items that the customer owns after their first `end` events; an item can occur
        more than once."""
        owning = self.bundle.owned
        items = customer.histories.item[:end]
        if owning is None:
            return items[:0]
        items = items[owning[customer.histories.action[:end]]]
        own: Ids = items[items >= FIRST_KNOWN]
        return own

    def seen(self, customer: CustomerState, end: int) -> Ids:
        """The items of the customer's first `end` events; an item can occur more than once."""
        items = customer.histories.item[:end]
        seen: Ids = items[items >= FIRST_KNOWN]
        return seen


def prepare_scenario(
    bundle: Bundle, name: str, scenario: Scenario, vectors: Floats | None
) -> PreparedScenario:
    """A scenario with its rules compiled for a bundle; `vectors` (n_items, d) of length 1, None
    where nothing is recommended.

    Raises SettingsError on columns or values that the catalogue does not have, and on weights of
    actions that the network does not predict.
    """
    ranker = bundle.ranker
    rankable = None if ranker is None else ranker.rankable
    rules = Rules.compile(scenario, bundle.catalogue, bundle.owned is not None, rankable, vectors)
    return PreparedScenario(name, scenario, rules, _heads(bundle, name, scenario))


def _heads(bundle: Bundle, name: str, scenario: Scenario) -> tuple[ItemHead, ...] | None:
    if not scenario.weights:
        return None
    heads = bundle.info.shape.item_heads
    names = [head.name for head in heads]
    for action in scenario.weights:
        if action not in names:
            raise SettingsError(
                f"[serve.scenarios.{name}] weights: the network does not predict the action "
                f"{action!r}; {nearest(action, names)}"
            )
    return tuple(
        ItemHead(head.name, head.actions, scenario.weights.get(head.name, 0.0)) for head in heads
    )


def network_takes_items(bundle: Bundle) -> bool:
    """Whether the bundle has a catalogue to which items can be added."""
    return bundle.ranker is not None


def open_engine(
    folder: Path,
    scenarios: Mapping[str, Scenario],
    cache_bytes: float,
    network: str | None = None,
    signers: Signers = ANY_SIGNER,
) -> ScoringEngine:
    """The engine of the bundle in `folder`, after every file of it was checked.
    `signers` says who must have signed it.

    Raises BundleError on a bundle that is damaged or not signed, SettingsError on rules with
    columns or values that its catalogue does not have.
    """
    bundle = open_bundle(folder, network=network, signers=signers)
    return ScoringEngine(folder.name, bundle, scenarios, cache_bytes)
