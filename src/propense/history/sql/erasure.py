"""Deletes all rows of one customer from a store of tables, live and loaded ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from propense.history.records import Erased
from propense.history.sql.past import past_rows
from propense.history.sql.transaction import Tables, dict_of, names_of

_LIVE: Final = (
    "SELECT c.key, c.user_id, c.names, c.traits FROM names n"
    " JOIN customers c ON c.key = n.customer WHERE n.name"
)
_SHORTEST_TEXT: Final = 6
"""Shorter texts of a profile are words that many customers share: finding one in a file does not
show that it belongs to this customer."""


def erase_rows(tables: Tables, user_id: str) -> tuple[Erased, list[bytes]]:
    """Delete every row of the customer with this id, inside the caller's transaction.

    Returns how many there were, and traces: bytes that must not remain in the files.
    """
    live, past, names = _parts_of(tables, user_id)
    traits: dict[str, Any] = {}
    for row in (*past, *live):
        traits |= dict_of(row[3])
    events = sum(row[4] for row in past)
    messages: list[Any] = []
    for key, *_ in live:
        messages += tables.execute(
            "SELECT message FROM events WHERE customer = ?"
            " UNION SELECT key FROM quiet_messages WHERE customer = ?",
            (key, key),
        ).fetchall()
        tables.execute("DELETE FROM quiet_messages WHERE customer = ?", (key,))
        events += tables.execute("DELETE FROM events WHERE customer = ?", (key,)).rowcount
        tables.execute("DELETE FROM customers WHERE key = ?", (key,))
    tables.each("DELETE FROM messages WHERE key = ?", messages)
    for key, *_ in past:
        tables.execute("DELETE FROM past_customers WHERE key = ?", (key,))
    decisions = 0
    for name in names:
        tables.execute("DELETE FROM names WHERE name = ?", (name,))
        tables.execute("DELETE FROM past_names WHERE name = ?", (name,))
        decisions += tables.execute("DELETE FROM decisions WHERE user_id = ?", (name,)).rowcount
    if not live and not past and not decisions:
        return Erased(), []
    traces = [name.encode() for name in names] + [message[0] for message in messages]
    traces += [text.encode() for text in _texts(traits) if len(text) >= _SHORTEST_TEXT]
    erased = Erased(events=events, traits=len(traits), names=len(names) - 1, decisions=decisions)
    return erased, [trace for trace in traces if trace]


def _parts_of(tables: Tables, user_id: str) -> tuple[list[Any], list[Any], list[str]]:
    """(key, user_id, names, traits) of every live history and past that shares a name with this
    one, through any number of others; a past also has its number of events. And all names."""
    names, n_asked = [user_id], 0
    live: dict[int, Any] = {}
    past: dict[int, Any] = {}
    while n_asked < len(names):
        new, n_asked = names[n_asked:], len(names)
        live |= {row[0]: row for row in tables.find(_LIVE, new)}
        past |= {row[0]: row for row in past_rows(tables, new)}
        for row in (*live.values(), *past.values()):
            names += [row[1], *names_of(row[2])]
        names = list(dict.fromkeys(names))
    return list(live.values()), list(past.values()), names


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
