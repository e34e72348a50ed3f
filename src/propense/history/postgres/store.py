"""Live history in a schema of a PostgreSQL server, for services on several machines.

Each writer locks one row, so that numbers ascend and a group sees everything written before it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from propense.errors import StoreError
from propense.history.bounds import check_updates
from propense.history.postgres.schema import make_schema, schema_exists
from propense.history.postgres.tables import NOW, Connections, PostgresTables, address_of
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
from propense.history.sql.tables import T, Tables
from propense.history.sql.takes import count_takes
from propense.history.sql.transaction import (
    WriteRules,
    apply_updates,
    log_decisions,
    split_customer,
)
from propense.history.sqlite.backup import COUNTS, TABLES, new_copy, open_backup
from propense.history.store import StoreOptions
from propense.history.takes import Takes, TakesQuestion
from propense.history.timer import Timer
from propense.history.training_views import VIEWS
from propense.times import MICROS_PER_SECOND

_OF_NAME: Final = " FROM names n JOIN customers c ON c.key = n.customer"
_NUMBER: Final = (
    "greatest(c.version, coalesce((SELECT max(seq) FROM events WHERE customer = c.key), 0))"
)
_READ: Final = (
    "SELECT e.event_time, e.action, e.item_id, e.value, e.count, e.source, e.seq, e.received,"
    f" {CUSTOMER}{_OF_NAME} LEFT JOIN events e ON e.customer = c.key WHERE n.name = %s"
    " ORDER BY e.seq"
).encode()
_VERSIONS: Final = f"SELECT n.name, {_NUMBER}{_OF_NAME} WHERE n.name"
_DECISIONS: Final = (
    f"SELECT {DECISION} FROM decisions"
    " WHERE user_id = %s OR user_id IN (SELECT other.name FROM names mine JOIN names other"
    " ON other.customer = mine.customer WHERE mine.name = %s) ORDER BY seq"
).encode()
_IDS: Final = b"SELECT key, user_id FROM customers WHERE key > %s ORDER BY key LIMIT %s"
_VACUUM: Final = (
    b"VACUUM customers, names, events, messages, quiet_messages, decisions, past_customers,"
    b" past_names"
)
_FORGET: Final = (
    ("messages", "key", "DELETE FROM messages WHERE key = ? AND received < ?"),
    (
        "quiet_messages",
        "customer, key",
        "DELETE FROM quiet_messages WHERE customer = ? AND key = ? AND received < ?",
    ),
)
_LOCK: Final = f"SELECT {NOW} FROM state FOR UPDATE".encode()
_PAGE: Final = 5_000


class PostgresStore:
    """A store in a schema of a server; see Store.

    A commit waits for the server's disk, and for its synchronous standbys where it has any. Only
    with `durable = "service"` it does not: a crash of the server can then lose the last commits.
    If a connection breaks during a commit, it is unknown whether it was made; the same updates
    sent again are then written, or recognised as repetitions. No query finds an erased row. Its
    bytes stay in free space of the server's files and in its log until they are overwritten, or
    until `VACUUM FULL` and the end of its archives.
    """

    def __init__(self, url: str, options: StoreOptions) -> None:
        name = options.name
        self._where = address_of(url, name)
        self._name = name
        self.suppression_hash = options.suppression_hash
        self._remember = options.remember_seconds * MICROS_PER_SECOND
        self._rules = WriteRules(options.suppression_hash, options.bounds, self._remember)
        self._connections = Connections(url, name, options.durable)
        self._closed = False
        try:
            self.query(lambda con: make_schema(con, name, self._where))
            if options.consent_required is not None:
                flag = int(options.consent_required)
                self.write(lambda to: to.execute("UPDATE state SET consent_required = ?", (flag,)))
        except BaseException:
            self._connections.close()
            raise
        self._timer = Timer(self.forget_messages)

    @property
    def is_local(self) -> bool:
        """False: a read waits for the network."""
        return False

    def append(self, updates: Sequence[CustomerUpdate]) -> list[WriteResult]:
        """See Store."""
        if not updates:
            return []
        check_updates(updates)
        return self.write(lambda tables: apply_updates(tables, updates, self._rules))

    def read(self, user_id: str) -> Customer | None:
        """See Store."""
        if "\0" in user_id:
            return None
        rows = self.query(lambda con: _fetch(con, _READ, [user_id]))
        if not rows:
            return None
        events = [LiveEvent(*row[:6]) for row in rows if row[6] is not None]
        received = [row[7] for row in rows]
        span = (rows[-1][6], min(received), max(received)) if events else None
        return self.query(lambda con: customer_of(PostgresTables(con), rows[0][8:], events, span))

    def versions(self, user_ids: Sequence[str]) -> list[int]:
        """See Store."""
        valid = list(dict.fromkeys(one for one in user_ids if "\0" not in one))
        rows = self.read_tables(lambda tables: tables.find(_VERSIONS, valid))
        versions: dict[str, int] = dict(rows)
        return [versions.get(user_id, 0) for user_id in user_ids]

    def log_decisions(self, decisions: Sequence[Decision]) -> None:
        """See Store."""
        if decisions:
            self.write(lambda tables: log_decisions(tables, decisions, self._rules))

    def decisions_of(self, user_id: str) -> list[Decision]:
        """See Store."""
        if "\0" in user_id:
            return []
        rows = self.query(lambda con: _fetch(con, _DECISIONS, [user_id, user_id]))
        return [decision_of(row) for row in rows]

    def erase(self, user_id: str) -> Erased:
        """See Store; the class says what stays in free space of the server's files."""
        if "\0" in user_id:
            return Erased()
        erased, _ = self.write(lambda tables: erase_rows(tables, user_id))
        # Even if the customer was not found: an earlier erasure may have been stopped here.
        self.query(lambda con: con.execute(_VACUUM))
        return erased

    def suppress(self, hashes: Sequence[bytes]) -> None:
        """See Store."""
        rows = [(one,) for one in hashes]
        self.write(lambda tables: tables.insert("suppressed", rows, " ON CONFLICT DO NOTHING"))

    def allow(self, hashes: Sequence[bytes]) -> None:
        """See Store."""
        rows = [(one,) for one in hashes]
        self.write(lambda tables: tables.each("DELETE FROM suppressed WHERE mark = ?", rows))

    def suppressed(self, hashes: Sequence[bytes]) -> list[bool]:
        """See Store."""
        find = "SELECT mark FROM suppressed WHERE mark"
        rows = self.read_tables(lambda tables: tables.find(find, hashes))
        refused = {bytes(hashed) for (hashed,) in rows}
        return [one in refused for one in hashes]

    def split(self, user_id: str) -> list[str]:
        """See Store."""
        if "\0" in user_id:
            return []
        return self.write(lambda tables: split_customer(tables, user_id, self._rules))

    def user_ids(self) -> Iterator[str]:
        """See Store. Read page by page: may miss customers who are added or erased meanwhile."""
        last = -1
        while True:
            rows = self.query(functools.partial(_fetch, statement=_IDS, values=[last, _PAGE]))
            if not rows:
                return
            yield from (row[1] for row in rows)
            last = rows[-1][0]

    def n_customers(self) -> int:
        """See Store."""
        return int(self.query(lambda con: _fetch(con, b"SELECT count(*) FROM customers"))[0][0])

    def ping(self) -> None:
        """See Store."""
        self.query(lambda con: con.execute("SELECT seq FROM state").fetchone())

    def check_writable(self) -> None:
        """See Store."""
        self.query(lambda con: con.execute("UPDATE state SET seq = seq"))

    def check(self) -> None:
        """See Store. The server checks its own pages."""

    def backup(self, path: Path) -> None:
        """See Store. A SQLite history, from one snapshot; it replaces what is at `path`."""
        with self._snapshot() as con, new_copy(path) as copy:
            for table in TABLES:
                for rows in _stream(con, f"SELECT * FROM {table}"):
                    cells = ", ".join("?" * len(rows[0]))
                    copy.executemany(f"INSERT INTO {table} VALUES ({cells})", rows)

    def training_rows(self, view: str) -> Iterator[dict[str, Any]]:
        """See Store. The rows of the view of that name in the schema."""
        columns = VIEWS[view]
        with self._snapshot() as con:
            for rows in _stream(con, f"SELECT {', '.join(columns)} FROM {view}"):
                for row in rows:
                    yield dict(zip(columns, row, strict=True))

    def count_takes(self, question: TakesQuestion) -> Takes:
        """See Store."""
        return count_takes(self.read_tables, question)

    def expire(self, oldest: Oldest) -> Expired:
        """See Store."""
        return expire_rows(self.read_tables, self.write, oldest)

    def forget_messages(self) -> int:
        """Forget message ids received more than `remember_seconds` ago by the server's clock.

        Returns how many.
        """
        forgotten = 0
        with self._snapshot() as con:
            oldest = PostgresTables(con).now - self._remember
            for table, key, delete in _FORGET:
                # Searched without the lock of writers, deleted page by page. An id that another
                # process has deleted, and that was sent again since, is younger.
                query = f"SELECT {key}, {oldest:d}::bigint FROM {table} WHERE received < {oldest:d}"
                for old in _stream(con, query):
                    self.write(functools.partial(PostgresTables.each, sql=delete, rows=old))
                    forgotten += len(old) if table == "messages" else 0
        return forgotten

    def destroy(self) -> None:
        """See Store."""
        statement = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(self._name))
        self.query(lambda con: con.execute(statement))
        self.close()

    @property
    def is_destroyed(self) -> bool:
        """See Store."""
        return not self.query(lambda con: schema_exists(con, self._name))

    def close(self) -> None:
        """See Store."""
        self._timer.stop()
        self._closed = True
        self._connections.close()

    def query(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        """Do something that changes nothing or can be done twice. If the connection is broken, as
        after a restart of the server, it is done on a new one."""
        for again in (False, True):
            con = self._take_connection()
            try:
                return work(con)
            except psycopg.Error as error:
                if again or not con.closed:
                    raise self._store_error(error) from error
            finally:
                self._connections.give(con)
        raise AssertionError

    def read_tables(self, work: Callable[[Tables], T]) -> T:
        """Do a piece of work that only reads."""
        return self.query(lambda con: work(PostgresTables(con)))

    def write(self, work: Callable[[Tables], T]) -> T:
        """The only writing transaction; an error rolls all of it back."""
        for again in (False, True):
            con = self._take_connection()
            committing = False
            try:
                con.execute(b"BEGIN")
                row = con.execute(_LOCK).fetchone()
                result = work(PostgresTables(con, None if row is None else row[0]))
                committing = True
                con.execute(b"COMMIT")
                return result
            except psycopg.Error as error:
                if again or committing or not con.closed:
                    raise self._store_error(error, committing and con.closed) from error
            finally:
                _roll_back(con)
                self._connections.give(con)
        raise AssertionError

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection that sees one state of the tables."""
        con = self._take_connection()
        try:
            con.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield con
            con.execute(b"COMMIT")
        except psycopg.Error as error:
            raise self._store_error(error) from error
        finally:
            _roll_back(con)
            self._connections.give(con)

    def _take_connection(self) -> psycopg.Connection[Any]:
        if self._closed:
            raise StoreError(f"live history {self._where} is closed")
        try:
            return self._connections.take()
        except psycopg.Error as error:
            raise self._store_error(error) from error

    def _store_error(self, error: psycopg.Error, unknown: bool = False) -> StoreError:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        done = "whether the call was done is unknown" if unknown else "nothing of the call was done"
        return StoreError(
            f"live history {self._where}: {reason}; {done}; check that the server answers and has "
            "disk space, then try again"
        )


def _fetch(con: psycopg.Connection[Any], statement: bytes, values: Sequence[Any] = ()) -> list[Any]:
    return con.execute(statement, values).fetchall()


def _roll_back(con: psycopg.Connection[Any]) -> None:
    """End a transaction that is still open; if that fails, close the connection."""
    if con.closed or con.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        return
    try:
        con.execute(b"ROLLBACK")
    except psycopg.Error:
        con.close()


def _stream(con: psycopg.Connection[Any], statement: str) -> Iterator[list[Any]]:
    """Rows, page by page, inside a transaction."""
    with con.cursor(name="pages") as cursor:
        cursor.execute(statement.encode())
        while rows := cursor.fetchmany(_PAGE):
            yield rows


def open_store(url: str, folder: Path, options: StoreOptions) -> PostgresStore:
    """The store in the schema NAME; `folder` is not used."""
    return PostgresStore(url, options)


def restore_store(url: str, folder: Path, backup: Path, name: str) -> None:
    """Make the schema `name` from a backup; `folder` is not used.

    Raises StoreError where the schema holds customers already, or the backup cannot be read.
    """
    where = address_of(url, name)
    connections = Connections(url, name, "power")
    try:
        con = connections.take()
    except psycopg.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise StoreError(
            f"live history {where}: {reason}; check that the server answers"
        ) from error
    with contextlib.closing(con), open_backup(backup) as copy:
        try:
            make_schema(con, name, where)
            with con.transaction():
                con.execute(b"LOCK TABLE state IN ACCESS EXCLUSIVE MODE")
                row = con.execute(b"SELECT seq FROM state").fetchone()
                if row is None or row[0] or _fetch(con, b"SELECT kind FROM control_kinds"):
                    raise StoreError(
                        f"live history {where} has data already; stop the service and drop the "
                        "schema, then restore"
                    )
                con.execute(b"DELETE FROM state")
                for table in TABLES:
                    cursor = copy.execute(f"SELECT * FROM {table}")
                    while rows := cursor.fetchmany(_PAGE):
                        PostgresTables(con).insert(table, rows)
                for count in COUNTS:
                    con.execute(count.encode())
        except psycopg.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise StoreError(f"live history {where} cannot be restored: {reason}") from error
