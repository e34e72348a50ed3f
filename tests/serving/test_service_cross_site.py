"""What browsers add to requests of other sites opens nothing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from propense.serving.routes import ROUTES
from propense.web.problems import Problem
from propense.web.request import Request
from support.service_live import IDS, Live, body_of, is_problem


def call(live: Live, route: Any, authorization: str, more: dict[str, str]) -> Any:
    """The answer to a sound request with further headers."""
    path = route.path.format(**(IDS | {"key": "none"}))
    headers = {"authorization": authorization} | more
    return live.client.request(route.method, path, headers=headers, **body_of(route.name))


KEYED = [route for route in ROUTES if route.scopes and not route.browser]


@pytest.mark.parametrize("route", KEYED, ids=lambda route: route.name)
def test_basic_is_for_sending_events_alone(shared: Live, route: Any) -> None:
    """Browsers remember such a key, and add it to what other sites make them send."""
    user = base64.b64encode(f"{shared.keys['all']}:".encode()).decode()
    answer = call(shared, route, f"Basic {user}", {})
    assert answer.status_code == 401 and "Bearer" in answer.json()["detail"], answer.text


@pytest.mark.parametrize("route", KEYED, ids=lambda route: route.name)
@pytest.mark.parametrize(
    "foreign",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://service.evil"},
     {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": ""},
     {"origin": "http://service", "sec-fetch-site": "cross-site"}],
    ids=str,
)  # fmt: skip
def test_pages_of_other_sites_may_not_ask(
    shared: Live, route: Any, foreign: dict[str, str]
) -> None:
    answer = call(shared, route, f"Bearer {shared.keys['all']}", foreign)
    assert answer.status_code == 403 and "other sites" in answer.json()["detail"], answer.text


def test_a_page_of_the_service_itself_may_ask(shared: Live) -> None:
    own = {"origin": "http://service", "sec-fetch-site": "same-origin"}
    for headers in (own, {"sec-fetch-site": "none"}):
        answer = shared.client.request(
            "GET", "/v1/popular", headers=shared.headers("read") | headers
        )
        assert answer.status_code == 200, answer.text


def test_without_a_bearer_key_a_body_must_be_json_by_name() -> None:
    """A form of another site can send text/plain, or no type at all, but not this one."""
    for kind, good in (("application/json", True), ("text/plain", False), (None, False)):
        headers = {} if kind is None else {b"content-type": kind.encode()}
        request: Request[Any] = Request(None, b"7", headers, [], {}, "-", 0)
        if good:
            assert request.read_body(int) == 7
        else:
            with pytest.raises(Problem, match="content-type"):
                request.read_body(int)


def test_two_authorizations_are_refused(shared: Live) -> None:
    key = ("authorization", f"Bearer {shared.keys['read']}")
    for second in (key, ("Authorization", "Bearer pp_x")):
        answer = shared.client.request("GET", "/v1/popular", headers=[key, second])
        assert answer.status_code == 400 and "twice" in is_problem(answer)["detail"]


def test_answers_under_a_key_are_never_cached(shared: Live) -> None:
    answer = shared.client.request("GET", "/v1/popular", headers=shared.headers("read"))
    assert answer.headers["cache-control"] == "no-store"
    answer = shared.client.request("GET", f"/v1/projects/{shared.keys['ingest']}/settings")
    assert answer.headers["cache-control"] == "no-store" and "Host" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("host", "status"),
    [("shop.example", 200), ("shop_1:8080", 200), ("[::1]:80", 200), ("127.0.0.1", 200),
     ("evil.example/v1", 400), ("a b", 400), ("<script>", 400), ('a"b', 400), ("", 400),
     ("user@evil.example", 400), ("a:b", 400)],
)  # fmt: skip
def test_the_host_of_the_sites_settings_is_a_hosts_name(
    shared: Live, host: str, status: int
) -> None:
    for name in ("host", "x-forwarded-host"):
        if host or name == "host":
            answer = shared.client.request(
                "GET", f"/v1/projects/{shared.keys['ingest']}/settings", headers={name: host}
            )
            assert answer.status_code == status, (name, answer.text)
