"""The pasts in the schema of a PostgreSQL history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from propense.history.past import PastLayer
from propense.history.postgres.store import PostgresStore
from propense.history.postgres.tables import PostgresTables
from propense.history.sql.past import SqlPast
from propense.history.sql.tables import Tables

T = TypeVar("T")


def open_past(store: PostgresStore) -> PastLayer:
    """The pasts of an open store."""

    def read(work: Callable[[Tables], T]) -> T:
        return store.query(lambda con: work(PostgresTables(con)))

    return SqlPast(read, store.write, store.suppression_hash)
