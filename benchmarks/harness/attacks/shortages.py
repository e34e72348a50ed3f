"""What a store does to the service: it goes away, refuses writes, forgets its password, is full,
hangs, or is changed behind the service's back."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from itertools import count
from typing import Any, Final

from benchmarks.harness.attackers import Reply, Target, costs, event
from benchmarks.harness.attacks.attack import Attack, Outcome
from propense.ids import PLACEHOLDER_IDS, is_word, tidy_id

RECOVERS: Final = 10.0
"""Seconds."""
DOWN: Final = 2.5
"""Seconds that a shortage lasts."""
SERVERS: Final = ("postgres", "redis")
_NUMBERS: Final = count()


def client_of(target: Target) -> Any:
    """A client of the Redis server."""
    import redis

    return redis.Redis.from_url(target.server.url)


def execute(target: Target, *statements: str) -> None:
    """Statements of the administrator of the PostgreSQL server."""
    import psycopg

    with psycopg.connect(target.server.url, autocommit=True) as con:
        for statement in statements:
            con.execute("SET default_transaction_read_only = off")
            con.execute(statement.encode())


def during(
    target: Target, outcome: Outcome, shortage: Callable[[], Any], takes_events: bool = False
) -> None:
    """What the service does while a shortage lasts and afterwards: questions are answered, errors
    name no address, nothing acknowledged is lost, and it is ready again without help."""
    name = f"shortage-{next(_NUMBERS)}"
    outcome.expect(target.send(event(name, f"{name}-before")).n_written == 1, "not well before")
    target.recommend(name)
    over = threading.Event()
    events: list[Reply] = []
    questions: list[Reply] = []
    waits: list[float] = []

    def send() -> None:
        while not over.is_set():
            events.append(target.send(event(name, f"{name}-{len(events)}")))
            events.append(target.visit("/v1/track", {"anonymousId": f"{name}-v", "event": "x"}))
            time.sleep(0.02)

    def ask() -> None:
        while not over.is_set():
            began = time.monotonic()
            questions.append(target.recommend(name if len(questions) % 2 else f"{name}-new"))
            waits.append(time.monotonic() - began)
            questions.append(target.ask(None, "GET", "/health/live"))
            time.sleep(0.02)

    threads = [threading.Thread(target=work, daemon=True) for work in (send, ask)]
    ready = []
    with costs(target) as cost, shortage():
        for thread in threads:
            thread.start()
        ends = time.monotonic() + DOWN
        while time.monotonic() < ends:
            ready.append(target.ask(None, "GET", "/health/ready"))
            time.sleep(0.1)
        over.set()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    while target.ask(None, "GET", "/health/ready").status != 200:
        if time.monotonic() > began + RECOVERS:
            break
        time.sleep(0.05)
    seconds = time.monotonic() - began
    after = target.send(event(name, f"{name}-after"))
    n_written = 2 + sum(one.n_written for one in events[::2])
    n_events = target.n_events(name)
    statuses = {one.status for one in events}
    outcome.show(f"events {'/'.join(map(str, sorted(statuses)))}")
    outcome.show(f"answers within {max(waits):.1f} s, ready after {seconds:.1f} s")
    outcome.expect(seconds < RECOVERS, f"not ready {seconds:.0f} s after it passed")
    outcome.expect(after.n_written == 1, f"events are answered with {after.status} afterwards")
    outcome.expect(n_events >= n_written, f"{n_written} acknowledged, {n_events} stored")
    outcome.expect(statuses <= {200, 503}, f"events are answered with {statuses}")
    outcome.expect(takes_events or 503 in statuses, "events were acknowledged meanwhile")
    answered = {one.status for one in questions}
    outcome.expect(answered == {200}, f"questions are answered with {answered}")
    outcome.expect(max(waits) < 3, f"an answer takes {max(waits):.1f} s")
    outcome.expect(cost.ms < 1_000, f"the event loop stood still for {cost.ms:.0f} ms")
    texts = b"".join(one.body for one in (*events, *questions, *ready))
    for secret in (b"word@", b"127.0.0.1", b"history.db", b"/tmp"):
        outcome.expect(secret not in texts, f"an answer names {secret!r}")


def store_away(target: Target, outcome: Outcome) -> None:
    """The server is stopped and started; the file of SQLite is locked by somebody else."""
    during(target, outcome, lambda: _away(target), takes_events=target.store == "sqlite")


@contextmanager
def _away(target: Target) -> Iterator[None]:
    if target.store == "sqlite":
        with locked_store(target):
            yield
        return
    target.server.stop()
    try:
        yield
    finally:
        target.server.start()


@contextmanager
def locked_store(target: Target) -> Iterator[None]:
    """Somebody else holds a lock on what the service writes to."""
    if target.store == "postgres":
        import psycopg

        with psycopg.connect(target.server.url) as con:
            names = con.execute(
                "SELECT quote_ident(schemaname) FROM pg_tables WHERE tablename = 'state'"
            ).fetchall()
            for (name,) in names:
                con.execute(f"LOCK TABLE {name}.state IN EXCLUSIVE MODE".encode())
            yield
            con.rollback()
        return
    file = target.service.folder / "live" / "history.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as con:
        con.execute("BEGIN IMMEDIATE")
        yield
        con.execute("ROLLBACK")


def crash(target: Target, outcome: Outcome) -> None:
    """The server is killed while events are sent, and started."""
    acknowledged: list[int] = []
    for number in range(200):
        if target.send(event("crash", f"crash-{number}")).n_written:
            acknowledged.append(number)
        if number == 120:
            target.server.crash()
            target.server.start()
    ends = time.monotonic() + RECOVERS
    while target.send(event("crash", "crash-last")).status != 200 and time.monotonic() < ends:
        time.sleep(0.1)
    lost = len(acknowledged) + 1 - target.n_events("crash")
    outcome.show(f"{max(lost, 0)} of {len(acknowledged)} acknowledged lost")
    outcome.expect(lost <= 0, f"{lost} acknowledged events lost")
    outcome.expect(len(acknowledged) > 100, f"only {len(acknowledged)} events were taken")


def read_only(target: Target, outcome: Outcome) -> None:
    """The server is made a read-only replica for a while, as a fail-over does."""
    during(target, outcome, lambda: _read_only(target))


@contextmanager
def _read_only(target: Target) -> Iterator[None]:
    if target.store == "redis":
        with closing(client_of(target)) as client:
            client.replicaof("127.0.0.1", 1)
            yield
            client.replicaof("NO", "ONE")
        return
    role = "ALTER ROLE shop SET default_transaction_read_only = {}"
    execute(target, role.format("on"), TERMINATE)
    yield
    execute(target, role.format("off"), TERMINATE)


TERMINATE: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


def cut_connections(target: Target, outcome: Outcome) -> None:
    """Every connection to the server is cut again and again."""

    @contextmanager
    def cutting() -> Iterator[None]:
        with ExitStack() as stack:
            if target.store == "redis":
                client = stack.enter_context(closing(client_of(target)))
                client.client_kill_filter(_type="normal", skipme=True)
            else:
                execute(target, TERMINATE)
            yield
            if target.store == "postgres":
                execute(target, TERMINATE)

    during(target, outcome, cutting, takes_events=True)


def lost_password(target: Target, outcome: Outcome) -> None:
    """The password is changed and all connections are cut; later it is the old one again."""
    during(target, outcome, lambda: _locked_out(target))


@contextmanager
def _locked_out(target: Target) -> Iterator[None]:
    if target.store == "redis":
        with closing(client_of(target)) as client:
            client.config_set("requirepass", "another")
            client.client_kill_filter(_type="normal", skipme=True)
            yield
            client.config_set("requirepass", "word")
        return
    import psycopg

    with psycopg.connect(target.server.url, autocommit=True) as con:
        con.execute("ALTER ROLE shop NOLOGIN")
        con.execute(TERMINATE.encode())
        yield
        con.execute("ALTER ROLE shop LOGIN")


def full_memory(target: Target, outcome: Outcome) -> None:
    """The server has no memory left, and refuses to evict; an erasure is asked for meanwhile."""
    target.send(event("unwanted", "unwanted-1"))
    erased = []

    @contextmanager
    def full() -> Iterator[None]:
        with closing(client_of(target)) as client:
            client.config_set("maxmemory", max(1, int(client.info("memory")["used_memory"]) // 2))
            erased.append(
                target.ask("admin", "POST", "/v1/customers/erase", {"user_id": "unwanted"}).status
            )
            yield
            client.config_set("maxmemory", 0)

    during(target, outcome, full)
    outcome.expect(erased in ([200], [503]), f"an erasure is answered with {erased}")
    outcome.show(f"an erasure meanwhile {erased[0]}")


def evicting(target: Target, outcome: Outcome) -> None:
    """While the service runs the server is told to evict keys, as managed ones do by default."""
    with closing(client_of(target)) as client:
        before = target.ask(None, "GET", "/health/ready").status
        client.config_set("maxmemory-policy", "volatile-lru")
        client.config_set("maxmemory", 10**12)
        try:
            ends, text = time.monotonic() + RECOVERS, b""
            while b"evict" not in text and time.monotonic() < ends:
                text = target.ask(None, "GET", "/health/ready").body
                time.sleep(0.1)
        finally:
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")
    outcome.expect(before == 200, f"readiness was {before} before")
    outcome.expect(b"evict" in text, "nobody is told that message ids are evicted")
    outcome.show("told by readiness")


def busy_script(target: Target, outcome: Outcome) -> None:
    """Somebody else's script keeps the server busy."""
    during(target, outcome, lambda: _busy(target))


@contextmanager
def _busy(target: Target) -> Iterator[None]:
    from redis import ResponseError

    with closing(client_of(target)) as client, closing(client_of(target)) as other:
        client.config_set("busy-reply-threshold", 100)
        connection = other.connection_pool.get_connection()
        connection.send_command("EVAL", "while true do end", 0)
        time.sleep(0.3)
        yield
        client.script_kill()
        with suppress(ResponseError):
            connection.read_response()  # once the script has ended
        connection.disconnect()
        client.config_set("busy-reply-threshold", 5_000)


def frozen(target: Target, outcome: Outcome) -> None:
    """The server answers nothing, and does not end its connections."""
    during(target, outcome, lambda: _frozen(target), takes_events=True)


@contextmanager
def _frozen(target: Target) -> Iterator[None]:
    if target.store == "redis":
        with closing(client_of(target)) as client:
            pid = int(client.info("server")["process_id"])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
        return
    with locked_store(target):
        yield


def patterns(target: Target, outcome: Outcome) -> None:
    """Ids that mean something to a store: patterns, other keys, quotes, the longest ones."""
    names = [
        "*", "?", "[a-z]*", "%", "_", "\\", "'", "''; DROP TABLE state; --", '"', "$1", "{x}",
        "a:b", "id:pattern", "history:e:pattern", "state", "ids", "..", "a/b", "a\rb", "a\nb",
        "\u0301", "\U0001f600" * 64, "\u202epattern", "pattern\u0000"[:7], "NULL'", "a\tb", "0x00",
        "user\u00a0one", "EVAL", "\r\n*1\r\n$8\r\nFLUSHALL\r\n", "ünïcödé", "٠١٢", "𝐚", "ﬁ",
    ]  # fmt: skip
    batch = [event(name, f"pattern-{n}", item=f"i{n}") for n, name in enumerate(names)]
    batch += [{"type": "identify", "userId": name, "traits": {name[:200]: name}} for name in names]
    reply = target.send(*batch)
    outcome.expect(reply.n_written >= len(batch) - 4, f"{reply.n_written} of {len(batch)} stored")
    tidy = {tidy_id(name) for name in names}
    owners = {name for name in tidy if not is_word(name, PLACEHOLDER_IDS)}
    items: dict[str, str] = {}
    for name in owners:
        account = target.account(name)
        for one in account.get("events", []):
            owner = items.setdefault(one["item_id"], account["user_id"])
            outcome.expect(owner == name, f"{owner!r} and {name!r} are one")
    outcome.expect(set(items.values()) == owners, f"wrong: {owners ^ set(items.values())}")
    erased = ("*", "%", "_", "[a-z]*", "history:e:pattern", "''; DROP TABLE state; --")
    for name in erased:
        target.ask("admin", "POST", "/v1/customers/erase", {"user_id": name})
    left = sum(bool(target.account(name)) for name in owners)
    outcome.expect(left == len(owners) - len(erased), f"{left} of {len(owners)} customers are left")
    outcome.show(f"{len(owners)} ids, each its own customer")


def thousand_names(target: Target, outcome: Outcome) -> None:
    """A customer of a thousand ids gets two and a half thousand more, in one request."""
    for start in range(0, 1_000, 500):
        target.send(*(
            {"type": "alias", "userId": "many", "previousId": f"name-{n}"}
            for n in range(start, start + 500)
        ))  # fmt: skip
    more = [{"type": "alias", "userId": "many", "previousId": f"name-{n}"} for n in range(2_500)]
    onto = [{"type": "alias", "userId": f"x{n}", "previousId": "many"} for n in range(2_500)]
    for batch in (more, onto):
        body = json.dumps({"batch": batch}).encode()
        with costs(target) as cost:
            began = time.perf_counter()
            target.ask("server", "POST", "/v1/batch", body)
            seconds = time.perf_counter() - began
        outcome.bound(cost)
        outcome.expect(seconds < 8, f"others wait for {seconds:.1f} s")
        outcome.show(f"{seconds:.1f} s")
    n = len(target.account("many").get("names", []))
    outcome.expect(n <= 1_000, f"{n} ids")


ATTACKS: Final = (
    Attack("ids that are patterns or commands of a store", "", "harmless", patterns),
    Attack("a customer of a thousand ids", "", "harmless", thousand_names),
    Attack("the store away, or locked", "not ready until somebody sends an event; its address told",
           "harmless", store_away),
    Attack("the database killed", "32 of 15,171 acknowledged lost", "harmless", crash, SERVERS),
    Attack("the store read-only", "", "harmless", read_only, SERVERS),
    Attack("connections cut", "", "harmless", cut_connections, SERVERS),
    Attack("the store's password lost", "", "harmless", lost_password, SERVERS),
    Attack("the store hangs", "", "harmless", frozen, SERVERS),
    Attack("the store out of memory", "", "harmless", full_memory, ("redis",)),
    Attack("the store told to evict", "", "harmless", evicting, ("redis",)),
    Attack("another's script on the store", "", "harmless", busy_script, ("redis",)),
)  # fmt: skip
