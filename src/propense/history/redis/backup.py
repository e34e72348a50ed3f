"""Writes a Redis history to a backup file, and makes one from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from propense.errors import StoreError
from propense.history.merging import to_json
from propense.history.records import Customer, LiveEvent
from propense.history.redis.entries import (
    event_json,
    member_of,
    pairs,
    read_customer,
    read_decision,
    read_event,
    read_quiet,
)
from propense.history.redis.identity_entries import (
    drop_identity,
    put_identity,
    send_identity,
    with_own_keys,
)
from propense.history.sql.tables import dict_of, names_of, train_flag
from propense.history.sqlite.backup import AHEAD, new_copy, open_backup

RESTORING: Final = "restoring"
"""Field of the state during a restoration: a second attempt would add the events again."""
_PAGE: Final = 200
_REMEMBER_MS: Final = 30 * 86_400_000
"""For so long a restored message id is remembered."""


def copy_out(
    call: Callable[..., list[Any]],
    call_controls: Callable[..., list[Any]],
    path: Path,
    remember: int,
) -> None:
    """Write the backup. `call` runs the script COPY, `call_controls` the script COPY_CONTROLS;
    `remember` is in microseconds."""
    with new_copy(path) as copy:
        keys: dict[str, int] = {}
        after = decided_after = "0"
        while True:
            customers, decisions, after, decided_after = _decoded(call(after, decided_after, "0"))
            _put(copy, keys, customers, decisions)
            if len(customers) < _PAGE and len(decisions) < _PAGE:
                break
        customers, decisions, _, _, ids, decided_ids, hashes, state = _decoded(
            call(after, decided_after, "1")
        )
        _put(copy, keys, customers, decisions)
        for user_id in keys.keys() - {name.decode() for name in ids}:
            _drop(copy, keys[user_id])
        present = {name.decode() for name in decided_ids}
        copied = [name for (name,) in copy.execute("SELECT DISTINCT user_id FROM decisions")]
        gone = [(name,) for name in copied if name not in present]
        copy.executemany("DELETE FROM decisions WHERE user_id = ?", gone)
        seq, latest, required, member = (int(cell or 0) for cell in state)
        for source in (
            "SELECT message, received, NULL FROM events WHERE member IS NULL AND",
            "SELECT key, received, NULL FROM quiet_messages WHERE",
        ):
            copy.execute(
                f"INSERT OR IGNORE INTO messages {source} received >= ?", (latest - remember,)
            )
        (unscoped,) = copy.execute(
            "SELECT coalesce(max(received), 0) FROM messages WHERE content IS NULL"
        ).fetchone()
        copy.executemany(
            "INSERT INTO suppressed VALUES (?)", [(bytes.fromhex(one.decode()),) for one in hashes]
        )
        newest = with_own_keys(copy, member)
        copy.execute(
            "INSERT INTO state VALUES (0, ?, ?, ?, ?, ?)",
            (newest, seq, latest, required, unscoped),
        )
        _put_controls(copy, *call_controls())


def _put_controls(
    copy: sqlite3.Connection, kinds: list[Any], records: list[Any], removed: list[Any]
) -> None:
    removals = {kind: int(number) for kind, number in pairs(removed)}
    for (kind, number), cells in zip(pairs(kinds), records, strict=True):
        name = kind.decode()
        copy.execute(
            "INSERT INTO control_kinds VALUES (?, ?, ?)",
            (name, int(number), removals.get(kind, 0)),
        )
        for key, cell in pairs(cells):
            version, _, value = cell.partition(b" ")
            copy.execute(
                "INSERT INTO controls VALUES (?, ?, ?, ?)",
                (name, key.decode(), int(version), value),
            )


def _decoded(reply: list[Any]) -> list[Any]:
    """The reply of COPY with its two numbers as text."""
    reply[2:4] = [cell.decode() for cell in reply[2:4]]
    return reply


def _put(
    copy: sqlite3.Connection, keys: dict[str, int], customers: list[Any], decisions: list[Any]
) -> None:
    """Write customers and decisions in place of what was copied of them before."""
    for record in customers:
        one = read_customer(record)
        key = keys.setdefault(one.user_id, len(keys) + 1)
        _drop(copy, key)
        _put_customer(copy, key, one)
        put_identity(copy, key, record)
        copy.executemany(
            "INSERT INTO quiet_messages VALUES (?, ?, ?)",
            [(key, message, received) for message, received in read_quiet(record)],
        )
        copy.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (key, seq, event.event_time, event.action, event.item_id, event.value,
                 event.count, event.source, event.received, message, event.part, member_of(entry))
                for entry in record[7] for message, seq, event in [read_event(entry)]
            ],
        )  # fmt: skip
    for name, entries in decisions:
        user_id = name.decode()
        copy.execute("DELETE FROM decisions WHERE user_id = ?", (user_id,))
        copy.executemany(
            "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (user_id, seq, one.time, one.scenario, one.bundle, one.policy,
                 _json(one.items), _json(one.p_action))
                for seq, one in map(read_decision, entries)
            ],
        )  # fmt: skip


def _put_customer(copy: sqlite3.Connection, key: int, one: Customer) -> None:
    copy.execute(
        "INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (key, one.user_id, one.version, one.first_seen, one.last_seen, to_json(one.traits),
         to_json(one.consent), to_json(one.names), train_flag(one.consent)),
    )  # fmt: skip


def _drop(copy: sqlite3.Connection, key: int) -> None:
    copy.execute("DELETE FROM customers WHERE key = ?", (key,))
    drop_identity(copy, key)
    for table in ("events", "quiet_messages"):
        copy.execute(f"DELETE FROM {table} WHERE customer = ?", (key,))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def restore_keys(client: Any, prefix: str, where: str, backup: Path) -> None:
    """Make the keys from a backup, the state last.

    Raises StoreError where there is a state, or an earlier attempt was stopped.
    """
    with open_backup(backup) as copy:
        seq = client.hget(prefix + "state", "seq")
        has_data = seq not in (None, b"0") or client.exists(prefix + "controls")
        if has_data or not client.hsetnx(prefix + "state", RESTORING, 1):
            raise StoreError(
                f"live history {where} has data already; stop the service and delete the keys that "
                f"begin with {prefix!r}, then restore"
            )
        pipe = client.pipeline(transaction=False)
        for row in copy.execute(
            "SELECT c.key, c.user_id, c.first_seen, c.last_seen, c.traits, c.consent, c.names,"
            " max(c.version, coalesce((SELECT max(seq) FROM events WHERE customer = c.key), 0))"
            " FROM customers c"
        ):
            _send_customer(copy, pipe, prefix, row)
            pipe.execute()
        for user_id, seq, *cells, items, p_action in copy.execute(
            "SELECT * FROM decisions ORDER BY user_id, seq"
        ):
            text = ",".join([*(_json(cell) for cell in cells), items, p_action])
            pipe.rpush(f"{prefix}d:{user_id}", f"{seq} [{text}]")
            pipe.zadd(prefix + "dids", {user_id: seq})
            _flush(pipe)
        for key, content in copy.execute("SELECT key, content FROM messages"):
            text = "" if content is None else content.hex()
            pipe.set(prefix.encode() + b"m:" + key, text, px=_REMEMBER_MS)
            _flush(pipe)
        for (suppressed,) in copy.execute("SELECT mark FROM suppressed"):
            pipe.sadd(prefix + "suppressed", suppressed.hex())
            _flush(pipe)
        _send_controls(copy, pipe, prefix)
        seq, latest, required, member = copy.execute(
            "SELECT seq, latest, consent_required, customer FROM state"
        ).fetchone()
        state = {
            "seq": seq + AHEAD, "latest": latest, "consent_required": required, "member": member,
        }  # fmt: skip
        pipe.hset(prefix + "state", mapping=state)
        pipe.hdel(prefix + "state", RESTORING)
        pipe.execute()


def _send_controls(copy: sqlite3.Connection, pipe: Any, prefix: str) -> None:
    for kind, number in copy.execute("SELECT kind, number FROM control_kinds"):
        pipe.hset(prefix + "controls", kind, number + AHEAD)
        pipe.hset(prefix + "removed_controls", kind, number + AHEAD)
    for kind, key, version, value in copy.execute("SELECT kind, key, version, value FROM controls"):
        pipe.hset(f"{prefix}ctl:{kind}", key, f"{version} ".encode() + value)
        pipe.zadd(f"{prefix}ctlv:{kind}", {key: version})
        _flush(pipe)


def _flush(pipe: Any) -> None:
    if len(pipe) >= 1_000:
        pipe.execute()


def _send_customer(copy: sqlite3.Connection, pipe: Any, prefix: str, row: Any) -> None:
    key, user_id, first, last, traits, consent, names, version = row
    span = copy.execute(
        "SELECT min(received), max(received) FROM events WHERE customer = ?", (key,)
    ).fetchone()
    if span[0] is not None:
        first, last = min(first, span[0]), max(last, span[1])
    pipe.hset(f"{prefix}c:{user_id}", mapping={"first": first, "last": last})
    for name, value in dict_of(traits).items():
        pipe.hset(f"{prefix}t:{user_id}", name, msgspec.json.encode(value))
    for purpose, flag in dict_of(consent).items():
        pipe.hset(f"{prefix}k:{user_id}", purpose, "1" if flag else "0")
    for name in names_of(names):
        pipe.rpush(f"{prefix}n:{user_id}", name)
        pipe.set(f"{prefix}id:{name}", user_id)
    pipe.set(f"{prefix}id:{user_id}", user_id)
    pipe.zadd(prefix + "ids", {user_id: version})
    for seq, *cells, received, message, part, member in copy.execute(
        "SELECT seq, event_time, action, item_id, value, count, source, received, message, part,"
        " member FROM events WHERE customer = ? ORDER BY seq",
        (key,),
    ):
        text = event_json(LiveEvent(*cells), received, part)
        numbers = f"{seq} " if member is None else f"{seq}:{member} "
        pipe.rpush(f"{prefix}e:{user_id}", message + numbers.encode() + text)
    send_identity(copy, pipe, prefix, key, [user_id, *names_of(names)])
    for message, received in copy.execute(
        "SELECT key, received FROM quiet_messages WHERE customer = ?", (key,)
    ):
        pipe.zadd(f"{prefix}q:{user_id}", {message: received})
