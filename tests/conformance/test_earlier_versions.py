"""A store that an earlier version filled goes on: histories, profiles, names, repetitions."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from propense.history.records import Erased, LiveEvent
from propense.history.retention import Expired, Oldest
from propense.history.training_views import message_key
from support.live_stores import T0, Opened, event, held, update

ADA = {"city": "Lyon", "age": 31}
CONSENT = {"train": False}


def rows() -> list[tuple[str, tuple[Any, ...]]]:
    """What version 0.2 wrote: ada, who was the visitor v before, with two events and a profile; and
    bob, of whom only a message without events came."""
    key = message_key
    return [
        ("customers", (1, "ada", 4, T0, T0 + 9, json.dumps(ADA), json.dumps(CONSENT), '["v"]', 0)),
        ("customers", (2, "bob", 5, T0 + 3, T0 + 3, None, None, None, None)),
        ("names", ("ada", 1)),
        ("names", ("v", 1)),
        ("names", ("bob", 2)),
        ("events", (1, 1, T0, "view", "item-0", None, None, None, T0, key("m1"), 0)),
        ("events", (1, 2, T0 + 5, "pay", "item-5", 7, 2.0, "web", T0 + 5, key("m2"), 0)),
        ("messages", (key("m1"), T0)),
        ("messages", (key("m2"), T0 + 5)),
        ("messages", (key("m3"), T0 + 3)),
        ("quiet_messages", (2, key("m3"), T0 + 3)),
        ("decisions", ("ada", 3, T0 + 4, "home", "v0001", "network", '["a"]', "[1.0]")),
    ]


def fill_sqlite(folder: Path, name: str) -> None:
    from propense.history.sqlite.schema import MIGRATIONS

    folder.mkdir(mode=0o700)
    file = folder / f"{name}.db"
    with contextlib.closing(sqlite3.connect(file)) as con:
        for step in MIGRATIONS[:-1]:
            con.executescript(step)
        for table, cells in rows():
            con.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(cells))})", cells)
        con.execute("UPDATE state SET customer = 2, seq = 5, latest = ?", (T0 + 9,))
        con.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
        con.commit()
    file.chmod(0o600)


def fill_postgres(url: str, name: str) -> None:
    import psycopg

    from propense.history.postgres.schema import MIGRATIONS

    with psycopg.connect(url, autocommit=True) as con:
        con.execute(f'CREATE SCHEMA "{name}"')
        con.execute(f'SET search_path TO "{name}"')
        con.execute("CREATE TABLE schema_version (version bigint NOT NULL)")
        for step in MIGRATIONS[:-1]:
            con.execute(step)
        for table, cells in rows():
            con.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(cells))})", cells)
        con.execute("UPDATE state SET customer = 2, seq = 5, latest = %s", (T0 + 9,))
        con.execute("INSERT INTO schema_version VALUES (%s)", (len(MIGRATIONS) - 1,))


def fill_redis(url: str, name: str) -> None:
    import redis

    client = redis.Redis.from_url(url)
    p = f"{name}:"
    client.hset(p + "state", mapping={"seq": 5, "latest": T0 + 9, "consent_required": 0})
    for one, owner in (("ada", "ada"), ("v", "ada"), ("bob", "bob")):
        client.set(f"{p}id:{one}", owner)
    client.zadd(p + "ids", {"ada": 4, "bob": 5})
    client.hset(p + "c:ada", mapping={"first": T0, "last": T0 + 9})
    client.hset(p + "c:bob", mapping={"first": T0 + 3, "last": T0 + 3})
    client.hset(p + "t:ada", mapping={name: json.dumps(value) for name, value in ADA.items()})
    client.hset(p + "k:ada", "train", "0")
    client.rpush(p + "n:ada", "v")
    for seq, message, cells in (
        (1, "m1", [T0, "view", "item-0", None, None, None, T0, 0]),
        (2, "m2", [T0 + 5, "pay", "item-5", 7, 2.0, "web", T0 + 5, 0]),
    ):
        text = f"{seq} {json.dumps(cells, separators=(',', ':'))}"
        client.rpush(p + "e:ada", message_key(message) + text.encode())
        client.set(p.encode() + b"m:" + message_key(message), 1, px=86_400_000)
    client.zadd(p + "q:bob", {message_key("m3"): T0 + 3})
    client.set(p.encode() + b"m:" + message_key("m3"), 1, px=86_400_000)
    shown = json.dumps([T0 + 4, "home", "v0001", "network", ["a"], [1.0]], separators=(",", ":"))
    client.rpush(p + "d:ada", f"3 {shown}")
    client.zadd(p + "dids", {"ada": 3})
    client.close()


@pytest.fixture
def earlier(url: str, opened: Opened) -> Opened:
    """Opens the store that was filled."""
    name = opened.prefix + "history"
    if url.startswith("postgres"):
        fill_postgres(url, name)
    elif url.startswith(("redis", "unix")):
        fill_redis(url, name)
    else:
        fill_sqlite(opened.folder, name)
    return opened


def test_what_was_written_is_read(earlier: Opened) -> None:
    store = earlier()
    ada = held(store, "v")
    assert (ada.user_id, ada.names, ada.traits, ada.consent) == ("ada", ["v"], ADA, CONSENT)
    assert ada.events == [
        LiveEvent(T0, "view", "item-0"), LiveEvent(T0 + 5, "pay", "item-5", 7, 2.0, "web")
    ]  # fmt: skip
    assert (ada.first_seen, ada.last_seen) == (T0, T0 + 9) and held(store, "bob").events == []
    assert len(store.decisions_of("v")) == 1 and store.n_customers() == 2


def test_messages_from_before_are_repetitions_and_profiles_go_on(earlier: Opened) -> None:
    store = earlier()
    version = held(store, "ada").version
    assert store.append([update("m1", "ada"), update("m3", "bob")]) == ["repeated", "repeated"]
    later = update(
        "m4", "ada", 20, traits={"age": 32}, consent={"train": True}, events=(event(20),)
    )
    # Its words were stated when ada was last seen: an older one changes nothing.
    older = update("m5", "ada", 30, traits={"city": "Rome"}, stated=T0 + 1)
    assert store.append([later, older]) == ["kept", "kept"]
    ada = held(store, "ada")
    assert ada.traits == {"city": "Lyon", "age": 32} and ada.consent == {"train": True}
    assert len(ada.events) == 3 and ada.version > version


def test_a_page_takes_no_name_from_before_and_a_server_joins(earlier: Opened) -> None:
    store = earlier()
    page = {"trusted": False, "is_visitor": True, "events": (event(9),)}
    stolen = update("m6", "eve", 40, previous_id="ada", trusted=False)
    assert store.append([update("m7", "v", 41, **page), stolen])[1] == "unjoined"
    assert held(store, "ada").names == ["v"] and store.read("eve").names == []
    assert store.append([update("m8", "bob", 42, previous_id="ada")]) == ["kept"]
    assert sorted([held(store, "ada").user_id, *held(store, "ada").names]) == ["ada", "bob", "v"]
    assert "bob" in store.split("ada")
    ada, bob = held(store, "ada"), held(store, "bob")
    assert (ada.traits, len(ada.events)) == (ADA, 2) and (bob.traits, bob.events) == ({}, [])


def test_it_is_erased_expires_and_is_copied(earlier: Opened, tmp_path: Path) -> None:
    store = earlier()
    store.backup(tmp_path / "copy")
    assert store.expire(Oldest(events=T0 + 5, traits=T0 + 9, decisions=T0 + 4)) == Expired(
        events=1, customers=1
    )
    assert held(store, "ada").traits == ADA and store.read("bob") is None
    assert store.expire(Oldest(traits=T0 + 10)) == Expired(traits=2)
    assert store.erase("v") == Erased(events=1, traits=0, names=1, decisions=1)
    assert store.read("ada") is None and store.n_customers() == 0
