"""Deletes all rows of one customer from a store of tables, live and loaded ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from propense.history.merging import bounds_of, key_part, read_profile
from propense.history.records import Erased
from propense.history.sql.past import past_rows
from propense.history.sql.tables import Tables, dict_of, names_of

_LIVE: Final = (
    "SELECT c.key, c.user_id, c.names, c.traits, n.name, n.unlinked FROM names n"
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
    stated: list[bytes] = []
    for key, *_ in live:
        messages += tables.execute(
            "SELECT message FROM events WHERE customer = ?"
            " UNION SELECT key FROM quiet_messages WHERE customer = ?",
            (key, key),
        ).fetchall()
        for (text,) in tables.execute(
            "SELECT profile FROM profiles WHERE customer = ?", (key,)
        ).fetchall():
            stated += [bytes(raw) for _, raw in read_profile(text).traits.values()]
        for table in ("quiet_messages", "profiles"):
            tables.execute(f"DELETE FROM {table} WHERE customer = ?", (key,))
        events += tables.execute("DELETE FROM events WHERE customer = ?", (key,)).rowcount
        tables.execute("DELETE FROM customers WHERE key = ?", (key,))
    tables.each("DELETE FROM messages WHERE key = ?", messages)
    for key, main_id, others, *_ in past:
        tables.execute("DELETE FROM past_customers WHERE key = ?", (key,))
        tables.each(
            "DELETE FROM past_names WHERE name = ? AND customer = ?",
            [(name, key) for name in (main_id, *names_of(others))],
        )
    decisions = 0
    for name in names:
        tables.execute("DELETE FROM names WHERE name = ?", (name,))
        tables.execute("DELETE FROM past_names WHERE name = ?", (name,))
        tables.execute(
            "DELETE FROM messages WHERE key >= ? AND key < ?",
            bounds_of(name),
        )
        decisions += tables.execute("DELETE FROM decisions WHERE user_id = ?", (name,)).rowcount
    if not live and not past and not decisions:
        return Erased(), []
    traces = [name.encode() for name in names] + [message[0] for message in messages]
    traces += [key_part(name) for name in names]
    values = [*traits.values(), *(msgspec.json.decode(raw) for raw in stated)]
    traces += [text.encode() for text in _texts(values) if len(text) >= _SHORTEST_TEXT]
    erased = Erased(events=events, traits=len(traits), names=len(names) - 1, decisions=decisions)
    return erased, [trace for trace in traces if trace]


def _parts_of(tables: Tables, user_id: str) -> tuple[list[Any], list[Any], list[str]]:
    """(key, user_id, names, traits) of every live history and past that shares a name with this
    one, through any number of others; a past also has its number of events. And all names."""
    live: dict[int, Any] = {}
    past: dict[int, Any] = {}
    own, asked = {user_id: None}, set[str]()
    linked: dict[str, None] = {}
    foreign: set[str] = set()
    while new := [name for name in (*own, *linked) if name not in asked]:
        asked.update(new)
        rows = tables.find(_LIVE, new)
        # By a name that was given to another customer anew, nothing leads from past to live.
        unlinked = {row[4] for row in rows if row[5]}
        for row in rows:
            if row[4] in own or row[4] not in unlinked:
                live[row[0]] = row
                own |= dict.fromkeys([row[1], *names_of(row[2])])
            else:
                foreign.add(row[4])
        for row in past_rows(tables, [name for name in new if name not in unlinked]):
            past[row[0]] = row
            linked |= dict.fromkeys([row[1], *names_of(row[2])])
    return (
        list(live.values()),
        list(past.values()),
        [name for name in own | linked if name in own or name not in foreign],
    )


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
