"""Deletes from a store of tables what is older than a company keeps it.

Old rows are searched page by page without the lock of writers, and deleted a hundred customers at a
time, so that no sender waits long.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

from propense.history.merging import read_profile
from propense.history.retention import Expired, Oldest
from propense.history.sql.profiles import Profiles
from propense.history.sql.tables import Tables, Transact, names_of

_PAGE: Final = 1_000
_AT_ONCE: Final = 100
_CUSTOMERS: Final = f"SELECT key FROM customers WHERE key > ? ORDER BY key LIMIT {_PAGE}"
_WITH_OLD_EVENTS: Final = (
    "SELECT DISTINCT customer FROM events WHERE customer >= ? AND customer <= ? AND event_time < ?"
)
_PROFILES: Final = "SELECT customer, profile FROM profiles WHERE customer >= ? AND customer <= ?"
_BARE: Final = (
    "SELECT key FROM customers c WHERE key >= ? AND key <= ? AND last_seen < ? AND traits IS NOT"
    " NULL AND NOT EXISTS (SELECT 1 FROM profiles WHERE customer = c.key)"
)
"""Customers of an earlier version, whose traits were stated when they were last seen."""
_HAS_NOTHING: Final = (
    " last_seen < ? AND traits IS NULL AND consent IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM events WHERE customer = c.key)"
)
_WITH_NOTHING: Final = f"SELECT key FROM customers c WHERE key >= ? AND key <= ? AND{_HAS_NOTHING}"
_IS_NOTHING: Final = f"SELECT user_id, names FROM customers c WHERE key = ? AND{_HAS_NOTHING}"
_LATER: Final = (
    "UPDATE customers SET version = ?,"
    " last_seen = CASE WHEN last_seen < ? THEN ? ELSE last_seen END WHERE key = ?"
)
_DECISIONS: Final = (
    "SELECT user_id, seq, time FROM decisions WHERE (user_id, seq) > (?, ?)"
    f" ORDER BY user_id, seq LIMIT {_PAGE}"
)


def expire_rows(read: Transact, write: Transact, oldest: Oldest) -> Expired:
    """Delete what is older. Each write is a transaction of its own."""
    expired = Expired()
    if oldest.events is not None or oldest.traits is not None:
        last = -1
        while rows := read(functools.partial(_rows, sql=_CUSTOMERS, values=(last,))):
            first, last = rows[0][0], rows[-1][0]
            due = read(functools.partial(_due, span=(first, last), oldest=oldest))
            for start in range(0, len(due), _AT_ONCE):
                some = due[start : start + _AT_ONCE]
                expired += write(functools.partial(_expire, customers=some, oldest=oldest))
    if oldest.decisions is not None:
        expired += Expired(decisions=_expire_decisions(read, write, oldest.decisions))
    return expired


def _rows(tables: Tables, sql: str, values: Sequence[Any]) -> list[Any]:
    return tables.execute(sql, values).fetchall()


def _due(tables: Tables, span: tuple[int, int], oldest: Oldest) -> list[int]:
    """The customers of a span of keys who have something old."""
    due: set[int] = set()
    if oldest.events is not None:
        for sql in (_WITH_OLD_EVENTS, _WITH_NOTHING):
            due |= {key for (key,) in _rows(tables, sql, (*span, oldest.events))}
    if oldest.traits is not None:
        due |= {key for (key,) in _rows(tables, _BARE, (*span, oldest.traits))}
        due |= {
            key
            for key, text in _rows(tables, _PROFILES, span)
            if any(stated < oldest.traits for stated, _ in read_profile(text).traits.values())
        }
    return sorted(due)


def _expire(tables: Tables, customers: Sequence[int], oldest: Oldest) -> Expired:
    """Delete what is old of these customers, in one transaction."""
    (seq,) = tables.execute("SELECT seq FROM state").fetchone()
    n_events = n_removed = 0
    changed: dict[int, int] = {}
    if oldest.events is not None:
        for key in customers:
            (latest,) = tables.execute(
                "SELECT max(received) FROM events WHERE customer = ?", (key,)
            ).fetchone()
            n = tables.execute(
                "DELETE FROM events WHERE customer = ? AND event_time < ?", (key, oldest.events)
            ).rowcount
            if n:
                n_events += n
                changed[key] = latest
    n_traits = 0
    if oldest.traits is not None:
        by_customer = Profiles(tables, (0, 0)).expire(customers, oldest.traits)
        n_traits = sum(by_customer.values())
        changed = dict.fromkeys(by_customer, 0) | changed
    for key, latest in sorted(changed.items()):
        seq += 1
        tables.execute(_LATER, (seq, latest, latest, key))
    if oldest.events is not None:
        n_removed = sum(_remove_empty(tables, key, oldest.events) for key in customers)
    if changed or n_removed:
        tables.execute("UPDATE state SET seq = ?", (seq + n_removed,))
    return Expired(events=n_events, traits=n_traits, customers=n_removed)


def _remove_empty(tables: Tables, key: int, oldest: int) -> bool:
    """Remove a customer of whom nothing is left; returns whether it was one."""
    row = tables.execute(_IS_NOTHING, (key, oldest)).fetchone()
    if row is None:
        return False
    names = [(name,) for name in (row[0], *names_of(row[1]))]
    tables.each("DELETE FROM names WHERE name = ?", names)
    for table in ("quiet_messages", "profiles"):
        tables.execute(f"DELETE FROM {table} WHERE customer = ?", (key,))
    tables.execute("DELETE FROM customers WHERE key = ?", (key,))
    return True


def _expire_decisions(read: Transact, write: Transact, oldest: int) -> int:
    expired = 0
    last: tuple[str, int] = ("", -1)
    delete = "DELETE FROM decisions WHERE user_id = ? AND seq = ?"
    while rows := read(functools.partial(_rows, sql=_DECISIONS, values=last)):
        last = rows[-1][:2]
        old = [tuple(row[:2]) for row in rows if row[2] < oldest]
        if old:
            write(functools.partial(_each, sql=delete, rows=old))
            expired += len(old)
    return expired


def _each(tables: Tables, sql: str, rows: Sequence[Any]) -> None:
    tables.each(sql, rows)
