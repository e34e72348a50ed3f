"""Attacks on keys, on what pages of other sites may do, and on what answers reveal."""

from __future__ import annotations

import base64
import json
import re
import statistics
import time
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.harness.attackers import VISITOR, Target, event
from benchmarks.harness.attacks.attack import Attack, Outcome
from propense.security.keys import START
from propense.serving.operations.opening import opened_keys
from propense.serving.routes import ROUTES

STRANGER: Final = "127.0.0.2"
"""An address of this side that is no proxy."""
DAY: Final = 86_400_000_000
CSRF: Final[tuple[dict[str, str], ...]] = (
    {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"}, {"origin": "http://127.0.0.1.evil.example"},
    {"origin": "http://localhost@evil.example"},
    {"origin": "https://evil.example", "x-forwarded-host": "evil.example2"},
)  # fmt: skip


def keys_on_all_routes(target: Target, outcome: Outcome) -> None:
    """Every route with no key, wrong ones, halves, other schemes, and keys of other scopes."""
    page, admin = target.keys["page"], target.keys["admin"]
    basic = base64.b64encode(f"{admin}:".encode()).decode()
    nobody = {
        "none": {}, "wrong secret": f"Bearer {admin[:-4]}AAAA", "half": f"Bearer {admin[:20]}",
        "longer": f"Bearer {admin}a", "unknown": f"Bearer {START}aaaaaaaa{admin[11:]}",
        "digest": f"Digest {admin}", "token": f"Token {admin}", "bare": admin,
        "prefix": f"Bearer {admin[:11]}", "star": "Bearer *", "nul": f"Bearer {admin}%00",
        "case": f"Bearer {admin.swapcase()}", "basic": f"Basic {basic}", "empty": "Bearer ",
    }  # fmt: skip
    n_asked = 0
    for route in ROUTES:
        if not route.scopes:
            continue
        path = re.sub(r"\{\w+\}", "aaaaaaaa", route.path)
        for name, header in nobody.items():
            if route.browser and name in ("basic", "none"):
                continue  # a key can be in the body there; basic is for these routes
            sent = {"authorization": header} if isinstance(header, str) else {}
            status = target.ask(None, route.method, path, b"{}", sent).status
            outcome.expect(status == 401, f"{name} at {route.name}: {status}")
            n_asked += 1
        for name, scope in (("page", "ingest"), ("server", "ingest"), ("read", "read"),
                            ("verify", "verify")):  # fmt: skip
            may = scope in route.scopes and (name != "page" or route.browser)
            if may or "{key}" in route.path:
                continue
            status = target.ask(name, route.method, path, b"{}").status
            outcome.expect(status == 403, f"{name} at {route.name}: {status}")
            n_asked += 1
    for route_name in ("bundles/rollback", "customers/erase", "import"):
        status = target.ask(None, "POST", f"/v1/{route_name}", {"writeKey": admin}).status
        outcome.expect(status == 401, f"a key in the body of {route_name}: {status}")
    status = target.ask(None, "GET", f"/v1/bundles?writeKey={admin}&key={page}").status
    outcome.expect(status == 401, f"a key in a query string: {status}")
    outcome.show(f"{n_asked + 4} requests, none let in")


def timed_keys(target: Target, outcome: Outcome) -> None:
    """Whether a known prefix takes longer than an unknown one."""
    admin = target.keys["admin"]
    guesses = {"known": admin[:-6] + "AAAAAA", "unknown": f"{START}zzzzzzzz{admin[11:]}"}
    times: dict[str, list[float]] = {name: [] for name in guesses}
    for _ in range(300):
        for name, key in guesses.items():
            began = time.perf_counter()
            target.ask(key, "GET", "/v1/bundles")
            times[name].append((time.perf_counter() - began) * 1e6)
    existing, unknown = (statistics.median(times[name]) for name in guesses)
    outcome.show(f"{existing:.0f} and {unknown:.0f} µs")
    outcome.expect(abs(existing - unknown) < 0.15 * unknown, "they take different times")


def ended_keys(target: Target, outcome: Outcome) -> None:
    """A key that was revoked, one that was rotated without grace, and one that has expired."""
    now = time.time_ns() // 1000
    with opened_keys(target.settings, print) as ring:
        record, revoked = ring.create("revoked", ["ingest"], now=now, kind="server")
        rotated_record, rotated = ring.create("rotated", ["ingest"], now=now, kind="server")
        _, expired = ring.create("expired", ["ingest"], now=now - DAY, kind="server",
                                 expires=now + 2_000_000)  # fmt: skip
        time.sleep(0.7)
        for key in (revoked, rotated):
            status = target.send(event("ended", f"e{key[-5:]}"), key=key).status
            outcome.expect(status == 200, f"a new key is answered with {status}")
        ring.revoke(record.prefix, time.time_ns() // 1000)
        ring.rotate(rotated_record.prefix, 0, time.time_ns() // 1000)
    began = time.perf_counter()
    for key in (revoked, rotated):
        while target.ask(key, "POST", "/v1/batch", {"batch": []}).status != 401:
            if time.perf_counter() - began > 10:
                break
            time.sleep(0.01)
    seconds = time.perf_counter() - began
    time.sleep(1.5)
    status = target.ask(expired, "POST", "/v1/batch", {"batch": []}).status
    outcome.expect(status == 401, f"an expired key is answered with {status}")
    outcome.expect(seconds < 1, f"refused after {seconds:.1f} s")
    outcome.show(f"refused after {seconds * 1e3:.0f} ms")


def cross_site(target: Target, outcome: Outcome) -> None:
    """What a page of another site can make a browser send to the operator's service."""
    admin = target.keys["admin"]
    basic = "Basic " + base64.b64encode(f"{admin}:".encode()).decode()
    bearer = f"Bearer {admin}"
    before = target.ask("admin", "GET", "/v1/bundles").json.get("serving")
    target.send(event("csrf", "csrf-1"))
    n_asked = 0
    for path, body in (
        ("bundles/promote", b'{"version":"v0001"}'), ("bundles/rollback", b""),
        ("customers/erase", b'{"user_id":"csrf"}'), ("customers/read", b'{"user_id":"csrf"}'),
        ("recommend", b'{"user_id":"csrf"}'),
    ):  # fmt: skip
        tries: list[dict[str, str]] = [{"authorization": basic}]
        tries += [
            {"authorization": basic, "content-type": kind}
            for kind in (
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "",
            )
        ]
        tries += [{"authorization": scheme, **more} for more in CSRF for scheme in (basic, bearer)]
        for headers in tries:
            status = target.ask(None, "POST", f"/v1/{path}", body, headers).status
            outcome.expect(status in (401, 403), f"{path} with {headers}: {status}")
            n_asked += 1
    outcome.expect(target.n_events("csrf") == 1, "a customer was erased")
    after = target.ask("admin", "GET", "/v1/bundles").json.get("serving")
    outcome.expect(before == after, "another bundle serves")
    outcome.show(f"{n_asked} requests refused")


def doubled_headers(target: Target, outcome: Outcome) -> None:
    """Two keys, two hosts, no host, two types, and a key in several pieces."""
    admin, page = target.keys["admin"], target.keys["page"]
    start = "GET /v1/bundles HTTP/1.1\r\n"
    tries = [
        f"{start}host: a\r\nauthorization: Bearer x\r\nauthorization: Bearer {admin}\r\n",
        f"{start}host: a\r\nauthorization: Bearer {admin}\r\nAuthorization: Bearer {page}\r\n",
        f"{start}authorization: Bearer {admin}\r\n",
        f"{start}host: a\r\nhost: b\r\nauthorization: Bearer {admin}\r\n",
        f"{start}host: a\r\nauthorization: Bearer\r\n {admin}\r\n",
        f"{start}host: a\r\nauthorization : Bearer {admin}\r\n",
        f"{start}host: a\r\n authorization: Bearer {admin}\r\n",
        f"{start}host: a\r\norigin: http://a\r\norigin: http://b\r\nauthorization: {admin}\r\n",
    ]
    for text in tries:
        answered = target.raw(f"{text}connection: close\r\n\r\n".encode())
        outcome.expect(answered[9:12] in (b"400", b"401"), f"{text[:70]!r}: {answered[:15]!r}")
    outcome.show(f"{len(tries)} requests refused")


def forwarded_hosts(target: Target, outcome: Outcome) -> None:
    """A stranger says which host was asked, and from which address."""
    path = f"/v1/projects/{target.keys['page']}/settings"
    for headers in (
        {"x-forwarded-host": "evil.example"}, {"forwarded": "host=evil.example"},
        {"X-Forwarded-Host": "evil.example", "x-forwarded-proto": "javascript"},
        {"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "evil.example"},
    ):  # fmt: skip
        reply = target.ask(None, "GET", path, None, headers, source=STRANGER)
        outcome.expect(reply.status == 200, f"the settings are answered with {reply.status}")
        outcome.expect(b"evil" not in reply.body and b"javascript" not in reply.body, reply.body)
        outcome.expect("no-store" in reply.headers.get("cache-control", ""), "may be cached")
    for host in ("evil.example/v1", 'a"b', "a b", "evil.example:1/x", "<script>"):
        data = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode()
        answered = target.raw(data, source=STRANGER)
        outcome.expect(answered[9:12] == b"400", f"host {host!r}: {answered[:15]!r}")
    outcome.show("the stranger's words are not heard, nothing is cached")


def injected_text(target: Target, outcome: Outcome) -> None:
    """Line ends, labels and markup in every text that could get into metrics or headers."""
    evil = 'evil"} 1\r\nevil_total 7\n<script>evil</script>'
    target.send({**event("evil-1", "evil-1"), "event": evil},
                {"type": "identify", "userId": "evil-2", "traits": {evil: evil}})  # fmt: skip
    target.visit("/v1/track", {"anonymousId": evil[:40], "event": evil, "properties": {evil: evil}})
    target.ask("read", "POST", "/v1/recommend", {"user_id": "a", "scenario": evil})
    target.ask("admin", "PUT", "/v1/items/evil%0d%0aevil:%201", {"title": evil})
    for path in ("/evil%0d%0aevil: 1", "/v1/evil%22", f"/v1/popular?k={'9' * 40}&evil=%0d%0aevil:1",
                 "/v1/items/%0d%0aevil:%201/similar", "/v1/evil\u00e9"):  # fmt: skip
        data = f"GET {path} HTTP/1.1\r\nhost: a\r\nuser-agent: evil\r\nconnection: close\r\n\r\n"
        answered = target.raw(data.replace(" HTTP", "\tHTTP", 0).encode())
        head = answered.partition(b"\r\n\r\n")[0]
        outcome.expect(b"\nevil" not in head, f"a header was injected: {head!r}")
    text = target.ask(None, "GET", "/metrics").body
    outcome.expect(b"evil" not in text and b"script" not in text, "it is in the metrics")
    openapi = target.ask(None, "GET", "/openapi.json").body
    outcome.expect(b"evil" not in openapi, "it is in the description")
    outcome.show(f"none in {len(text.splitlines())} lines of metrics")


def odd_numbers(target: Target, outcome: Outcome) -> None:
    """Numbers and times that are none, in events, questions and items; answers stay finite."""
    numbers = ("1e308", "1e999", "-1e308", "1" + "0" * 30, "9" * 4_000, "NaN", "Infinity", "-0.0",
               "1e-400", "true", '"\u0661\u0662"', '"1,5"', "[1]", "-99", "0x10")  # fmt: skip
    n_broken = 0
    for number in numbers:
        for name in ("revenue", "quantity", "price"):
            body = f'{{"userId":"odd","event":"pay","properties":{{"{name}":{number}}}}}'
            n_broken += target.ask("server", "POST", "/v1/track", body.encode()).status >= 500
        for body in (f'{{"user_id":"odd","k":{number}}}', f'{{"user_id":"odd","as_of":{number}}}'):
            for path in ("recommend", "predict"):
                status = target.ask("read", "POST", f"/v1/{path}", body.encode()).status
                n_broken += status >= 500
    for time_ in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-01-01T00:00:00Z", 1e300, -1,
                  "2024-02-30", {}, "now", "9" * 300):  # fmt: skip
        for name in ("timestamp", "originalTimestamp", "sentAt"):
            reply = target.send({**event("odd", f"odd-{time_}-{name}"), name: time_})
            n_broken += reply.status >= 500
        n_broken += target.ask("read", "POST", "/v1/predict",
                               {"user_id": "odd", "as_of": time_}).status >= 500  # fmt: skip
    outcome.expect(n_broken == 0, f"{n_broken} internal errors")
    for path in ("recommend", "predict"):
        reply = target.ask("read", "POST", f"/v1/{path}", {"user_id": "odd"})
        text = json.dumps(reply.json)
        outcome.expect(reply.status == 200, f"{path} is answered with {reply.status}")
        outcome.expect("NaN" not in text and "Infinity" not in text, f"{path}: {text[:80]}")
    outcome.show(f"{len(numbers) * 7} numbers, 36 times, answers finite")


def odd_items(target: Target, outcome: Outcome) -> None:
    """Items whose values are of other types than their columns, and records without bounds."""
    records: list[dict[str, Any]] = [
        {"price": "cheap"}, {"price": True}, {"price": [["a"]]}, {"price": {"a": 1}},
        {"title": "a\0b"}, {"no_such_column": 1}, {"title": ["a"] * 50_000},
        {f"c{n}": 1 for n in range(500)}, {"item_id": "other"}, {"title": "x" * 100_000},
    ]  # fmt: skip
    for number, record in enumerate(records):
        reply = target.ask("admin", "PUT", f"/v1/items/odd-{number}", record)
        outcome.expect(reply.status in (413, 422), f"{str(record)[:50]}: {reply.status}")
    for body in (b'{"price":1e308}', b'{"price":1e999}', b'{"price":NaN}', b"[]", b"null", b"{"):
        status = target.ask("admin", "PUT", "/v1/items/odd-n", body).status
        outcome.expect(status in (200, 400, 422), f"{body!r}: {status}")
    reply = target.recommend("nobody")
    shown = [one["item_id"] for one in reply.json.get("items", [])]
    outcome.expect(reply.status == 200 and bool(shown), f"lists are answered with {reply.status}")
    outcome.expect(not any(item.startswith("odd") for item in shown), f"{shown} is shown")
    outcome.show(f"{len(records)} records refused")


def forged_paths(target: Target, outcome: Outcome) -> None:
    """Paths instead of versions of bundles; addresses that are named in errors."""
    for version in ("../v0001", "/etc", ".", "..", "v0001/../v0001", "v0001\0", "current.json",
                    "%2e%2e", "v0001/", "V0001", "v0001 ", "~", ""):  # fmt: skip
        for body in ({"version": version}, {"version": version, "reason": "force"}):
            status = target.ask("admin", "POST", "/v1/bundles/promote", body).status
            outcome.expect(status in (404, 409, 422), f"{version!r}: {status}")
    name = urlsplit(target.url).netloc
    for path in ("/", "/v1/", "/v1/../live/secret", "/..%2f..%2flive/secret", "/live/secret",
                 "//evil.example/v1/popular", "/.git/config", "/v1/users/"):  # fmt: skip
        data = f"GET {path} HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n".encode()
        answered = target.raw(data)
        outcome.expect(answered[9:12] in (b"401", b"404", b"400"), f"{path}: {answered[:15]!r}")
        outcome.expect(b"/tmp" not in answered, "an error names a folder")
    outcome.show("26 versions and 8 paths refused")


def stray_addresses(target: Target, outcome: Outcome) -> None:
    """One address asks and sends more than it may, under many names that it invents."""
    statuses: dict[int, int] = {}
    for number in range(30):
        invented = {"x-forwarded-for": f"{VISITOR}, 10.0.0.{number}, 127.0.0.1"}
        data = b"".join(
            b"GET /health/live HTTP/1.1\r\nhost: a\r\nx-forwarded-for: %s\r\n\r\n"
            % invented["x-forwarded-for"].encode()
            for _ in range(16)
        )
        for status in re.findall(rb"HTTP/1.1 (\d+)", target.raw(data, 0.05, STRANGER)):
            statuses[int(status)] = statuses.get(int(status), 0) + 1
    outcome.expect(set(statuses) <= {200, 429}, f"statuses {statuses}")
    outcome.show(f"answered {statuses}")


ATTACKS: Final = (
    Attack("keys of every kind on every route", "failed", "refused", keys_on_all_routes),
    Attack("times of known and unknown keys", "no difference", "harmless", timed_keys),
    Attack("revoked, rotated and expired keys", "half a second", "refused", ended_keys),
    Attack("requests forged by pages of other sites", "a bundle promoted and rolled back",
           "refused", cross_site),
    Attack("two keys, two hosts, no host", "the last one counted", "refused", doubled_headers),
    Attack("hosts that a stranger names", "apiHost evil.example, cacheable", "refused",
           forwarded_hosts),
    Attack("text injected into metrics and headers", "failed", "harmless", injected_text),
    Attack("numbers and times that are none", "failed", "harmless", odd_numbers),
    Attack("items of other types", "taken and shown at once", "refused", odd_items),
    Attack("paths instead of bundles", "failed", "refused", forged_paths),
    Attack("invented addresses", "", "harmless", stray_addresses),
)  # fmt: skip
