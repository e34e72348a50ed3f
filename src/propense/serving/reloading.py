"""What other processes, or people, change: the shelf, the items that came, who was erased."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Final

from propense.errors import PropenseError
from propense.files import State, locked, replace_file, state_of
from propense.inference.shelf import CURRENT, read_current

if TYPE_CHECKING:
    from propense.serving.service import Service

LOOK_SECONDS: Final = 0.25
AGAIN_SECONDS: Final = 60.0
"""What was refused, such as a bundle, is tried again after so long, though nothing has changed;"""
SOON_SECONDS: Final = 1.0
"""what the system refused after so long."""
ERASED: Final = "erased"
"""File in the data folder that is written anew after an erasure, for the other processes."""


class Backoff:
    """What could not be followed."""

    def __init__(self) -> None:
        self.reason = ""
        """Empty where all is well."""
        self._state: State = None
        self._until = 0.0

    def holds(self, state: State) -> bool:
        """Whether this state was tried already, not long ago."""
        return bool(self.reason) and state == self._state and time.monotonic() < self._until

    def note(self, state: State, error: Exception) -> bool:
        """Remember what went wrong. Whether it is news."""
        reason = str(error) or type(error).__name__
        is_new = reason != self.reason or state != self._state
        self.reason, self._state = reason, state
        wait = AGAIN_SECONDS if isinstance(error, PropenseError) else SOON_SECONDS
        self._until = time.monotonic() + wait
        return is_new

    def clear(self) -> None:
        self.reason = ""


class Reloader:
    """Looks a few times a second. Whatever goes wrong, what answers now goes on answering, and
    readiness tells of it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._shelf = Backoff()
        self._stock = Backoff()
        self._erasures = Backoff()
        self._file = service.data / ERASED
        self._erased = state_of(self._file)

    async def run(self) -> None:
        """For ever."""
        service = self._service
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            service.watch.cycle()
            await self._attempt(self._erasures, lambda: None, self._forget)
            await self._attempt(self._stock, service.stock.state, service.bundles.restock)
            await self._attempt(
                self._shelf, lambda: state_of(service.shelf / CURRENT), self._promote
            )

    def faults(self) -> list[str]:
        """What is not followed, in words for readiness."""
        found = []
        if self._shelf.reason:
            found.append("the promoted bundle does not open; look at the log")
        if self._stock.reason:
            found.append("items that came cannot be taken in; look at the log")
        return found

    def swapped(self) -> None:
        """A bundle answers that was just opened: whatever was wrong before is over."""
        self._shelf.clear()

    async def erased(self, names: Collection[str]) -> None:
        """Take erased customers out of what memory holds, here and in the other processes."""
        service = self._service
        service.people.forget(service.engines(), names)
        if not service.people.alone:
            await asyncio.to_thread(self._tell)

    def _tell(self) -> None:
        with locked(self._file.with_suffix(".lock")):
            followed = state_of(self._file) == self._erased
            replace_file(self._file, b"")
            if followed:
                # Of the own erasure there is nothing more to follow.
                self._erased = state_of(self._file)

    async def _forget(self) -> None:
        state = state_of(self._file)
        if state != self._erased:
            self._erased = state
            self._service.people.forget(self._service.engines(), None)

    async def _promote(self) -> None:
        service = self._service
        version = read_current(service.shelf).version
        if version is not None and version != service.engine.version:
            await service.swap(version)

    async def _attempt(
        self, refused: Backoff, look: Callable[[], State], act: Callable[[], Awaitable[None]]
    ) -> None:
        state: State = None
        try:
            state = look()
            if refused.holds(state):
                return
            await act()
            refused.clear()
        except Exception as error:
            if refused.note(state, error):
                self._service.watch.refused(error)
