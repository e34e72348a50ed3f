"""Tables and views of a SQLite history, and the migrations of older files."""

from __future__ import annotations

import sqlite3
from typing import Final

from propense.errors import StoreError
from propense.history.sql.controls import TABLES as CONTROLS
from propense.history.sql.identity import COLUMNS
from propense.history.sql.past import TABLES as PAST
from propense.history.sql.views import Dialect, state_view, views

_TABLES: Final = """
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    customer INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    latest INTEGER NOT NULL,
    consent_required INTEGER NOT NULL
);
INSERT INTO state VALUES (0, 0, 0, 0, 0);
CREATE TABLE customers (
    key INTEGER PRIMARY KEY,
    user_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    traits TEXT,
    consent TEXT,
    names TEXT,
    train INTEGER
);
CREATE TABLE names (
    name TEXT PRIMARY KEY,
    customer INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
    customer INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    event_time INTEGER NOT NULL,
    action TEXT NOT NULL,
    item_id TEXT,
    value INTEGER,
    count REAL,
    source TEXT,
    received INTEGER NOT NULL,
    message BLOB NOT NULL,
    part INTEGER NOT NULL,
    PRIMARY KEY (customer, seq)
) WITHOUT ROWID;
CREATE TABLE messages (
    key BLOB PRIMARY KEY,
    received INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE quiet_messages (
    customer INTEGER NOT NULL,
    key BLOB NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (customer, key)
) WITHOUT ROWID;
CREATE TABLE decisions (
    user_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    time INTEGER NOT NULL,
    scenario TEXT NOT NULL,
    bundle TEXT NOT NULL,
    policy TEXT NOT NULL,
    items TEXT NOT NULL,
    p_action TEXT NOT NULL,
    PRIMARY KEY (user_id, seq)
) WITHOUT ROWID;
CREATE TABLE suppressed (mark BLOB PRIMARY KEY) WITHOUT ROWID;
"""
# `state.seq` counts both events and changes of customers. A customer's version is the greater of
# `customers.version` and the `seq` of their last event; when they were first and last seen is
# the widest span of `customers` and their events. So an update that only adds events writes no
# row of `customers`, which halves the pages that a group touches.
# The message keys of a customer are in `events.message`; those of messages without events are in
# `quiet_messages`.


def _time_text(column: str) -> str:
    """ISO 8601 text of microseconds, also before 1970, where a remainder is negative."""
    part = f"(({column} % 1000000 + 1000000) % 1000000)"
    return (
        f"strftime('%Y-%m-%dT%H:%M:%S', ({column} - {part}) / 1000000, 'unixepoch')"
        f" || printf('.%06dZ', {part})"
    )


_SQLITE: Final = Dialect(
    time_text=_time_text,
    money="{} / 1000000.0",
    hex="lower(hex({}))",
    greatest="max",
    position="i.key + 1",
    p_action="json_extract(d.p_action, '$[' || i.key || ']')",
    null_text="NULL",
    join_items=",\n    json_each(d.items) i",
)

_PAST: Final = PAST.format(
    integer="INTEGER", text="TEXT", bytes="BLOB", without_rowid=" WITHOUT ROWID"
)

_CONTROLS: Final = CONTROLS.format(integer="INTEGER", text="TEXT", bytes="BLOB")

_IDENTITY: Final = COLUMNS.format(
    integer="INTEGER", text="TEXT", bytes="BLOB", without_rowid=" WITHOUT ROWID"
)

MIGRATIONS: Final = (
    _TABLES, views(_SQLITE), state_view(_SQLITE), _PAST, _CONTROLS, _IDENTITY,
)  # fmt: skip
"""The n-th takes a file from version n - 1 to n. None is ever changed: golden files in the tests
hold their text."""


def migrate(con: sqlite3.Connection, where: str) -> None:
    """Bring a file to the newest version, in all steps or none.

    Raises StoreError if a newer propense wrote it.
    """
    (version,) = con.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"live history {where} has version {version}, this propense reads up to "
            f"{len(MIGRATIONS)}; run the propense that wrote it, or a newer one"
        )
    if version == len(MIGRATIONS):
        return
    con.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated the file meanwhile.
        (version,) = con.execute("PRAGMA user_version").fetchone()
        for step in MIGRATIONS[version:]:
            for statement in step.split(";\n"):
                if statement.strip():
                    con.execute(statement)
        con.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
