"""Tables and views of a SQLite history, and how an older file becomes a newer one."""

from __future__ import annotations

import sqlite3
from typing import Final

from propense.errors import StoreError

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
# `state.seq` counts events and changes alike: a customer's version is the greater of
# `customers.version` and the `seq` of their last event, and when they were seen is the widest of
# `customers` and their events. So a deed of events alone writes no row of `customers`, which
# halves the pages that a group touches.
# `events.message` finds the message keys of a customer; `quiet_messages` those without events.


def _moment(column: str) -> str:
    """ISO 8601 text of microseconds, also before 1970, where a remainder is negative."""
    part = f"(({column} % 1000000 + 1000000) % 1000000)"
    return (
        f"strftime('%Y-%m-%dT%H:%M:%S', ({column} - {part}) / 1000000, 'unixepoch')"
        f" || printf('.%06dZ', {part})"
    )


_MAY_TRAIN: Final = (
    "coalesce(c.train, 1 - (SELECT consent_required FROM state)) = 1"
    " AND substr({user}, 1, 7) <> 'verify:'"
)
_OWN: Final = _MAY_TRAIN.format(user="c.user_id")

_VIEWS: Final = f"""
CREATE VIEW live_events AS
    SELECT c.user_id, e.item_id, e.action, {_moment("e.event_time")} AS event_time,
           e.value / 1000000.0 AS value, e.count, e.source,
           lower(hex(e.message)) || '-' || e.part AS event_id
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
    SELECT coalesce(c.user_id, d.user_id) AS user_id, i.value AS item_id, i.key + 1 AS position,
           json_extract(d.p_action, '$[' || i.key || ']') AS p_action, d.policy,
           {_moment("d.time")} AS time, NULL AS outcome
    FROM decisions d
    LEFT JOIN names n ON n.name = d.user_id
    LEFT JOIN customers c ON c.key = n.customer,
    json_each(d.items) i
    WHERE {_MAY_TRAIN.format(user="coalesce(c.user_id, d.user_id)")};
"""

_STATE: Final = f"""
CREATE VIEW live_state AS
    WITH own AS (
        SELECT coalesce(max(max(c.version, coalesce(
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
# What each view holds, in a word that is another one after every change of it: whoever comes or
# changes has a new version, and whoever goes is one less.

MIGRATIONS: Final = (_TABLES, _VIEWS, _STATE)
"""The n-th takes a file from version n - 1 to n; none is ever changed."""


def migrate(con: sqlite3.Connection, where: str) -> None:
    """Bring a file to the newest version, all steps or none.

    Raises StoreError if a newer propense wrote it.
    """
    (found,) = con.execute("PRAGMA user_version").fetchone()
    if found > len(MIGRATIONS):
        raise StoreError(
            f"live history {where} has version {found}, this propense knows up to "
            f"{len(MIGRATIONS)}; run the propense that wrote it, or a newer one"
        )
    if found == len(MIGRATIONS):
        return
    con.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been quicker.
        (found,) = con.execute("PRAGMA user_version").fetchone()
        for step in MIGRATIONS[found:]:
            for statement in step.split(";\n"):
                if statement.strip():
                    con.execute(statement)
        con.execute(f"PRAGMA user_version = {max(found, len(MIGRATIONS))}")
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
