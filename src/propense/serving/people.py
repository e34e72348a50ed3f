"""Who a question is about: from memory where that is current, else from the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from propense.errors import StoreError
from propense.serving.engine import Engine
from propense.serving.known import Known
from propense.serving.records import Customer, Deed, Outcome
from propense.serving.store import Store

T = TypeVar("T")


class People:
    """Customers of one store. `alone` where no other process writes to it: then what is in
    memory is current, since every own write drops it before it is acknowledged.
    """

    def __init__(self, store: Store, alone: bool) -> None:
        self.store = store
        self._alone = alone and store.is_local

    async def find(self, engine: Engine, user_id: str) -> tuple[Known | None, bool]:
        """The customer, None of whom nothing is held; and whether the store could not be
        asked, so that what was in memory, perhaps old, has to do."""
        known = engine.cache.get(user_id)
        if known is not None and self._alone:
            return known, False
        try:
            if known is not None:
                version = (await self.call(self.store.versions, [user_id]))[0]
                if version == known.customer.version:
                    return known, False
                engine.cache.drop(user_id)
            customer: Customer | None = await self.call(self.store.read, user_id)
        except StoreError:
            return known, True
        if customer is None:
            return None, False
        known = engine.read(customer)
        engine.cache.put(known)
        return known, False

    async def call(self, method: Callable[..., T], *arguments: object) -> T:
        """A method of the store, in a thread of its own where it may take long."""
        if self.store.is_local:
            return method(*arguments)
        return await asyncio.to_thread(method, *arguments)


def drop_changed(engines: Sequence[Engine], deeds: Sequence[Deed]) -> None:
    """Forget what memory holds of customers that deeds have changed."""
    for deed in deeds:
        for engine in engines:
            engine.cache.drop(deed.user_id)
            if deed.previous_id is not None:
                engine.cache.drop(deed.previous_id)


Kept = Callable[[Sequence[Deed], Sequence[Outcome]], None]
