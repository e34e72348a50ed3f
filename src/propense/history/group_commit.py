"""Writes deeds in groups: what waits while one group is written is the next group."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

from propense.errors import StoreError
from propense.history.records import CustomerUpdate, Decision, WriteResult
from propense.history.store import Store

GROUP: Final = 2_000
"""Deeds of one transaction at most."""

PAUSE: Final = 0.5
"""Seconds after which decisions are written, twice these at most where events keep coming,"""
MANY: Final = 64
"""or as soon as there are so many: a transaction each would cost more than they do."""

Done = Callable[[Sequence[CustomerUpdate], Sequence[WriteResult]], None]


class Writer:
    """One thread that appends to a store, for one event loop.

    A deed is acknowledged (its future resolves) only after the store has kept it and
    `on_kept` has run, so that no answer made afterwards can miss it.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        on_kept: Done,
        most_waiting: int,
        unsettled: Counter[str],
        on_timed: Callable[[Literal["append", "log"], float], None],
    ) -> None:
        """`unsettled` counts the customers of deeds that were given but not yet answered for;
        `on_timed` hears, on the event loop, how long the store took for a group."""
        self._store = store
        self._loop = loop
        self._on_kept = on_kept
        self._most_waiting = most_waiting
        self._unsettled = unsettled
        self._on_timed = on_timed
        self._waiting: deque[
            tuple[Sequence[CustomerUpdate], asyncio.Future[list[WriteResult]], float]
        ] = deque()
        self._decisions: deque[Decision] = deque(maxlen=100_000)
        self._n_logging = 0
        self._wake = threading.Event()
        self._stop = False
        self.n_waiting = 0
        """Deeds not yet written."""
        self.n_lost_decisions = 0
        self.failed: str | None = None
        """Why the last group was not written; None once one is."""
        self._failed_to_log = False
        """Whether that was a group of decisions."""
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_full(self) -> bool:
        """Whether more would only wait."""
        return self.n_waiting >= self._most_waiting

    @property
    def n_unlogged(self) -> int:
        """Decisions not yet written."""
        return len(self._decisions) + self._n_logging

    def lag(self) -> float:
        """Seconds that the oldest unwritten deed has waited."""
        try:
            return time.monotonic() - self._waiting[0][2]
        except IndexError:
            return 0.0

    def append(self, updates: Sequence[CustomerUpdate]) -> asyncio.Future[list[WriteResult]]:
        """Have deeds written; the future holds what became of each, or StoreError."""
        future: asyncio.Future[list[WriteResult]] = self._loop.create_future()
        self.n_waiting += len(updates)
        self._unsettled.update(names_of(updates))
        self._waiting.append((updates, future, time.monotonic()))
        self._wake.set()
        return future

    def log(self, decisions: Sequence[Decision]) -> None:
        """Have decisions written soon; nobody waits for them."""
        room = (self._decisions.maxlen or 0) - len(self._decisions)
        self.n_lost_decisions += max(0, len(decisions) - room)
        self._decisions.extend(decisions)
        if len(self._decisions) >= MANY:
            self._wake.set()

    def close(self) -> None:
        """Write what waits, then stop."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=30)

    def _write(self) -> None:
        due = 0.0
        while True:
            self._wake.wait(timeout=PAUSE)
            self._wake.clear()
            # Read once: whoever stops the writer meanwhile has set the event again.
            stop = self._stop
            while True:
                if self._waiting:
                    self._write_group()
                now = time.monotonic()
                if self._decisions and (now >= due or len(self._decisions) >= MANY or stop):
                    self._write_decisions()
                    due = now + PAUSE
                if not self._waiting:
                    break
            if stop:
                return

    def _write_group(self) -> None:
        group = []
        size = 0
        while self._waiting and (size == 0 or size + len(self._waiting[0][0]) <= GROUP):
            group.append(self._waiting.popleft())
            size += len(group[-1][0])
        updates = [update for some, _, _ in group for update in some]
        began = time.perf_counter()
        try:
            outcomes = self._store.append(updates)
            seconds = time.perf_counter() - began
            self.failed, self._failed_to_log = None, False
        except Exception as error:
            # Whatever it was, those who wait must hear of it.
            self.failed, self._failed_to_log = str(error), False
            refused = error if isinstance(error, StoreError) else StoreError(str(error))
            self._tell(lambda: self._refuse(group, updates, refused))
            return
        self._tell(lambda: self._acknowledge(group, updates, outcomes, seconds))

    def _write_decisions(self) -> None:
        # Counted before it is taken, so that nothing looks written while it is on its way.
        self._n_logging = len(self._decisions)
        some = [self._decisions.popleft() for _ in range(self._n_logging)]
        began = time.perf_counter()
        try:
            self._store.log_decisions(some)
            seconds = time.perf_counter() - began
            self._tell(lambda: self._on_timed("log", seconds))
            if self._failed_to_log:
                self.failed, self._failed_to_log = None, False
        except Exception as error:
            # Whatever it was, the thread must live on: events wait for it.
            self.failed, self._failed_to_log = str(error), True
            self.n_lost_decisions += len(some)
        finally:
            self._n_logging = 0

    def _tell(self, call: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _acknowledge(
        self,
        group: Sequence[tuple[Sequence[CustomerUpdate], asyncio.Future[list[WriteResult]], float]],
        updates: Sequence[CustomerUpdate],
        outcomes: list[WriteResult],
        seconds: float,
    ) -> None:
        self._on_timed("append", seconds)
        self._settle(updates)
        self._on_kept(updates, outcomes)
        first = 0
        for some, future, _ in group:
            if not future.done():
                future.set_result(outcomes[first : first + len(some)])
            first += len(some)

    def _refuse(
        self,
        group: Sequence[tuple[Sequence[CustomerUpdate], asyncio.Future[list[WriteResult]], float]],
        updates: Sequence[CustomerUpdate],
        error: StoreError,
    ) -> None:
        self._settle(updates)
        for _, future, _ in group:
            if not future.done():
                future.set_exception(error)

    def _settle(self, updates: Sequence[CustomerUpdate]) -> None:
        self.n_waiting -= len(updates)
        unsettled = self._unsettled
        for name in names_of(updates):
            left = unsettled.pop(name) - 1
            if left > 0:
                unsettled[name] = left


def names_of(updates: Sequence[CustomerUpdate]) -> Iterator[str]:
    """Every id that deeds name, as often as they do."""
    for update in updates:
        yield update.user_id
        if update.previous_id is not None:
            yield update.previous_id
