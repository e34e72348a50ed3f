"""Which customers and which network a request may ask about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from propense.runtime.batcher import Batcher
from propense.runtime.customer_reader import CustomerReader
from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import ScoringEngine
from propense.runtime.integration_tests import IntegrationTests
from propense.runtime.loaded_bundles import Bundles
from propense.security.keys import Scope
from propense.serving.messages.predict import PredictQuestion
from propense.serving.messages.recommend import RecommendQuestion
from propense.serving.monitoring.monitor import Monitor
from propense.serving.shadow import Shadow
from propense.serving.user_ids import UserId
from propense.settings import Serve
from propense.web.endpoint import Host
from propense.web.problems import Problem
from propense.web.request import Request


class CustomerHost(Host, Protocol):
    """What reading a customer uses of the service."""

    serve: Serve
    reader: CustomerReader
    tests: IntegrationTests

    def stored_id(self, user_id: str) -> str: ...


class AnswerHost(CustomerHost, Protocol):
    """What answering questions about customers uses of the service."""

    batcher: Batcher
    bundles: Bundles
    monitor: Monitor
    shadow: Shadow | None

    @property
    def engine(self) -> ScoringEngine: ...


async def reader_of(request: Request[CustomerHost], user: UserId, scope: Scope) -> CustomerReader:
    """The store that has the customer: that of real customers, which needs `scope`, or that of an
    integration test, which needs verify. Raises Problem where the key lacks it."""
    host, key = request.host, request.key
    if user.test is None:
        if key is not None and not key.may(scope):
            raise Problem(
                403,
                "a key with the scope verify may ask only about customers of an integration test; "
                "use a key with the scope read",
            )
        return host.reader
    if key is None or not key.may("verify"):
        raise Problem(
            403,
            f"the id {user.value[:40]!r} belongs to an integration test; "
            "ask about it with a key that has the scope verify",
        )
    return await host.tests.reader(user.test)


async def find_customer(
    request: Request[CustomerHost], engine: ScoringEngine, user: UserId
) -> tuple[CustomerState | None, bool]:
    """The customer, None where nothing is known of them; and whether the store could not be
    read. Raises Problem."""
    reader = await reader_of(request, user, "read")
    return await reader.find(engine, stored_id(request.host, user))


def stored_id(host: CustomerHost, user: UserId) -> str:
    """The id under which a customer is stored; those of a test never have a pseudonym."""
    return host.stored_id(user.value) if user.is_real else user.value


def may_personalise(request: Request[CustomerHost], customer: CustomerState | None) -> bool:
    """Whether the customer's consent, or its absence, allows personal answers."""
    if customer is None:
        return True
    return customer.consent.get("personalise", not request.host.serve.consent)


async def engine_of(
    request: Request[AnswerHost],
    questions: Sequence[RecommendQuestion] | Sequence[PredictQuestion],
) -> ScoringEngine:
    """The network that answers all the questions. Raises Problem."""
    if not any(question.network == "evaluated" for question in questions):
        return request.host.engine
    if request.key is None or not request.key.may("verify"):
        raise Problem(403, "network = 'evaluated' needs a key with the scope verify")
    if not all(question.network == "evaluated" for question in questions):
        raise Problem(
            422,
            "all questions of a batch must name the same network; send a batch for each",
            pointer="/batch",
        )
    return await request.host.bundles.evaluated()
