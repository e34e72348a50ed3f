"""A live store of every kind, which can be opened again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from propense.history.opening import open_store
from propense.history.store import Store, StoreOptions
from support.live_stores import DAY, Opened, suppression_hash
from support.store_servers import STORES, started_store

_COUNT = itertools.count()


@pytest.fixture(scope="module", params=STORES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of each kind of store, one after the other."""
    yield from started_store(request.param, durable=True)


@pytest.fixture
def opened(url: str, tmp_path: Path) -> Iterator[Opened]:
    """Opens the same store again and again, or one of another name."""
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
