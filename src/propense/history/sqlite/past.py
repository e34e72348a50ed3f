"""The pasts in the file of a SQLite history."""

from __future__ import annotations

from propense.history.past import PastLayer
from propense.history.sql.past import SqlPast
from propense.history.sqlite.store import SqliteStore


def open_past(store: SqliteStore) -> PastLayer:
    """The pasts of an open store."""
    return SqlPast(store.read_tables, store.write_tables, store.suppression_hash)
