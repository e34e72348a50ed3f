"""Health, metrics, the OpenAPI document, and the end of an integration test."""

from __future__ import annotations

import asyncio

import msgspec

from propense.runtime.integration_tests import TOKEN
from propense.serving.door import Call, Reply
from propense.serving.messages import HealthAnswer, IntegrationTestAnswer
from propense.web.openapi import document
from propense.web.problems import Problem


async def live(call: Call) -> HealthAnswer:
    """The process answers; nothing more is said."""
    return HealthAnswer(ready=True, bundle=call.service.engine.version)


async def ready(call: Call) -> HealthAnswer | Reply:
    """Whether questions and events are in good hands here."""
    reasons = await asyncio.to_thread(call.service.watch.what_is_missing)
    answer = HealthAnswer(ready=not reasons, bundle=call.service.engine.version, reasons=reasons)
    return answer if answer.ready else Reply(msgspec.json.encode(answer), status=503)


async def metrics(call: Call) -> Reply:
    """Of all processes, for Prometheus."""
    if call.service.serve.metrics_need_key:
        call.enter(call.presented(), ("admin",))
    accept = call.headers.get(b"accept", b"").decode("latin-1")
    body, kind = call.service.metrics.render(accept)
    return Reply(body, kind.encode())


async def openapi(call: Call) -> Reply:
    """This document."""
    return Reply(document(call.service.routes))


async def end_integration_test(call: Call) -> IntegrationTestAnswer:
    """Destroy all that an integration test has sent."""
    token = call.path["token"]
    if TOKEN.fullmatch(token) is None:
        raise Problem(422, "a test's token has 8 to 32 hexadecimal digits", pointer="/token")
    service = call.service
    count = await service.trials.destroy(token, service.engines())
    return IntegrationTestAnswer(token=token, customers=count)
