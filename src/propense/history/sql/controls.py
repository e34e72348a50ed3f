"""The records of controls.py in the tables of a SQL store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from propense.errors import ConflictError
from propense.history.controls import Change, Record, Snapshot
from propense.history.sql.tables import Tables, Transact

TABLES: Final = """
CREATE TABLE control_kinds (
    kind {text} PRIMARY KEY,
    number {integer} NOT NULL,
    removed {integer} NOT NULL
);
CREATE TABLE controls (
    kind {text} NOT NULL,
    key {text} NOT NULL,
    version {integer} NOT NULL,
    value {bytes} NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE UNIQUE INDEX controls_changed ON controls (kind, version);
"""
"""A format; the names of types. `number` is that of the kind's last change, `removed` that of the
last removal of a record."""

_NUMBERS: Final = "SELECT kind, number FROM control_kinds"
_KIND: Final = "SELECT number, removed FROM control_kinds WHERE kind = ?"
_SET_KIND: Final = (
    "INSERT INTO control_kinds VALUES (?, ?, ?) ON CONFLICT (kind) DO UPDATE SET"
    " number = excluded.number, removed = excluded.removed"
)
_READ: Final = (
    "SELECT key, version, value FROM controls WHERE kind = ? AND version > ? ORDER BY version"
)
_GET: Final = "SELECT key, version, value FROM controls WHERE kind = ? AND key = ?"
_VERSION: Final = "SELECT version FROM controls WHERE kind = ? AND key = ?"
_PUT: Final = (
    "INSERT INTO controls VALUES (?, ?, ?, ?) ON CONFLICT (kind, key) DO UPDATE SET"
    " version = excluded.version, value = excluded.value"
)
_REMOVE: Final = "DELETE FROM controls WHERE kind = ? AND key = ?"

T = TypeVar("T")


class SqlControls:
    """See ControlsLayer."""

    def __init__(
        self, read: Transact, write: Transact, scrub: Callable[[Sequence[bytes]], None]
    ) -> None:
        """`write` is a transaction that keeps out every other writer and is on the disk at its
        end."""
        self._read = read
        self._write = write
        self._scrub = scrub

    def numbers(self) -> dict[str, int]:
        """See ControlsLayer."""
        return dict(self._read(lambda tables: tables.execute(_NUMBERS).fetchall()))

    def read(self, kind: str, after: int) -> Snapshot:
        """See ControlsLayer. What is written between the two queries is read, and comes again."""

        def find(tables: Tables) -> Snapshot:
            number, removed = tables.execute(_KIND, (kind,)).fetchone() or (0, 0)
            whole = after == 0 or removed > after
            rows = tables.execute(_READ, (kind, 0 if whole else after)).fetchall()
            return Snapshot(number, whole, [_record(*row) for row in rows])

        return self._read(find)

    def get(self, kind: str, key: str) -> Record | None:
        """See ControlsLayer."""
        row = self._read(lambda tables: tables.execute(_GET, (kind, key)).fetchone())
        return None if row is None else _record(*row)

    def write(self, changes: Sequence[Change]) -> list[int] | str:
        """See ControlsLayer."""

        def change_all(tables: Tables) -> list[int]:
            numbers: dict[str, tuple[int, int]] = {}
            versions = []
            for change in changes:
                if change.expected is not None:
                    row = tables.execute(_VERSION, change[:2]).fetchone()
                    if change.expected != (0 if row is None else row[0]):
                        raise ConflictError(change.key)
                if change.kind not in numbers:
                    row = tables.execute(_KIND, (change.kind,)).fetchone()
                    numbers[change.kind] = row or (0, 0)
                number, removed = numbers[change.kind]
                number += 1
                if change.value is None:
                    removed = number
                    tables.execute(_REMOVE, change[:2])
                else:
                    tables.execute(_PUT, (*change[:2], number, change.value))
                numbers[change.kind] = (number, removed)
                versions.append(number)
            for kind, cells in numbers.items():
                tables.execute(_SET_KIND, (kind, *cells))
            return versions

        try:
            return self._write(change_all)
        except ConflictError as error:
            return str(error)

    def scrub(self, traces: Sequence[bytes]) -> None:
        """See ControlsLayer."""
        self._scrub(traces)


def _record(key: str, version: int, value: bytes) -> Record:
    return Record(key, version, bytes(value))
