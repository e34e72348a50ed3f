"""How much one sender, or one customer, can make the service hold in memory."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path
from typing import Any

import pytest

from propense.runtime.customer_state import MOST_CACHED
from propense.serving.answers import CustomerQuestion, list_items, score_requests
from propense.serving.messages.recommend import RecommendQuestion
from propense.serving.user_ids import UserId
from propense.settings import Limits
from propense.web import bodies
from support.service_bundle import ServedWorld, item_id
from support.service_live import Live, live_service


def call(
    live: Live, path: str, receive: Any, headers: list[tuple[bytes, bytes]] | None = None
) -> int:
    """The status of a POST whose body is what `receive` gives, piece by piece."""

    async def play() -> int:
        statuses: list[int] = []

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": headers or [], "client": ("127.0.0.1", 1),
            "http_version": "1.1", "scheme": "http", "server": ("service", 80), "root_path": "",
        }  # fmt: skip
        await live.client._app(scope, receive, send)
        return statuses[0]

    status: int = live.client.await_(play())
    return status


def key_of(live: Live, scope: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", live.headers(scope)["authorization"].encode())]


DAY_NS = 86_400 * 10**9


async def never() -> Any:
    await asyncio.sleep(3600)


@pytest.mark.parametrize("path", ["/v1/import", "/v1/recommend/batch", "/v1/predict/batch"])
def test_no_large_body_is_read_without_a_key(live: Live, path: str) -> None:
    async def fail() -> Any:
        raise AssertionError("the body was read")

    assert call(live, path, fail) == 401
    assert not live.service.body_bytes.total()


def test_a_body_that_never_arrives_takes_no_room(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.1)
    for path in ("/v1/track", "/v1/import", "/v1/predict"):
        assert call(live, path, never, key_of(live, "all")) == 408
    assert live.service.in_flight == 0 and not live.service.body_bytes.total()


def test_a_body_that_arrives_steadily_is_read_to_the_end(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(bodies, "LEAST_BYTES_PER_SECOND", 1_000)
    pieces = [b" " * 600 + b'{"userId": "slow", ', b'"event": "view", ', b'"x": 1}']

    async def slowly() -> Any:
        await asyncio.sleep(0.15)
        return {
            "type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces),
        }  # fmt: skip

    assert call(live, "/v1/track", slowly, key_of(live, "ingest")) == 200


def test_bodies_being_read_are_bounded_together(shop: ServedWorld, tmp_path: Path) -> None:
    limits = Limits(wait_ms=60_000, standing_wait_ms=60_000, import_bytes=600_000)
    with live_service(shop, tmp_path / "live", limits=limits) as live:
        held = [(b"content-length", b"600000"), *key_of(live, "ingest")]

        async def piece() -> Any:
            return {"type": "http.request", "body": b"x", "more_body": True}

        full = bodies.MOST_BODIES * limits.import_bytes
        live.service.body_bytes["import_lines"] = full
        assert call(live, "/v1/import", piece, held) == 503
        assert live.service.body_bytes["import_lines"] == full
        # Other routes have room of their own.
        assert live.track("ann", item=item_id(1))["kept"] == 1
        questions = {"batch": [{"user_id": "ann"}]}
        assert live.ask("POST", "/v1/recommend/batch", "read", json=questions)["answers"]
        live.service.body_bytes["import_lines"] = full - 600_000
        packed = [(b"content-length", b"20"), (b"content-encoding", b"gzip"),
                  *key_of(live, "ingest")]  # fmt: skip
        live.service.body_bytes["import_lines"] += 1

        async def arrived() -> Any:
            return {"type": "http.request", "body": gzip.compress(b"{}")}

        assert call(live, "/v1/import", arrived, packed) == 503, "it counts unpacked"


def test_new_names_of_one_customer_are_new_customers_to_their_address(
    shop: ServedWorld, tmp_path: Path
) -> None:
    limits = Limits(wait_ms=60_000, standing_wait_ms=60_000, new_customers_per_hour=3)
    with live_service(shop, tmp_path / "live", limits=limits, page_user_ids="any") as live:
        statuses = [
            live.status_and_json("POST", "/v1/identify", "page",
                                 json={"userId": "one", "anonymousId": f"a-{number}"})[0]
            for number in range(6)
        ]  # fmt: skip
        assert statuses == [200, 200, 200, 422, 422, 422]
        assert live.held("one")["names"] == ["a-0", "a-1", "a-2"]


def test_new_names_in_one_batch_are_new_customers_too(shop: ServedWorld, tmp_path: Path) -> None:
    limits = Limits(wait_ms=60_000, standing_wait_ms=60_000, new_customers_per_hour=3)
    with live_service(shop, tmp_path / "live", limits=limits, page_user_ids="any") as live:
        first = {"userId": "one", "anonymousId": "a-0"}
        assert live.ask("POST", "/v1/identify", "page", json=first)["kept"] == 1
        batch = [
            {"type": "identify", "userId": "one", "anonymousId": f"a-{number}"}
            for number in range(200)
        ]
        statuses = live.ask("POST", "/v1/batch", "page", json={"batch": batch})
        assert (statuses["kept"], statuses["refused"]) == (0, 200)
        assert live.held("one")["names"] == ["a-0"]


def test_memory_of_a_customer_is_bounded_and_counted(live: Live) -> None:
    live.ask("POST", "/v1/identify", "ingest",
             json={"userId": "ann", "traits": {"note": "x" * 5_000}})  # fmt: skip
    live.teach("ann", [1, 2, 3])
    live.recommend("ann")
    engine = live.service.engine
    customer = engine.cache.get("ann")
    assert customer is not None and customer.n_bytes > 20_000
    before = customer.n_bytes

    def make_list(k: int, minute: int) -> None:
        one = CustomerQuestion(
            RecommendQuestion(user_id="ann", k=k), UserId("ann", None), customer, True
        )
        (request,) = score_requests(engine, [one], 1_900_000_000 + 60 * minute)
        assert request is not None
        (scores,) = engine.score([request])
        list_items(engine, one, request, scores, 1_900_000_000 + 60 * minute)

    for minute in range(50):
        make_list(5, minute)
    assert len(customer.cached) <= 3
    for k in range(1, 60):
        make_list(k, 0)
    assert len(customer.cached) <= MOST_CACHED
    assert customer.n_bytes > before
    assert engine.cache._n_bytes == sum(one.n_bytes for one in engine.cache._customers.values())


def test_a_clock_that_was_ahead_uses_up_no_later_day(
    shop: ServedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(events_per_day=2, wait_ms=60_000, standing_wait_ms=60_000)
    with live_service(shop, tmp_path, limits=limits) as live:
        wall, steady = time.time_ns, time.monotonic_ns
        monkeypatch.setattr(time, "time_ns", lambda: wall() + 60 * DAY_NS)
        assert live.track("ann")["kept"] == live.track("ann")["kept"] == 1
        monkeypatch.setattr(time, "time_ns", wall)
        assert "2 events a day" in live.track_refused("ann")["detail"]
        for day in (2, 4):
            monkeypatch.setattr(time, "monotonic_ns", lambda day=day: steady() + day * DAY_NS)
            assert live.track("ann")["kept"] == live.track("ann")["kept"] == 1
