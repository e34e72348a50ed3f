"""A service in the test's own process, and requests to it. Every answer is checked against the
service's own OpenAPI description."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import uvicorn

from propense.security.keys import SCOPES
from propense.serving.app import make_app
from propense.serving.operations.opening import opened_keys
from propense.serving.routes import ROUTES
from propense.serving.service import Service
from propense.settings import Limits, Settings
from propense.web.openapi import document
from support.service_bundle import ServedWorld, item_id

DESCRIBED: Final = {
    (route.method, re.compile(re.sub(r"\{\w+\}", ".+", route.path))): set(
        json.loads(document(ROUTES, "propense", ""))["paths"][route.path][route.method.lower()][
            "responses"
        ]
    )
    for route in ROUTES
}
"""(method, path) of an operation -> the statuses it may answer with."""


def is_described(method: str, path: str, status: int) -> bool:
    """Whether the description allows the status, or there is no such operation (405)."""
    if status == 405:
        return True
    for (own, paths), statuses in DESCRIBED.items():
        if own == method and paths.fullmatch(path):
            return str(status) in statuses
    return True


class Client:
    """Requests to an ASGI application that runs on an event loop in a thread of its own."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._lifespan = app.router.lifespan_context(app)
        self._http: httpx.AsyncClient | None = None
        self.await_(self._open())

    def await_(self, work: Any) -> Any:
        """The result of a coroutine, run on the loop of the application."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.together([(method, path, more)])[0]

    def together(self, requests: Sequence[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        """Answers to requests that run at the same time."""

        async def all_of() -> list[httpx.Response]:
            assert self._http is not None
            return await asyncio.gather(
                *(self._http.request(method, path, **more) for method, path, more in requests)
            )

        answers: list[httpx.Response] = self.await_(all_of())
        for answer in answers:
            request, status = answer.request, answer.status_code
            assert is_described(request.method, request.url.path, status), (request, status)
        return answers

    def close(self) -> None:
        self.await_(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        await self._lifespan.__aenter__()
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://service")

    async def _close(self) -> None:
        assert self._http is not None
        await self._http.aclose()
        await self._lifespan.__aexit__(None, None, None)


@dataclass
class Live:
    """A service that answers in this process, and a key of each scope."""

    client: Client
    service: Service
    world: ServedWorld
    settings: Settings
    keys: dict[str, str] = field(default_factory=dict)
    """Scope -> key; "all" has every scope."""

    def headers(self, scope: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[scope]}"}

    def ask(self, method: str, path: str, scope: str = "read", **more: Any) -> Any:
        """The JSON of a good answer."""
        answer = self.client.request(method, path, headers=self.headers(scope), **more)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def refused(self, method: str, path: str, scope: str = "read", **more: Any) -> tuple[int, Any]:
        """Status and problem document of a refused request."""
        answer = self.client.request(method, path, headers=self.headers(scope), **more)
        return answer.status_code, is_problem(answer)

    def status_and_json(
        self, method: str, path: str, scope: str = "read", **more: Any
    ) -> tuple[int, Any]:
        """Status and JSON of any answer."""
        answer = self.client.request(method, path, headers=self.headers(scope), **more)
        return answer.status_code, answer.json()

    def recommend(self, user_id: str, scope: str = "read", **question: Any) -> Any:
        question["user_id"] = user_id
        return self.ask("POST", "/v1/recommend", scope, json=question)

    def predict(self, user_id: str, scope: str = "read", **question: Any) -> Any:
        question["user_id"] = user_id
        return self.ask("POST", "/v1/predict", scope, json=question)

    def track(self, user_id: str, scope: str = "ingest", **more: Any) -> Any:
        """One event: `event`, `item`, and other fields of the message."""
        properties = {"item_id": more.pop("item", None), **more.pop("properties", {})}
        properties = {name: value for name, value in properties.items() if value is not None}
        event = more.pop("event", "view")
        message = {"userId": user_id, "event": event, **more, "properties": properties}
        return self.ask("POST", "/v1/track", scope, json=message)

    def track_refused(self, user_id: str, scope: str = "ingest", **more: Any) -> Any:
        """The problem document of one event that is refused."""
        message = {"userId": user_id, "event": "view", **more}
        status, problem = self.refused("POST", "/v1/track", scope, json=message)
        assert status == 422, problem
        return problem

    def teach(self, user_id: str, numbers: Sequence[int], scope: str = "ingest") -> None:
        """A history of views of items, an hour apart, up to some days ago."""
        now = dt.datetime.now(dt.UTC) - dt.timedelta(days=3)
        batch = [
            {"type": "track", "userId": user_id, "event": "view",
             "timestamp": (now + dt.timedelta(hours=hour)).isoformat(),
             "properties": {"item_id": item_id(number)}}
            for hour, number in enumerate(numbers)
        ]  # fmt: skip
        answer = self.ask("POST", "/v1/batch", scope, json={"batch": batch})
        assert answer["kept"] == len(numbers), answer

    def held(self, user_id: str, scope: str = "admin") -> Any:
        return self.ask("POST", "/v1/customers/read", scope, json={"user_id": user_id})


IDS: dict[str, str] = {
    "user_id": "ann",
    "item_id": item_id(1),
    "token": "0123456789abcdef",
    "key": "KEY",
}
CALLS = {
    "track": {"userId": "verify:0123456789abcdef:a", "event": "view"},
    "alias": {"userId": "verify:0123456789abcdef:a", "previousId": "verify:0123456789abcdef:b"},
    "group": {"userId": "verify:0123456789abcdef:a", "groupId": "g"},
    "batch": {"batch": []},
}


def body_of(name: str) -> dict[str, Any]:
    """A valid request to the operation, so that only the key can be wrong."""
    if name.endswith("_batch") and not name.startswith("ingest"):
        return {"json": {"batch": [{"user_id": "ann"}]}}
    if name in ("recommend", "predict", "read_customer", "erase_customer"):
        return {"json": {"user_id": "ann"}}
    if name in ("recommend_by_query", "predict_by_query"):
        return {"params": {"user_id": "ann"}}
    if name == "promote_bundle":
        return {"json": {"version": "v9999"}}
    if name == "import_lines":
        return {"content": b""}
    if name == "put_item":
        return {"json": {"kind": "course"}}
    if name.startswith("ingest_"):
        word = name.removeprefix("ingest_")
        whole = {"t": "track", "p": "page", "s": "screen", "i": "identify",
                 "g": "group", "a": "alias", "b": "batch"}.get(word, word)  # fmt: skip
        return {"json": CALLS.get(whole, CALLS["track"])}
    return {}


def is_problem(answer: Any) -> Any:
    """The problem document of an answer that must be one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.headers
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"] and problem["detail"]
    return problem


def make_keys(settings: Settings) -> dict[str, str]:
    """A key for each scope alone, which is a server's where it can be; "all" with every scope;
    "page"."""
    now = time.time_ns() // 1000
    with opened_keys(settings, print) as ring:
        keys = {"all": ring.create("all", SCOPES, now=now)[1]}
        keys["page"] = ring.create("page", ["ingest"], now=now)[1]
        for scope in SCOPES:
            kind = "admin" if scope in ("admin", "people") else "server"
            keys[scope] = ring.create(scope, [scope], now=now, kind=kind)[1]
    return keys


@contextmanager
def live_service(world: ServedWorld, data: Path, **changes: Any) -> Iterator[Live]:
    """A service over the shelf of `world`, with its own live data; `changes` are keys of [serve].

    Unless `changes` sets limits, no request is shed, however busy the machine is.
    """
    changes.setdefault("limits", Limits(wait_ms=60_000, standing_wait_ms=60_000))
    settings = world.serving(data, **changes)
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = make_keys(settings)
    opened: list[Service] = []

    def opening() -> Service:
        opened.append(Service(settings, ROUTES))
        return opened[0]

    client = Client(make_app(opening))
    try:
        yield Live(client, opened[0], world, settings, keys)
    finally:
        client.close()


@contextmanager
def listening(settings: Settings, data: Path) -> Iterator[tuple[str, Service]]:
    """A service that answers on a socket, in a thread of this process; yields its URL and it."""
    opened: list[Service] = []
    data.mkdir(parents=True, exist_ok=True, mode=0o700)

    def opening() -> Service:
        opened.append(Service(settings, ROUTES))
        return opened[0]

    config = uvicorn.Config(
        make_app(opening), loop="asyncio", http="httptools", ws="none", log_config=None,
        access_log=False, timeout_keep_alive=75,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive() and time.monotonic() < until, "the service does not start"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", opened[0]
        finally:
            server.should_exit = True
            thread.join(timeout=60)
            assert not thread.is_alive()
