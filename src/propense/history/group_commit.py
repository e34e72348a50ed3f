"""Group commit: the updates that arrive while one group is written become the next group."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from propense.errors import StoreError
from propense.history.records import CustomerUpdate, Decision, WriteResult
from propense.history.store import Store

GROUP: Final = 2_000
"""Updates in one transaction at most."""

PAUSE: Final = 0.5
"""Decisions are written after so many seconds, or twice as many while events keep arriving,"""
MANY: Final = 64
"""or as soon as there are so many: one transaction each would cost more than the decisions."""
PROBE: Final = 1.0
"""Seconds between two writes that only find out whether the store takes them again."""

OnWritten = Callable[[Sequence[CustomerUpdate], Sequence[WriteResult]], None]


class _Pending(NamedTuple):
    """Updates that wait to be written."""

    updates: Sequence[CustomerUpdate]
    future: asyncio.Future[list[WriteResult]]
    since: float


class Writer:
    """One thread that appends to a store, for one event loop.

    An update is acknowledged (its future resolves) only after the store has written it and
    `on_written` has run, so that every later answer takes it into account.
    """

    def __init__(
        self,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        on_written: OnWritten,
        most_waiting: int,
        unsettled: Counter[str],
        on_timed: Callable[[Literal["append", "log"], float], None],
    ) -> None:
        """`unsettled` counts the ids in updates that are not acknowledged yet; `on_timed` is
        called on the event loop with the seconds that the store took for a group."""
        self._store = store
        self._loop = loop
        self._on_written = on_written
        self._most_waiting = most_waiting
        self._unsettled = unsettled
        self._on_timed = on_timed
        self._waiting: deque[_Pending] = deque()
        self._decisions: deque[Decision] = deque(maxlen=100_000)
        self._wake = threading.Event()
        self._stop = False
        self.n_waiting = 0
        """Updates not yet written."""
        self.n_lost_decisions = 0
        self.failed: str | None = None
        """Why the last group could not be written; None once the store takes writes again."""
        self._failed_to_log = False
        """Whether that was a group of decisions."""
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_full(self) -> bool:
        """Whether no more updates should be accepted."""
        return self.n_waiting >= self._most_waiting

    def lag(self) -> float:
        """Seconds that the oldest unwritten update has waited."""
        try:
            return time.monotonic() - self._waiting[0].since
        except IndexError:
            return 0.0

    def append(self, updates: Sequence[CustomerUpdate]) -> asyncio.Future[list[WriteResult]]:
        """Queue updates; the future has the result of each, or a StoreError."""
        future: asyncio.Future[list[WriteResult]] = self._loop.create_future()
        self.n_waiting += len(updates)
        self._unsettled.update(ids_in(updates))
        self._waiting.append(_Pending(updates, future, time.monotonic()))
        # The thread clears it before it looks what waits, so one that is set was not seen yet.
        if not self._wake.is_set():
            self._wake.set()
        return future

    def log(self, decisions: Sequence[Decision]) -> None:
        """Queue decisions; the caller does not wait for them."""
        room = (self._decisions.maxlen or 0) - len(self._decisions)
        self.n_lost_decisions += max(0, len(decisions) - room)
        self._decisions.extend(decisions)
        if len(self._decisions) >= MANY:
            self._wake.set()

    def close(self) -> None:
        """Write everything that is queued, then stop."""
        self._stop = True
        self._wake.set()
        self._thread.join(timeout=30)

    def _write(self) -> None:
        due = probe = 0.0
        while True:
            self._wake.wait(timeout=PAUSE)
            self._wake.clear()
            # Read once: `close` sets the event again if it stops the writer meanwhile.
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
            if self.failed is not None and time.monotonic() >= probe:
                self._probe()
                probe = time.monotonic() + PROBE

    def _write_group(self) -> None:
        group: list[_Pending] = []
        size = 0
        while self._waiting and (size == 0 or size + len(self._waiting[0].updates) <= GROUP):
            group.append(self._waiting.popleft())
            size += len(group[-1].updates)
        updates = [update for pending in group for update in pending.updates]
        start = time.perf_counter()
        try:
            results = self._store.append(updates)
            seconds = time.perf_counter() - start
            self.failed, self._failed_to_log = None, False
        except Exception as error:
            # Of any kind: those who wait must be answered.
            self.failed, self._failed_to_log = str(error), False
            reason = error if isinstance(error, StoreError) else StoreError(str(error))
            self._call_on_loop(lambda: self._refuse(group, updates, reason))
            return
        self._call_on_loop(lambda: self._acknowledge(group, updates, results, seconds))

    def _write_decisions(self) -> None:
        group = [self._decisions.popleft() for _ in range(len(self._decisions))]
        start = time.perf_counter()
        try:
            self._store.log_decisions(group)
            seconds = time.perf_counter() - start
            self._call_on_loop(lambda: self._on_timed("log", seconds))
            if self._failed_to_log:
                self.failed, self._failed_to_log = None, False
        except Exception as error:
            # Of any kind: the thread must go on, since events wait for it.
            self.failed, self._failed_to_log = str(error), True
            self.n_lost_decisions += len(group)

    def _probe(self) -> None:
        """Try a write of its own: where the service is not ready nobody sends events, so that
        waiting for one to succeed would never end."""
        try:
            self._store.check_writable()
            self.failed, self._failed_to_log = None, False
        except Exception as error:
            # Of any kind: the thread must go on, since events wait for it.
            self.failed = str(error)

    def _call_on_loop(self, call: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _acknowledge(
        self,
        group: Sequence[_Pending],
        updates: Sequence[CustomerUpdate],
        results: list[WriteResult],
        seconds: float,
    ) -> None:
        self._on_timed("append", seconds)
        self._settle(updates)
        self._on_written(updates, results)
        first = 0
        for own, future, _ in group:
            if not future.done():
                future.set_result(results[first : first + len(own)])
            first += len(own)

    def _refuse(
        self, group: Sequence[_Pending], updates: Sequence[CustomerUpdate], error: StoreError
    ) -> None:
        self._settle(updates)
        for pending in group:
            if not pending.future.done():
                pending.future.set_exception(error)

    def _settle(self, updates: Sequence[CustomerUpdate]) -> None:
        self.n_waiting -= len(updates)
        unsettled = self._unsettled
        for user_id in ids_in(updates):
            n_left = unsettled.pop(user_id) - 1
            if n_left > 0:
                unsettled[user_id] = n_left


def ids_in(updates: Sequence[CustomerUpdate]) -> Iterator[str]:
    """Every id in the updates, as often as it occurs."""
    for update in updates:
        yield update.user_id
        if update.previous_id is not None:
            yield update.previous_id
