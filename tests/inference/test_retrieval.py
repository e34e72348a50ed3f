"""Nominees of a large catalogue, held against the scores of all of its items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propense.history.records import Customer, LiveEvent
from propense.inference import retrieval
from propense.inference.retrieval import Retriever, needs_retrieval
from propense.inference.single import score_one
from propense.runtime.engine import ScoreRequest, ScoringEngine
from propense.serving.answers import CustomerQuestion, list_items
from propense.serving.messages.recommend import RecommendQuestion
from propense.serving.user_ids import UserId
from propense.settings import Scenario
from support.service_bundle import ServedWorld

DAY = 86_400_000_000


@pytest.fixture(scope="module")
def engine(shop: ServedWorld, monkeypatch_module: pytest.MonkeyPatch) -> ScoringEngine:
    """A service's engine that takes its 40 items for a very large catalogue."""
    monkeypatch_module.setattr(retrieval, "EXACT_UP_TO", 10)
    monkeypatch_module.setattr(retrieval, "POPULAR", 5)
    monkeypatch_module.setattr("propense.runtime.engine.NEAREST", 6)
    scenarios = {"rare": Scenario(k=10, never={"kind": ("course", "book")})}
    return ScoringEngine("v0001", shop.bundle, scenarios, 1e7)


@pytest.fixture(scope="module")
def monkeypatch_module() -> pytest.MonkeyPatch:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


NOW = 61 * 86_400
"""Seconds; just after the last of the events below."""
events = st.lists(
    st.tuples(st.integers(0, 39), st.sampled_from(["view", "take", "pay"]), st.integers(0, 60)),
    min_size=1, max_size=30,
)  # fmt: skip


def test_small_catalogues_are_scored_whole(shop: ServedWorld) -> None:
    assert not needs_retrieval(shop.bundle)


@given(history=events)
def test_candidates_are_scored_as_all_items_are(
    engine: ScoringEngine, history: list[tuple[int, str, int]]
) -> None:
    customer = engine.read(_customer(engine, history))
    whole = score_one(engine.bundle, customer.histories, customer.clock, customer.n_events, NOW)
    some = Retriever(engine.bundle).retrieve(
        customer.histories, customer.clock, customer.n_events, NOW, nearest=6
    )
    # The sample is the whole catalogue here, so that nothing is estimated.
    ratio = some.scores / whole[some.items]
    assert ratio.max() / ratio.min() < 1 + 1e-3
    others = np.setdiff1d(np.flatnonzero(engine.bundle.ranker.rankable), some.items)  # type: ignore[union-attr]
    if len(others):
        assert whole[others].max() * ratio.max() <= some.floor * (1 + 1e-3)


def test_an_old_favourite_and_all_of_a_large_basket_are_candidates(engine: ScoringEngine) -> None:
    favourite, basket = [(30, "take", 0)] * 30, [(item, "pay", 59) for item in range(25)]
    since = [(day % 3, "view", day) for day in range(1, 58) for _ in range(4)]
    history = favourite + since + basket
    customer = engine.read(_customer(engine, history))
    made = Retriever(engine.bundle)
    some = made.retrieve(customer.histories, customer.clock, customer.n_events, NOW, nearest=1)
    assert customer.histories.item[0] in some.items
    counts = engine.bundle.ranker.counts  # type: ignore[union-attr]
    for item in customer.histories.item[-25:]:
        followers = counts.successor[counts.offsets[item] : counts.offsets[item + 1]]  # type: ignore[union-attr]
        assert np.isin(followers, some.items).all()


@given(history=events, scenario=st.sampled_from(["default", "rare"]))
def test_lists_are_those_of_the_whole_catalogue(
    engine: ScoringEngine, history: list[tuple[int, str, int]], scenario: str
) -> None:
    customer = engine.read(_customer(engine, history))
    question = RecommendQuestion(user_id="u", k=8, scenario=scenario)
    asked = CustomerQuestion(question, UserId("u", None), customer, True)
    prepared = engine.scenarios[scenario]
    request = ScoreRequest(customer, customer.n_events, NOW, prepared)
    scores = engine.score([request])[0]
    answer = list_items(engine, asked, request, scores, 0)
    whole = score_one(engine.bundle, customer.histories, customer.clock, customer.n_events, NOW)
    best = prepared.rules.choose(
        whole, engine.owned(customer, request.end), engine.seen(customer, request.end), 0, 8
    )
    words = engine.bundle.encoder.items.words
    assert [item.item_id for item in answer.items] == [words[i - 2] for i in best.items.tolist()]


def _customer(engine: ScoringEngine, history: list[tuple[int, str, int]]) -> Customer:
    words = engine.bundle.encoder.items.words
    return Customer(
        user_id="u",
        version=1,
        events=[
            LiveEvent(event_time=day * DAY, action=action, item_id=words[item % len(words)])
            for item, action, day in history
        ],
    )
