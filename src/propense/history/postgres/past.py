"""The pasts in the schema of a PostgreSQL history."""

from __future__ import annotations

from propense.history.past import PastLayer
from propense.history.postgres.store import PostgresStore
from propense.history.sql.past import SqlPast


def open_past(store: PostgresStore) -> PastLayer:
    """The pasts of an open store."""
    return SqlPast(store.read_tables, store.write, store.suppression_hash)
