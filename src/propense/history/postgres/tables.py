"""The tables of a PostgreSQL history inside one transaction, and the connections to them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any, Final, Literal

import psycopg
from psycopg import sql

from propense.history.sql.tables import Result, Row

_SIZES: Final = (256, 32, 4, 1)
NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_CONNECT_SECONDS: Final = 5
_WAIT_MS: Final = 10_000
_IDLE: Final = 8
"""Connections that stay open for the next call."""


@functools.cache
def _with_placeholders(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


@functools.cache
def _insert_sql(table: str, on_conflict: str, n: int, width: int) -> bytes:
    row = "(" + ", ".join(["%s"] * width) + ")"
    return f"INSERT INTO {table} VALUES {', '.join([row] * n)}{on_conflict}".encode()


class PostgresTables:
    """See Tables."""

    def __init__(self, con: psycopg.Connection[Any], now: int | None = None) -> None:
        """`now`: what NOW gave, where it was asked already."""
        self._con = con
        self._now = now

    @property
    def now(self) -> int:
        """See Tables: the server's clock, which all machines share."""
        if self._now is None:
            row = self._con.execute(f"SELECT {NOW}".encode()).fetchone()
            self._now = 0 if row is None else row[0]
        return self._now

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Result:
        """See Tables."""
        return self._con.execute(_with_placeholders(sql), values)

    def each(self, sql: str, rows: Sequence[Row]) -> None:
        """See Tables."""
        if rows:
            with self._con.cursor() as cursor:
                cursor.executemany(_with_placeholders(sql), rows)

    def insert(self, table: str, rows: Sequence[Row], on_conflict: str = "") -> None:
        """See Tables. Uses COPY where there can be no conflict."""
        if not on_conflict:
            if rows:
                with (
                    self._con.cursor() as cursor,
                    cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy,
                ):
                    for row in rows:
                        copy.write_row(row)
            return
        start = 0
        for size in _SIZES:
            while len(rows) - start >= size:
                flat = [cell for row in rows[start : start + size] for cell in row]
                self._con.execute(_insert_sql(table, on_conflict, size, len(rows[start])), flat)
                start += size

    def find(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """See Tables."""
        if not values:
            return []
        return self._con.execute(f"{sql} = ANY(%s)".encode(), [list(values)]).fetchall()


class Connections:
    """Connections to one schema: one a call, of which a few stay open for later calls."""

    def __init__(
        self, url: str, schema: str, durable: Literal["service", "process", "power"]
    ) -> None:
        self._url = url
        self._schema = schema
        # Only to survive the death of this process alone the server's log need not be written:
        # a backend that crashes takes the whole server's unwritten commits with it.
        self._commit = "off" if durable == "service" else "on"
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = threading.Lock()

    def take(self) -> psycopg.Connection[Any]:
        """A connection for the caller alone; `give` it back or close it."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        con = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            tcp_user_timeout=_WAIT_MS,
            keepalives_idle=5,
            keepalives_interval=3,
            keepalives_count=3,
        )
        try:
            con.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(self._schema)))
            con.execute(f"SET synchronous_commit TO {self._commit}".encode())
            con.execute(f"SET lock_timeout TO {_WAIT_MS}".encode())
            con.execute(b"SET client_encoding TO 'UTF8'")
        except BaseException:
            con.close()
            raise
        return con

    def give(self, con: psycopg.Connection[Any]) -> None:
        """Take a connection back. If it broke, the idle ones are closed too: the server is gone."""
        if con.closed:
            self.close()
            return
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append(con)
                return
        con.close()

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for con in idle:
            con.close()


def address_of(url: str, name: str) -> str:
    """The URL for messages, without user and password, and the schema."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]} {name!r}"
