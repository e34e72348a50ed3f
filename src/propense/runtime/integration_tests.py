"""Integration tests: their customers live in stores of their own, which are then destroyed.

Ids are `verify:TOKEN:ID`. Rules of training, audiences and metrics never see them, since what
they read is the other store.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from propense.errors import RefusedError
from propense.history.records import VERIFY_PREFIX, CustomerUpdate, WriteResult
from propense.history.store import Store
from propense.runtime.customer_reader import CustomerReader, follow_updates
from propense.runtime.engine import ScoringEngine

MOST: Final = 4
"""Stores of integration tests that are open at once; others are opened again when asked."""
_STORE: Final = "verify-"
"""Before the token in the name of a store."""
TOKEN: Final = re.compile(r"[0-9a-f]{8,32}")
_ID: Final = re.compile(VERIFY_PREFIX + r"([0-9a-f]{8,32}):(?s:.+)")


def token_of(user_id: str) -> str | None:
    """The test an id belongs to; None of a real customer.

    Raises RefusedError for an id that only begins like one.
    """
    if not user_id.startswith(VERIFY_PREFIX):
        return None
    found = _ID.fullmatch(user_id)
    if found is None:
        raise RefusedError(
            f"id {user_id[:40]!r}: ids of a test are {VERIFY_PREFIX}TOKEN:ID, with 8 to 32 "
            "hexadecimal digits as token"
        )
    return found.group(1)


def clear_integration_tests(folder: Path) -> None:
    """Take away what tests that nobody ended left in `folder`, while no service has it open."""
    for file in folder.glob(f"{_STORE}*.db*"):
        file.unlink(missing_ok=True)


class IntegrationTests:
    """The stores of the tests that are going on."""

    def __init__(self, folder: Path, open_store: Callable[[str], Store]) -> None:
        self._folder = folder
        self._open_store = open_store
        self._people: OrderedDict[str, CustomerReader] = OrderedDict()

    def people(self, token: str) -> CustomerReader:
        """The customers of a test."""
        found = self._people.get(token)
        if found is None:
            if len(self._people) >= MOST:
                self._forget_gone()
            while len(self._people) >= MOST:
                # The one asked about longest ago; it may be a test that nobody ended.
                self._people.popitem(last=False)[1].store.close()
            # Other processes may write to it as well.
            found = CustomerReader(self._open_store(f"{_STORE}{token}"), alone=False)
            self._people[token] = found
        self._people.move_to_end(token)
        return found

    def part(
        self, updates: Sequence[CustomerUpdate]
    ) -> tuple[Sequence[CustomerUpdate], dict[str, list[int]]]:
        """(deeds of real customers, token -> places of each test's deeds)."""
        if not any(update.user_id.startswith(VERIFY_PREFIX) for update in updates):
            return updates, {}
        own: list[CustomerUpdate] = []
        trial: dict[str, list[int]] = {}
        for place, update in enumerate(updates):
            token = token_of(update.user_id)
            if token is None:
                own.append(update)
            else:
                trial.setdefault(token, []).append(place)
        return own, trial

    async def keep(
        self,
        updates: Sequence[CustomerUpdate],
        trial: dict[str, list[int]],
        engines: Sequence[ScoringEngine],
    ) -> list[tuple[int, WriteResult]]:
        """Have the tests' deeds written; (place, what became of it) of each."""
        found: list[tuple[int, WriteResult]] = []
        for token, places in trial.items():
            some = [updates[place] for place in places]
            outcomes = await asyncio.to_thread(self.people(token).store.append, some)
            found += zip(places, outcomes, strict=True)
            follow_updates(engines, some, outcomes, alone=False)
        return found

    async def destroy(self, token: str, engines: Sequence[ScoringEngine]) -> int:
        """End a test: nothing of it is left. Returns how many customers it had."""
        people = self.people(token)
        names = await asyncio.to_thread(lambda: list(people.store.user_ids()))
        await asyncio.to_thread(people.store.destroy)
        # Memory is the event loop's alone.
        for name in names:
            for engine in engines:
                engine.cache.drop(name)
        if self._people.get(token) is people:
            del self._people[token]
        return len(names)

    def close(self) -> None:
        """Let go of the stores; their tests may go on in other processes."""
        for people in self._people.values():
            people.store.close()
        self._people.clear()

    def _forget_gone(self) -> None:
        """Close what another process has destroyed."""
        for token, people in list(self._people.items()):
            if people.store.is_destroyed:
                people.store.close()
                del self._people[token]
