"""All that is stored of a customer: shown, or erased."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import unquote

from propense.columns import MICRO_UNITS
from propense.history.records import Customer, Decision
from propense.privacy.receipts import Receipt
from propense.security.audit import AuditLog
from propense.serving.handlers.access import CustomerHost, reader_of, stored_id
from propense.serving.messages.customers import (
    CustomerQuestion,
    HeldDecision,
    HeldEvent,
    UserAnswer,
)
from propense.serving.operations.erasure import Eraser
from propense.serving.user_ids import UserId, parse_user_id
from propense.times import MICROS_PER_SECOND
from propense.web.problems import Problem
from propense.web.request import Request


class AccountHost(CustomerHost, Protocol):
    """What showing all of a customer uses of the service."""

    audit: AuditLog


class ErasureHost(CustomerHost, Protocol):
    """What erasing a customer uses of the service."""

    eraser: Eraser


async def show(request: Request[AccountHost]) -> UserAnswer:
    """All that is stored, under all the customer's ids; the id is in the path."""
    return await _show(request, await _stored_user(request, _path_id(request)))


async def read(request: Request[AccountHost]) -> UserAnswer:
    """All that is stored, under all the customer's ids; the id is in the body."""
    return await _show(
        request, await _stored_user(request, request.read_body(CustomerQuestion).user_id)
    )


async def _show(request: Request[AccountHost], user: UserId) -> UserAnswer:
    host = request.host
    reader = await reader_of(request, user, "admin")
    user_id = stored_id(host, user)
    if user.is_real:
        # Before it is read: a reading that cannot be logged must not be done.
        await asyncio.to_thread(
            host.audit.append, request.now, request.actor, "customer.read", user_id
        )
    customer: Customer | None = await reader.call(reader.store.read, user_id)
    if customer is None:
        raise Problem(404, "nothing is stored about this customer")
    decisions: list[Decision] = await reader.call(reader.store.decisions_of, user_id)
    return UserAnswer(
        user_id=user.value if host.serve.pseudonyms else customer.user_id,
        names=customer.names,
        traits=customer.traits,
        consent=customer.consent,
        first_seen=_time(customer.first_seen) if customer.first_seen else None,
        last_seen=_time(customer.last_seen) if customer.last_seen else None,
        events=[
            HeldEvent(
                event_time=_time(event.event_time),
                action=event.action,
                item_id=event.item_id,
                value=None if event.value is None else event.value / MICRO_UNITS,
                count=event.count,
                source=event.source,
            )
            for event in customer.events
        ],
        decisions=[
            HeldDecision(
                time=_time(decision.time),
                scenario=decision.scenario,
                bundle=decision.bundle,
                policy=decision.policy,
                items=list(decision.items),
            )
            for decision in decisions
        ],
    )


async def erase(request: Request[ErasureHost]) -> Receipt:
    """Erase all of it, everywhere, and keep it from being stored again; the id is in the path."""
    return await _erase(request, await _stored_user(request, _path_id(request)))


async def erase_by_body(request: Request[ErasureHost]) -> Receipt:
    """The same; the id is in the body."""
    return await _erase(
        request, await _stored_user(request, request.read_body(CustomerQuestion).user_id)
    )


async def _erase(request: Request[ErasureHost], user: UserId) -> Receipt:
    if not user.is_real:
        raise Problem(
            422, "this customer belongs to an integration test; end it with DELETE /v1/verify/TOKEN"
        )
    # Shielded: once begun it goes on, also where the client closes the connection.
    receipt = await asyncio.shield(
        request.host.eraser.erase_customer(user.value, request.actor, request.now)
    )
    if receipt is None:
        raise Problem(
            404, "nothing is stored under this id, so nothing was erased and nobody is refused"
        )
    return receipt


def _path_id(request: Request[CustomerHost]) -> str:
    """The id in the path. Raises Problem where a client or a proxy may have written the path anew,
    or may do so with the like: then it could be another customer's."""
    text = plain = request.path_id("user_id")
    while (unquoted := unquote(plain)) != plain:
        plain = unquoted
    if plain in (".", "..") or "/" in plain or "\\" in plain:
        raise Problem(
            422,
            "an id with slashes, or of dots alone, cannot stand in a path; send it in the body of "
            "POST /v1/customers/read or POST /v1/customers/erase",
            pointer="/user_id",
        )
    return text


async def _stored_user(request: Request[CustomerHost], text: str) -> UserId:
    """The customer: under the very id if something is stored there, as version 0.1 did, otherwise
    under the tidy one."""
    user = parse_user_id(text)
    if user.value == text:
        return user
    raw = UserId(text, user.test)
    reader = request.host.reader
    stored = await reader.call(reader.store.read, stored_id(request.host, raw))
    return user if stored is None else raw


def _time(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC)
