"""Quotas, without a service: who is refused, and that only browser keys limit new customers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec

from propense.errors import StoreError
from propense.history.records import CustomerUpdate, LiveEvent
from propense.security.keys import KeyRecord
from propense.serving.operations.admission import Admission
from propense.settings import Limits
from propense.web.quotas import Quotas

NOW = 1_700_000_000_000_000
BROWSER = KeyRecord(
    prefix="b", mac=b"", name="page", kind="page", scopes=frozenset({"ingest"}), created=0
)
SERVER = KeyRecord(
    prefix="s",
    mac=b"",
    name="server",
    kind="server",
    scopes=frozenset({"ingest", "read"}),
    created=0,
)


def admission(stored: set[str] | None = frozenset(), **limits: int) -> tuple[Admission, list[Any]]:  # type: ignore[assignment]
    """`stored` are the customers of the store; None: it cannot be read."""
    counted: list[Any] = []

    async def ask(method: Any, *arguments: Any) -> Any:
        return method(*arguments)

    def versions(user_ids: list[str]) -> list[int]:
        if stored is None:
            raise StoreError("away")
        return [int(user_id in stored) for user_id in user_ids]

    reader: Any = SimpleNamespace(ask=ask, store=SimpleNamespace(versions=versions))
    metrics: Any = SimpleNamespace(quota_refusal=lambda limit, n: counted.append((limit, n)))
    return Admission(Quotas(Limits(**limits), b"k" * 32), reader, metrics), counted


def update(user_id: str, n_events: int = 1, previous_id: str | None = None) -> CustomerUpdate:
    events = tuple(LiveEvent(event_time=NOW, action="view") for _ in range(n_events))
    return CustomerUpdate(
        message_id=f"{user_id}{n_events}{previous_id}", user_id=user_id, received=NOW,
        events=events, previous_id=previous_id,
    )  # fmt: skip


def refused(one: Admission, updates: list[CustomerUpdate], key: KeyRecord) -> dict[str, str]:
    return asyncio.run(one.refused_customers(updates, key, "10.0.0.1", NOW))


def test_the_events_of_a_customer_are_admitted_together_or_not_at_all() -> None:
    one, counted = admission(events_per_day=3)
    refusals = refused(one, [update("ann", 2), update("bob", 3), update("ann", 2)], SERVER)
    assert list(refusals) == ["ann"] and "3 events a day" in refusals["ann"]
    assert counted == [("events_per_day", 4)]


def test_only_keys_that_only_send_limit_new_customers() -> None:
    updates = [update(f"new-{number}") for number in range(3)]
    one, counted = admission(new_customers_per_hour=2)
    assert refused(one, updates, SERVER) == {}
    assert list(refused(one, updates, BROWSER)) == ["new-2"]
    assert counted == [("new_customers_per_hour", 1)]


def test_existing_customers_are_no_new_ones_but_their_new_names_are() -> None:
    one, _ = admission({"ann", "bob"}, new_customers_per_hour=1)
    assert refused(one, [update("ann"), update("bob")], BROWSER) == {}
    joined = [update("ann", 0, "a-1"), update("ann", 0, "a-2")]
    assert list(refused(one, joined, BROWSER)) == ["ann"]


def test_while_the_store_is_away_nobody_counts_as_new() -> None:
    one, _ = admission(None, new_customers_per_hour=1)
    assert refused(one, [update("ann"), update("bob")], BROWSER) == {}


def test_what_pages_send_leaves_the_servers_room_alone() -> None:
    one, _ = admission({"ann"}, events_per_day=3)
    assert refused(one, [update("ann", 3)], BROWSER) == {}
    assert list(refused(one, [update("ann")], BROWSER)) == ["ann"]
    assert refused(one, [update("ann", 3)], SERVER) == {}
    assert list(refused(one, [update("ann")], SERVER)) == ["ann"]


def test_messages_without_events_and_new_names_count_too() -> None:
    one, _ = admission({"ann"}, events_per_day=12)
    page = [msgspec.structs.replace(update("ann", 0), trusted=False)] * 2
    named = [msgspec.structs.replace(update("ann", 0, "a-1"), trusted=False)]
    assert refused(one, page + named, BROWSER) == {}
    assert list(refused(one, page[:1], BROWSER)) == ["ann"]
