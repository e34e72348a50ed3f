"""The records of controls.py in the file of a SQLite history."""

from __future__ import annotations

from collections.abc import Callable

from propense.history.controls import Controls
from propense.history.sql.controls import SqlControls
from propense.history.sql.tables import T, Tables
from propense.history.sqlite.store import SqliteStore
from propense.history.sqlite.tables import SqliteTables


def open_controls(store: SqliteStore) -> Controls:
    """The records of an open store."""

    def write(work: Callable[[Tables], T]) -> T:
        with store.synced_transaction() as con:
            return work(SqliteTables(con))

    return Controls(SqlControls(store.read_tables, write, store.scrub))
