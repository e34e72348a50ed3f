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
from propense.times import MICROS_PER_SECOND

EVERY_SECONDS: Final = 6 * 3_600
_KIND: Final = "expiry"
_KEY: Final = "last"


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
        if retention == Retention() or not self._is_mine(now):
            return Expired()
        events = time_before(retention.events, now)
        oldest = Oldest(
            events, time_before(retention.traits, now), time_before(retention.decisions, now)
        )
        expired = self.store.expire(oldest)
        if events is not None and not self.store.past.is_empty():
            expired += Expired(events=self._expire_past(events))
        if expired != Expired():
            self.audit.append(now, "", "expire", None, msgspec.structs.asdict(expired))
        return expired

    def _is_mine(self, now: int) -> bool:
        """Record that a round begins, unless one is not due or another process begins it."""
        controls = self.store.controls
        record = controls.get(_KIND, _KEY)
        if record is not None:
            waited = now - msgspec.json.decode(record.value, type=int)
            if 0 <= waited < EVERY_SECONDS * MICROS_PER_SECOND:
                return False
        try:
            version = 0 if record is None else record.version
            controls.put(_KIND, _KEY, msgspec.json.encode(now), version)
        except ConflictError:
            return False
        return True

    def _expire_past(self, oldest: int) -> int:
        """Also of what was loaded; a loading that runs keeps nothing older itself."""
        data = Path(self.settings.folder) / self.settings.serve.data
        try:
            with locked(data / LOCK, wait=False):
                return expire_past(self.store.past, oldest)
        except BlockingIOError:
            return 0
