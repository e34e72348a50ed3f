"""Tables and views of a PostgreSQL history: those of SQLite, in a schema of their own."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from propense.errors import StoreError

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


def _moment(column: str) -> str:
    """ISO 8601 text of microseconds; null outside the years that such text can say."""
    return (
        f"CASE WHEN {column} BETWEEN -62135596800000000 AND 253402300799999999 THEN"
        f" to_char(timestamp '1970-01-01' + {column} / 1000000 * interval '1 second'"
        f" + {column} % 1000000 * interval '1 microsecond',"
        ' \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') END'
    )


_MAY_TRAIN: Final = (
    "coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1"
    " AND substr({user}, 1, 7) <> 'verify:'"
)
_OWN: Final = _MAY_TRAIN.format(user="c.user_id")

_VIEWS: Final = f"""
CREATE VIEW live_events AS
    SELECT c.user_id, e.item_id, e.action, {_moment("e.event_time")} AS event_time,
           e.value / 1000000.0::double precision AS value, e.count, e.source,
           encode(e.message, 'hex') || '-' || e.part AS event_id
    FROM events e JOIN customers c ON c.key = e.customer
    WHERE {_OWN};
CREATE VIEW live_identities AS
    SELECT c.user_id, n.name AS alias
    FROM names n JOIN customers c ON c.key = n.customer
    WHERE n.name <> c.user_id AND {_OWN};
CREATE VIEW live_users AS
    SELECT c.user_id, coalesce(c.traits, '{{}}') AS traits
    FROM customers c
    WHERE {_OWN};
CREATE VIEW live_impressions AS
    SELECT coalesce(c.user_id, d.user_id) AS user_id, i.value AS item_id, i.place AS position,
           (d.p_action::json ->> (i.place - 1)::integer)::double precision AS p_action, d.policy,
           {_moment("d.time")} AS time, NULL::text AS outcome
    FROM decisions d
    LEFT JOIN names n ON n.name = d.user_id
    LEFT JOIN customers c ON c.key = n.customer
    CROSS JOIN LATERAL json_array_elements_text(d.items::json) WITH ORDINALITY AS i(value, place)
    WHERE {_MAY_TRAIN.format(user="coalesce(c.user_id, d.user_id)")};
CREATE VIEW live_state AS
    WITH own AS (
        SELECT coalesce(max(greatest(c.version, coalesce(
                   (SELECT max(seq) FROM events WHERE customer = c.key), 0))), 0)
               || ' ' || count(*) || ' '
               || (SELECT consent_required FROM state) AS state
        FROM customers c WHERE {_OWN}
    ), shown AS (
        SELECT coalesce(max(seq), 0) || ' ' || count(*) AS state
        FROM decisions WHERE substr(user_id, 1, 7) <> 'verify:'
    )
    SELECT 'live_events' AS view, state FROM own
    UNION ALL SELECT 'live_identities', state FROM own
    UNION ALL SELECT 'live_users', state FROM own
    UNION ALL SELECT 'live_impressions', own.state || ' ' || shown.state FROM own, shown;
"""

MIGRATIONS: Final = (_TABLES, _VIEWS)
"""The n-th takes a schema from version n - 1 to n; none is ever changed."""


def make_schema(con: psycopg.Connection[Any], name: str, where: str) -> None:
    """Make the schema where it is not there, and bring it to the newest version.

    Raises StoreError if a newer propense wrote it.
    """
    with con.transaction():
        # Workers that start together take turns.
        con.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"propense {name}"])
        # No "IF NOT EXISTS": that asks for the right to make one even where it is there.
        if not schema_exists(con, name):
            con.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        con.execute("CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL)")
        row = con.execute("SELECT version FROM schema_version").fetchone()
        found = 0 if row is None else row[0]
        if found > len(MIGRATIONS):
            raise StoreError(
                f"live history {where} has version {found}, this propense knows up to "
                f"{len(MIGRATIONS)}; run the propense that wrote it, or a newer one"
            )
        for step in MIGRATIONS[found:]:
            con.execute(step.encode())
        if found < len(MIGRATIONS):
            con.execute("DELETE FROM schema_version")
            con.execute("INSERT INTO schema_version VALUES (%s)", [len(MIGRATIONS)])


def schema_exists(con: psycopg.Connection[Any], name: str) -> bool:
    """Whether there is a schema of that name."""
    found = con.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [name]).fetchone()
    return found is not None
