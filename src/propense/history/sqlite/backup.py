"""The backup file of every store: a SQLite history without gaps.

So a history moves from one kind of store to another by `backup` and `restore_store`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from propense.errors import StoreError
from propense.files import replacing
from propense.history.sqlite.schema import MIGRATIONS, migrate

TABLES: Final = (
    "state", "customers", "names", "events", "messages", "quiet_messages", "decisions",
    "suppressed",
)  # fmt: skip
AHEAD: Final = 2**32
"""A restored history counts on from so far ahead: a number of before the restoration may still
lie in another process, and none comes twice."""


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to, which takes its name at the end and vanishes on errors.

    Raises StoreError where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            unfinished.unlink(missing_ok=True)
            yield unfinished
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"file {str(path)!r} cannot be written: {error}") from error


@contextlib.contextmanager
def new_copy(path: Path) -> Iterator[sqlite3.Connection]:
    """The connection to an empty history, which stands at `path` at the end."""
    with written(path) as unfinished:
        with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as con:
            migrate(con, repr(str(path)))
            con.execute("BEGIN")
            con.execute("DELETE FROM state")
            yield con
            con.execute("COMMIT")


@contextlib.contextmanager
def opened_copy(path: Path) -> Iterator[sqlite3.Connection]:
    """The connection to a backup, for reading. Raises StoreError where it is none."""
    try:
        con = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise StoreError(f"backup {str(path)!r} cannot be read: {error}") from error
    with contextlib.closing(con):
        try:
            (version,) = con.execute("PRAGMA user_version").fetchone()
            (sound,) = con.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"backup {str(path)!r} cannot be read: {error}") from error
        if sound != "ok" or not 1 <= version <= len(MIGRATIONS):
            raise StoreError(
                f"backup {str(path)!r} is no live history that this propense reads; "
                "choose a file that its backup wrote"
            )
        yield con
