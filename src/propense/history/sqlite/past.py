"""The pasts in the file of a SQLite history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from propense.history.past import PastLayer
from propense.history.sql.past import SqlPast
from propense.history.sql.tables import Tables
from propense.history.sqlite.store import SqliteStore
from propense.history.sqlite.tables import SqliteTables

T = TypeVar("T")


def open_past(store: SqliteStore) -> PastLayer:
    """The pasts of an open store."""

    def read(work: Callable[[Tables], T]) -> T:
        with store.reading() as con:
            return work(SqliteTables(con))

    def write(work: Callable[[Tables], T]) -> T:
        with store.transaction() as con:
            return work(SqliteTables(con))

    return SqlPast(read, write, store.suppression_hash)
