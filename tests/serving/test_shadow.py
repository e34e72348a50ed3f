"""A second bundle silently answers the same questions about the same customers."""

from __future__ import annotations

import json
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import ScoringEngine
from propense.serving.answers import CustomerQuestion
from propense.serving.messages.recommend import RecommendAnswer, RecommendQuestion
from propense.serving.shadow import FILE
from propense.serving.user_ids import UserId
from support.service_bundle import ServedWorld
from support.service_live import Live, live_service

NAMES = ["secretly-ann", "secretly-bob", "secretly-cem"]


@pytest.fixture
def live(shop: ServedWorld, tmp_path):
    """The evaluated network in the shadow of the refreshed one: they differ a little."""
    with live_service(shop, tmp_path / "live") as opened:
        for number, name in enumerate(NAMES):
            opened.teach(name, range(number, number + 6))
        opened.service.start_shadow(evaluated(opened))
        yield opened


def evaluated(live: Live) -> ScoringEngine:
    engine: ScoringEngine = live.client.await_(live.service.bundles.evaluated())
    return engine


def counts(live: Live, n: int) -> dict[str, int]:
    """What became of `n` comparisons, once all are done."""
    until = time.monotonic() + 20
    while True:
        text, _ = live.service.monitor.metrics.render()
        results = {
            sample.labels["result"]: int(sample.value)
            for family in text_string_to_metric_families(text.decode())
            if family.name == "propense_shadow"
            for sample in family.samples if sample.name.endswith("_total")
        }  # fmt: skip
        if sum(results.values()) >= n or time.monotonic() > until:
            return {word: count for word, count in results.items() if count}
        time.sleep(0.01)


def written(live: Live) -> list[dict]:
    file = live.service.data / FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_what_differs_is_counted_and_written_down_without_names(live: Live):
    lists = {name: live.recommend(name) for name in NAMES}
    goals = {name: live.predict(name) for name in NAMES}
    results = counts(live, 6)
    assert set(results) <= {"same", "different"} and sum(results.values()) == 6
    lines = written(live)
    assert len(lines) == results["different"] > 0
    assert "secretly" not in json.dumps(lines)
    shown = [[item["item_id"] for item in answer["items"]] for answer in lists.values()]
    of_lists = [line for line in lines if "items" in line]
    of_goals = [line for line in lines if "goals" in line]
    assert of_goals
    for line in of_lists:
        assert line["items"] in shown and line["items"] != line["shadow_items"]
        both = set(line["items"]) & set(line["shadow_items"])
        assert line["shared"] == len(both) / len(line["items"])
    results = [
        {name: goal.get("probability", goal.get("expected")) for name, goal in one["goals"].items()}
        for one in goals.values()
    ]
    for line in of_goals:
        serving = {name: pair[0] for name, pair in line["goals"].items()}
        assert any(serving == pytest.approx(one, rel=1e-5) for one in results)
        assert any(one != other for one, other in line["goals"].values())


def test_the_shadow_sees_what_the_next_answer_sees(live: Live):
    """Also after events that its memory had to follow."""
    live.service.start_shadow(live.service.engine)
    for cycle in range(8):
        name = NAMES[cycle % 3]
        live.track(name, item=f"item-{cycle + 1:02d}")
        live.recommend(name)
        live.predict(name)
    assert counts(live, 16) == {"same": 16}


def test_customers_without_history_or_consent_are_compared_as_such(live: Live):
    live.service.start_shadow(live.service.engine)
    refuses = {"context": {"consent": {"purposes": {"personalise": False}}}}
    live.track(NAMES[0], event="view", item="item-03", **refuses)
    for name in (NAMES[0], "nobody"):
        live.recommend(name)
        live.predict(name)
    assert counts(live, 4) == {"same": 4}


def ask_again(live: Live, customers: list[CustomerState]) -> None:
    """Compare lists of customers as they were, in one batch."""
    service = live.service
    questions = [
        CustomerQuestion(
            RecommendQuestion(user_id=one.user_id), UserId(one.user_id, None), one, True
        )
        for one in customers
    ]
    answers = [
        RecommendAnswer(
            user_id=one.user_id, scenario="default", items=[], bundle="v0001", policy="network"
        )
        for one in customers
    ]

    async def compare() -> None:
        assert service.shadow is not None
        service.shadow.compare_lists(questions, answers, 0)

    live.client.await_(compare())


def test_customers_who_have_changed_since_are_not_compared_but_the_others_are(live: Live):
    live.service.shadow = None
    for name in NAMES:
        live.recommend(name)
    before = [live.service.engine.cache.get(name) for name in NAMES]
    live.track(NAMES[0], item="item-09")
    live.ask("POST", "/v1/identify", "ingest", json={"userId": NAMES[1], "traits": {"age": 71}})
    live.service.start_shadow(evaluated(live))
    ask_again(live, before)
    assert counts(live, 3) == {"outrun": 2, "different": 1}


def test_a_shadow_of_what_serves_follows_new_items(live: Live):
    service = live.service
    service.start_shadow(service.engine)
    live.ask("PUT", "/v1/items/item-new", "admin", json={"kind": "course"})
    assert service.shadow.engine is service.engine
    live.recommend(NAMES[0])
    live.track(NAMES[0], item="item-09")
    live.recommend(NAMES[0])
    assert counts(live, 2) == {"same": 2}
    live.ask("DELETE", f"/v1/users/{NAMES[0]}", "admin")
    assert service.shadow.engine.cache.get(NAMES[0]) is None


def test_a_shadow_that_cannot_be_opened_keeps_nobody_from_answers(shop: ServedWorld, tmp_path):
    with live_service(shop, tmp_path / "live", shadow="v0999") as live:
        health = live.client.request("GET", "/health/ready").json()
        assert health["ready"] and "the shadow bundle cannot be opened" in health["warnings"][0]
        assert live.ask("GET", "/v1/popular")["bundle"] == "v0001"
