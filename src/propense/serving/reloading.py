"""Follows what other processes change: the promoted bundle, pushed items, erased customers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Final

from propense.errors import PropenseError
from propense.files import ERASED, State, locked, replace_file, state_of
from propense.inference.artifact.manifest import FILE as MANIFEST
from propense.inference.shelf import CURRENT, read_current
from propense.runtime.item_updates import ItemUpdates
from propense.runtime.loaded_bundles import Bundles

RETRY_SECONDS: Final = 60.0
"""Wait before a state that propense refused, such as a broken bundle, is tried again unchanged;"""
SYSTEM_RETRY_SECONDS: Final = 1.0
"""the same where the operating system refused."""


class Backoff:
    """Remembers a failure, so that it is reported once and not repeated at once."""

    def __init__(self) -> None:
        self.reason = ""
        """Empty where all is well."""
        self._state: object = None
        self._until = 0.0

    def holds(self, state: object) -> bool:
        """Whether this state failed recently."""
        return bool(self.reason) and state == self._state and time.monotonic() < self._until

    def record(self, state: object, error: Exception) -> bool:
        """Remember a failure. Returns whether it is a new one."""
        reason = str(error) or type(error).__name__
        is_new = reason != self.reason or state != self._state
        self.reason, self._state = reason, state
        wait = RETRY_SECONDS if isinstance(error, PropenseError) else SYSTEM_RETRY_SECONDS
        self._until = time.monotonic() + wait
        return is_new

    def clear(self) -> None:
        self.reason = ""


class ErasureNotice:
    """The file by which the processes of a service tell each other of an erasure."""

    def __init__(self, folder: Path, forget: Callable[[Collection[str] | None], None]) -> None:
        """`forget` drops customers from memory, or all customers where it is given None."""
        self._file = folder / ERASED
        self._forget = forget
        self._seen = state_of(self._file)

    def publish(self) -> None:
        """Tell the other processes. Waits for a file lock: not for the event loop."""
        with locked(self._file.with_suffix(".lock")):
            up_to_date = state_of(self._file) == self._seen
            replace_file(self._file, b"")
            if up_to_date:
                # This process has already forgotten whom it erased itself.
                self._seen = state_of(self._file)

    async def check(self) -> None:
        """Forget all customers where another process has erased one."""
        state = state_of(self._file)
        if state != self._seen:
            self._seen = state
            self._forget(None)


class Reloader:
    """Checks for changes. Whatever fails, the loaded bundle goes on answering, and readiness
    `warnings`
    name the failure."""

    def __init__(
        self,
        shelf: Path,
        bundles: Bundles,
        items: ItemUpdates,
        erasures: ErasureNotice,
        on_swap: Callable[[str], Awaitable[None]],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """`on_swap` gets the version of a bundle that was promoted, `on_failure` each new
        failure."""
        self._shelf = shelf
        self._bundles = bundles
        self._items = items
        self._erasures = erasures
        self._on_swap = on_swap
        self._on_failure = on_failure
        self._shelf_backoff = Backoff()
        self._items_backoff = Backoff()
        self._erasures_backoff = Backoff()

    async def check(self) -> None:
        """Take over whatever has changed. Never raises; call it a few times a second."""
        await self._attempt(self._erasures_backoff, lambda: None, self._erasures.check)
        await self._attempt(self._items_backoff, self._items.state, self._bundles.update_items)
        await self._attempt(self._shelf_backoff, self._shelf_state, self._promote)

    def warnings(self) -> list[str]:
        """What could not be taken over, in words that anyone may read. What answered before goes
        on answering, so none of it makes the service unready: otherwise one bad bundle would take
        every machine out at once."""
        serving = self._bundles.serving.version
        warnings = []
        if self._shelf_backoff.reason:
            warnings.append(
                f"the promoted bundle cannot be opened, {serving} goes on serving; see the log, or "
                f"GET /v1/bundles"
            )
        if self._items_backoff.reason:
            warnings.append("pushed items cannot be added to the catalogue; see the log")
        return warnings

    @property
    def refusal(self) -> str:
        """Why the promoted bundle cannot be opened, for the operator; empty where it serves."""
        return self._shelf_backoff.reason

    def swapped(self) -> None:
        """A bundle was opened and serves now, so an earlier failure is over."""
        self._shelf_backoff.clear()

    def _shelf_state(self) -> tuple[State, ...]:
        serving = self._shelf / self._bundles.serving.version / MANIFEST
        return state_of(self._shelf / CURRENT), state_of(serving)

    async def _promote(self) -> None:
        version = read_current(self._shelf).version
        if version is not None and not self._bundles.is_serving(version):
            await self._on_swap(version)

    async def _attempt(
        self, backoff: Backoff, look: Callable[[], object], act: Callable[[], Awaitable[None]]
    ) -> None:
        state: object = None
        try:
            state = look()
            if backoff.holds(state):
                return
            await act()
            backoff.clear()
        except Exception as error:
            if backoff.record(state, error):
                self._on_failure(error)
