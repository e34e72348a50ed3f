"""What each kind of key opens: every route, every scope, and ids that are not one's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from propense.security.key_ring import sign_user_id
from propense.security.keys import KEY_KINDS, SCOPES
from propense.serving.routes import ROUTES
from propense.settings import Limits
from support.service_live import IDS, Live, body_of, is_problem, live_service

CELLS: Final[dict[str, tuple[str, ...]]] = {
    "page": ("ingest",),
    "server": ("ingest", "read", "decide", "export", "bid", "verify"),
    "admin": ("ingest", "read", "decide", "export", "people", "bid", "verify", "admin"),
}
"""Kind -> the scopes that its keys can have."""
PAGE: Final = {
    "ingest_track", "ingest_identify", "ingest_page", "ingest_screen", "ingest_batch", "ingest_t",
    "ingest_i", "ingest_p", "ingest_s", "ingest_b", "site_settings",
}  # fmt: skip
"""What a page key opens,"""
PAGE_REFUSED: Final = {"ingest_group", "ingest_alias", "ingest_g", "ingest_a"}
"""and the routes that answer it, but take no message from it."""
ASK, SEND = {"read", "verify"}, {"ingest", "verify"}
OPENS: Final[dict[str, set[str]]] = {
    **dict.fromkeys(
        ("recommend", "recommend_by_query", "recommend_batch", "predict", "predict_by_query",
         "predict_batch"), ASK),
    "similar_items": {"read"}, "popular_items": {"read"},
    "show_user": {"admin", "verify"}, "read_customer": {"admin", "verify"},
    "end_integration_test": {"verify"},
    **dict.fromkeys(PAGE | PAGE_REFUSED | {"import_lines"}, SEND),
}  # fmt: skip
"""Operation -> the scopes that open it to server and admin keys; any other: admin."""


@pytest.fixture(scope="module")
def keys(shared: Live) -> dict[tuple[str, str], str]:
    ring, now = shared.service.keys, time.time_ns() // 1000
    return {
        (kind, scope): ring.create(f"{kind} {scope}", [scope], now=now, kind=kind)[1]
        for kind, scopes in CELLS.items()
        for scope in scopes
    }


def test_every_kind_and_scope_is_in_the_table() -> None:
    assert tuple(CELLS) == KEY_KINDS and CELLS["admin"] == SCOPES


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_kind_and_scope_opens_what_the_table_says(
    shared: Live, keys: dict[tuple[str, str], str], route: Any
) -> None:
    for (kind, scope), key in keys.items():
        path = route.path.format(**(IDS | {"key": key}))
        body = body_of(route.name)
        if kind == "page" and route.name.startswith("ingest"):
            body = {"json": as_visitor(body["json"])}
        answer = shared.client.request(
            route.method, path, headers={"authorization": f"Bearer {key}"}, **body
        )
        cell = (kind, scope, answer.status_code, answer.text[:300])
        if not route.scopes:
            assert answer.status_code not in (401, 403, 500), cell
        elif kind == "page" and route.name in PAGE_REFUSED:
            assert answer.status_code == 422, cell
            assert "a page's key sends no" in is_problem(answer)["detail"]
        elif kind == "page":
            opens = route.name in PAGE
            assert answer.status_code == (200 if opens else 403), cell
        elif scope in OPENS.get(route.name, {"admin"}):
            for_tests = "an integration test" in answer.text
            assert answer.status_code not in (401, 500), cell
            assert answer.status_code != 403 or for_tests, cell
        else:
            assert answer.status_code == 403 and "lacks the scope" in answer.text, cell


def as_visitor(message: dict[str, Any]) -> dict[str, Any]:
    """The call as a page sends it of somebody who has not signed in."""
    if "batch" in message:
        batch = [as_visitor(one) for one in message["batch"] if one["type"] == "track"]
        return {**message, "batch": batch}
    rest = {key: value for key, value in message.items() if key != "userId"}
    return rest if "previousId" in rest else {**rest, "anonymousId": "visitor-1"}


@pytest.fixture
def pages(shop: Any, tmp_path: Any) -> Iterator[Live]:
    with live_service(shop, tmp_path / "pages") as live:
        yield live


def signature(live: Live, user_id: str, key: str = "page") -> str:
    ring = live.service.keys
    return sign_user_id(ring.signing_secret(ring.find(live.keys[key][3:11])), user_id)


def send(live: Live, key: str, word: str, message: dict[str, Any]) -> str:
    """ "kept", or the pointer of the refusal."""
    answer = live.client.request("POST", f"/v1/{word}", json=message, headers=live.headers(key))
    if answer.status_code == 200:
        assert answer.json()["kept"] == 1, answer.text
        return "kept"
    assert answer.status_code == 422, answer.text
    return str(is_problem(answer).get("pointer", ""))


ID_CELLS: Final[list[tuple[str, str, dict[str, Any], str, str]]] = [
    ("a visitor", "track", {"anonymousId": "v1"}, "kept", "kept"),
    ("a customer", "track", {"userId": "ada"}, "/userId", "kept"),
    ("a signed customer", "track", {"userId": "ada", "userIdSignature": "OF ada"}, "kept", "kept"),
    ("signed in the context", "track",
     {"userId": "ada", "context": {"userIdSignature": "OF ada"}}, "kept", "kept"),
    ("another's signature", "track",
     {"userId": "victim", "userIdSignature": "OF ada"}, "/userIdSignature", "kept"),
    ("a signature of another key", "track",
     {"userId": "ada", "userIdSignature": "OTHER ada"}, "/userIdSignature", "kept"),
    ("traits of a visitor", "identify", {"anonymousId": "v1", "traits": {"a": 1}}, "kept", "kept"),
    ("traits of a customer", "identify", {"userId": "victim", "traits": {"a": 1}}, "/userId",
     "kept"),
    ("a visitor signs in", "identify",
     {"userId": "ada", "anonymousId": "v1", "userIdSignature": "OF ada"}, "kept", "kept"),
    ("a visitor claims a customer", "identify", {"userId": "victim", "anonymousId": "v1"},
     "/userId", "kept"),
    ("an alias", "alias", {"userId": "ada", "previousId": "victim"}, "", "kept"),
    ("a signed alias", "alias",
     {"userId": "ada", "previousId": "victim", "userIdSignature": "OF ada"}, "", "kept"),
    ("a group", "group", {"anonymousId": "v1", "groupId": "g"}, "", "kept"),
    ("a test's customer", "track", {"userId": "verify:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:x"},
     "/userId", ""),
    ("a test's visitor", "track", {"anonymousId": "verify:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:x"},
     "", ""),
]  # fmt: skip
"""What the message names, its route, itself, and what becomes of it from a page and a server."""


@pytest.mark.parametrize("cell", ID_CELLS, ids=lambda cell: cell[0])
def test_whose_messages_are_taken(pages: Live, cell: tuple[str, str, dict[str, Any], str, str]):
    _, word, message, from_page, from_server = cell
    ring, now = pages.service.keys, time.time_ns() // 1000
    pages.keys["other"] = ring.create("other", now=now, kind="page")[1]

    def signed(part: dict[str, Any]) -> dict[str, Any]:
        filled = {}
        for name, value in part.items():
            if name == "userIdSignature":
                of, _, user_id = value.partition(" ")
                value = signature(pages, user_id, "page" if of == "OF" else "other")
            filled[name] = signed(value) if type(value) is dict else value
        return filled

    whole = {"event": "view", **signed(message)}
    assert send(pages, "page", word, whole) == from_page
    assert send(pages, "ingest", word, {**whole, "messageId": "m"}) == from_server
    batch = {"batch": [{"type": word, **whole}, {"type": "page", "anonymousId": "beside"}]}
    answer = pages.client.request("POST", "/v1/batch", json=batch, headers=pages.headers("page"))
    assert answer.json()["refused"] == (0 if from_page == "kept" else 1), answer.text


def consent_of(live: Live, user_id: str) -> Any:
    return live.ask("GET", f"/v1/users/{user_id}", "admin")["consent"]


def test_a_page_refuses_and_never_grants(pages: Live) -> None:
    def state(key: str, flag: bool, n: int) -> None:
        context = {"consent": {"purposes": {"personalise": flag}}}
        message = {"anonymousId": "v1", "context": context, "messageId": f"m{n}"}
        assert send(pages, key, "identify", message) == "kept"

    state("page", True, 1)
    assert consent_of(pages, "v1") == {}
    state("ingest", True, 2)
    assert consent_of(pages, "v1")["personalise"] is True
    state("page", False, 3)
    assert consent_of(pages, "v1")["personalise"] is False
    state("page", True, 4)
    assert consent_of(pages, "v1")["personalise"] is False


def test_any_customer_where_the_settings_say_so(shop: Any, tmp_path: Any) -> None:
    with live_service(shop, tmp_path, page_user_ids="any") as live:
        assert send(live, "page", "track", {"userId": "ada", "event": "view"}) == "kept"
        alias = {"userId": "ada", "previousId": "victim"}
        assert send(live, "page", "alias", alias) == "", "joining stays a server's"


def test_a_page_sends_little_at_once(shop: Any, tmp_path: Any) -> None:
    with live_service(shop, tmp_path, limits=Limits(page_bytes=2_000)) as live:
        message = {"anonymousId": "v", "event": "view", "properties": {"x": "y" * 2_000}}
        for key, status in (("page", 413), ("ingest", 200)):
            answer = live.client.request(
                "POST", "/v1/track", json=message, headers=live.headers(key)
            )
            assert answer.status_code == status, answer.text
        assert (
            "a page sends at most 2,000 bytes"
            in is_problem(
                live.client.request("POST", "/v1/track", json=message, headers=live.headers("page"))
            )["detail"]
        )


def test_a_bound_key_works_on_its_own_pages_alone(pages: Live) -> None:
    ring, now = pages.service.keys, time.time_ns() // 1000
    key = ring.create("a", now=now, kind="page", origins=["https://shop.example"])[1]
    message = {"anonymousId": "v", "event": "view"}
    for origin, may in (("https://shop.example", True), ("https://evil.example", False),
                        ("null", False), (None, False)):  # fmt: skip
        headers = {} if origin is None else {"origin": origin}
        bearer = {**headers, "authorization": f"Bearer {key}"}
        inside = {"writeKey": key, **message}
        answers = [
            pages.client.request("POST", "/v1/track", json=message, headers=bearer),
            pages.client.request("POST", "/v1/t", json=inside, headers=headers),
            pages.client.request("GET", f"/v1/projects/{key}/settings", headers=headers),
        ]
        for answer in answers:
            assert answer.status_code == (200 if may else 403), (origin, answer.text)
            assert may or "is bound to the pages of https://shop.example" in answer.text
    own = {"sec-fetch-site": "same-origin", "host": "shop.example"}
    settings = f"/v1/projects/{key}/settings"
    assert pages.client.request("GET", settings, headers=own).status_code == 200
    foreign = own | {"host": "evil.example"}
    assert pages.client.request("GET", settings, headers=foreign).status_code == 403


def test_the_last_use_of_a_key_is_told(pages: Live) -> None:
    prefix = pages.keys["read"][3:11]
    assert prefix not in pages.service.keys.last_uses()
    pages.client.request("GET", "/v1/popular", headers=pages.headers("read"))
    until = time.monotonic() + 10
    while prefix not in (uses := pages.service.keys.last_uses()):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert abs(uses[prefix] - time.time() * 1e6) < 3_700e6
