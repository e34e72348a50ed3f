"""Which backups were made, as records of the store: an erasure does not reach them, so that its
receipt has to name them, and they end when the company says."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from propense.history.controls import Controls
from propense.privacy.receipts import BackupTrace
from propense.settings import seconds
from propense.times import MICROS_PER_SECOND, written_iso

_KIND: Final = "backups"
UNLIMITED: Final = "somebody deletes it: [serve.retention] backups is not set"


class MadeBackup(msgspec.Struct, frozen=True):
    """A backup of this service."""

    time: int
    """Microseconds UTC."""
    host: str
    """The name of the data folder that it was made from."""
    folder: str


class BackupRecords:
    """Methods block."""

    def __init__(self, controls: Controls, retention: str | None) -> None:
        """`retention`: how long a backup is kept; None: until somebody deletes it."""
        self._controls = controls
        self._retention = None if retention is None else seconds(retention) * MICROS_PER_SECOND

    def add(self, now: int, host: str, folder: Path) -> None:
        """Record a backup."""
        made = MadeBackup(now, host, str(folder.resolve()))
        self._controls.put(_KIND, secrets.token_hex(8), msgspec.json.encode(made))

    def remove_expired(
        self, now: int, host: str, is_ours: Callable[[Path], bool]
    ) -> tuple[list[str], list[str]]:
        """Delete the backups that are too old, where they are on this host and still what they
        were. Returns their folders, and those of expired backups that are elsewhere now: another
        host made them, or they were moved, and somebody has to delete them."""
        removed, elsewhere = [], []
        for key, made in self._all().items():
            if self._retention is None or now - made.time < self._retention:
                continue
            folder = Path(made.folder)
            if made.host == host and is_ours(folder):
                shutil.rmtree(folder)
                removed.append(made.folder)
            else:
                elsewhere.append(made.folder)
            if made.host == host:
                self._controls.remove(_KIND, key)
        return removed, elsewhere

    def trace(self, now: int) -> BackupTrace | None:
        """The backups that exist as far as is known, for a receipt."""
        limit = 0 if self._retention is None else now - self._retention
        times = [made.time for made in self._all().values() if made.time >= limit]
        if not times:
            return None
        until = UNLIMITED if self._retention is None else _iso(max(times) + self._retention)
        return BackupTrace(n=len(times), first=_iso(min(times)), last=_iso(max(times)), until=until)

    def _all(self) -> dict[str, MadeBackup]:
        return {
            record.key: msgspec.json.decode(record.value, type=MadeBackup)
            for record in self._controls.read(_KIND).records
        }


def _iso(micros: int) -> str:
    return written_iso(micros // MICROS_PER_SECOND)
