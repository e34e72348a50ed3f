"""Requests made to break the service are refused, and it goes on."""

from __future__ import annotations

import gzip
import json
import time
import zlib

import pytest

from propense.serving.routes import ROUTES
from support.service_live import IDS, Live, body_of, is_problem

JSON_ROUTES = [route for route in ROUTES if route.question is not None and route.method == "POST"]
BROKEN = {
    "empty": b"", "not json": b"nonsense", "half": b'{"user_id": "a"', "null": b"null",
    "list": b"[]", "number": b"7", "text": b'"a"', "nan": b'{"user_id": "a", "k": NaN}',
    "infinity": b'{"user_id": "a", "k": Infinity}', "utf-16": '{"user_id": "a"}'.encode("utf-16"),
    "not utf-8": b'{"user_id": "\xff"}', "surrogate": b'{"user_id": "\\ud800"}',
    "nul": b'{"user_id": "a\\u0000"}', "control": b'{"user_id": "a\\u0007"}',
    "raw control": b'{"user_id": "a\x07"}', "huge number": b'{"user_id": "a", "k": 1' + b"0" * 400
    + b"}", "huge exponent": b'{"user_id": "a", "k": 1e999}',
    "deep": b'{"user_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "empty id": b'{"user_id": ""}', "long id": b'{"user_id": "' + b"x" * 257 + b'"}',
    "number as id": b'{"user_id": 7}', "null as id": b'{"user_id": null}',
    "unknown field": b'{"user_id": "a", "use_id": "b"}',
    "batch of nothing": b'{"batch": []}', "batch of null": b'{"batch": [null]}',
    "moment without zone": b'{"user_id": "a", "as_of": "2024-01-01T00:00:00"}',
    "moment that is none": b'{"user_id": "a", "as_of": "2024-02-30T00:00:00Z"}',
    "bom": b'\xef\xbb\xbf{"user_id": ""}',
}  # fmt: skip


@pytest.mark.parametrize("route", JSON_ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("what", BROKEN)
def test_broken_questions_are_refused(shared: Live, route, what: str):
    answer = shared.client.request(
        route.method, route.path, content=BROKEN[what],
        headers=shared.headers("all") | {"content-type": "application/json"},
    )  # fmt: skip
    assert answer.status_code in (400, 422), answer.text
    is_problem(answer)


@pytest.mark.parametrize("word", ["track", "identify", "batch", "alias", "import"])
@pytest.mark.parametrize("what", [*BROKEN, "twice"])
def test_broken_events_are_refused_and_nothing_is_stored(shared: Live, word: str, what: str):
    before = shared.service.store.n_customers()
    content = BROKEN.get(what, b'{"userId": "a", "userId": "b", "event": "c"}')
    answer = shared.client.request(
        "POST", f"/v1/{word}", content=content, headers=shared.headers("ingest")
    )
    assert answer.status_code in (200, 400, 413, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["kept"] == 0
    else:
        is_problem(answer)
    assert shared.service.store.n_customers() == before


@pytest.mark.parametrize("route", JSON_ROUTES, ids=lambda route: route.name)
def test_the_content_type_does_not_matter_with_a_bearer_key(shared: Live, route):
    for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "\xe9",
                 "application/jsonp", ""):  # fmt: skip
        answer = shared.client.request(
            route.method, route.path, content=b'{"user_id": "a"}',
            headers=[(b"authorization", b"Bearer " + shared.keys["all"].encode()),
                     (b"content-type", kind.encode("latin-1"))],
        )  # fmt: skip
        assert answer.status_code in (200, 404, 422), (kind, answer.text)


def test_a_body_without_a_content_type_of_json_answers_as_one_with_it(shared: Live):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = shared.headers("read") | {"content-type": kind}
        answers = [
            shared.client.request("POST", "/v1/predict", content=b'{"user_id": "a"}', headers=sent)
            for sent in (headers, shared.headers("read"))
        ]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert answers[0].json()["goals"] == answers[1].json()["goals"]


def test_a_content_type_with_a_charset_is_json(shared: Live):
    for kind in ("application/json; charset=utf-8", "Application/JSON", None):
        headers = shared.headers("read") | ({} if kind is None else {"content-type": kind})
        answer = shared.client.request(
            "POST", "/v1/recommend", content=b'{"user_id": "a"}', headers=headers
        )
        assert answer.status_code == 200, answer.text


def test_bodies_too_large(shared: Live):
    most = shared.settings.serve.limits.body_bytes
    whole = json.dumps({"user_id": "a", "exclude": ["x" * 250] * (most // 250)}).encode()
    sized = {"content-type": "application/json"}

    async def pieces():
        for first in range(0, len(whole), 65_536):
            yield whole[first : first + 65_536]

    for content in (whole, pieces()):
        answer = shared.client.request(
            "POST", "/v1/recommend", content=content, headers=shared.headers("read") | sized
        )
        assert answer.status_code == 413, answer.text
        assert f"{most:,}" in is_problem(answer)["detail"]


@pytest.mark.parametrize("word", ["batch", "import", "track"])
def test_bombs_are_not_unpacked(shared: Live, word: str):
    bomb = gzip.compress(b" " * 100_000_000, 9)
    twice = bomb + gzip.compress(b"{}")
    cut = gzip.compress(json.dumps({"batch": []}).encode())[:-9]
    for content, statuses in (
        (bomb, (413,)), (twice, (413,)), (cut, (400,)), (b"no gzip", (400,)),
        (zlib.compress(b"{}"), (400,)), (b"", (200, 400)),
    ):  # fmt: skip
        began = time.perf_counter()
        answer = shared.client.request(
            "POST", f"/v1/{word}", content=content,
            headers=shared.headers("ingest") | {"content-encoding": "gzip"},
        )  # fmt: skip
        assert answer.status_code in statuses, (len(content), answer.text)
        assert time.perf_counter() - began < 20
    for encoding in ("br", "deflate", "zstd", "gzip, gzip", "\xe9"):
        answer = shared.client.request(
            "POST", f"/v1/{word}", content=b"{}",
            headers=[*[(k.encode(), v.encode()) for k, v in shared.headers("ingest").items()],
                     (b"content-encoding", encoding.encode("latin-1"))],
        )  # fmt: skip
        assert answer.status_code == 415, answer.text


PATHS = (
    "/", "/v1", "/v2/recommend", "/v1/recommend/", "/v1//recommend", "/v1/users/", "/v1/users",
    "/v1/items//similar", "/v1/items/%00/similar", "/v1/users/%00", "/v1/users/%ff%fe",
    "/v1/users/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/v1/users/../../etc/passwd", "/v1/verify/..",
    "/v1/verify/%2e%2e%2fhistory", "/v1/users/" + "x" * 5_000, "/v1/users/%F0%9F%A6%8A",
    "/v1/users/a%0Ab", "/v1/users/verify:", "/v1/projects/%00/settings", "/v1/projects//settings",
    "/v1/items/" + "y" * 5_000 + "/similar", "/health", "/metrics/", "/openapi.json/",
    "/v1/verify/" + "0" * 33, "/v1/verify/ABCDEF0123", "/v1/popular?k=&k=", "/v1/popular?k=9&k=x",
    "/v1/recommend?user_id=%ff", "/v1/recommend?user_id=%00", "/v1/recommend?user_id=a&as_of=x",
    "/v1/recommend?user_id=a&" + "&".join(f"a{n}=1" for n in range(100)),
    "/v1/recommend?user_id=a&exclude=" + ",".join(["x"] * 2_000),
    "/v1/recommend?user_id=a&exclude=,",
    "/v1/recommend?user_id=a&scenario=" + "x" * 300, "/v1/recommend?%00=%00", "/v1/recommend?=",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"]
)
def test_odd_paths_break_nothing(shared: Live, path: str, method: str):
    answer = shared.client.request(method, path, headers=shared.headers("all"))
    assert answer.status_code in (200, 204, 400, 401, 404, 405, 409, 415, 422), answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        if method != "HEAD":
            is_problem(answer)
        if answer.status_code == 405:
            assert answer.headers["allow"]


def test_junk_in_headers_breaks_nothing(shared: Live):
    key = shared.keys["all"].encode()
    for name, value in (
        (b"content-length", b"-1"), (b"content-length", b"9" * 40), (b"content-length", b"\xb2"),
        (b"accept", b"\xff" * 100), (b"host", b"\xff\xfe"), (b"x-forwarded-host", b"a b/<script>"),
        (b"x-forwarded-proto", b"javascript"), (b"origin", b"\xff"), (b"origin", b"null"),
        (b"cookie", b"a=" + b"b" * 9_000), (b"x-" + b"y" * 500, b"z"),
        (b"accept-encoding", b"*;q=x"),
        (b"access-control-request-method", b"DELETE"), (b"expect", b"200-maybe"),
        (b"transfer-encoding", b"gzip"), (b"range", b"bytes=-1"), (b"if-none-match", b"*"),
    ):  # fmt: skip
        for route in ROUTES:
            path = route.path.format(**(IDS | {"key": shared.keys["all"]}))
            if route.name in ("erase_user", "erase_customer", "roll_back_bundle"):
                continue
            answer = shared.client.request(
                route.method, path, headers=[(b"authorization", b"Bearer " + key), (name, value)],
                **body_of(route.name),
            )  # fmt: skip
            assert answer.status_code < 500, (route.name, name, value, answer.text)
