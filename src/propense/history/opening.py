"""The store that a URL means."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final, NamedTuple

from propense.errors import MissingExtraError, StoreError
from propense.history.layers import LayeredStore
from propense.history.store import Store, StoreOptions


class _Kind(NamedTuple):
    """A kind of store. Its folder has a module `store` with `open_store` and `restore_store` as
    this one has them, a module `past` with `open_past`, and a module `controls` with
    `open_controls`."""

    folder: str
    extra: str = ""
    package: str = ""
    """The package that the module imports, and the extra of propense that installs it."""


_SQLITE: Final = _Kind("propense.history.sqlite")
_POSTGRES: Final = _Kind("propense.history.postgres", "postgres", "psycopg")
_REDIS: Final = _Kind("propense.history.redis", "redis", "redis")
_KINDS: Final = {
    "sqlite": _SQLITE,
    "postgresql": _POSTGRES, "postgres": _POSTGRES,
    "redis": _REDIS, "rediss": _REDIS, "unix": _REDIS,
}  # fmt: skip
"""Scheme of a URL -> the kind of store; a SQLite store is named by the word alone."""


def open_store(url: str, folder: Path, options: StoreOptions) -> Store:
    """The store of live history, which is made where there is none.

    `url` is "sqlite" (the file `folder`/NAME.db), "redis://..." or "postgresql://...".
    Raises StoreError where the store cannot be opened.
    """
    live = _module(url, "store").open_store(url, folder, options)
    return LayeredStore(
        live, _module(url, "past").open_past(live), _module(url, "controls").open_controls(live)
    )


def restore_store(url: str, folder: Path, backup: Path, name: str = "history") -> None:
    """Make a store from what its `backup` wrote, while no service has it open.

    Raises StoreError where the store holds something already, or the backup cannot be read.
    """
    _module(url, "store").restore_store(url, folder, backup, name)


def _module(url: str, name: str) -> Any:
    scheme, separator, _ = url.partition("://")
    kind = _KINDS.get(scheme)
    if kind is None or (kind is _SQLITE) != (not separator):
        raise StoreError(
            f'[serve] store: {_without_password(url)!r} is unknown; choose "sqlite", '
            f'"redis://HOST:PORT/NUMBER" or "postgresql://USER@HOST/DATABASE"'
        )
    try:
        return importlib.import_module(f"{kind.folder}.{name}")
    except ImportError as error:
        if not kind.extra:
            raise
        raise MissingExtraError(kind.extra, kind.package) from error


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
