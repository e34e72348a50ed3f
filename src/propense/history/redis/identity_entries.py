"""Names and profiles in the keys of a Redis history, written and read whole, as for a backup."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

import msgspec

from propense.history.merging import Profile, bounds_of, profile_text, read_profile
from propense.history.redis.entries import pairs


class NameRow(NamedTuple):
    """A name of a customer, with its messages."""

    name: str
    member: int | None
    kind: int | None
    joined: int | None
    trusted: int | None
    unlinked: int | None
    messages: list[tuple[bytes, int, bytes]]
    """Key, receipt and content of each that is remembered."""


def put_identity(copy: sqlite3.Connection, key: int, record: list[Any]) -> None:
    """Write names, messages and profiles of a whole record to a backup."""
    rows = _names(record)
    copy.executemany(
        "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(row.name, key, *row[1:6]) for row in rows],
    )
    copy.executemany(
        "INSERT OR REPLACE INTO messages VALUES (?, ?, ?)",
        [message for row in rows for message in row.messages],
    )
    copy.executemany(
        "INSERT INTO profiles VALUES (?, ?, ?)",
        [(key, int(member), profile_text(_unpacked(cell))) for member, cell in pairs(record[11])],
    )


def drop_identity(copy: sqlite3.Connection, key: int) -> None:
    """Remove them from the backup."""
    for (name,) in copy.execute("SELECT name FROM names WHERE customer = ?", (key,)).fetchall():
        copy.execute("DELETE FROM messages WHERE key >= ? AND key < ?", bounds_of(name))
    for table in ("names", "profiles"):
        copy.execute(f"DELETE FROM {table} WHERE customer = ?", (key,))


def with_own_keys(copy: sqlite3.Connection, member: int) -> int:
    """Give each customer of a backup the key that SQL stores give: the member of the main name, or
    a number that is no member. Returns the last number that is used."""
    rows = copy.execute(
        "SELECT c.key, n.member FROM customers c JOIN names n ON n.name = c.user_id"
    ).fetchall()
    number = max([member, *(key for key, _ in rows)], default=0)
    steps = []
    for key, own in rows:
        number += own is None
        steps.append((-key, key, number if own is None else own))
    for table, column in (
        ("customers", "key"), ("names", "customer"), ("events", "customer"),
        ("profiles", "customer"), ("quiet_messages", "customer"),
    ):  # fmt: skip
        sql = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
        # In two steps, since a key of before may be one of after.
        copy.executemany(sql, [(between, key) for between, key, _ in steps])
        copy.executemany(sql, [(own, between) for between, _, own in steps])
    return number


def send_identity(
    copy: sqlite3.Connection, pipe: Any, prefix: str, key: int, names: list[str]
) -> None:
    """Write names, messages and profiles of a customer of a backup to the server."""
    for member, text in copy.execute(
        "SELECT member, profile FROM profiles WHERE customer = ?", (key,)
    ):
        pipe.hset(f"{prefix}p:{names[0]}", member, _packed(read_profile(text)))
    for name in names:
        row = copy.execute(
            "SELECT member, kind, joined, trusted, unlinked FROM names WHERE name = ?", (name,)
        ).fetchone()
        cells = {word: cell for word, cell in zip("mkjta", row, strict=True) if cell is not None}
        if cells:
            pipe.hset(f"{prefix}v:{name}", mapping=cells)
        for message, received in copy.execute(
            "SELECT key, received FROM messages WHERE key >= ? AND key < ?", bounds_of(name)
        ):
            pipe.zadd(f"{prefix}a:{name}", {message: received})


def _names(record: list[Any]) -> list[NameRow]:
    rows = []
    for name, cells, keys, contents in record[10]:
        messages = [
            (key, int(float(received)), bytes.fromhex(content.decode()))
            for (key, received), content in zip(pairs(keys), contents, strict=True)
        ]
        member, kind, joined, trusted, unlinked = (
            None if cell is None else int(cell) for cell in cells
        )
        rows.append(NameRow(name.decode(), member, kind, joined, trusted, unlinked, messages))
    return rows


def _unpacked(packed: bytes) -> Profile:
    parts: dict[str, Any] = msgspec.msgpack.decode(packed)
    # The server packs an empty object as an empty list.
    traits, consent = (parts[word] or {} for word in ("t", "k"))
    return Profile(
        {name: (int(time), msgspec.Raw(text.encode())) for name, (time, text) in traits.items()},
        {purpose: (int(time), flag) for purpose, (time, flag) in consent.items()},
    )


def _packed(profile: Profile) -> bytes:
    traits = {name: (time, bytes(raw).decode()) for name, (time, raw) in profile.traits.items()}
    return msgspec.msgpack.encode({"t": traits, "k": profile.consent})
