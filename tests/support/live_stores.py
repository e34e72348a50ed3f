"""Updates, customers and API keys for the tests of every live store."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from propense.history.controls import Change, Controls, Record, Snapshot
from propense.history.opening import open_store
from propense.history.records import Customer, CustomerUpdate, LiveEvent
from propense.history.store import Store, StoreOptions
from propense.security.key_ring import KeyRing
from propense.security.secrets import open_secrets

T0 = 1_700_000_000_000_000
DAY = 86_400


def suppression_hash(user_id: str) -> bytes:
    return hashlib.blake2b(user_id.encode(), key=b"secret", digest_size=16).digest()


Opened = Callable[..., Store]


def event(n: int = 0, action: str = "view", **more: object) -> LiveEvent:
    return LiveEvent(T0 + n, action, f"item-{n}", **more)


def update(message_id: str, user_id: str, n: int = 0, **more: object) -> CustomerUpdate:
    return CustomerUpdate(message_id=message_id, user_id=user_id, received=T0 + n, **more)


def held(store: Store, user_id: str) -> Customer:
    customer = store.read(user_id)
    assert customer is not None
    return customer


class MemoryLayer:
    """See ControlsLayer: records of this process alone."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}
        self._numbers: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def numbers(self) -> dict[str, int]:
        return {kind: number for kind, (number, _) in self._numbers.items()}

    def read(self, kind: str, after: int) -> Snapshot:
        number, removed = self._numbers.get(kind, (0, 0))
        whole = after == 0 or removed > after
        records = [
            record for (own, _), record in self._records.items()
            if own == kind and (whole or record.version > after)
        ]  # fmt: skip
        return Snapshot(number, whole, sorted(records, key=lambda one: one.version))

    def get(self, kind: str, key: str) -> Record | None:
        return self._records.get((kind, key))

    def write(self, changes: Sequence[Change]) -> list[int] | str:
        with self._lock:
            for kind, key, _, expected in changes:
                record = self._records.get((kind, key))
                if expected not in (None, 0 if record is None else record.version):
                    return key
            return [self._write(change) for change in changes]

    def _write(self, change: Change) -> int:
        number, removed = self._numbers.get(change.kind, (0, 0))
        number += 1
        self._records.pop((change.kind, change.key), None)
        if change.value is None:
            removed = number
        else:
            record = Record(change.key, number, change.value)
            self._records[change.kind, change.key] = record
        self._numbers[change.kind] = (number, removed)
        return number

    def scrub(self, traces: Sequence[bytes]) -> None: ...


def memory_controls() -> Controls:
    return Controls(MemoryLayer())


@contextmanager
def opened_ring(data: Path) -> Iterator[KeyRing]:
    """The keys of the service with this data folder, which may run meanwhile."""
    secrets = open_secrets(data)
    options = StoreOptions(
        durable="process", suppression_hash=suppression_hash, remember_seconds=30 * DAY
    )
    with closing(open_store("sqlite", data, options)) as store:
        yield KeyRing(store.controls, secrets)
