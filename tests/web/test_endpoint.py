"""The HTTP kit serves a host that has neither customers nor bundles."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from propense.errors import ServeError, StoreError
from propense.security.key_ring import KeyRing
from propense.security.keys import SCOPES
from propense.security.secrets import Secrets
from propense.settings import Limits
from propense.web.application import Application, make_application
from propense.web.endpoint import Route, ShedReason, refusal
from propense.web.openapi import document
from propense.web.problems import Problem
from propense.web.rate_limits import Limiter
from propense.web.request import Request, Response
from support.live_stores import memory_controls


class Sum(msgspec.Struct, forbid_unknown_fields=True):
    terms: list[int]


class Total(msgspec.Struct):
    total: int
    actor: str


class Calculator:
    """A service that adds numbers."""

    limits = Limits(body_bytes=100, import_bytes=1_000, in_flight=2)
    origins: Sequence[str] = ("https://page.example",)

    def __init__(self, folder: Path) -> None:
        self.keys = KeyRing(memory_controls(), Secrets(bytes(32)))
        self.limiter = Limiter(self.limits)
        self.in_flight = 0
        self.body_bytes: Counter[str] = Counter()
        self.is_overloaded = False
        self.shed: list[str] = []
        self.answers: list[tuple[str, int]] = []
        self.defects: list[Exception] = []

    def overload(self, route: Route[Any]) -> Response | None:
        return _BUSY if self.is_overloaded else None

    def count_shed(self, reason: ShedReason) -> None:
        self.shed.append(reason)

    def count_answer(self, route: str, status: int, seconds: float) -> None:
        self.answers.append((route, status))

    def report_defect(self, route: str, error: Exception) -> None:
        self.defects.append(error)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


_BUSY = refusal("too many sums; try again")


async def add(request: Request[Calculator]) -> Total:
    terms = request.read_body(Sum).terms
    if terms == [1]:
        raise StoreError("no store")
    if terms == [2]:
        raise ServeError("a file of the service is broken")
    if terms == [3]:
        raise RuntimeError("unforeseen")
    return Total(total=sum(terms), actor=request.actor)


ROUTES: tuple[Route[Calculator], ...] = (
    Route("POST", "/sum", "sum", add, "Add numbers", ("read",), Sum, Total, is_question=True),
    Route("POST", "/admin/sum", "admin_sum", add, "Add numbers", ("admin",), Sum, Total),
    Route("POST", "/page/sum", "page_sum", add, "Add numbers", (), Sum, Total, browser=True),
    Route("POST", "/large/sum", "large_sum", add, "Add numbers", ("read",), Sum, Total, large=True),
)
ERRORS = {
    StoreError: lambda error: Problem(503, "the store is away"),
    ServeError: lambda error: Problem(503, "see the log", operator_detail=str(error)),
}


class Client:
    def __init__(self, folder: Path) -> None:
        self.host = Calculator(folder)
        self.keys = {
            scope: self.host.keys.create(scope, [scope], now=time.time_ns() // 1000)[1]
            for scope in SCOPES
        }
        self.app: Application = make_application(ROUTES, lambda: self.host, ERRORS)

    def post(
        self, path: str, body: Any, scope: str | None = "read", **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON and headers of the answer."""
        sent: list[dict[str, Any]] = []
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **headers}
        if scope is not None:
            headers["authorization"] = f"Bearer {self.keys[scope]}"

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content}

        async def send(message: Any) -> None:
            sent.append(message)

        async def play() -> None:
            asgi = {
                "type": "http", "method": "POST", "path": path, "query_string": b"",
                "client": ("10.0.0.1", 1), "path_params": {},
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }  # fmt: skip
            async with self.app.router.lifespan_context(self.app):
                await self.app(asgi, receive, send)

        asyncio.run(play())
        head, tail = sent
        answer = {name.decode(): value.decode() for name, value in head["headers"]}
        return head["status"], json.loads(tail["body"]), answer


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def test_a_question_is_answered_and_counted(client: Client) -> None:
    status, answer, _ = client.post("/sum", {"terms": [2, 3]})
    assert status == 200 and answer["total"] == 5
    assert answer["actor"] == client.keys["read"][3:11]
    assert client.host.answers == [("/sum", 200)] and client.host.in_flight == 0


def test_keys_and_bodies_are_checked_before_the_handler(client: Client) -> None:
    assert client.post("/sum", {"terms": []}, None)[0] == 401
    assert client.post("/sum", {"terms": []}, "admin")[0] == 403
    assert client.post("/sum", b"x" * 101)[0] == 413
    assert client.post("/large/sum", b'{"terms": [4' + b",4" * 100 + b"]}")[1]["total"] == 404
    status, problem, _ = client.post("/sum", {"terms": ["x"]})
    assert status == 422 and problem["pointer"] == "/terms/0"
    assert problem["detail"] == "expected a whole number, got text"


def test_a_mistyped_field_is_named_with_the_nearest_one(client: Client) -> None:
    status, problem, _ = client.post("/sum", {"terms": [1], "term": [2]})
    assert status == 422
    assert problem["detail"] == "there is no field 'term'; did you mean 'terms'?"


def test_errors_become_the_problems_of_the_mapping(client: Client) -> None:
    status, problem, _ = client.post("/sum", {"terms": [1]})
    assert (status, problem["detail"]) == (503, "the store is away")
    assert client.host.defects == []


def test_only_the_operator_reads_what_is_wrong_with_the_services_files(client: Client) -> None:
    assert client.post("/sum", {"terms": [2]})[1]["detail"] == "see the log"
    detail = client.post("/admin/sum", {"terms": [2]}, "admin")[1]["detail"]
    assert detail == "a file of the service is broken"
    assert len(client.host.defects) == 2


def test_what_nobody_foresaw_is_reported_and_says_nothing(client: Client) -> None:
    status, problem, _ = client.post("/sum", {"terms": [3]})
    assert status == 500 and "unforeseen" not in json.dumps(problem)
    assert [str(error) for error in client.host.defects] == ["unforeseen"]


@pytest.mark.parametrize(
    ("busy", "reason"),
    [(lambda host: setattr(host, "is_overloaded", True), "wait"),
     (lambda host: setattr(host, "in_flight", 2), "in_flight")],
)  # fmt: skip
def test_under_overload_questions_are_refused_and_other_requests_are_not(
    client: Client, busy: Callable[[Calculator], None], reason: str
) -> None:
    busy(client.host)
    status, _, headers = client.post("/sum", {"terms": []})
    assert status == 503 and headers["retry-after"] == "1" and client.host.shed == [reason]
    assert client.post("/admin/sum", {"terms": []}, "admin")[0] == 200


def test_pages_of_other_origins_may_not_send(client: Client) -> None:
    for origin, status in (("https://page.example", 200), ("https://other.example", 403)):
        answer = client.post("/page/sum", {"terms": []}, None, origin=origin)
        assert answer[0] == status
        allowed = answer[2].get("access-control-allow-origin")
        assert allowed == (origin if status == 200 else None)


def test_the_document_has_the_title_of_the_service() -> None:
    described = json.loads(document(ROUTES, "calculator", "Adds numbers."))
    assert described["info"]["title"] == "calculator"
    assert set(described["paths"]) == {route.path for route in ROUTES}
    assert "409" in described["paths"]["/sum"]["post"]["responses"]
