"""Every kind of live store, for tests that run on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pytest

from support.live_servers import Postgres, Redis, started_postgres, started_redis
from support.required import require


class StoreServer(NamedTuple):
    """How tests start the server of a store."""

    start: Callable[..., Iterator[Postgres | Redis | None]]
    package: str
    """The Python package that speaks to it."""
    durable: tuple[str, ...] = ()
    """Options with which it loses nothing that it acknowledged."""


SERVERS: Final = {
    "postgres": StoreServer(started_postgres, "psycopg"),
    "redis": StoreServer(started_redis, "redis", ("--appendfsync", "always")),
}
"""Every store that needs a server; tests of all stores go through this list."""
STORES: Final = (
    "sqlite", *(pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in SERVERS),
)  # fmt: skip


def started_store(kind: str, durable: bool = False) -> Iterator[str]:
    """The address of a new, empty store; the test is skipped where its server is not installed."""
    if kind not in SERVERS:
        yield kind
        return
    server = SERVERS[kind]
    pytest.importorskip(server.package)
    for started in server.start(*(server.durable if durable else ())):
        if started is None:
            require(kind, f"no {kind} server is installed")
        else:
            yield started.url
