"""Which store a URL means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from propense.errors import MissingExtraError, StoreError
from propense.history.sqlite.store import SqliteStore, restore_sqlite
from propense.history.store import Store

REDIS: Final = ("redis://", "rediss://", "unix://")
POSTGRES: Final = ("postgresql://", "postgres://")
_KNOWN: Final = 'choose "sqlite", "redis://HOST:PORT/NUMBER" or "postgresql://USER@HOST/DATABASE"'


def open_store(
    url: str,
    folder: Path,
    *,
    durable: Literal["process", "power"],
    mark: Callable[[str], bytes],
    remember_seconds: int,
    name: str = "history",
    consent_required: bool | None = None,
) -> Store:
    """The store of live history, made where there is none.

    `url` is "sqlite" (the file `folder`/`name`.db), "redis://..." (keys begin with `name`:) or
    "postgresql://..." (the schema `name`). `mark` is the secret function of an id that
    `suppress` keeps. A message id is a repetition for `remember_seconds`. `consent_required`
    says whether the views of the next training leave out who has no "train" flag; None leaves
    it as it was, at first False.
    Raises StoreError where the store cannot be opened.
    """
    if url == "sqlite":
        return SqliteStore(
            folder / f"{name}.db",
            durable=durable,
            mark=mark,
            remember_seconds=remember_seconds,
            consent_required=consent_required,
        )
    if url.startswith(POSTGRES):
        try:
            from propense.history.postgres.store import PostgresStore
        except ImportError as error:
            raise MissingExtraError("postgres", "psycopg") from error
        return PostgresStore(
            url,
            name,
            durable=durable,
            mark=mark,
            remember_seconds=remember_seconds,
            consent_required=consent_required,
        )
    if url.startswith(REDIS):
        try:
            from propense.history.redis.store import RedisStore
        except ImportError as error:
            raise MissingExtraError("redis", "redis") from error
        return RedisStore(
            url,
            name,
            durable=durable,
            mark=mark,
            remember_seconds=remember_seconds,
            consent_required=consent_required,
        )
    raise StoreError(f"[serve] store: {_shown(url)!r} is unknown; {_KNOWN}")


def restore_store(url: str, folder: Path, backup: Path, *, name: str = "history") -> None:
    """Make a store from what its `backup` wrote, while no service has it open.

    Raises StoreError where the store holds something already, or the backup cannot be read.
    """
    if url == "sqlite":
        restore_sqlite(folder / f"{name}.db", backup)
        return
    if url.startswith(POSTGRES):
        try:
            from propense.history.postgres.store import restore_postgres
        except ImportError as error:
            raise MissingExtraError("postgres", "psycopg") from error
        restore_postgres(url, name, backup)
        return
    if url.startswith(REDIS):
        try:
            from propense.history.redis.backup import restore_redis
            from propense.history.redis.store import connected, shown_place
        except ImportError as error:
            raise MissingExtraError("redis", "redis") from error
        where = shown_place(url, name)
        restore_redis(connected(url, where), name, where, backup)
        return
    raise StoreError(f"[serve] store: {_shown(url)!r} is unknown; {_KNOWN}")


def _shown(url: str) -> str:
    """The URL without a user's name and password."""
    scheme, found, rest = url.partition("://")
    return scheme + found + rest.rpartition("@")[2]
