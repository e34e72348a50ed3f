"""What has been popular since a bundle was trained: counted once a step by one process of the
service, kept as records of the store, and followed by all.

A record is written when a step has begun, with what was taken since the record before. Lists use
it a little later, at the same time in every process, so that two of them give one answer. A
record holds items and numbers, nothing about a customer.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from propense.history.controls import LARGEST_VALUE, Change, Controls
from propense.history.takes import Takes
from propense.runtime.engine import ScoringEngine
from propense.runtime.followed_counts import StepRecord

KIND: Final = "popularity"
"""The kind of the records."""
MOST_RECORDS: Final = 10_000
"""The oldest go."""


class Popularity:
    """The records of one store. All methods block but `newest`, and raise StoreError."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._lock = threading.Lock()
        self._number = 0
        self._records: dict[str, StepRecord] = {}
        self._versions: dict[str, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take over what other processes have written. Cheap: made to be called a few times a
        second."""
        with self._lock:
            if self._controls.numbers().get(KIND, 0) == self._number:
                return
            changed = self._controls.read(KIND, self._number)
            if changed.whole:
                self._records, self._versions = {}, {}
            for record in changed.records:
                self._versions[record.key] = record.version
                self._records[record.key] = msgspec.json.decode(record.value, type=StepRecord)
            self._records = dict(sorted(self._records.items()))
            self._number = changed.number

    def newest(self, now: int, step: int, actions: tuple[str, ...]) -> StepRecord | None:
        """The last record of these steps and actions; those of a clock that was ahead are not
        believed. `now` in seconds."""
        return next(
            (
                one for one in reversed(self._records.values())
                if one.begin <= now + one.step and (one.step, one.actions) == (step, actions)
            ),
            None,
        )  # fmt: skip

    def kinds(self) -> set[tuple[int, tuple[str, ...]]]:
        """The steps and actions that there are records of."""
        return {(one.step, one.actions) for one in self._records.values()}

    def attach(self, engine: ScoringEngine, now: int) -> None:
        """Let an engine follow what was counted until now, in seconds. Cheap where it does."""
        followed = engine.followed
        if followed is None or followed.number == self._number:
            return
        with self._lock:
            followed.number = self._number
            usable = {
                key: one for key, one in self._records.items()
                if one.step == followed.step and one.actions == followed.actions
                and one.begin <= now + one.step
            }  # fmt: skip
            versions = {key: self._versions[key] for key in usable}
        if usable:
            followed.follow(usable, versions)

    def write(
        self, begin: int, step: int, actions: tuple[str, ...], takes: Takes, oldest: int
    ) -> None:
        """Write what was taken; records of steps before `oldest` (seconds) go. Raises
        ConflictError where another process was faster."""
        cells = sorted(takes.customers.keys() | takes.visitors.keys())
        record = StepRecord(
            begin, step, actions, takes.until, tuple(item for item, _ in cells),
            tuple(number for _, number in cells),
            tuple(takes.customers.get(cell, 0) for cell in cells),
            tuple(takes.visitors.get(cell, 0) for cell in cells),
        )  # fmt: skip
        changes = [
            Change(KIND, f"{begin:012d}.{_kind_name(step, actions)}.{part:03d}", value, 0)
            for part, value in enumerate(_values(record))
        ]
        gone = list(self._records)[: max(0, len(self._records) + len(changes) - MOST_RECORDS)]
        # A record of a clock that was ahead would be counted again once its time has come.
        gone += [key for key, one in self._records.items() if not oldest <= one.begin <= begin]
        self._controls.write([*changes, *(Change(KIND, key, None) for key in dict.fromkeys(gone))])
        self.refresh()

    def uncount(self, kinds: Mapping[tuple[int, tuple[str, ...]], Takes], also: Change) -> None:
        """Take what one customer added to the records of each kind out of them, and do another
        change with it: all or nothing. Raises ConflictError where a record was changed
        meanwhile."""
        changes = [also]
        of_kind = {
            kind: {"customers": Counter(takes.customers), "visitors": Counter(takes.visitors)}
            for kind, takes in kinds.items()
        }
        for key, record in self._records.items():
            of_customer = of_kind.get((record.step, record.actions), {})
            numbers = {name: list(getattr(record, name)) for name in of_customer}
            for index, cell in enumerate(zip(record.items, record.numbers, strict=True)):
                for name, cells in of_customer.items():
                    n = min(cells[cell], numbers[name][index]) if cell in cells else 0
                    numbers[name][index] -= n
                    cells[cell] -= n
            after = msgspec.structs.replace(
                record, **{name: tuple(each) for name, each in numbers.items()}
            )
            if after != record:
                changes.append(Change(KIND, key, msgspec.json.encode(after), self._versions[key]))
        self._controls.write(changes)
        self.refresh()


def _kind_name(step: int, actions: tuple[str, ...]) -> str:
    """A short name of a kind of record."""
    return hashlib.blake2b(msgspec.json.encode((step, actions)), digest_size=4).hexdigest()


def _values(record: StepRecord) -> list[bytes]:
    """The record, in as many parts as a store needs."""
    value = msgspec.json.encode(record)
    if len(value) <= LARGEST_VALUE or len(record.items) < 2:
        return [value]
    half = len(record.items) // 2
    parts = []
    for some in (slice(half), slice(half, None)):
        columns = {
            name: getattr(record, name)[some]
            for name in ("items", "numbers", "customers", "visitors")
        }
        parts += _values(msgspec.structs.replace(record, **columns))
    return parts


def forget_outdated(engines: Iterable[ScoringEngine]) -> None:
    """Drop what was answered within a step before its first count came. For the event loop."""
    for engine in engines:
        if engine.followed is not None and engine.followed.has_begun:
            engine.followed.has_begun = False
            engine.forget()
