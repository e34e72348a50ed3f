"""The records of controls.py in the schema of a PostgreSQL history."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from propense.history.controls import Controls
from propense.history.postgres.store import PostgresStore
from propense.history.sql.controls import SqlControls
from propense.history.sql.tables import T, Tables


def open_controls(store: PostgresStore) -> Controls:
    """The records of an open store."""

    def write(work: Callable[[Tables], T]) -> T:
        def synced(tables: Tables) -> T:
            tables.execute("SET LOCAL synchronous_commit TO on")
            return work(tables)

        return store.write(synced)

    def scrub(traces: Sequence[bytes]) -> None:
        store.query(lambda con: con.execute(b"VACUUM controls"))

    return Controls(SqlControls(store.read_tables, write, scrub))
