"""The background thread of a SQLite history: syncs it about once a second, forgets old ids."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from propense.errors import StoreError

EVERY_SECONDS: Final = 0.25
AT_LEAST_TICKS: Final = 4
"""What was written is synced after this many ticks at most,"""
LARGE_BYTES: Final = 16_000_000
"""or as soon as the write-ahead file is so large."""
HUGE_BYTES: Final = 256_000_000
"""Above this size writers wait until the write-ahead file can restart from its beginning."""
FORGET_TICKS: Final = 14_400
"""Message ids are forgotten once an hour."""
PAGE: Final = 1_000
"""Rows that are read at a time."""
NICE: Final = 15
"""Niceness of the thread: on a single core it gets a tenth of the time of the others."""


Opened = Callable[[], contextlib.AbstractContextManager[sqlite3.Connection]]


class Forgetting(NamedTuple):
    """How old rows are deleted from a table: page by page in the order of its primary key, since
    any other search would read the whole table for every page."""

    first: str
    after: str
    """Selects the page behind a key."""
    delete: str


def _forgetting(table: str, *key: str) -> Forgetting:
    columns, placeholders = ", ".join(key), ", ".join("?" * len(key))
    page = f"ORDER BY {columns} LIMIT {PAGE}"
    return Forgetting(
        f"SELECT {columns}, received FROM {table} {page}",
        f"SELECT {columns}, received FROM {table} WHERE ({columns}) > ({placeholders}) {page}",
        f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in key)}",
    )


MESSAGES: Final = _forgetting("messages", "key")
QUIET: Final = _forgetting("quiet_messages", "customer", "key")


def forget_old(how: Forgetting, oldest: int, reading: Opened, transaction: Opened) -> int:
    """Delete rows received before `oldest`. Returns how many."""
    forgotten = 0
    last: tuple[object, ...] | None = None
    while True:
        with reading() as con:
            query = (how.first,) if last is None else (how.after, last)
            rows = con.execute(*query).fetchall()
        if not rows:
            return forgotten
        last = tuple(rows[-1][:-1])
        old = [tuple(row[:-1]) for row in rows if row[-1] < oldest]
        if old:
            with transaction() as con:
                con.executemany(how.delete, old)
            forgotten += len(old)


class Maintenance:
    """A thread with a connection of its own, so that an append never waits for a checkpoint."""

    def __init__(
        self,
        path: Path,
        connect: Callable[[], sqlite3.Connection],
        forget: Callable[[], int],
    ) -> None:
        self._log = path.with_name(path.name + "-wal")
        self._connect = connect
        self._forget = forget
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history-maintenance", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Sync what was written, and end the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        _lower_priority()
        con: sqlite3.Connection | None = None
        done = (0, 0)
        tick = 0
        while True:
            stopped = self._stopped.wait(EVERY_SECONDS)
            tick += 1
            # With a full disk or a lock of another process the next tick tries again; appends
            # report such errors themselves.
            with contextlib.suppress(sqlite3.Error, StoreError, OSError):
                now = self._state()
                due = stopped or tick % AT_LEAST_TICKS == 0 or now[0] >= LARGE_BYTES
                if now != done and due:
                    con = con or self._connect()
                    _checkpoint(con, now[0])
                    done = now
                if tick % FORGET_TICKS == 0 and not stopped:
                    self._forget()
            if stopped:
                break
        if con is not None:
            con.close()

    def _state(self) -> tuple[int, int]:
        """The size and the time of change of the write-ahead file."""
        try:
            status = os.stat(self._log)
        except FileNotFoundError:
            return (0, 0)
        return (status.st_size, status.st_mtime_ns)


def _lower_priority() -> None:
    """Lower this thread's priority: on few cores answers go first."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _checkpoint(con: sqlite3.Connection, size: int) -> None:
    con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if size >= HUGE_BYTES:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
