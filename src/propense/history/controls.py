"""Records by which a service is run, one set for all its processes and hosts: API keys, item
updates, erasures that have not ended, and what later rooms add.

A record has a kind, a key within the kind, a version and a value in bytes. It is changed with the
version that the writer has seen: of two writers one wins, and the other one is told. Each kind has
a number that grows with every change, so that a process learns with one small read whether it has
to read more. Customers' histories are not kept here, and an erasure of a customer touches no
record; a backup has them all.

Whoever keeps something of a customer in a record removes it when the customer is erased, and then
calls `Controls.scrub`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from propense.errors import ConflictError

LONGEST_KEY: Final = 512
"""Characters of a record's key."""
LARGEST_VALUE: Final = 4_000_000
"""Bytes of a record's value."""
_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ATTEMPTS: Final = 100


class Record(NamedTuple):
    """A record as it is stored."""

    key: str
    version: int
    """The kind's number at the record's last change, so it is never used twice."""
    value: bytes


class Change(NamedTuple):
    """What one write does to one record."""

    kind: str
    key: str
    value: bytes | None
    """None removes the record."""
    expected: int | None = None
    """The version that the record must have: 0, there must be none; None, any or none."""


class Snapshot(NamedTuple):
    """Records of a kind."""

    number: int
    """Of the kind; what changed later has a greater version."""
    whole: bool
    """Whether these are all records of the kind; False where they are only those that changed."""
    records: list[Record]
    """In the order of their last change."""


class ControlsLayer(Protocol):
    """What a store does for `Controls`. Methods block, may be called from several threads, and
    raise StoreError as those of `LiveStore` do."""

    def numbers(self) -> dict[str, int]:
        """See Controls."""
        ...

    def read(self, kind: str, after: int) -> Snapshot:
        """See Controls."""
        ...

    def get(self, kind: str, key: str) -> Record | None:
        """See Controls."""
        ...

    def write(self, changes: Sequence[Change]) -> list[int] | str:
        """Do all changes, each of another record, or none. Returns the new version of each, or
        the key of the first that has another version than expected."""
        ...

    def scrub(self, traces: Sequence[bytes]) -> None:
        """See Controls."""
        ...


class Controls:
    """The records of one store. All methods block and raise StoreError where the store cannot be
    reached; several threads, processes and hosts may use them at once.

    What was written is on the disk on return, whatever `[serve] durable` says (with Redis: as
    durable as its settings make it).
    """

    def __init__(self, layer: ControlsLayer) -> None:
        self._layer = layer

    def numbers(self) -> dict[str, int]:
        """Kind -> a number that is greater after each change of the kind; a kind that was never
        written is not there. Cheap: made to be asked a few times a second."""
        return self._layer.numbers()

    def read(self, kind: str, after: int = 0) -> Snapshot:
        """The records of the kind that changed after its number was `after`, or all of them where
        any record was removed since."""
        return self._layer.read(kind, after)

    def get(self, kind: str, key: str) -> Record | None:
        """One record."""
        return self._layer.get(kind, key)

    def write(self, changes: Sequence[Change]) -> list[int]:
        """Do all changes or none; returns the new version of each record (of a removed one: the
        kind's number).

        Raises ConflictError where a record does not have the version that was expected, and
        ValueError for a kind, key or value that no store can hold.
        """
        if not changes:
            return []
        for change in changes:
            _check(change)
        if len({(change.kind, change.key) for change in changes}) < len(changes):
            raise ValueError("two changes of one write are of the same record; write them apart")
        result = self._layer.write(changes)
        if isinstance(result, str):
            raise ConflictError(f"record {result!r} was changed meanwhile; read it, then try again")
        return result

    def put(self, kind: str, key: str, value: bytes, expected: int | None = None) -> int:
        """Write one record; see `write`."""
        return self.write([Change(kind, key, value, expected)])[0]

    def remove(self, kind: str, key: str, expected: int | None = None) -> None:
        """Remove one record; see `write`."""
        self.write([Change(kind, key, None, expected)])

    def update(self, kind: str, key: str, change: Callable[[bytes | None], bytes | None]) -> None:
        """Replace a record by what `change` makes of its value; None stands for no record.

        Where another writer comes first, `change` is called again with the new value. Raises
        ConflictError where that does not end.
        """
        for attempt in range(_ATTEMPTS):
            record = self.get(kind, key)
            before = None if record is None else record.value
            after = change(before)
            if after == before:
                return
            try:
                self.write([Change(kind, key, after, 0 if record is None else record.version)])
            except ConflictError:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def scrub(self, traces: Sequence[bytes]) -> None:
        """Make sure that the store's files hold no byte of removed records any more, as after an
        erasure. `traces` are texts by which such bytes are found."""
        self._layer.scrub(traces)


def _check(change: Change) -> None:
    if not _KIND.fullmatch(change.kind):
        raise ValueError(f"a kind of record is a lowercase word, got {change.kind[:60]!r}")
    key = change.key
    if (
        not 0 < len(key) <= LONGEST_KEY
        or "\0" in key
        or any("\ud800" <= c <= "\udfff" for c in key)
    ):
        raise ValueError(
            f"a record's key has 1 to {LONGEST_KEY} characters and no NUL, got {key[:60]!r}"
        )
    if change.value is not None and len(change.value) > LARGEST_VALUE:
        raise ValueError(
            f"the value of {change.kind} {key[:60]!r} has {len(change.value):,} bytes; a record "
            f"holds at most {LARGEST_VALUE:,}"
        )
