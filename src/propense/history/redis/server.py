"""A Redis server: connecting to it, its settings, and its files."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from propense.errors import DamagedError, EvictingError, StoreError

LOST: Final = "LOST"
"""What a script answers where the server holds other data than those that were opened."""
_CONNECT_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 30.0
_REWRITE_SECONDS: Final = 120.0
_REWRITES: Final = {
    "append-only file": (
        "BGREWRITEAOF", "aof_rewrite_in_progress", "aof_rewrite_scheduled",
        "aof_last_bgrewrite_status",
    ),
    "snapshot": (
        "BGSAVE", "rdb_bgsave_in_progress", "rdb_bgsave_scheduled", "rdb_last_bgsave_status",
    ),
}  # fmt: skip


def connect(url: str, where: str) -> Any:
    """A client. Raises StoreError for an invalid URL."""
    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_WAIT_SECONDS,
            # A call that failed may have been done: only the caller knows whether to repeat it.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise StoreError(f"live history {where}: {error}") from error


def address_of(url: str, name: str) -> str:
    """The URL for messages, without user and password, and the prefix of keys."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]} {name!r}"


def store_error(error: Exception, where: str) -> StoreError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    lost = isinstance(error, redis.ConnectionError | redis.TimeoutError)
    done = "whether the call was done is unknown" if lost else "nothing of the call was done"
    return StoreError(
        f"live history {where}: {reason}; {done}; check that the server answers and has memory "
        "and disk space, then try again"
    )


def lost_error(where: str) -> DamagedError:
    """The error of a server that holds other data than those that were opened."""
    return DamagedError(
        f"live history {where}: the server has lost its data, and with them who must not be "
        "stored; stop the service, restore a backup, then start it again"
    )


def keys_of(client: Any, prefix: str) -> Iterator[list[bytes]]:
    """All keys with a prefix, in pages."""
    pattern = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in prefix) + "*"
    cursor = 0
    while True:
        cursor, keys = client.scan(cursor, match=pattern, count=1_000)
        if keys:
            yield keys
        if cursor == 0:
            return


def check_server(client: Any, durable: str, where: str) -> list[str]:
    """The kinds of files that the server writes.

    Raises StoreError, or warns, where its settings do not keep what is written."""
    check_eviction(client, where)
    try:
        config = {
            key: value
            for name in ("appendonly", "appendfsync", "save")
            for key, value in client.config_get(name).items()
        }
    except redis.ResponseError:
        config = {}
    log, fsync = config.get("appendonly"), config.get("appendfsync")
    if durable == "power" and (log, fsync) != ("yes", "always"):
        raise StoreError(
            f'live history {where}: durable = "power" needs a server with appendonly yes and '
            f"appendfsync always, but it has {log or 'unknown'} and {fsync or 'unknown'}; set them "
            'in redis.conf, or choose durable = "process"'
        )
    if log != "yes":
        warnings.warn(
            f"live history {where}: the server has appendonly {log or 'unknown'}, so a restart "
            "of it loses live history; set appendonly yes in redis.conf",
            RuntimeWarning,
            stacklevel=4,
        )
    files = ["append-only file"] if log == "yes" else []
    return files + (["snapshot"] if config.get("save") else [])


def check_eviction(client: Any, where: str) -> None:
    """Raises EvictingError where the server drops keys when its memory is full. It can be told to
    at any time; and managed servers, where CONFIG is not permitted, mostly do."""
    memory = client.info("memory")
    policy = memory.get("maxmemory_policy", "noeviction")
    if memory.get("maxmemory", 0) and policy != "noeviction":
        raise EvictingError(
            f"live history {where}: the server evicts keys when its memory is full "
            f"(maxmemory-policy {policy}); set noeviction in redis.conf"
        )


def rewrite_files(client: Any, kinds: Sequence[str], where: str) -> None:
    """Have the server rewrite its files without what is deleted, and wait for that."""
    deadline = time.monotonic() + _REWRITE_SECONDS
    for kind in kinds:
        begin, busy, scheduled, status = _REWRITES[kind]
        started = False
        while True:
            if not started:
                with contextlib.suppress(redis.ResponseError):
                    # Refused while an earlier one is running, which may have deleted data.
                    client.execute_command(begin)
                    started = True
                    continue
            info = client.info("persistence")
            if started and not info.get(busy) and not info.get(scheduled, 0):
                if info.get(status) != "ok":
                    raise StoreError(
                        f"live history {where}: the keys are erased, but the server "
                        f"could not rewrite its {kind}; see its log, then erase again"
                    )
                break
            if time.monotonic() > deadline:
                raise StoreError(
                    f"live history {where}: the keys are erased, but the server has "
                    f"not rewritten its {kind} within {_REWRITE_SECONDS:.0f} s; erase "
                    "again when it has less to do"
                )
            time.sleep(0.01)
