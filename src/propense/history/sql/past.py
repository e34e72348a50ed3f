"""The pasts that were loaded from a run, in the tables of a SQL store."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from propense.history.merging import to_json
from propense.history.past import PastCustomer, StoredPast, read_past
from propense.history.sql.tables import Tables, Transact, names_of

TABLES: Final = """
CREATE TABLE past_state (
    id {integer} PRIMARY KEY CHECK (id = 0),
    customer {integer} NOT NULL,
    version {integer} NOT NULL,
    progress {bytes} NOT NULL
);
INSERT INTO past_state VALUES (0, 0, 0, '');
CREATE TABLE past_customers (
    key {integer} PRIMARY KEY,
    user_id {text} NOT NULL UNIQUE,
    version {integer} NOT NULL,
    digest {bytes} NOT NULL,
    names {text},
    traits {text},
    events {bytes} NOT NULL
);
CREATE TABLE past_names (
    name {text} PRIMARY KEY,
    customer {integer} NOT NULL
){without_rowid};
"""
"""A format; the names of types, and what ends a table without a row number."""

_FIND: Final = (
    "SELECT c.user_id, c.version, c.names, c.traits, c.events FROM past_names n"
    " JOIN past_customers c ON c.key = n.customer WHERE n.name"
)
_VERSIONS: Final = (
    "SELECT n.name, c.version FROM past_names n"
    " JOIN past_customers c ON c.key = n.customer WHERE n.name"
)
_OF_IDS: Final = "SELECT user_id, key, digest, names FROM past_customers WHERE user_id"
_SUPPRESSED: Final = "SELECT mark FROM suppressed WHERE mark"
_MESSAGES: Final = (
    "SELECT e.seq, e.message, e.part FROM events e"
    " JOIN names n ON n.customer = e.customer WHERE n.name"
)
_PAGE: Final = 5_000


class SqlPast:
    """See PastLayer."""

    def __init__(
        self, read: Transact, write: Transact, suppression_hash: Callable[[str], bytes]
    ) -> None:
        """`write` is the store's only writing transaction, so that an erasure comes before a
        whole `put` or after it."""
        self._read = read
        self._write = write
        self._suppression_hash = suppression_hash

    def find(self, names: Sequence[str]) -> list[StoredPast]:
        """See PastLayer."""
        names = _storable(names)
        rows = self._read(lambda tables: tables.find(_FIND, names))
        return [
            read_past(user_id, version, tuple(names_of(others)), traits, events)
            for user_id, version, others, traits, events in {row[0]: row for row in rows}.values()
        ]

    def versions(self, names: Sequence[str]) -> dict[str, int]:
        """See PastLayer."""
        names = _storable(names)
        return dict(self._read(lambda tables: tables.find(_VERSIONS, names)))

    def put(self, customers: Sequence[PastCustomer], progress: bytes) -> int:
        """See PastLayer."""
        return self._write(lambda tables: self._put(tables, customers, progress))

    def remove(self, user_ids: Sequence[str]) -> int:
        """See PastLayer."""
        return self._write(lambda tables: _remove(tables, tables.find(_OF_IDS, user_ids)))

    def user_ids(self) -> Iterator[list[str]]:
        """See PastLayer. May miss those that are loaded or removed meanwhile."""
        last = -1
        while True:
            rows = self._read(functools.partial(_page, last=last))
            if not rows:
                return
            yield [row[1] for row in rows]
            last = rows[-1][0]

    def is_empty(self) -> bool:
        """See PastLayer."""
        sql = "SELECT 1 FROM past_customers LIMIT 1"
        return self._read(lambda tables: tables.execute(sql).fetchone()) is None

    def progress(self) -> bytes:
        """See PastLayer."""
        sql = "SELECT progress FROM past_state"
        cell = self._read(lambda tables: tables.execute(sql).fetchone())[0]
        return cell.encode() if isinstance(cell, str) else bytes(cell)

    def note(self, progress: bytes) -> None:
        """See PastLayer."""
        self._write(
            lambda tables: tables.execute("UPDATE past_state SET progress = ?", (progress,))
        )

    def live_messages(self, user_id: str) -> list[tuple[bytes, int]]:
        """See PastLayer."""
        rows = self._read(lambda tables: tables.find(_MESSAGES, _storable([user_id])))
        return [(bytes(message), part) for _, message, part in sorted(rows)]

    def _put(self, tables: Tables, customers: Sequence[PastCustomer], progress: bytes) -> int:
        customers = self._allowed(tables, customers)
        before = {row[0]: row for row in tables.find(_OF_IDS, [one.user_id for one in customers])}
        changed = [
            one
            for one in customers
            if one.user_id not in before or bytes(before[one.user_id][2]) != one.digest
        ]
        _remove(tables, [before[one.user_id] for one in changed if one.user_id in before])
        key, version = tables.execute("SELECT customer, version FROM past_state").fetchone()
        rows: list[tuple[Any, ...]] = []
        names: dict[str, int] = {}
        for number, one in enumerate(changed, 1):
            rows.append(
                (key + number, one.user_id, version + number, one.digest, to_json(one.names),
                 one.traits.decode(), one.events)
            )  # fmt: skip
            names.update(dict.fromkeys((one.user_id, *one.names), key + number))
        tables.insert("past_customers", rows)
        tables.each("DELETE FROM past_names WHERE name = ?", self._of_others(tables, list(names)))
        tables.insert("past_names", sorted(names.items()))
        tables.execute(
            "UPDATE past_state SET customer = ?, version = ?, progress = ?",
            (key + len(changed), version + len(changed), progress),
        )
        return len(changed)

    @staticmethod
    def _of_others(tables: Tables, names: list[str]) -> list[tuple[str]]:
        """Names that belonged to another customer until now."""
        rows = tables.find("SELECT name FROM past_names WHERE name", names)
        return [(row[0],) for row in rows]

    def _allowed(self, tables: Tables, customers: Sequence[PastCustomer]) -> list[PastCustomer]:
        """Without those who are suppressed under any name. Hashes nothing while no id is."""
        if tables.execute("SELECT 1 FROM suppressed LIMIT 1").fetchone() is None:
            return list(customers)
        hashes = {
            one.user_id: [self._suppression_hash(name) for name in (one.user_id, *one.names)]
            for one in customers
        }
        asked = [one for some in hashes.values() for one in some]
        suppressed = {bytes(row[0]) for row in tables.find(_SUPPRESSED, asked)}
        return [one for one in customers if suppressed.isdisjoint(hashes[one.user_id])]


def _remove(tables: Tables, rows: Sequence[tuple[Any, ...]]) -> int:
    """Remove pasts by their rows of `_OF_IDS`."""
    if rows:
        tables.each(
            "DELETE FROM past_names WHERE name = ? AND customer = ?",
            [(name, row[1]) for row in rows for name in (row[0], *names_of(row[3]))],
        )
        tables.each("DELETE FROM past_customers WHERE key = ?", [(row[1],) for row in rows])
    return len(rows)


def _page(tables: Tables, last: int) -> list[Any]:
    return tables.execute(
        f"SELECT key, user_id FROM past_customers WHERE key > ? ORDER BY key LIMIT {_PAGE}",
        (last,),
    ).fetchall()


def past_rows(tables: Tables, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """(key, user_id, other names as JSON, traits as JSON, number of events) of the pasts of
    these names."""
    rows = tables.find(
        "SELECT c.key, c.user_id, c.names, c.traits, c.events FROM past_names n"
        " JOIN past_customers c ON c.key = n.customer WHERE n.name",
        names,
    )
    decode = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
    return [(*row[:4], len(decode(row[4]))) for row in rows]


def _storable(names: Sequence[str]) -> list[str]:
    """Ids that a database can be asked for."""
    return [name for name in names if "\0" not in name]
