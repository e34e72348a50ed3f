"""Tables and views of a PostgreSQL history: those of SQLite, in a schema of their own."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from propense.errors import StoreError
from propense.history.sql.controls import TABLES as CONTROLS
from propense.history.sql.identity import COLUMNS
from propense.history.sql.past import TABLES as PAST
from propense.history.sql.views import Dialect, state_view, views

_TABLES: Final = """
CREATE TABLE state (
    id bigint PRIMARY KEY CHECK (id = 0),
    customer bigint NOT NULL,
    seq bigint NOT NULL,
    latest bigint NOT NULL,
    consent_required bigint NOT NULL
);
INSERT INTO state VALUES (0, 0, 0, 0, 0);
CREATE TABLE customers (
    key bigint PRIMARY KEY,
    user_id text NOT NULL,
    version bigint NOT NULL,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    traits text,
    consent text,
    names text,
    train bigint
);
CREATE TABLE names (
    name text PRIMARY KEY,
    customer bigint NOT NULL
);
CREATE TABLE events (
    customer bigint NOT NULL,
    seq bigint NOT NULL,
    event_time bigint NOT NULL,
    action text NOT NULL,
    item_id text,
    value bigint,
    count double precision,
    source text,
    received bigint NOT NULL,
    message bytea NOT NULL,
    part bigint NOT NULL,
    PRIMARY KEY (customer, seq)
);
CREATE TABLE messages (
    key bytea PRIMARY KEY,
    received bigint NOT NULL
);
CREATE TABLE quiet_messages (
    customer bigint NOT NULL,
    key bytea NOT NULL,
    received bigint NOT NULL,
    PRIMARY KEY (customer, key)
);
CREATE TABLE decisions (
    user_id text NOT NULL,
    seq bigint NOT NULL,
    time bigint NOT NULL,
    scenario text NOT NULL,
    bundle text NOT NULL,
    policy text NOT NULL,
    items text NOT NULL,
    p_action text NOT NULL,
    PRIMARY KEY (user_id, seq)
);
CREATE TABLE suppressed (mark bytea PRIMARY KEY);
"""


def _time_text(column: str) -> str:
    """ISO 8601 text of microseconds; null outside the years 1 to 9999."""
    return (
        f"CASE WHEN {column} BETWEEN -62135596800000000 AND 253402300799999999 THEN"
        f" to_char(timestamp '1970-01-01' + {column} / 1000000 * interval '1 second'"
        f" + {column} % 1000000 * interval '1 microsecond',"
        ' \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') END'
    )


_POSTGRES: Final = Dialect(
    time_text=_time_text,
    money="{} / 1000000.0::double precision",
    hex="encode({}, 'hex')",
    greatest="greatest",
    position="i.place",
    p_action="(d.p_action::json ->> (i.place - 1)::integer)::double precision",
    null_text="NULL::text",
    join_items=(
        "\n    CROSS JOIN LATERAL json_array_elements_text(d.items::json)"
        " WITH ORDINALITY AS i(value, place)"
    ),
)

_PAST: Final = PAST.format(integer="bigint", text="text", bytes="bytea", without_rowid="")

_CONTROLS: Final = CONTROLS.format(integer="bigint", text="text", bytes="bytea")

_IDENTITY: Final = COLUMNS.format(integer="bigint", text="text", bytes="bytea", without_rowid="")

MIGRATIONS: Final = (
    _TABLES, views(_POSTGRES) + state_view(_POSTGRES).lstrip(), _PAST, _CONTROLS, _IDENTITY,
)  # fmt: skip
"""The n-th takes a schema from version n - 1 to n. None is ever changed: golden files in the
tests hold their text."""


def make_schema(con: psycopg.Connection[Any], name: str, where: str) -> None:
    """Make the schema where there is none, and bring it to the newest version.

    Raises StoreError if a newer propense wrote it.
    """
    with con.transaction():
        # Of workers that start together only one migrates.
        con.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"propense {name}"])
        # "IF NOT EXISTS" would need the right to create schemas even where the schema exists.
        if not schema_exists(con, name):
            con.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        con.execute("CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL)")
        row = con.execute("SELECT version FROM schema_version").fetchone()
        version = 0 if row is None else row[0]
        if version > len(MIGRATIONS):
            raise StoreError(
                f"live history {where} has version {version}, this propense reads up to "
                f"{len(MIGRATIONS)}; run the propense that wrote it, or a newer one"
            )
        for step in MIGRATIONS[version:]:
            con.execute(step.encode())
        if version < len(MIGRATIONS):
            con.execute("DELETE FROM schema_version")
            con.execute("INSERT INTO schema_version VALUES (%s)", [len(MIGRATIONS)])


def schema_exists(con: psycopg.Connection[Any], name: str) -> bool:
    """Whether there is a schema of that name."""
    row = con.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name]).fetchone()
    return row is not None
