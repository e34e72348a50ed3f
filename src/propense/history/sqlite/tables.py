"""The tables of a SQLite history inside one transaction."""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Sequence
from typing import Any, Final

from propense.history.sql.tables import Row

_SIZES: Final = (256, 64, 16, 4, 1)
"""Numbers of rows a statement can have: a few sizes, so that each is prepared once."""


@functools.cache
def _insert_sql(table: str, on_conflict: str, n: int, width: int) -> str:
    row = "(" + ", ".join("?" * width) + ")"
    return f"INSERT INTO {table} VALUES {', '.join([row] * n)}{on_conflict}"


@functools.cache
def _in_sql(before: str, n: int) -> str:
    return f"{before} IN ({', '.join('?' * n)})"


class SqliteTables:
    """See Tables."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        self.execute = con.execute

    @property
    def now(self) -> int:
        """See Tables."""
        return time.time_ns() // 1000

    def each(self, sql: str, rows: Sequence[Row]) -> None:
        """See Tables."""
        self._con.executemany(sql, rows)

    def insert(self, table: str, rows: Sequence[Row], on_conflict: str = "") -> None:
        """See Tables. Takes as few statements as the sizes allow."""
        start = 0
        for size in _SIZES:
            while len(rows) - start >= size:
                flat = [cell for row in rows[start : start + size] for cell in row]
                self._con.execute(_insert_sql(table, on_conflict, size, len(rows[start])), flat)
                start += size

    def find(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """See Tables."""
        rows: list[Row] = []
        start = 0
        for size in _SIZES:
            while len(values) - start >= size:
                some = values[start : start + size]
                rows += self._con.execute(_in_sql(sql, size), some).fetchall()
                start += size
        return rows
