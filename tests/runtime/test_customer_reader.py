"""Reading customers from a store that hangs."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from propense.errors import StoreError
from propense.runtime import customer_reader
from propense.runtime.customer_reader import THREADS, CustomerReader


class Hanging:
    """A store that answers once it is let go."""

    is_local = False

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def versions(self, user_ids: list[str]) -> list[int]:
        self.go_on.wait(30)
        return [1 for _ in user_ids]


def test_a_store_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customer_reader, "READ_SECONDS", 0.1)
    store = Hanging()
    reader = CustomerReader(store, alone=False)  # type: ignore[arg-type]

    async def ask(n: int) -> list[object]:
        asked = [reader.ask(store.versions, ["ada"]) for _ in range(n)]
        return await asyncio.gather(*asked, return_exceptions=True)

    async def run() -> None:
        began = time.monotonic()
        answers = await ask(3 * THREADS)
        assert all(isinstance(one, StoreError) for one in answers)
        assert time.monotonic() - began < 3
        with pytest.raises(StoreError, match="hangs"):
            await reader.ask(store.versions, ["ada"])
        # What does not read the store still has threads.
        assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), 5) == 7
        store.go_on.set()
        for _ in range(200):
            if await ask(1) == [[1]]:
                break
            await asyncio.sleep(0.02)
        assert await ask(3 * THREADS) == [[1]] * 3 * THREADS

    asyncio.run(run())
