"""Integration tests: their customers are in stores of their own, which are destroyed at the end.

Ids of their customers are `verify:TOKEN:ID`. Training, audiences and metrics never see them,
since they read another store.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from propense.errors import ConflictError, RefusedError
from propense.history.controls import Controls
from propense.history.records import VERIFY_PREFIX, CustomerUpdate, WriteResult
from propense.history.store import Store
from propense.runtime.customer_reader import CustomerReader, follow_updates
from propense.runtime.engine import ScoringEngine
from propense.times import MICROS_PER_SECOND

MOST: Final = 4
"""Stores of integration tests that are open at once; others are opened again on demand."""
MOST_BEGUN: Final = 16
"""Tests of a service that have begun and not ended, on all its hosts: each has a store."""
ABANDONED_MICROS: Final = 86_400 * MICROS_PER_SECOND
"""A test this old is ended where a new one needs its room."""
KIND: Final = "tests"
"""The kind of the records of tests that have begun: token -> microseconds UTC."""
_STORE: Final = "verify-"
"""Before the token in the name of a store."""
TOKEN: Final = re.compile(r"[0-9a-f]{8,32}")
_ID: Final = re.compile(VERIFY_PREFIX + r"([0-9a-f]{8,32}):(?s:.+)")


def token_of(user_id: str) -> str | None:
    """The token of the test that an id belongs to; None for a real customer.

    Raises RefusedError for an id that has the prefix alone.
    """
    if not user_id.startswith(VERIFY_PREFIX):
        return None
    match = _ID.fullmatch(user_id)
    if match is None:
        raise RefusedError(
            f"the id {user_id[:40]!r} begins like that of an integration test but is none; "
            f"those are {VERIFY_PREFIX}TOKEN:ID, and the token has 8 to 32 hexadecimal digits"
        )
    return match.group(1)


def clear_integration_tests(folder: Path, store: Store) -> None:
    """Remove the tests that were never ended, while no service runs on `folder`. Those of a store
    on a server may be of other hosts, and stay until they are abandoned."""
    for file in folder.glob(f"{_STORE}*.db*"):
        file.unlink(missing_ok=True)
    if store.is_local:
        for record in store.controls.read(KIND).records:
            store.controls.remove(KIND, record.key)


class IntegrationTests:
    """The stores of the running tests."""

    def __init__(self, controls: Controls, open_store: Callable[[str], Store]) -> None:
        self._controls = controls
        self._open_store = open_store
        self._readers: OrderedDict[str, CustomerReader] = OrderedDict()
        self._opening = asyncio.Lock()

    async def reader(self, token: str) -> CustomerReader:
        """The reader of a test's customers. Raises RefusedError where too many have begun."""
        async with self._opening:
            reader = self._readers.get(token)
            if reader is None:
                reader = await asyncio.to_thread(self._open, token)
            self._readers.move_to_end(token)
            return reader

    async def refused(self, tokens: Collection[str]) -> dict[str, str]:
        """Begin the tests of these tokens; those that cannot begin, and why."""
        refused = {}
        for token in tokens:
            try:
                await self.reader(token)
            except RefusedError as error:
                refused[token] = str(error)
        return refused

    async def append(
        self,
        updates: Sequence[CustomerUpdate],
        tests: dict[str, list[int]],
        engines: Sequence[ScoringEngine],
    ) -> list[tuple[int, WriteResult]]:
        """Write the updates of tests; the index and the result of each."""
        indexed: list[tuple[int, WriteResult]] = []
        for token, indices in tests.items():
            own = [updates[index] for index in indices]
            reader = await self.reader(token)
            results = await asyncio.to_thread(reader.store.append, own)
            indexed += zip(indices, results, strict=True)
            follow_updates(engines, own, results, alone=False)
        return indexed

    async def destroy(self, token: str, engines: Sequence[ScoringEngine]) -> int:
        """End a test and remove everything of it. Returns how many customers it had."""
        async with self._opening:
            reader = self._readers.pop(token, None)
            user_ids = await asyncio.to_thread(self._destroy, token, reader)
        # Only the event loop changes the customers in memory.
        for user_id in user_ids:
            for engine in engines:
                engine.cache.drop(user_id)
        return len(user_ids)

    def close(self) -> None:
        """Close the stores; their tests can go on in other processes."""
        for reader in self._readers.values():
            reader.store.close()
        self._readers.clear()

    def _open(self, token: str) -> CustomerReader:
        self._begin(token)
        if len(self._readers) >= MOST:
            self._close_destroyed()
        while len(self._readers) >= MOST:
            # The least recently used; it may be of a test that was never ended.
            self._readers.popitem(last=False)[1].store.close()
        # Other processes can write to it as well.
        reader = CustomerReader(self._open_store(f"{_STORE}{token}"), alone=False)
        self._readers[token] = reader
        return reader

    def _begin(self, token: str) -> None:
        """Record that the test has begun. Raises RefusedError."""
        if self._controls.get(KIND, token) is not None:
            return
        begun = self._controls.read(KIND).records
        now = time.time_ns() // 1000
        if len(begun) >= MOST_BEGUN:
            abandoned = [one.key for one in begun if int(one.value) + ABANDONED_MICROS < now]
            for other in abandoned:
                self._destroy(other, self._readers.pop(other, None))
            if not abandoned:
                raise RefusedError(
                    f"{MOST_BEGUN} integration tests have begun and not ended; end one with DELETE "
                    "/v1/verify/TOKEN"
                )
        with contextlib.suppress(ConflictError):
            self._controls.put(KIND, token, b"%d" % now, expected=0)

    def _destroy(self, token: str, reader: CustomerReader | None) -> list[str]:
        """Remove everything of a test; the ids of its customers."""
        store = self._open_store(f"{_STORE}{token}") if reader is None else reader.store
        user_ids = list(store.user_ids())
        store.destroy()
        self._controls.remove(KIND, token)
        return user_ids

    def _close_destroyed(self) -> None:
        """Close stores that another process has destroyed."""
        for token, reader in list(self._readers.items()):
            if reader.store.is_destroyed:
                reader.store.close()
                del self._readers[token]
