"""The tables of a SQLite history, inside one transaction."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from propense.history.sql.transaction import Row

_SIZES: Final = (256, 64, 16, 4, 1)
"""Rows of one statement: a few sizes, so that each is prepared once."""


@functools.cache
def _rows_sql(table: str, after: str, n: int, width: int) -> str:
    row = "(" + ", ".join("?" * width) + ")"
    return f"INSERT INTO {table} VALUES {', '.join([row] * n)}{after}"


@functools.cache
def _list_sql(before: str, n: int) -> str:
    return f"{before} IN ({', '.join('?' * n)})"


class SqliteTables:
    """See Tables."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        self.execute = con.execute

    def each(self, sql: str, rows: Sequence[Row]) -> None:
        """See Tables."""
        self._con.executemany(sql, rows)

    def insert(self, table: str, rows: Sequence[Row], after: str = "") -> None:
        """See Tables. As few statements as the sizes allow."""
        at = 0
        for size in _SIZES:
            while len(rows) - at >= size:
                flat = [cell for row in rows[at : at + size] for cell in row]
                self._con.execute(_rows_sql(table, after, size, len(rows[at])), flat)
                at += size

    def find(self, sql: str, wanted: Sequence[Any]) -> list[Row]:
        """See Tables."""
        found: list[Row] = []
        at = 0
        for size in _SIZES:
            while len(wanted) - at >= size:
                found += self._con.execute(_list_sql(sql, size), wanted[at : at + size]).fetchall()
                at += size
        return found
