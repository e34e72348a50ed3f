"""What attackers use: raw sockets, requests with keys of every kind, and a monitor of what an
attack costs a running service."""

from __future__ import annotations

import contextlib
import hmac
import http.client
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.harness.live_service import Running, serving
from benchmarks.harness.load_service import copy_of, resident_mb
from benchmarks.proof import ROOT
from propense.security.keys import KeyKind, Scope
from propense.serving.operations.opening import opened_keys
from propense.settings import Settings, read_settings

STORES: Final = ("sqlite", "postgres", "redis")
VISITOR: Final = "203.0.113.7"
"""The address of a visitor, as the proxy on this machine names it."""
PATIENCE: Final = 60.0
KEYS: Final[tuple[tuple[str, KeyKind, tuple[Scope, ...]], ...]] = (
    ("page", "page", ()), ("server", "server", ("ingest",)), ("other", "server", ("ingest",)),
    ("read", "server", ("read",)), ("verify", "server", ("verify",)),
    ("mixed", "server", ("ingest", "verify")), ("admin", "admin", ("admin",)),
)  # fmt: skip
"""Name, kind and scopes of every key that attacks use."""


@dataclass(frozen=True)
class Reply:
    """The answer to one request; status 0 where the connection ended without one."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body as JSON; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    @property
    def n_written(self) -> int:
        """Messages of which something is stored."""
        return int(self.json.get("kept", 0)) if self.status == 200 else 0


@dataclass
class Target:
    """A running service, its store, and the keys that somebody may have."""

    service: Running
    store: str
    server: Any
    """The server of the store, which can be stopped; None with SQLite."""
    settings: Settings
    folder: Path
    """Where the bundle comes from."""
    keys: dict[str, str] = field(default_factory=dict)
    signing_secret: str = ""
    """With it the shop's server signs the ids of its customers."""

    @property
    def url(self) -> str:
        return self.service.url

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def sign(self, user_id: str) -> str:
        """The signature of a customer who is signed in."""
        return hmac.new(self.signing_secret.encode(), user_id.encode(), "sha256").hexdigest()

    def ask(
        self,
        key: str | None,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        source: str = "",
    ) -> Reply:
        """One request on a connection of its own. `key` names one of `keys`; bytes are sent as
        they are, all else as JSON; `source` is the address of this side."""
        sent = {"content-type": "application/json"}
        if key is not None:
            sent["authorization"] = f"Bearer {self.keys.get(key, key)}"
        sent |= headers or {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        host, port = self.address
        one = http.client.HTTPConnection(
            host, port, timeout=PATIENCE, source_address=(source, 0) if source else None
        )
        with closing(one):
            try:
                one.request(method, path, data, sent)
                answer = one.getresponse()
                named = {name.lower(): value for name, value in answer.getheaders()}
                return Reply(answer.status, answer.read(), named)
            except (OSError, http.client.HTTPException):
                return Reply(0, b"", {})

    def visit(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Reply:
        """One request of a visitor with the page's key."""
        return self.ask("page", "POST", path, body, {"x-forwarded-for": VISITOR} | (headers or {}))

    def send(self, *messages: dict[str, Any], key: str = "server") -> Reply:
        """A batch of a shop's server."""
        return self.ask(key, "POST", "/v1/batch", {"batch": list(messages)})

    def account(self, user_id: str) -> dict[str, Any]:
        """All that is stored of a customer; empty where nothing is."""
        reply = self.ask("admin", "POST", "/v1/customers/read", {"user_id": user_id})
        account: dict[str, Any] = reply.json
        return account if reply.status == 200 else {}

    def n_events(self, user_id: str) -> int:
        """How many events are stored of a customer."""
        return len(self.account(user_id).get("events", []))

    def recommend(self, user_id: str) -> Reply:
        """A question about a customer."""
        return self.ask("read", "POST", "/v1/recommend", {"user_id": user_id})

    def raw(self, data: bytes, seconds: float = 0.5, source: str = "") -> bytes:
        """Everything that is answered to bytes, until the connection ends or `seconds` pass in
        silence."""
        with closing(socket.socket()) as one:
            one.settimeout(PATIENCE)
            if source:
                one.bind((source, 0))
            one.connect(self.address)
            with contextlib.suppress(OSError):
                one.sendall(data)
            one.settimeout(seconds)
            answered = b""
            with contextlib.suppress(OSError):
                while piece := one.recv(65_536):
                    answered += piece
            return answered


def event(user_id: str, message_id: str, item: str = "x", **more: Any) -> dict[str, Any]:
    """A view of an item."""
    return {
        "type": "track", "userId": user_id, "event": "view", "messageId": message_id,
        "properties": {"item_id": item}, **more,
    }  # fmt: skip


@dataclass
class Cost:
    """What an attack cost the service and those who asked it meanwhile."""

    ms: float = 0.0
    """The longest wait for an answer of a route that needs neither store nor key: so long the
    event loop stood still."""
    megabytes: float = 0.0
    """The most resident memory, above what there was before."""
    statuses: set[int] = field(default_factory=set)
    n_asked: int = 0


@contextmanager
def costs(target: Target) -> Iterator[Cost]:
    """Measure what happens in the body."""
    cost, over = Cost(), threading.Event()
    before = resident_mb(target.service)

    def ask() -> None:
        host, port = target.address
        one = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        with closing(one):
            while not over.is_set():
                began = time.perf_counter()
                try:
                    one.request("GET", "/health/live")
                    answer = one.getresponse()
                    answer.read()
                    cost.statuses.add(answer.status)
                except (OSError, http.client.HTTPException):
                    cost.statuses.add(0)
                    one.close()
                cost.ms = max(cost.ms, (time.perf_counter() - began) * 1e3)
                cost.n_asked += 1
                time.sleep(0.004)

    def weigh() -> None:
        while not over.wait(0.01):
            cost.megabytes = max(cost.megabytes, resident_mb(target.service) - before)

    threads = [threading.Thread(target=work, daemon=True) for work in (ask, weigh)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    try:
        yield cost
    finally:
        time.sleep(0.05)
        over.set()
        for thread in threads:
            thread.join()


def written_mb(target: Target) -> float:
    """Megabytes that the store has written so far."""
    if target.store == "redis":
        import redis

        with closing(redis.Redis.from_url(target.server.url)) as client:
            return _written_by(client.info("server")["process_id"])
    if target.store == "postgres":
        import psycopg

        with psycopg.connect(target.server.url) as con:
            row = con.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
        assert row is not None
        return float(row[0]) / 1e6
    return _written_by(target.service.process.pid)


def _written_by(pid: int) -> float:
    words = Path(f"/proc/{pid}/io").read_text().split()
    return int(words[words.index("wchar:") + 1]) / 1e6


@contextmanager
def store_server(store: str) -> Iterator[Any]:
    """A server of the store, removed at the end; None with SQLite.

    Raises LookupError where the server is not installed.
    """
    if store == "sqlite":
        yield None
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from support.store_servers import SERVERS

    with contextmanager(SERVERS[store].start)() as server:
        if server is None:
            raise LookupError(f"no {store} server is installed")
        yield server


@contextmanager
def attacked(
    folder: Path, store: str, server: Any, *words: str, prepare: Any = None
) -> Iterator[Target]:
    """A service with the bundle of a folder and an empty store, and every key of KEYS.

    `prepare` gets the folder before the service starts; `words` are options of `propense serve`.
    """
    with tempfile.TemporaryDirectory() as root:
        added = "" if server is None else f'\n[serve]\nstore = "{server.url}"\n'
        own = copy_of(folder, Path(root) / "own", added)
        settings = read_settings(own / "propense.toml")
        keys, secret = make_keys(settings)
        if prepare is not None:
            prepare(own)
        with serving(own, *words, key="") as service:
            yield Target(service, store, server, settings, folder, keys, secret)


def make_keys(settings: Settings) -> tuple[dict[str, str], str]:
    """Name -> key, and the secret by which the ids of pages are signed."""
    keys: dict[str, str] = {}
    secret = ""
    with opened_keys(settings, print) as ring:
        for name, kind, scopes in KEYS:
            record, keys[name] = ring.create(
                name, scopes, now=time.time_ns() // 1000, kind=kind, source=None
            )
            if record.is_page:
                secret = ring.signing_secret(record)
    return keys, secret


def together(works: Sequence[Any]) -> None:
    """Run functions at the same time, and wait for all of them."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
