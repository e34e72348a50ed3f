"""Live history in one SQLite file, which several processes of one machine can have open."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from propense.errors import StoreError
from propense.files import PRIVATE
from propense.history.bounds import check_updates
from propense.history.records import (
    Customer,
    CustomerUpdate,
    Decision,
    Erased,
    LiveEvent,
    WriteResult,
)
from propense.history.retention import Expired, Oldest
from propense.history.sql.erasure import erase_rows
from propense.history.sql.expiry import expire_rows
from propense.history.sql.reading import CUSTOMER, DECISION, customer_of, decision_of
from propense.history.sql.tables import T, Tables, names_of
from propense.history.sql.takes import count_takes
from propense.history.sql.transaction import (
    WriteRules,
    apply_updates,
    log_decisions,
    split_customer,
)
from propense.history.sqlite.backup import replacing_file, restore_file
from propense.history.sqlite.errors import BUSY_MS, Faults
from propense.history.sqlite.file_erasure import UNCLEAN, clean_files
from propense.history.sqlite.maintenance import MESSAGES, PAGE, QUIET, Maintenance, forget_old
from propense.history.sqlite.schema import migrate
from propense.history.sqlite.tables import SqliteTables
from propense.history.store import StoreOptions
from propense.history.takes import Takes, TakesQuestion
from propense.history.training_views import VIEWS
from propense.times import MICROS_PER_SECOND

_CACHE_KB: Final = 16_000
"""Page cache of the writing connection; a reading one has half as much. The system caches the
file's pages too, and reading one from there takes microseconds."""

_OF_NAME: Final = " FROM names n JOIN customers c ON c.key = n.customer WHERE n.name "
_NUMBER: Final = "max(c.version, coalesce((SELECT max(seq) FROM events WHERE customer = c.key), 0))"
_READ: Final = f"SELECT c.key, {CUSTOMER}{_OF_NAME} = ?"
_EVENTS: Final = (
    "SELECT event_time, action, item_id, value, count, source FROM events"
    " WHERE customer = ? ORDER BY seq"
)
_SPAN: Final = "SELECT max(seq), min(received), max(received) FROM events WHERE customer = ?"
_VERSION: Final = f"SELECT {_NUMBER}{_OF_NAME} = ?"
_VERSIONS: Final = f"SELECT n.name, {_NUMBER}{_OF_NAME}"
_DECISIONS: Final = f"SELECT seq, {DECISION} FROM decisions WHERE user_id"
_FEW: Final = 4
"""Up to so many versions are asked for one by one."""


class SqliteStore:
    """A store in a file; see Store.

    One connection writes, under a lock; each thread reads on a connection of its own. With
    `durable = "process"` an append waits for the disk only when the write-ahead file restarts
    from its beginning; a background thread syncs it about once a second. Open the store after a
    fork, not before.
    """

    def __init__(self, path: Path, options: StoreOptions) -> None:
        self.path = path
        self.suppression_hash = options.suppression_hash
        self._remember = options.remember_seconds * MICROS_PER_SECOND
        self._rules = WriteRules(options.suppression_hash, options.bounds, self._remember)
        self._opened = time.time_ns(), time.monotonic_ns()
        self._synchronous = "FULL" if options.durable == "power" else "NORMAL"
        self._lock = threading.Lock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._closed = False
        self._faults = Faults(path)
        with self._faults.named():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
            con = self._connect(_CACHE_KB)
            try:
                con.execute("PRAGMA journal_mode = WAL")
                migrate(con, repr(str(path)))
                if options.consent_required is not None:
                    flag = int(options.consent_required)
                    con.execute("UPDATE state SET consent_required = ?", (flag,))
            except BaseException:
                con.close()
                raise
            self._writer = con
            self._inode = path.stat().st_ino
            self._maintenance = Maintenance(path, self._connect, self.forget_messages)

    @property
    def is_local(self) -> bool:
        """True: a read takes microseconds."""
        return True

    def append(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """See Store."""
        if not updates:
            return []
        check_updates(updates)
        return self.write_tables(lambda tables: apply_updates(tables, updates, self._rules))

    def read(self, user_id: str) -> Customer | None:
        """See Store."""
        with self.reading() as con:
            con.execute("BEGIN")
            try:
                row = con.execute(_READ, (user_id,)).fetchone()
                if row is None:
                    return None
                events = [LiveEvent(*cells) for cells in con.execute(_EVENTS, (row[0],))]
                span = con.execute(_SPAN, (row[0],)).fetchone() if events else None
                return customer_of(SqliteTables(con), row[1:], events, span)
            finally:
                con.execute("COMMIT")

    def versions(self, user_ids: Sequence[str]) -> list[int]:
        """See Store."""
        try:
            con = self._reader()
            if len(user_ids) <= _FEW:
                rows = [con.execute(_VERSION, (one,)).fetchone() for one in user_ids]
                return [0 if row is None else row[0] for row in rows]
            versions: dict[str, int] = dict(
                SqliteTables(con).find(_VERSIONS, list(dict.fromkeys(user_ids)))
            )
        except sqlite3.Error as error:
            raise self._faults.named_error(error) from error
        return [versions.get(user_id, 0) for user_id in user_ids]

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        """See Store."""
        if decisions:
            self.write_tables(lambda tables: log_decisions(tables, decisions, self._rules))

    def decisions_of(self, user_id: str) -> list[Decision]:
        """See Store."""
        with self.reading() as con:
            row = con.execute(_READ, (user_id,)).fetchone()
            names = [user_id] if row is None else [row[1], *names_of(row[5])]
            rows = sorted(SqliteTables(con).find(_DECISIONS, names))
        return [decision_of(cells[1:]) for cells in rows]

    def erase(self, user_id: str) -> Erased:
        """See Store. Where pages of the file still hold bytes of the customer, it is rewritten,
        which takes as long as copying it.

        Also raises StoreError when the rows are gone, but a reader kept the write-ahead file
        from being emptied for too long; the message says so.
        """
        unclean = self.path.with_name(self.path.name + UNCLEAN)
        was_unclean = unclean.exists()
        with self.transaction() as con:
            erased, traces = erase_rows(SqliteTables(con), user_id)
            if traces:
                unclean.touch(0o600)
        if traces or was_unclean:
            self.scrub([] if was_unclean else traces)
            unclean.unlink(missing_ok=True)
        return erased

    def scrub(self, traces: Sequence[bytes]) -> None:
        """Remove the bytes of deleted rows from the files; see `clean_files`."""
        with self._faults.named(), contextlib.closing(self._connect()) as con:
            clean_files(con, self.path, list(traces), self._lock)

    def suppress(self, hashes: Sequence[bytes]) -> None:
        """See Store."""
        rows = [(one,) for one in hashes]
        self.write_tables(lambda to: to.insert("suppressed", rows, " ON CONFLICT DO NOTHING"))

    def allow(self, hashes: Sequence[bytes]) -> None:
        """See Store."""
        with self.transaction() as con:
            con.executemany("DELETE FROM suppressed WHERE mark = ?", [(one,) for one in hashes])

    def suppressed(self, hashes: Sequence[bytes]) -> list[bool]:
        """See Store."""
        with self.reading() as con:
            rows = SqliteTables(con).find("SELECT mark FROM suppressed WHERE mark", hashes)
        refused = {hashed for (hashed,) in rows}
        return [one in refused for one in hashes]

    def split(self, user_id: str) -> list[str]:
        """See Store."""
        return self.write_tables(lambda tables: split_customer(tables, user_id, self._rules))

    def user_ids(self) -> Iterator[str]:
        """See Store. Read page by page: may miss customers who are added or erased meanwhile."""
        last = -1
        while True:
            with self.reading() as con:
                rows = con.execute(
                    "SELECT key, user_id FROM customers WHERE key > ? ORDER BY key LIMIT ?",
                    (last, PAGE),
                ).fetchall()
            if not rows:
                return
            yield from (row[1] for row in rows)
            last = rows[-1][0]

    def n_customers(self) -> int:
        """See Store."""
        with self.reading() as con:
            (n,) = con.execute("SELECT count(*) FROM customers").fetchone()
        return int(n)

    def ping(self) -> None:
        """See Store."""
        # Called from threads that end, whose own connection nobody would close.
        self._faults.refuse_damaged()
        with self._faults.named():
            self.path.stat()
            with contextlib.closing(self._connect()) as con:
                con.execute("SELECT seq FROM state").fetchone()

    def check_writable(self) -> None:
        """See Store."""
        with self.transaction() as con:
            con.execute("UPDATE state SET seq = seq")

    def check(self) -> None:
        """See Store."""
        self._faults.check_file(self._connect)

    def backup(self, path: Path) -> None:
        """See Store. The copy is a SQLite file without gaps; it replaces what is at `path`."""
        self._faults.refuse_damaged()
        with self._faults.named(), contextlib.closing(self._connect()) as con:
            with replacing_file(path) as unfinished:
                con.execute("VACUUM INTO ?", (str(unfinished),))

    def training_rows(self, view: str) -> Iterator[dict[str, Any]]:
        """See Store. The rows of the view of that name in the file."""
        columns = VIEWS[view]
        with self._faults.named(), contextlib.closing(self._connect()) as con:
            for row in con.execute(f"SELECT {', '.join(columns)} FROM {view}"):
                yield dict(zip(columns, row, strict=True))

    def count_takes(self, question: TakesQuestion) -> Takes:
        """See Store."""
        return count_takes(self.read_tables, question)

    def expire(self, oldest: Oldest) -> Expired:
        """See Store."""
        return expire_rows(self.read_tables, self.write_tables, oldest)

    def forget_messages(self) -> int:
        """Forget message ids received more than `remember_seconds` ago. Returns how many.

        A clock that was set ahead since the store was opened is not believed: whatever it says
        is long ago may have come today.
        """
        wall, steady = self._opened
        now = min(time.time_ns(), wall + time.monotonic_ns() - steady) // 1000
        oldest = now - self._remember
        forget_old(QUIET, oldest, self.reading, self.transaction)
        return forget_old(MESSAGES, oldest, self.reading, self.transaction)

    def destroy(self) -> None:
        """See Store."""
        self.close()
        for ending in ("", "-wal", "-shm", UNCLEAN):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    @property
    def is_destroyed(self) -> bool:
        """See Store."""
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """See Store."""
        if self._closed:
            return
        self._maintenance.stop()
        self._closed = True
        self._faults.stop_check()
        with self._readers_lock:
            for con in self._readers:
                con.close()
            self._readers.clear()
        with self._lock:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def _connect(self, cache_kb: int = _CACHE_KB // 2) -> sqlite3.Connection:
        con = sqlite3.connect(
            self.path,
            timeout=BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        con.execute(f"PRAGMA synchronous = {self._synchronous}")
        con.execute("PRAGMA secure_delete = ON")
        con.execute("PRAGMA wal_autocheckpoint = 0")
        con.execute(f"PRAGMA cache_size = -{cache_kb}")
        return con

    def _write_connection(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"live history {str(self.path)!r} is closed")
        if self._writer is None:
            self._writer = self._connect(_CACHE_KB)
        return self._writer

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The only writing transaction; an error rolls all of it back."""
        self._faults.refuse_damaged()
        with self._lock, self._faults.named():
            con = self._write_connection()
            con.execute("BEGIN IMMEDIATE")
            try:
                yield con
                con.execute("COMMIT")
            except BaseException:
                self._roll_back(con)
                raise

    @contextlib.contextmanager
    def synced_transaction(self) -> Iterator[sqlite3.Connection]:
        """A writing transaction that is on the disk at its end, whatever `durable` says."""
        if self._closed:
            raise StoreError(f"live history {str(self.path)!r} is closed")
        self._faults.refuse_damaged()
        with self._faults.named(), contextlib.closing(self._connect()) as con:
            con.execute("PRAGMA synchronous = FULL")
            con.execute("BEGIN IMMEDIATE")
            yield con
            con.execute("COMMIT")

    def _roll_back(self, con: sqlite3.Connection) -> None:
        """Roll back. A connection that cannot is closed, and the next call opens a new one."""
        try:
            if con.in_transaction:
                con.execute("ROLLBACK")
        except sqlite3.Error:
            con.close()
            self._writer = None

    def read_tables(self, work: Callable[[Tables], T]) -> T:
        """Do a piece of work that only reads."""
        with self.reading() as con:
            return work(SqliteTables(con))

    def write_tables(self, work: Callable[[Tables], T]) -> T:
        """Do a piece of work in the only writing transaction."""
        with self.transaction() as con:
            return work(SqliteTables(con))

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection for reading."""
        with self._faults.named():
            yield self._reader()

    def _reader(self) -> sqlite3.Connection:
        """This thread's own connection."""
        self._faults.refuse_damaged()
        con: sqlite3.Connection | None = getattr(self._local, "con", None)
        if con is not None and not self._closed:
            return con
        with self._readers_lock:
            if self._closed:
                raise StoreError(f"live history {str(self.path)!r} is closed")
            con = self._connect()
            self._readers.append(con)
        self._local.con = con
        return con


def open_store(url: str, folder: Path, options: StoreOptions) -> SqliteStore:
    """The store in the file `folder`/NAME.db."""
    return SqliteStore(folder / f"{options.name}.db", options)


def restore_store(url: str, folder: Path, backup: Path, name: str) -> None:
    """Make the file `folder`/`name`.db from a backup."""
    restore_file(folder / f"{name}.db", backup)
