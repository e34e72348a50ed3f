"""Who a question is about: from memory where that is current, else from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence
from typing import TypeVar

from propense.errors import StoreError
from propense.serving.engine import Engine
from propense.serving.known import Known
from propense.serving.records import Customer, Deed, Outcome
from propense.serving.store import Store

T = TypeVar("T")


class People:
    """Customers of one store. `alone` where no other process writes to it: then what is in
    memory is current, since every own write changes or drops it before it is acknowledged.
    """

    def __init__(self, store: Store, alone: bool, unsettled: Container[str] = frozenset()) -> None:
        """`unsettled` holds the customers of deeds that are being written just now: what is
        read of them may or may not hold those, so it is not remembered."""
        self.store = store
        self.alone = alone and store.is_local
        self._unsettled = unsettled

    async def find(self, engine: Engine, user_id: str) -> tuple[Known | None, bool]:
        """The customer, None of whom nothing is held; and whether the store could not be
        asked, so that what was in memory, perhaps old, has to do."""
        known = engine.cache.get(user_id)
        if known is not None and self.alone:
            return known, False
        try:
            if known is not None:
                version = (await self.call(self.store.versions, [user_id]))[0]
                if version == known.version:
                    return known, False
                engine.cache.drop(user_id)
            customer: Customer | None = await self.call(self.store.read, user_id)
        except StoreError:
            return known, True
        if customer is None:
            return None, False
        known = engine.read(customer)
        names = (user_id, customer.user_id, *customer.names)
        if not any(name in self._unsettled for name in names):
            engine.cache.put(known)
        return known, False

    async def call(self, method: Callable[..., T], *arguments: object) -> T:
        """A method of the store, in a thread of its own where it may take long."""
        if self.store.is_local:
            return method(*arguments)
        return await asyncio.to_thread(method, *arguments)


def follow_deeds(
    engines: Sequence[Engine], deeds: Sequence[Deed], outcomes: Sequence[Outcome], alone: bool
) -> None:
    """Let what memory holds of customers follow what deeds have changed.

    Later events are added to the customer in memory, where no other process can have changed
    the customer meanwhile; whoever changed otherwise is read anew when asked for.
    """
    for deed, outcome in zip(deeds, outcomes, strict=True):
        if outcome != "kept":
            continue
        plain = alone and not (deed.traits or deed.consent or deed.previous_id)
        for engine in engines:
            known = engine.cache.get(deed.user_id) if plain else None
            grown = None if known is None else known.with_events(deed.events)
            if grown is not None:
                engine.cache.put(grown)
                continue
            engine.cache.drop(deed.user_id)
            if deed.previous_id is not None:
                engine.cache.drop(deed.previous_id)
