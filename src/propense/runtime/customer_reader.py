"""Reads customers: from memory where that is current, otherwise from the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from propense.errors import StoreError
from propense.history.records import WRITTEN, Customer, CustomerUpdate, WriteResult
from propense.history.store import Store
from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import ScoringEngine
from propense.runtime.metrics import CacheResult, Metrics

T = TypeVar("T")

READ_SECONDS: Final = 2.0
"""A question waits so long for a store on another machine; then it is answered from memory."""
THREADS: Final = 8
"""Reads of such a store at once. They have threads of their own: a store that hangs would take
those of everything else."""


class CustomerReader:
    """Reads the customers of one store.

    `alone` means that no other process writes to it: then memory is current, since each write
    changes or drops the customer there before it is acknowledged.
    """

    def __init__(
        self,
        store: Store,
        alone: bool,
        unsettled: Container[str] = frozenset(),
        metrics: Metrics | None = None,
    ) -> None:
        """`unsettled` holds the ids of customers whose updates are being written: what is read of
        them may or may not include those, so it is not cached."""
        self.store = store
        self.alone = alone and store.is_local
        self._unsettled = unsettled
        self._metrics = metrics
        self._n_forgotten = 0
        self._threads = ThreadPoolExecutor(THREADS, "reader")
        self._late: set[Future[Any]] = set()
        """Reads that nobody waits for any more, and that the store has not answered."""

    async def find(self, engine: ScoringEngine, user_id: str) -> tuple[CustomerState | None, bool]:
        """The customer, or None where the store has none; and whether the answer is degraded:
        the store could not be read, so that it comes from memory and may be outdated."""
        customer = engine.cache.get(user_id)
        if customer is not None and self.alone:
            self._count("hit")
            return customer, False
        n_forgotten = self._n_forgotten
        try:
            if customer is not None:
                version = (await self.ask(self.store.versions, [user_id]))[0]
                if version == customer.version:
                    self._count("hit")
                    return customer, False
                engine.cache.drop(user_id)
            self._count("miss")
            start = time.perf_counter()
            record: Customer | None = await self.ask(self.store.read, user_id)
        except StoreError:
            return customer, True
        if self._metrics is not None:
            self._metrics.store("read", time.perf_counter() - start)
        if record is None:
            return None, False
        customer = engine.read(record)
        names = (user_id, record.user_id, *record.names)
        # A customer who was erased during the read must not be cached again.
        is_settled = not any(name in self._unsettled for name in names)
        if is_settled and n_forgotten == self._n_forgotten:
            engine.cache.put(customer)
        return customer, False

    def forget(self, engines: Sequence[ScoringEngine], names: Collection[str] | None) -> None:
        """Drop erased customers from memory; with None, all customers."""
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

    async def ask(self, method: Callable[..., T], *arguments: object) -> T:
        """Call a method of the store as `call` does, but for READ_SECONDS at most. Raises
        StoreError then; at once where the store hangs."""
        if self.store.is_local:
            return method(*arguments)
        if len(self._late) >= THREADS // 2:
            raise StoreError(f"live history hangs: {len(self._late)} reads are not answered")
        future = self._threads.submit(method, *arguments)
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            if future.running():
                self._late.add(future)
                future.add_done_callback(self._late.discard)
            raise StoreError(f"live history has not answered in {READ_SECONDS:g} s") from error

    async def call(self, method: Callable[..., T], *arguments: object) -> T:
        """Call a method of the store, in a thread where it can take long."""
        if self.store.is_local:
            return method(*arguments)
        return await asyncio.to_thread(method, *arguments)


def follow_updates(
    engines: Sequence[ScoringEngine],
    updates: Sequence[CustomerUpdate],
    results: Sequence[WriteResult],
    alone: bool,
) -> None:
    """Bring the customers in memory up to date with written updates.

    Later events are added to a customer in memory where no other process can have changed the
    customer meanwhile. After any other change the customer is dropped, and read again on demand.
    """
    for update, result in zip(updates, results, strict=True):
        if result not in WRITTEN:
            continue
        only_events = alone and not (update.traits or update.consent or update.previous_id)
        for engine in engines:
            customer = engine.cache.get(update.user_id) if only_events else None
            if customer is not None and customer.user_id != update.user_id:
                # The name may have begun anew, as somebody else's.
                customer = None
            grown = None if customer is None else customer.with_events(update.events)
            if grown is not None:
                engine.cache.put(grown)
                continue
            engine.cache.drop(update.user_id)
            if update.previous_id is not None:
                engine.cache.drop(update.previous_id)
