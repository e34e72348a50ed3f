"""All that is held of a customer: to be seen, and to be erased."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from propense.columns import MICRO_UNITS
from propense.history.records import Customer, Decision
from propense.privacy.receipts import Receipt
from propense.runtime.integration_tests import token_of
from propense.serving.door import Call
from propense.serving.messages import HeldDecision, HeldEvent, UserAnswer
from propense.serving.operations.erasure import erase_customer
from propense.times import MICROS_PER_SECOND
from propense.web.problems import Problem


async def show(call: Call) -> UserAnswer:
    """Everything, under all names."""
    user_id = call.id("user_id")
    service = call.service
    people = call.people(user_id, "admin")
    own = service.user(user_id)
    customer: Customer | None = await people.call(people.store.read, own)
    if customer is None:
        raise Problem(404, "nothing is held of this customer")
    decisions: list[Decision] = await people.call(people.store.decisions_of, own)
    return UserAnswer(
        user_id=user_id if service.serve.pseudonyms else customer.user_id,
        names=customer.names,
        traits=customer.traits,
        consent=customer.consent,
        first_seen=_moment(customer.first_seen),
        last_seen=_moment(customer.last_seen),
        events=[
            HeldEvent(
                event_time=datetime.fromtimestamp(event.event_time / MICROS_PER_SECOND, UTC),
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
                time=datetime.fromtimestamp(decision.time / MICROS_PER_SECOND, UTC),
                scenario=decision.scenario,
                bundle=decision.bundle,
                policy=decision.policy,
                items=list(decision.items),
            )
            for decision in decisions
        ],
    )


async def erase(call: Call) -> Receipt:
    """Take away all of it, everywhere, and keep it from coming back."""
    user_id = call.id("user_id")
    if token_of(user_id) is not None:
        raise Problem(422, "customers of a test go with the test: DELETE /v1/verify/TOKEN")
    actor = call.key.prefix if call.key is not None else ""
    return await asyncio.shield(erase_customer(call.service, user_id, actor, call.now))


def _moment(micros: int) -> datetime | None:
    return datetime.fromtimestamp(micros / MICROS_PER_SECOND, UTC) if micros else None
