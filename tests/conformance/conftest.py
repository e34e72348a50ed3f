"""A live store of every kind, which can be opened again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from propense.history.opening import open_store
from propense.history.store import Store, StoreOptions
from support.live_servers import started_postgres, started_redis
from support.live_stores import DAY, Opened, suppression_hash
from support.required import require

_COUNT = itertools.count()


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    pytest.importorskip("psycopg")
    for server in started_postgres():
        if server is None:
            require("postgres", "PostgreSQL is not installed")
        else:
            yield server.url


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    pytest.importorskip("redis")
    for server in started_redis("--appendfsync", "always"):
        if server is None:
            require("redis", "redis-server is not installed")
        else:
            yield server.url


STORES = [
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("redis", marks=pytest.mark.redis),
]


@pytest.fixture(params=STORES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """Opens the same store again and again, or one of another name."""
    kind = request.param
    url = kind if kind == "sqlite" else request.getfixturevalue(f"{kind}_url")
    prefix = f"{next(_COUNT)}-"
    stores = []

    def again(durable: str = "process", name: str = "history", **words: object) -> Store:
        options = StoreOptions(
            durable=durable, suppression_hash=suppression_hash, remember_seconds=30 * DAY,
            name=prefix + name, **words,
        )  # fmt: skip
        store = open_store(url, tmp_path / "live", options)
        stores.append(store)
        return store

    again.url, again.folder, again.prefix = url, tmp_path / "live", prefix
    yield again
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Opened) -> Store:
    return opened()
