"""Health, metrics, the OpenAPI document, and the end of an integration test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from propense.runtime.engine import ScoringEngine
from propense.runtime.integration_tests import TOKEN, IntegrationTests
from propense.serving.handlers.recording import AuditedHost, recorded
from propense.serving.messages.health import (
    HealthAnswer,
    IntegrationTestAnswer,
    LiveAnswer,
    ReadyQuestion,
)
from propense.serving.monitoring.monitor import Monitor
from propense.serving.monitoring.readiness import State
from propense.settings import Serve
from propense.web.endpoint import Host, Route
from propense.web.openapi import document
from propense.web.problems import Problem
from propense.web.request import Request, Response


class HealthHost(Host, Protocol):
    """What health and metrics use of the service."""

    serve: Serve
    monitor: Monitor
    routes: Sequence[Route[Any]]

    @property
    def engine(self) -> ScoringEngine: ...

    def unreadiness(self) -> State: ...

    def warnings(self) -> list[str]: ...


class IntegrationTestHost(AuditedHost, Protocol):
    """What ending an integration test uses of the service."""

    tests: IntegrationTests

    def engines(self) -> list[ScoringEngine]: ...


async def live(request: Request[HealthHost]) -> LiveAnswer:
    """The process answers; it may still not be ready."""
    return LiveAnswer(bundle=request.host.engine.version)


async def ready(request: Request[HealthHost]) -> HealthAnswer | Response:
    """Whether the service can answer questions and take events; 503 where it cannot."""
    what = request.read_query(ReadyQuestion).what
    host = request.host
    state = await asyncio.to_thread(host.unreadiness)
    reasons = {"answers": state.answers, "events": state.events, "all": state.reasons}[what]
    answer = HealthAnswer(
        ready=not reasons, answers=not state.answers, events=not state.events,
        bundle=host.engine.version, reasons=reasons, warnings=host.warnings(),
    )  # fmt: skip
    return answer if answer.ready else Response(msgspec.json.encode(answer), status=503)


async def metrics(request: Request[HealthHost]) -> Response:
    """Metrics of all processes, for Prometheus."""
    if request.host.serve.metrics_need_key:
        request.authorize(request.presented_key(), ("admin",))
    accept = request.headers.get(b"accept", b"").decode("latin-1")
    body, content_type = request.host.monitor.metrics.render(accept)
    return Response(body, content_type.encode())


async def openapi(request: Request[HealthHost]) -> Response:
    """The OpenAPI document."""
    return Response(document(request.host.routes, TITLE, DESCRIPTION))


async def end_integration_test(request: Request[IntegrationTestHost]) -> IntegrationTestAnswer:
    """Destroy all data of an integration test."""
    token = request.path["token"]
    if TOKEN.fullmatch(token) is None:
        raise Problem(422, "the token must have 8 to 32 hexadecimal digits", pointer="/token")
    host = request.host
    async with recorded(request, "verify.end", {"token": token}):
        n_customers = await host.tests.destroy(token, host.engines())
    return IntegrationTestAnswer(token=token, customers=n_customers)


TITLE = "propense"
DESCRIPTION = "Live events in, decisions out."
