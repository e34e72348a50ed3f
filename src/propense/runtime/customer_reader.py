"""Who a question is about: from memory where that is current, else from the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Container, Sequence
from typing import TypeVar

from propense.errors import StoreError
from propense.history.records import Customer, CustomerUpdate, WriteResult
from propense.history.store import Store
from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import ScoringEngine
from propense.runtime.metrics import CacheResult, Metrics

T = TypeVar("T")


class CustomerReader:
    """Customers of one store. `alone` where no other process writes to it: then what is in
    memory is current, since every own write changes or drops it before it is acknowledged.
    """

    def __init__(
        self,
        store: Store,
        alone: bool,
        unsettled: Container[str] = frozenset(),
        metrics: Metrics | None = None,
    ) -> None:
        """`unsettled` holds the customers of deeds that are being written just now: what is
        read of them may or may not hold those, so it is not remembered."""
        self.store = store
        self.alone = alone and store.is_local
        self._unsettled = unsettled
        self._metrics = metrics
        self._n_forgotten = 0

    async def find(self, engine: ScoringEngine, user_id: str) -> tuple[CustomerState | None, bool]:
        """The customer, None of whom nothing is held; and whether the store could not be
        asked, so that what was in memory, perhaps old, has to do."""
        known = engine.cache.get(user_id)
        if known is not None and self.alone:
            self._count("hit")
            return known, False
        n_forgotten = self._n_forgotten
        try:
            if known is not None:
                version = (await self.call(self.store.versions, [user_id]))[0]
                if version == known.version:
                    self._count("hit")
                    return known, False
                engine.cache.drop(user_id)
            self._count("miss")
            began = time.perf_counter()
            customer: Customer | None = await self.call(self.store.read, user_id)
        except StoreError:
            return known, True
        if self._metrics is not None:
            self._metrics.store("read", time.perf_counter() - began)
        if customer is None:
            return None, False
        known = engine.read(customer)
        names = (user_id, customer.user_id, *customer.names)
        # Whoever was erased while they were read must not be remembered again.
        is_settled = not any(name in self._unsettled for name in names)
        if is_settled and n_forgotten == self._n_forgotten:
            engine.cache.put(known)
        return known, False

    def forget(self, engines: Sequence[ScoringEngine], names: Collection[str] | None) -> None:
        """Take erased customers out of memory, or everybody where it is not known who."""
        self._n_forgotten += 1
        for engine in engines:
            if names is None:
                engine.cache.clear()
            else:
                for name in names:
                    engine.cache.drop(name)

    def _count(self, result: CacheResult) -> None:
        if self._metrics is not None:
            self._metrics.cache(result)

    async def call(self, method: Callable[..., T], *arguments: object) -> T:
        """A method of the store, in a thread of its own where it may take long."""
        if self.store.is_local:
            return method(*arguments)
        return await asyncio.to_thread(method, *arguments)


def follow_updates(
    engines: Sequence[ScoringEngine],
    updates: Sequence[CustomerUpdate],
    outcomes: Sequence[WriteResult],
    alone: bool,
) -> None:
    """Let what memory holds of customers follow what deeds have changed.

    Later events are added to the customer in memory, where no other process can have changed
    the customer meanwhile; whoever changed otherwise is read anew when asked for.
    """
    for update, outcome in zip(updates, outcomes, strict=True):
        if outcome != "kept":
            continue
        plain = alone and not (update.traits or update.consent or update.previous_id)
        for engine in engines:
            known = engine.cache.get(update.user_id) if plain else None
            grown = None if known is None else known.with_events(update.events)
            if grown is not None:
                engine.cache.put(grown)
                continue
            engine.cache.drop(update.user_id)
            if update.previous_id is not None:
                engine.cache.drop(update.previous_id)
