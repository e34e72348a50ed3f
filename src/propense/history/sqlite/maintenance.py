"""The background thread of a SQLite history: to the disk about once a second, old ids forgotten."""

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
"""What was written goes to the disk after this many ticks at most,"""
LARGE_BYTES: Final = 16_000_000
"""or as soon as the write-ahead file is so large."""
HUGE_BYTES: Final = 256_000_000
"""From here on writers wait for the moment in which the file can begin anew."""
FORGET_TICKS: Final = 14_400
"""Message ids are forgotten once an hour."""
PAGE: Final = 1_000
"""Rows that are read at a time."""
NICE: Final = 15
"""Of the thread: a tenth of what the others have where the core is one."""


Opened = Callable[[], contextlib.AbstractContextManager[sqlite3.Connection]]


class Forgetting(NamedTuple):
    """How old rows of a table leave it, page by page in the order of its primary key: looking
    for them otherwise would read the whole table for every one."""

    first: str
    after: str
    """The page behind a key."""
    delete: str


def _forgetting(table: str, *key: str) -> Forgetting:
    columns, marks = ", ".join(key), ", ".join("?" * len(key))
    page = f"ORDER BY {columns} LIMIT {PAGE}"
    return Forgetting(
        f"SELECT {columns}, received FROM {table} {page}",
        f"SELECT {columns}, received FROM {table} WHERE ({columns}) > ({marks}) {page}",
        f"DELETE FROM {table} WHERE {' AND '.join(f'{name} = ?' for name in key)}",
    )


MESSAGES: Final = _forgetting("messages", "key")
QUIET: Final = _forgetting("quiet_messages", "customer", "key")


def forget_old(how: Forgetting, oldest: int, reading: Opened, writing: Opened) -> int:
    """Forget what was received before `oldest`; how many rows."""
    forgotten = 0
    last: tuple[object, ...] | None = None
    while True:
        with reading() as con:
            asked = (how.first,) if last is None else (how.after, last)
            rows = con.execute(*asked).fetchall()
        if not rows:
            return forgotten
        last = tuple(rows[-1][:-1])
        old = [tuple(row[:-1]) for row in rows if row[-1] < oldest]
        if old:
            with writing() as con:
                con.executemany(how.delete, old)
            forgotten += len(old)


class Upkeep:
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
        self._thread = threading.Thread(target=self._run, name="history-upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Bring what was written to the disk, and end the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        _give_way()
        con: sqlite3.Connection | None = None
        done = (0, 0)
        tick = 0
        while True:
            stopped = self._stopped.wait(EVERY_SECONDS)
            tick += 1
            # A full disk or a lock of another process: the next tick tries again, and appends
            # have errors of their own.
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
        """Size and time of change of the write-ahead file."""
        try:
            found = os.stat(self._log)
        except FileNotFoundError:
            return (0, 0)
        return (found.st_size, found.st_mtime_ns)


def _give_way() -> None:
    """Let answers go first where the cores are few: what is done here can wait."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _checkpoint(con: sqlite3.Connection, size: int) -> None:
    con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if size >= HUGE_BYTES:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
