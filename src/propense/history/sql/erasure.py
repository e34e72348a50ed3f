"""Deletes all rows of one customer from a store of tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from propense.history.records import Erased
from propense.history.sql.transaction import Tables, dict_of, names_of

_SHORTEST_TEXT: Final = 6
"""Shorter texts of a profile are words that many customers share: finding one in a file does not
show that it belongs to this customer."""


def erase_rows(tables: Tables, user_id: str) -> tuple[Erased, list[bytes]]:
    """Delete every row of the customer with this id, inside the caller's transaction.

    Returns how many there were, and traces: bytes that must not remain in the files.
    """
    row = tables.execute(
        "SELECT c.key, c.user_id, c.names, c.traits FROM names n"
        " JOIN customers c ON c.key = n.customer WHERE n.name = ?",
        (user_id,),
    ).fetchone()
    key, names, traits = -1, [user_id], dict[str, Any]()
    if row is not None:
        key, names, traits = row[0], [row[1], *names_of(row[2])], dict_of(row[3])
    messages = tables.execute(
        "SELECT message FROM events WHERE customer = ?"
        " UNION SELECT key FROM quiet_messages WHERE customer = ?",
        (key, key),
    ).fetchall()
    tables.each("DELETE FROM messages WHERE key = ?", messages)
    tables.execute("DELETE FROM quiet_messages WHERE customer = ?", (key,))
    events = tables.execute("DELETE FROM events WHERE customer = ?", (key,)).rowcount
    tables.execute("DELETE FROM customers WHERE key = ?", (key,))
    decisions = 0
    for name in names:
        tables.execute("DELETE FROM names WHERE name = ?", (name,))
        decisions += tables.execute("DELETE FROM decisions WHERE user_id = ?", (name,)).rowcount
    if row is None and not decisions:
        return Erased(), []
    traces = [name.encode() for name in names] + [message[0] for message in messages]
    traces += [text.encode() for text in _texts(traits) if len(text) >= _SHORTEST_TEXT]
    erased = Erased(events=events, traits=len(traits), names=len(names) - 1, decisions=decisions)
    return erased, [trace for trace in traces if trace]


def _texts(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
