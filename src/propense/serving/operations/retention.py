"""Deletes live history that is older than the company keeps it, every six hours by one process of
all hosts, and what abandoned tests have left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from propense.errors import ConflictError
from propense.files import locked
from propense.history.retention import Expired, Oldest, expire_past
from propense.history.store import Store
from propense.runtime.integration_tests import IntegrationTests
from propense.security.audit import AuditLog
from propense.serving.operations.history_loading import LOCK, time_before
from propense.settings import Retention, Settings
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

EVERY_SECONDS: Final = 6 * 3_600
MOST_MICROS: Final = 2 * MICROS_PER_DAY
"""A round believes its clock to be at most so long after the one before: a clock that is months
ahead would delete what no correction brings back."""
_KIND: Final = "expiry"
_KEY: Final = "last"


class Round(msgspec.Struct, frozen=True):
    """The last round, as a record of the store. Microseconds UTC."""

    began: int
    """By the clock of the process."""
    believed: int
    """The moment by which it judged what is too old."""


@dataclass
class Expiry:
    """The rounds. Methods block."""

    settings: Settings
    store: Store
    audit: AuditLog
    tests: IntegrationTests

    def expire(self, now: int) -> Expired:
        """Delete what is too old, unless a round began less than six hours ago, anywhere; a round
        that was killed is made good by the next. Raises StoreError and ServeError."""
        self.tests.destroy_abandoned(now)
        retention = self.settings.serve.retention
        believed = None if retention == Retention() else self._begin(now)
        if believed is None:
            return Expired()
        events = time_before(retention.events, believed)
        oldest = Oldest(
            events,
            time_before(retention.traits, believed),
            time_before(retention.decisions, believed),
        )
        expired = self.store.expire(oldest)
        if events is not None and not self.store.past.is_empty():
            expired += Expired(events=self._expire_past(events))
        if expired != Expired():
            self.audit.append(now, "", "expire", None, msgspec.structs.asdict(expired))
        return expired

    def _begin(self, now: int) -> int | None:
        """Record that a round begins; the moment that it believes. None where a round is not due,
        or another process begins it."""
        controls = self.store.controls
        record = controls.get(_KIND, _KEY)
        version, believed = 0, now
        if record is not None:
            last = msgspec.json.decode(record.value, type=Round)
            if 0 <= now - last.began < EVERY_SECONDS * MICROS_PER_SECOND:
                return None
            version, believed = record.version, min(now, last.believed + MOST_MICROS)
        try:
            controls.put(_KIND, _KEY, msgspec.json.encode(Round(now, believed)), version)
        except ConflictError:
            return None
        return believed

    def _expire_past(self, oldest: int) -> int:
        """Also of what was loaded; a loading that runs keeps nothing older itself."""
        data = Path(self.settings.folder) / self.settings.serve.data
        try:
            with locked(data / LOCK, wait=False):
                return expire_past(self.store.past, oldest)
        except BlockingIOError:
            return 0
