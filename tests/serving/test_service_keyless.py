"""Bytes cost next to nothing before a key is known, and errors tell strangers nothing."""

from __future__ import annotations

import gzip
import time
from typing import Any

import pytest

from propense.errors import StoreError
from propense.serving.routes import ROUTES
from support.service_live import Live, is_problem

DEEP = b'{"a":"\\u003a","b":' + b"[" * 900 + b"[]," * 160_000 + b"0" + b"]" * 900 + b"}"
PAGES = [route for route in ROUTES if route.browser and route.method == "POST"]


@pytest.mark.parametrize("route", PAGES, ids=lambda route: route.name)
@pytest.mark.parametrize(
    ("body", "encoding"),
    [(gzip.compress(DEEP, 9), "gzip"), (DEEP, ""), (gzip.compress(b"") * 8, "gzip"),
     (b'{"writeKey":"pp_x_y",' + DEEP[1:], "")],
    ids=["packed", "plain", "members", "with a wrong key"],
)  # fmt: skip
def test_without_a_key_nothing_is_read(
    shared: Live, route: Any, body: bytes, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: Any) -> Any:
        raise AssertionError("the body was read")

    for reader in ("decode", "unpack", "read_lines"):
        monkeypatch.setattr(f"propense.serving.handlers.ingest.{reader}", fail)
    headers = {"content-encoding": encoding} if encoding else {}
    began = time.perf_counter()
    answer = shared.client.request("POST", route.path, content=body, headers=headers)
    assert answer.status_code == 401, answer.text
    assert time.perf_counter() - began < 0.5


def test_a_hostile_body_under_a_page_key_is_refused_at_once(live: Live) -> None:
    began = time.perf_counter()
    answer = live.client.request(
        "POST", "/v1/track", content=gzip.compress(DEEP, 9),
        headers=live.headers("ingest") | {"content-encoding": "gzip"},
    )  # fmt: skip
    assert answer.status_code == 400 and "nested far too deep" in is_problem(answer)["detail"]
    assert time.perf_counter() - began < 1


def test_a_key_at_either_end_of_a_large_batch_is_seen(live: Live) -> None:
    messages = [{"type": "track", "userId": "a", "event": "view", "messageId": str(number),
                 "properties": {"note": "x" * 400}} for number in range(800)]  # fmt: skip
    key = live.keys["ingest"]
    for body in ({"writeKey": key, "batch": messages}, {"batch": messages, "writeKey": key}):
        answer = live.client.request("POST", "/v1/b", json=body)
        assert answer.status_code == 200, answer.text


def test_errors_name_no_file_and_no_host(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*words: Any) -> Any:
        raise StoreError("live history '/srv/live/history.db' at db.inner:5432 is away")

    monkeypatch.setattr(live.service, "write_updates", away)
    plain = b'{"user_id":"a","action":"b","event_time":"2025-01-01"}'
    for path, body in (("/v1/track", b'{"userId":"a","event":"view"}'), ("/v1/import", plain)):
        answer = live.client.request("POST", path, content=body, headers=live.headers("ingest"))
        assert answer.status_code == 503 and answer.headers["retry-after"]
        detail = is_problem(answer)["detail"]
        assert "live history is unavailable" in detail
        assert "history.db" not in detail and "db.inner" not in detail


def test_a_pointer_ends_where_the_place_is_not_known(live: Live) -> None:
    body = b'{"user_id": "a", "only": {"kind": [1]}}'
    status, problem = live.refused("POST", "/v1/recommend", content=body)
    assert status == 422 and problem["pointer"] == "/only"


def test_an_import_waits_for_the_limit_of_its_key(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused halfway it would be sent again from its beginning, over and over."""
    waits = iter([0.0, 0.01, 0.01, 0.0, 0.0, 0.0])
    monkeypatch.setattr(live.service.limiter, "take_key", lambda *words: next(waits))
    line = '{"user_id":"patient","action":"view","event_time":"2025-01-01T00:00:%02dZ"}'
    lines = "\n".join(line % second for second in range(50))
    assert live.ask("POST", "/v1/import", "ingest", content=lines)["kept"] == 50


def test_a_line_that_could_count_twice_is_refused(live: Live) -> None:
    line = b'{"type":"track","userId":"a","event":"view"}'
    answer = live.ask("POST", "/v1/import", "ingest", content=line)
    assert answer["refused"] == 1 and "messageId" in answer["refusals"][0]
    line = b'{"type":"track","userId":"a","event":"view","timestamp":"2025-01-01T00:00:00Z"}'
    assert live.ask("POST", "/v1/import", "ingest", content=line)["kept"] == 1
    assert live.ask("POST", "/v1/import", "ingest", content=line)["repeated"] == 1


def test_a_bad_id_of_a_test_refuses_its_message_alone(live: Live) -> None:
    batch = [{"type": "page", "userId": user} for user in ("verify:zz:x", "verify:0123456789ab:x")]
    answer = live.ask("POST", "/v1/batch", "verify", json={"batch": batch})
    assert (answer["kept"], answer["refused"]) == (1, 1)
    assert "hexadecimal" in answer["refusals"][0]
