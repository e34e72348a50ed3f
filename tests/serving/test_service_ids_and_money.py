"""Ids that are none, and money as a shop sends it, through the service."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from propense.settings import EventMapping
from support.service_bundle import ServedWorld, item_id
from support.service_live import Live, live_service

WORDS = ("undefined", "null", "[object Object]", "NaN", "0", "None", "guest", "anonymous",
         "undefined ")  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_visitors_with_the_same_word_for_an_id_stay_two(live: Live, word: str) -> None:
    for visitor, number in (("a1", 1), ("a2", 2)):
        live.ask("POST", "/v1/track", "ingest", json={
            "anonymousId": visitor, "event": "view", "properties": {"item_id": item_id(number)},
        })  # fmt: skip
        answer = live.ask("POST", "/v1/identify", "ingest", json={
            "userId": word, "anonymousId": visitor, "traits": {"plan": "plus"},
        })  # fmt: skip
        assert (answer["kept"], answer["ignored"]) == (1, {"placeholder_id": 1})
    for visitor, number in (("a1", 1), ("a2", 2)):
        held = live.held(visitor)
        assert (held["user_id"], held["names"]) == (visitor, [])
        assert [event["item_id"] for event in held["events"]] == [item_id(number)]
        assert held["traits"] == {"plan": "plus"}
    assert live.refused("GET", f"/v1/users/{word}", "admin")[0] == 404
    problem = live.track_refused(word)
    assert problem["pointer"] == "/userId" and "missing id" in problem["detail"]
    metrics = live.client.request("GET", "/metrics").text
    assert 'propense_ignored_total{reason="placeholder_id"} 2' in metrics


def test_blanks_around_an_id_are_no_part_of_it(live: Live) -> None:
    for name in ("u1", " u1 ", "u1\u00a0"):
        live.track(name, properties={"item_id": f" {item_id(1)} "})
    held = live.held("u1")
    assert [event["item_id"] for event in held["events"]] == [item_id(1)] * 3
    wanted = live.recommend("u1")["items"]
    assert live.recommend(" u1 ")["items"] == wanted
    until = time.monotonic() + 20
    while len(live.held("u1")["decisions"]) < 2:
        assert time.monotonic() < until, "shown lists are not stored under the tidy id"
        time.sleep(0.05)
    receipt = live.ask("DELETE", "/v1/users/%20u1%20", "admin")
    assert receipt["removed"]["live events"] == 3 and receipt["removed"]["live decisions"] == 2
    assert live.refused("GET", "/v1/users/u1", "admin")[0] == 404


@pytest.fixture
def euro(shop: ServedWorld, tmp_path: Any) -> Any:
    settings = msgspec.structs.replace(shop.settings, currency="EUR", exchange_rates={"USD": 0.92})
    events = {"Order Completed": EventMapping(action="pay")}
    with live_service(ServedWorld(settings, shop.kind), tmp_path, events=events) as live:
        yield live


def test_money_is_what_was_paid(euro: Live) -> None:
    lines = [{"product_id": "P01", "price": 50}, {"product_id": "P02", "price": 50}]
    sent: tuple[tuple[dict[str, Any], list[float | None], dict[str, int]], ...] = (
        ({"revenue": 80.0, "discount": 20.0, "products": lines}, [40.0, 40.0], {}),
        ({"total": 30, "currency": "JPY"}, [None], {"other_currency": 1}),
        ({"total": 30, "currency": "USD"}, [27.6], {}),
        ({"total": 30, "currency": "EUR"}, [30.0], {}),
    )
    for number, (properties, values, ignored) in enumerate(sent):
        answer = euro.track(f"m{number}", event="Order Completed", properties=properties)
        assert (answer["kept"], answer["ignored"]) == (1, ignored)
        held = euro.held(f"m{number}")["events"]
        assert [event.get("value") for event in held] == values
        assert {event["action"] for event in held} == {"pay"}
    euro.track("m9", event="Refund", properties={"total": 30})
    assert euro.held("m9")["events"][0]["value"] == -30
    answer = euro.track("m9", properties={"product_id": ["P01", "P02"]})
    assert (answer["kept"], answer["ignored"]) == (1, {"unreadable_item": 1})
    lines_sent = [
        msgspec.json.encode({"type": "track", "userId": "m9", "event": "view", "messageId": own_id,
                             "properties": {"sku": [], "quantity": "x"}})
        for own_id in ("a", "b")
    ]  # fmt: skip
    answer = euro.ask("POST", "/v1/import", "ingest", content=b"\n".join(lines_sent))
    assert answer["ignored"] == {"unreadable_item": 2, "unreadable_count": 2}


def test_the_words_that_are_no_customer_are_those_of_the_settings(
    shop: ServedWorld, tmp_path: Any
) -> None:
    clean = msgspec.structs.replace(shop.settings.clean, placeholder_ids=("walk-in",))
    settings = msgspec.structs.replace(shop.settings, clean=clean)
    with live_service(ServedWorld(settings, shop.kind), tmp_path) as live:
        live.track("guest", properties={"item_id": item_id(1)})
        assert live.held("guest")["user_id"] == "guest"
        assert live.track_refused("Walk-In")["pointer"] == "/userId"
