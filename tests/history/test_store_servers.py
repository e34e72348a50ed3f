"""Stores on servers: that go away and come back, and that keep too little."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from propense.errors import DamagedError, EvictingError, StoreError
from propense.history.opening import open_store, restore_store
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.redis import backup
from propense.history.store import Store, StoreOptions
from support.live_servers import Postgres, Redis, started_postgres, started_redis
from support.required import require

SECRET = "0f3c9a5d7e1b48266a90c1d2e3f40517"


def opened(url: str, durable: str = "process", **words: object) -> Store:
    options = StoreOptions(
        durable=durable, suppression_hash=str.encode, remember_seconds=3600, **words
    )
    return open_store(url, Path("unused"), options)


def update(message_id: str, user_id: str = "ada") -> CustomerUpdate:
    event = LiveEvent(1_700_000_000_000_000, "view", "i")
    return CustomerUpdate(
        message_id=message_id, user_id=user_id, received=event.event_time, events=(event,)
    )


def administrator_of(server: Redis) -> Any:
    return pytest.importorskip("redis").Redis.from_url(server.url)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg")
    for server in started_postgres():
        if server is None:
            require("postgres", "PostgreSQL is not installed")
        else:
            yield server


def redis_server(*options: str) -> Iterator[Redis]:
    pytest.importorskip("redis")
    for server in started_redis(*options):
        if server is None:
            require("redis", "redis-server is not installed")
        else:
            yield server


@pytest.fixture
def redis() -> Iterator[Redis]:
    yield from redis_server("--appendfsync", "always")


def goes_away_and_comes_back(server: Postgres | Redis) -> None:
    store = opened(server.url, "power")
    assert store.append([update("m1")]) == ["kept"]
    server.stop()
    for attempt in (
        lambda: store.append([update("m2")]),
        lambda: store.read("ada"),
        lambda: store.versions(["ada"]),
        store.ping,
        lambda: opened(server.url),
    ):
        with pytest.raises(StoreError, match=r"live history \w+://127\.0\.0\.1:\d+/") as caught:
            attempt()
        assert "word" not in str(caught.value) and "shop" not in str(caught.value)
    server.start()
    store.ping()
    assert store.append([update("m1"), update("m2")]) == ["repeated", "kept"]
    customer = store.read("ada")
    assert customer is not None and len(customer.events) == 2
    store.close()


@pytest.mark.postgres
def test_postgres_goes_away_and_comes_back(postgres: Postgres) -> None:
    goes_away_and_comes_back(postgres)


@pytest.mark.redis
def test_redis_goes_away_and_comes_back(redis: Redis) -> None:
    goes_away_and_comes_back(redis)


@pytest.mark.redis
def test_erased_bytes_are_in_no_file_of_redis(redis: Redis) -> None:
    store = opened(redis.url)
    store.append([update(f"m{n}", f"user-{n}") for n in range(500)] + [update("m", SECRET)])
    files = [path for path in redis.files.rglob("*") if path.is_file()]
    assert any(SECRET.encode() in path.read_bytes() for path in files)
    assert store.erase(SECRET).events == 1
    for path in redis.files.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path.name
    assert store.n_customers() == 500
    store.close()


@pytest.mark.redis
def test_power_demands_a_server_that_syncs() -> None:
    for server in redis_server("--appendfsync", "everysec"):
        with pytest.raises(
            StoreError, match=r"appendfsync always, but it has yes and everysec; set"
        ):
            opened(server.url, "power")
        opened(server.url, "process").close()


@pytest.mark.redis
def test_a_server_without_a_log_is_warned_of() -> None:
    for server in redis_server("--appendonly", "no"):
        with pytest.warns(
            RuntimeWarning, match="appendonly no, so a restart of it loses live history"
        ):
            store = opened(server.url)
        store.append([update("m1")])
        assert store.erase("ada").events == 1
        store.close()


@pytest.mark.redis
def test_a_server_that_throws_keys_away_is_refused() -> None:
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    for server in redis_server(*options):
        with pytest.raises(StoreError, match=r"allkeys-lru.*set noeviction"):
            opened(server.url)


@pytest.mark.redis
def test_a_server_that_is_told_to_throw_keys_away_takes_no_more(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("propense.history.redis.store._CLOCK_MICROS", 0)
    store = opened(redis.url)
    store.append([update("m1")])
    with closing(administrator_of(redis)) as administrator:
        administrator.config_set("maxmemory-policy", "volatile-lru")
        store.append([update("m2")])  # without a limit of memory nothing is thrown away
        administrator.config_set("maxmemory", 10**12)
        calls = (store.ping, store.check_writable, lambda: store.append([update("m3")]))
        for call in calls:
            with pytest.raises(EvictingError, match="volatile-lru"):
                call()
        administrator.config_set("maxmemory-policy", "noeviction")
        assert [call() for call in calls][2] == ["kept"]
        administrator.config_set("maxmemory", 0)
    store.close()


@pytest.mark.redis
def test_a_server_that_lost_its_data_is_not_begun_anew_in_silence(redis: Redis) -> None:
    """With them it lost whom nothing may be stored about."""
    for number in range(2):
        store = opened(redis.url)
        calls = [functools.partial(store.append, [update("m2", "eve")]), store.ping]
        store.append([update("m1")])
        store.suppress([b"eve"])
        with closing(administrator_of(redis)) as administrator:
            administrator.flushall()
        first = calls[number]
        for call in (first, first, functools.partial(store.read, "ada"), store.check_writable):
            with pytest.raises(DamagedError, match="lost its data"):
                call()
        store.close()
    again = opened(redis.url)
    assert again.n_customers() == 0 and again.append([update("m1")]) == ["kept"]
    again.close()


@pytest.mark.redis
def test_a_managed_server_that_throws_keys_away_is_refused() -> None:
    """One where CONFIG is not permitted."""
    options = ("--maxmemory", "50mb", "--maxmemory-policy", "volatile-lru")
    for server in redis_server(*options):
        with closing(administrator_of(server)) as administrator:
            administrator.execute_command("ACL", "SETUSER", "default", "-config")
        with pytest.raises(EvictingError, match=r"volatile-lru.*set noeviction"):
            opened(server.url)


@pytest.mark.redis
def test_a_redis_that_is_full_undoes_the_call() -> None:
    for server in redis_server("--maxmemory", "3mb"):
        store = opened(server.url)
        n_groups = 0
        with pytest.raises(StoreError, match=r"nothing of the call was done.*has memory"):
            while n_groups < 100:
                store.append(
                    [update(f"m{n_groups}-{n}", f"user-{n_groups}-{n}") for n in range(500)]
                )
                n_groups += 1
        assert n_groups and store.n_customers() == n_groups * 500
        assert store.versions([f"user-{n_groups}-0"]) == [0]
        store.close()


@pytest.mark.postgres
def test_a_schema_of_a_newer_propense_is_refused(postgres: Postgres) -> None:
    store = opened(postgres.url)
    con = store.live._connections.take()
    con.execute("UPDATE schema_version SET version = 99")
    con.close()
    store.close()
    with pytest.raises(StoreError, match=r"history' has version 99.*run the propense"):
        opened(postgres.url)


@pytest.mark.postgres
def test_old_message_ids_are_forgotten_by_postgres_page_by_page(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("propense.history.postgres.store._PAGE", 2)
    store = opened(postgres.url)
    now = time.time_ns() // 1000
    began = now - 3_700_000_000
    old = [update(f"old-{number}") for number in range(5)]
    old += [
        CustomerUpdate(message_id=f"quiet-{n}", user_id="ben", received=began) for n in range(3)
    ]
    late = CustomerUpdate(message_id="late", user_id="ada", received=now)
    store.append([*old, late])
    assert store.live.forget_messages() == len(old)
    assert store.append([*old, late]) == ["kept"] * len(old) + ["repeated"]
    store.close()


@pytest.mark.redis
def test_half_of_a_backup_is_neither_opened_nor_added_to(redis: Redis, tmp_path: Path) -> None:
    from redis import Redis as Client

    store = opened(redis.url)
    store.append([update("m1"), update("m2", "ben")])
    store.backup(tmp_path / "copy")
    store.destroy()
    client = Client.from_url(redis.url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "_flush", lambda pipe: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restore_store(redis.url, tmp_path, tmp_path / "copy")
    assert client.exists("history:e:ada")
    with pytest.raises(StoreError, match=r"half of a backup.*delete the keys"):
        opened(redis.url)
    with pytest.raises(StoreError, match="delete the keys"):
        restore_store(redis.url, tmp_path, tmp_path / "copy")
    client.delete(*client.keys("history:*"))
    restore_store(redis.url, tmp_path, tmp_path / "copy")
    again = opened(redis.url)
    held = again.read("ada")
    assert held is not None and len(held.events) == 1 and again.n_customers() == 2
    again.close()
    client.close()


def test_an_unknown_store_is_named_without_its_password(tmp_path: Path) -> None:
    for call in (
        lambda: opened("oracle://shop:word@host/db"),
        lambda: restore_store("oracle://shop:word@host/db", tmp_path, tmp_path),
    ):
        with pytest.raises(StoreError, match=r"'oracle://host/db' is unknown; choose") as caught:
            call()
        assert "word" not in str(caught.value)


def test_a_store_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        options = StoreOptions(durable="process", suppression_hash=str.encode, remember_seconds=9)
        store = open_store("sqlite", tmp_path, options)
        store.append([update("m1", SECRET)])
        store.erase(SECRET)
        store.close()
    assert caplog.text == ""


@pytest.mark.postgres
def test_a_commit_of_postgres_waits_unless_only_the_service_may_die(postgres: Postgres) -> None:
    for durable, commit in (("process", "on"), ("power", "on"), ("service", "off")):
        store = opened(postgres.url, durable)
        con = store.live._connections.take()
        assert con.execute("SHOW synchronous_commit").fetchone() == (commit,)
        con.close()
        store.close()
