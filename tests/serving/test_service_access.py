"""What each scope may do, compared with a table written by hand."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from propense.security.keys import SCOPES
from propense.serving.routes import ROUTES
from propense.settings import Limits
from support.service_live import IDS, Live, body_of, is_problem, live_service

ASK = {"read", "verify"}
SEND = {"ingest", "verify"}
MAY: dict[str, set[str] | None] = {
    "recommend": ASK, "recommend_by_query": ASK, "recommend_batch": ASK,
    "predict": ASK, "predict_by_query": ASK, "predict_batch": ASK,
    "similar_items": {"read"}, "popular_items": {"read"},
    "ingest_track": SEND, "ingest_identify": SEND, "ingest_page": SEND, "ingest_screen": SEND,
    "ingest_group": SEND, "ingest_alias": SEND, "ingest_batch": SEND,
    "ingest_t": SEND, "ingest_i": SEND, "ingest_p": SEND, "ingest_s": SEND, "ingest_g": SEND,
    "ingest_a": SEND, "ingest_b": SEND, "import_lines": SEND, "site_settings": SEND,
    "show_user": {"admin", "verify"}, "erase_user": {"admin"},
    "read_customer": {"admin", "verify"}, "erase_customer": {"admin"},
    "show_bundles": {"admin"}, "promote_bundle": {"admin"}, "roll_back_bundle": {"admin"},
    "put_item": {"admin"},
    "end_integration_test": {"verify"},
    "live": None, "ready": None, "metrics": None, "openapi": None,
}  # fmt: skip
"""Operation -> the scopes that open it; None: open to all."""


def call(live: Live, route: Any, key: str | None, headers: dict[str, str] | None = None) -> Any:
    """The answer to a sound request with a key, in the header or where the route has it."""
    path = route.path.format(**(IDS | {"key": key or "none"}))
    sent = dict(headers or {})
    if key is not None and headers is None:
        sent["authorization"] = f"Bearer {key}"
    return live.client.request(route.method, path, headers=sent, **body_of(route.name))


def test_every_operation_has_a_row():
    assert [route.name for route in ROUTES] and {route.name for route in ROUTES} == set(MAY)
    assert len({route.name for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_scope_opens_what_the_table_says(shared: Live, route):
    may = MAY[route.name]
    for scope in SCOPES:
        answer = call(shared, route, shared.keys[scope])
        if may is None or scope in may:
            assert answer.status_code not in (401, 500), answer.text
            for_tests = "an integration test" in answer.text
            assert answer.status_code != 403 or for_tests, (scope, answer.text)
        else:
            assert answer.status_code == 403, (scope, answer.text)
            assert "lacks the scope" in is_problem(answer)["detail"]
            assert shared.keys[scope] not in answer.text


@pytest.fixture(scope="module")
def dead(shared: Live) -> dict[str, str | None]:
    """Keys that are not valid, and none at all."""
    ring = shared.service.keys
    now = time.time_ns() // 1000
    record, revoked = ring.create("revoked", SCOPES, now=now)
    ring.revoke(record.prefix, now)
    _, expired = ring.create("expired", SCOPES, now=now - 10, expires=now - 5)
    good = shared.keys["all"]
    swapped = good[:-1] + ("A" if good[-1] != "A" else "B")
    other = good[:12] + "x" * (len(good) - 12)
    # What another process did is seen within half a second.
    time.sleep(0.6)
    return {"none": None, "revoked": revoked, "expired": expired, "swapped": swapped,
            "other secret": other, "prefix alone": good[3:11], "long": "x" * 4_000}  # fmt: skip


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if MAY[route.name] is not None],
    ids=lambda route: route.name,
)  # fmt: skip
def test_without_a_valid_key_protected_routes_are_refused(shared: Live, route, dead):
    for what, key in dead.items():
        answer = call(shared, route, key)
        assert answer.status_code == 401, (what, answer.text)
        is_problem(answer)
        assert answer.headers["www-authenticate"] == 'Bearer realm="propense"', "never Basic"
    for header in (
        "", "Bearer", "Bearer ", "Basic", "Basic !!!", "Basic " + "A" * 9_999, "Digest x",
        "Bearer\t", "Basic " + base64.b64encode(b"\xff\xfe:").decode(), "pp_x_y",
        "Bearer pp_\u00e9", "Basic " + base64.b64encode(b"nobody:").decode(),
    ):  # fmt: skip
        answer = call(shared, route, None, {"authorization": header.encode("latin-1")})
        assert answer.status_code == 401, (header, answer.text)


def test_a_key_as_the_user_of_basic_and_in_the_body(live: Live):
    key = live.keys["all"]
    user = base64.b64encode(f"{key}:".encode()).decode()
    for header in (f"Basic {user}", f"basic {user}", f"bearer {key}", f"Bearer  {key} "):
        answer = live.client.request(
            "POST", "/v1/track", json={"userId": "a", "event": "view"},
            headers={"authorization": header},
        )  # fmt: skip
        assert answer.status_code == 200, header
        answer = live.client.request(
            "POST", "/v1/recommend", json={"user_id": "a"}, headers={"authorization": header}
        )
        assert answer.status_code == (401 if header[0] in "Bb" and "asic" in header else 200)
    message = {"userId": "a", "event": "view", "writeKey": live.keys["ingest"]}
    assert live.client.request("POST", "/v1/track", json=message).status_code == 200
    message["writeKey"] = live.keys["read"]
    assert live.client.request("POST", "/v1/track", json=message).status_code == 403


def test_the_metrics_may_need_a_key(shop, tmp_path):
    with live_service(shop, tmp_path, metrics_need_key=True) as live:
        assert live.client.request("GET", "/metrics").status_code == 401
        for scope in SCOPES:
            answer = live.client.request("GET", "/metrics", headers=live.headers(scope))
            assert answer.status_code == (200 if scope == "admin" else 403)


def test_pages_of_origins_that_are_named(shop, tmp_path):
    with live_service(shop, tmp_path, origins=("https://shop.example",)) as live:
        for origin, may in (("https://shop.example", True), ("https://evil.example", False)):
            answer = live.client.request("OPTIONS", "/v1/track", headers={"origin": origin})
            assert answer.status_code == 204
            assert (answer.headers.get("access-control-allow-origin") == origin) is may
            message = {"userId": "a", "event": "view"}
            answer = live.client.request(
                "POST", "/v1/track", json=message,
                headers=live.headers("ingest") | {"origin": origin},
            )  # fmt: skip
            assert (answer.headers.get("access-control-allow-origin") == origin) is may
            assert answer.status_code == (200 if may else 403)
            # A page need not ask beforehand where it sends plain text with the key inside.
            simple = json.dumps({**message, "userId": "b", "writeKey": live.keys["ingest"]})
            plain = {"origin": origin, "content-type": "text/plain"}
            answer = live.client.request("POST", "/v1/t", content=simple, headers=plain)
            assert answer.status_code == (200 if may else 403)
        assert len(live.ask("GET", "/v1/users/a", "admin")["events"]) == 1
        assert len(live.ask("GET", "/v1/users/b", "admin")["events"]) == 1
        answer = live.client.request("OPTIONS", "/v1/recommend", headers={"origin": origin})
        assert answer.status_code == 405
        assert "access-control-allow-origin" not in answer.headers


def test_too_many_requests_are_refused_with_a_wait(shop, tmp_path, monkeypatch):
    def ask(live):
        headers = live.headers("read")
        return [live.client.request("GET", "/v1/popular", headers=headers) for _ in range(5)]

    with live_service(shop, tmp_path / "a", limits=Limits(key_per_second=2)) as live:
        answers = ask(live)
        assert answers[0].status_code == 200 and answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
    with live_service(shop, tmp_path / "b", limits=Limits(address_per_second=2)) as live:
        assert {answer.status_code for answer in ask(live)} == {200}, "this machine itself"
        monkeypatch.setattr("propense.web.endpoint.is_local", lambda address: False)
        assert ask(live)[-1].status_code == 429
