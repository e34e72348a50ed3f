"""Integration tests: their customers are in stores of their own, which are destroyed at the end.

Ids of their customers are `verify:TOKEN:ID`. Training, audiences and metrics never see them,
since they read another store.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from propense.errors import RefusedError
from propense.history.records import VERIFY_PREFIX, CustomerUpdate, WriteResult
from propense.history.store import Store
from propense.runtime.customer_reader import CustomerReader, follow_updates
from propense.runtime.engine import ScoringEngine
from propense.times import MICROS_PER_DAY

MOST_OPEN: Final = 4
"""Stores of integration tests that are open at once; others are opened again on demand."""
MOST: Final = 16
"""Integration tests that run at once, on all hosts."""
LONGEST_MICROS: Final = MICROS_PER_DAY
"""A test that nobody ends is ended after so long."""
_KIND: Final = "tests"
"""The kind of the records with the running tests: token -> when it began."""
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


def clear_integration_tests(folder: Path) -> None:
    """Remove the stores of tests that were never ended, while no service runs on `folder`."""
    for file in folder.glob(f"{_STORE}*.db*"):
        file.unlink(missing_ok=True)


class IntegrationTests:
    """The stores of the running tests."""

    def __init__(self, folder: Path, open_store: Callable[[str], Store], real: Store) -> None:
        """`real` is the store of the customers that are none of a test's; it knows which tests
        run."""
        self._folder = folder
        self._open_store = open_store
        self._controls = real.controls
        self._is_local = real.is_local
        self._readers: OrderedDict[str, CustomerReader] = OrderedDict()
        self._opening = asyncio.Lock()

    async def reader(self, token: str) -> CustomerReader:
        """The reader of a test's customers. Raises RefusedError where too many tests run."""
        async with self._opening:
            reader = self._readers.get(token)
            if reader is None:
                # A store on a server takes long to make.
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
        reader = await self.reader(token)
        user_ids = await asyncio.to_thread(lambda: list(reader.store.user_ids()))
        await asyncio.to_thread(reader.store.destroy)
        await asyncio.to_thread(self._controls.remove, _KIND, token)
        # Only the event loop changes the customers in memory.
        for user_id in user_ids:
            for engine in engines:
                engine.cache.drop(user_id)
        if self._readers.get(token) is reader:
            del self._readers[token]
        return len(user_ids)

    def destroy_abandoned(self, now: int) -> int:
        """End the tests that began more than a day ago; returns how many. Blocks."""
        abandoned = [
            token for token, began in self._running().items() if now - began > LONGEST_MICROS
        ]
        for token in abandoned:
            self._open_store(f"{_STORE}{token}").destroy()
            self._controls.remove(_KIND, token)
        return len(abandoned)

    def _open(self, token: str) -> CustomerReader:
        self._begin(token)
        if len(self._readers) >= MOST_OPEN:
            self._close_destroyed()
        while len(self._readers) >= MOST_OPEN:
            # The least recently used; it may be of a test that was never ended.
            self._readers.popitem(last=False)[1].store.close()
        # Other processes can write to it as well.
        reader = CustomerReader(self._open_store(f"{_STORE}{token}"), alone=False)
        self._readers[token] = reader
        return reader

    def _running(self) -> dict[str, int]:
        """Token -> when the test began, in microseconds."""
        records = self._controls.read(_KIND).records
        return {record.key: int(record.value) for record in records}

    def _begin(self, token: str) -> None:
        if self._controls.get(_KIND, token) is not None:
            return
        running = self._running()
        for other in list(running) if len(running) >= MOST else ():
            # The service that starts alone on a folder removes the files of tests.
            if self._is_local and not (self._folder / f"{_STORE}{other}.db").exists():
                self._controls.remove(_KIND, other)
                del running[other]
        if len(running) >= MOST:
            raise RefusedError(
                f"{MOST} integration tests run already; end one with DELETE /v1/verify/TOKEN, or "
                f"wait: each is ended a day after its beginning"
            )
        self._controls.put(_KIND, token, str(time.time_ns() // 1000).encode())

    def close(self) -> None:
        """Close the stores; their tests can go on in other processes."""
        for reader in self._readers.values():
            reader.store.close()
        self._readers.clear()

    def _close_destroyed(self) -> None:
        """Close stores that another process has destroyed."""
        for token, reader in list(self._readers.items()):
            if reader.store.is_destroyed:
                reader.store.close()
                del self._readers[token]
