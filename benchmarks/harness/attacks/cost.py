"""Attacks that make the service work, wait, remember or write more than they send."""

from __future__ import annotations

import gzip
import json
import secrets
import socket
import threading
import time
from contextlib import ExitStack, closing, suppress
from typing import Any, Final

from benchmarks.harness.attackers import VISITOR, Target, costs, event, together, written_mb
from benchmarks.harness.attacks.attack import Attack, Outcome
from propense.history.bounds import VISITOR_TRAIT_BYTES

GZIP: Final = {"content-encoding": "gzip", "x-forwarded-for": VISITOR}
MANY_LISTS: Final = 160_000
ALIASES: Final = 600
FULL: Final = VISITOR_TRAIT_BYTES // 125
"""Traits of 120 letters that fill the profile of a visitor."""


def deep_lists(target: Target, outcome: Outcome) -> None:
    """Lists within lists, tiny as gzip, without a key and with the page's, in three spellings."""
    bodies = [
        b'{"a":"\\u003a","b":' + b"[" * depth + b"[]," * MANY_LISTS + b"0" + b"]" * depth + b"}"
        for depth in (100, 300, 900)
    ]
    bodies.append(b'{"a":"\\u003a","b":' + b'{"c":' * 50_000 + b"0" + b"}" * 50_001)
    bodies.append(bodies[1].decode().encode("utf-16"))
    bodies.append(b'{"writeKey":"pp_aaaaaaaa","batch":' + bodies[2] + b"}")
    sent = [gzip.compress(body, 9) for body in bodies]
    with costs(target) as cost:
        for route in ("track", "b", "batch", "identify"):
            for body in sent:
                for key in (None, "page"):
                    status = target.ask(key, "POST", f"/v1/{route}", body, GZIP).status
                    outcome.expect(400 <= status < 500, f"{route} is answered with {status}")
    outcome.bound(cost)


def empty_members(target: Target, outcome: Outcome) -> None:
    """Members of gzip that hold nothing, blocks that hold nothing, and a bomb."""
    empty = gzip.compress(b"")
    blocks = empty[:10] + b"\0\0\0\xff\xff" * 10_000_000
    bomb = gzip.compress(bytes(300_000_000), 1)
    tries = [
        (None, "track", empty * 25_000), ("page", "import", empty * 50_000),
        ("server", "import", empty * 3_000_000), ("server", "import", blocks),
        (None, "track", bomb[:400_000]), ("page", "track", bomb[:400_000]),
        ("server", "import", bomb), ("server", "import", bomb * 4),
    ]  # fmt: skip
    with costs(target) as cost:
        for key, route, body in tries:
            status = target.ask(key, "POST", f"/v1/{route}", body, GZIP).status
            outcome.expect(400 <= status < 500, f"{key} {route} is answered with {status}")
    # The bytes of the import itself and of its unpacked form may be in memory.
    outcome.bound(cost, megabytes=300.0)


def full_profiles(target: Target, outcome: Outcome) -> None:
    """One visitor sends new traits again and again, then changes a byte of many full profiles."""
    before = written_mb(target)
    sent = 0
    with costs(target) as cost:
        for number in range(130):
            traits = {f"t{number}-{n}": "x" * 120 for n in range(3 if number % 2 else 400)}
            body = gzip.compress(json.dumps({"anonymousId": "full", "traits": traits}).encode())
            target.visit("/v1/identify", body, GZIP)
            sent += len(body)
        asked = time.perf_counter()
        outcome.expect(target.recommend("full").status == 200, "no answer about the visitor")
        asked = (time.perf_counter() - asked) * 1e3
    written = written_mb(target) - before
    outcome.bound(cost)
    account = target.account("full")
    size = len(json.dumps(account.get("traits", {})))
    outcome.show(f"{written:.0f} MB written, a profile of {size / 1e3:.0f} kB")
    outcome.expect(0 < size < 100_000, f"a profile of {size} bytes")
    outcome.expect(written < 100, f"{written:.0f} MB written for {sent} bytes")
    outcome.expect(asked < 500, f"a question about them takes {asked:.0f} ms")


def many_full_profiles(target: Target, outcome: Outcome) -> None:
    """Two hundred full profiles of visitors, in which each message changes one trait."""
    for number in range(200):
        traits = {f"t{n}": secrets.token_hex(60) for n in range(FULL)}
        target.visit("/v1/identify", {"anonymousId": f"full-{number}", "traits": traits})
    before, sent, seconds = written_mb(target), 0, 0.0
    with costs(target) as cost:
        began = time.perf_counter()
        for round_ in range(10):
            batch = [
                {"type": "identify", "anonymousId": f"full-{n % 200}", "traits": {"t0": round_}}
                for n in range(800)
            ]
            body = gzip.compress(json.dumps({"batch": batch}).encode())
            target.visit("/v1/batch", body, GZIP)
            sent += len(body)
        seconds = time.perf_counter() - began
    written = written_mb(target) - before
    outcome.bound(cost)
    outcome.show(f"{sent / 1e3:.0f} kB sent, {written:.0f} MB written in {seconds:.1f} s")
    outcome.expect(written < 60, f"{written:.0f} MB written for {sent} bytes")
    full = target.account("full-7").get("traits", {})
    outcome.expect(len(full) == FULL, f"a profile of {len(full)} traits")


def half_bodies(target: Target, outcome: Outcome) -> None:
    """Three hundred connections with a byte of a body, of half a header, or of nothing."""
    beginnings = (
        b"POST /v1/track HTTP/1.1\r\nhost: a\r\ncontent-length: 9999\r\n\r\n{",
        b"POST /v1/recommend HTTP/1.1\r\nhost: a\r\nx: ", b"",
    )  # fmt: skip
    statuses, waits = set(), []
    with ExitStack() as stack:
        for number in range(300):
            one = stack.enter_context(closing(socket.create_connection(target.address, 10)))
            one.sendall(beginnings[number % 3])
        for number in range(20):
            began = time.perf_counter()
            statuses.add(target.recommend("nobody").status)
            statuses.add(target.send(event("half", f"half-{number}")).status)
            waits.append((time.perf_counter() - began) / 2)
    outcome.show(f"the slowest of 40 answers {max(waits) * 1e3:.0f} ms")
    outcome.expect(statuses == {200}, f"others are answered with {statuses}")
    outcome.expect(max(waits) < 1, f"others wait for {max(waits):.1f} s")


def endless_headers(target: Target, outcome: Outcome) -> None:
    """A header of 150 MB, a million small ones, a long line, endless trailers and chunks."""
    first = b"POST /v1/track HTTP/1.1\r\nhost: a\r\n"
    chunked = first + b"transfer-encoding: chunked\r\n\r\n"
    endless = {
        "one long header": (first + b"x: ", b"y" * 65_536),
        "many headers": (first, b"a:b\r\n" * 13_107),
        "a long line": (b"GET /", b"a" * 65_536),
        "trailers": (chunked + b"0\r\n", b"a:b\r\n" * 13_107),
        "extensions of chunks": (chunked + b"1;", b"x" * 65_536),
        "chunks of a byte": (chunked, b"1\r\na\r\n" * 10_922),
    }
    with costs(target) as cost:
        for name, (start, piece) in endless.items():
            sent = 0
            with closing(socket.create_connection(target.address, 10)) as one:
                with suppress(OSError):
                    one.sendall(start)
                    for _ in range(2_400):
                        one.sendall(piece)
                        sent += len(piece)
            # What is within a chunk's line is passed over, until the body's time is over.
            good = sent < 40_000_000 or name == "extensions of chunks"
            outcome.expect(good, f"{name}: {sent / 1e6:.0f} MB were taken")
    outcome.bound(cost)


def chained_aliases(target: Target, outcome: Outcome) -> None:
    """A chain of aliases over a customer of 4,800 events, by the page's key and by a server's."""
    for start in range(0, 4_800, 400):
        target.send(*(event("chain-0", f"chain-{n}") for n in range(start, start + 400)))
    chain = [
        {"type": "alias", "userId": f"chain-{n + 1}", "previousId": f"chain-{n}"}
        for n in range(ALIASES)
    ]
    body = gzip.compress(json.dumps({"batch": chain}).encode())
    refused = target.visit("/v1/batch", body, GZIP)
    outcome.expect(refused.n_written == 0, f"the page's key joined {refused.n_written}")
    waits: list[float] = []
    over = threading.Event()

    def honest() -> None:
        while not over.wait(0.02):
            began = time.perf_counter()
            target.send(event("honest", f"honest-{began}"), key="other")
            waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=honest, daemon=True)
    thread.start()
    with costs(target) as cost:
        target.ask("server", "POST", "/v1/batch", body, {"content-encoding": "gzip"})
    over.set()
    thread.join()
    outcome.bound(cost)
    longest = max(waits, default=0.0)
    outcome.show(f"a server's chain: others' events wait {longest * 1e3:.0f} ms")
    outcome.expect(longest < 2, f"others' events wait {longest:.1f} s")


def huge_baskets(target: Target, outcome: Outcome) -> None:
    """A hundred lines with baskets of 21,000 empty products, and deep and wide ones."""
    line = {"type": "track", "userId": "basket", "event": "pay", "messageId": "m"}
    wide = json.dumps({**line, "properties": {"products": [{}] * 21_000}}).encode()
    nested = json.dumps({**line, "properties": {"products": [[{}] * 20_000]}}).encode()
    with costs(target) as cost:
        for one in (wide, nested):
            body = gzip.compress(b"\n".join([one] * 100))
            reply = target.ask("server", "POST", "/v1/import", body, GZIP)
            outcome.expect(reply.n_written == 0, f"{reply.n_written} lines were taken")
    outcome.bound(cost, megabytes=120.0)


def import_at_the_limit(target: Target, outcome: Outcome) -> None:
    """An import of more lines than its key may send a second, twice."""
    n = 50_000
    day = "2026-01-01T00:00:00Z"
    line = '{"user_id":"limit-%d","action":"view","event_time":"%s","event_id":"limit-%d"}'
    lines = "\n".join(line % (m % 50, day, m) for m in range(n)).encode()
    for expected in (n, 0):
        reply = target.ask("other", "POST", "/v1/import", lines)
        stored = reply.json.get("kept"), reply.json.get("repeated")
        good = reply.status == 200 and stored == (expected, n - expected)
        outcome.expect(good, f"{reply.status} {stored}")
    outcome.show(f"{n:,} lines stored once")


def slow_imports(target: Target, outcome: Outcome) -> None:
    """Eight imports that drip, by the page's key and by a server's, beside an operator's."""
    head = (
        "POST /v1/import HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n"
        "content-length: 50000000\r\n\r\nx"
    )
    answered = target.raw(head.format(key=target.keys["page"]).encode())
    outcome.expect(b" 403 " in answered[:15], f"the page's key: {answered[:60]!r}")
    with ExitStack() as stack:
        for _ in range(8):
            one = stack.enter_context(closing(socket.create_connection(target.address, 10)))
            one.sendall(head.format(key=target.keys["server"]).encode())
        line = b'{"user_id":"drip","action":"view","event_time":"2026-01-01T00:00:00Z"}'
        began = time.perf_counter()
        reply = target.ask("other", "POST", "/v1/import", line)
        ms = (time.perf_counter() - began) * 1e3
    outcome.show(f"an import beside them {ms:.0f} ms")
    outcome.expect(reply.n_written == 1, f"an import beside them: {reply.status}")


def mistyped_filters(target: Target, outcome: Outcome) -> None:
    """Filters of wrong and long words in every column, alone and a thousand at once."""
    columns = [f"{name}{n}" for n in range(5) for name in ("title", "category", "pri")]
    words = ["a" * 250 + str(n) for n in range(900)]
    questions: list[Any] = [
        {"user_id": "a", "only": {"title": ["x"]}},
        {"user_id": "a", "never": {column: words for column in columns[:2]}},
        {"user_id": "a", "only": {column: ["x" * 256] for column in columns}},
        {"user_id": "a", "scenario": "x" * 256}, {"user_id": "a", "exclude": ["x" * 256] * 1_000},
    ]  # fmt: skip
    with costs(target) as cost:
        for question in questions:
            status = target.ask("read", "POST", "/v1/recommend", question).status
            outcome.expect(status in (200, 413, 422), f"answered with {status}")
        batch = {"batch": questions[:1] * 900}
        status = target.ask("read", "POST", "/v1/recommend/batch", batch).status
        outcome.expect(status in (200, 422), f"a batch is answered with {status}")
    outcome.bound(cost)


def many_tests(target: Target, outcome: Outcome) -> None:
    """A key of scope verify begins tests without end, in one batch and in many."""

    def message(number: int) -> dict[str, Any]:
        return event(f"verify:{number:08x}:a", f"test-{number}")

    with costs(target) as cost:
        target.send(*map(message, range(200)), key="verify")
        for number in range(200, 230):
            target.send(message(number), key="verify")
    outcome.bound(cost)
    n = n_test_stores(target)
    outcome.show(f"{n} stores of tests are left")
    outcome.expect(n <= 32, f"{n} stores of tests are left")


def n_test_stores(target: Target) -> int:
    """How many stores of integration tests there are."""
    if target.store == "sqlite":
        return len(list((target.service.folder / "live").glob("verify-*.db")))
    if target.store == "redis":
        import redis

        with closing(redis.Redis.from_url(target.server.url)) as client:
            return sum(1 for _ in client.scan_iter("verify-*:state", 1_000))
    import psycopg

    with psycopg.connect(target.server.url) as con:
        row = con.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%verify-%'"
        ).fetchone()
    return 0 if row is None else int(row[0])


def junk_sender(target: Target, outcome: Outcome) -> None:
    """One visitor sends junk without pause beside sixty honest ones."""
    over = threading.Event()
    junk = [event(f"u{n}", f"junk-{n}") for n in range(400)]
    answered: list[int] = []

    def attack() -> None:
        while not over.is_set():
            target.visit("/v1/batch", {"batch": junk})

    def honest(number: int) -> None:
        for n in range(10):
            reply = target.ask(
                "page", "POST", "/v1/track",
                {"anonymousId": f"honest-{number}", "event": "view", "messageId": f"h{number}-{n}"},
                {"x-forwarded-for": f"198.51.100.{number}"},
            )  # fmt: skip
            answered.append(reply.n_written)

    attackers = [threading.Thread(target=attack, daemon=True) for _ in range(4)]
    for thread in attackers:
        thread.start()
    with costs(target) as cost:
        together([lambda number=number: honest(number) for number in range(1, 7)])
    over.set()
    for thread in attackers:
        thread.join()
    outcome.bound(cost)
    outcome.show(f"{sum(answered)} of {len(answered)} honest events stored")
    outcome.expect(sum(answered) == len(answered), "honest events are refused")


ATTACKS: Final = (
    Attack("deep lists in 530 bytes", "2.7 s, +1,145 MB, without a key", "refused", deep_lists),
    Attack("empty gzip members", "15.1 s for 4 MB, the page's key", "refused", empty_members),
    Attack("traits without end", "9,600 MB written for 0.5 MB", "harmless", full_profiles),
    Attack("a byte of many full profiles", "91 MB written for 10 kB", "harmless",
           many_full_profiles),
    Attack("300 silent, half and dripping connections", "503 for everybody", "harmless",
           half_bodies),
    Attack("endless headers, trailers and chunks", "150 MB were taken", "refused",
           endless_headers),
    Attack("a chain of 600 aliases", "6.4 s without a write, the page's key", "harmless",
           chained_aliases),
    Attack("baskets of 21,000 products", "2.6 s, +150 MB", "refused", huge_baskets),
    Attack("an import above the key's limit", "1,000 of 3,000 lines, three times each", "harmless",
           import_at_the_limit),
    Attack("imports that drip", "503 to the operator", "harmless", slow_imports),
    Attack("mistyped filters", "1.95 s for 200,000 words", "refused", mistyped_filters),
    Attack("integration tests without end", "30 of 30 stores left", "harmless", many_tests),
    Attack("junk beside honest visitors", "failed", "harmless", junk_sender),
)  # fmt: skip
