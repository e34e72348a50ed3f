"""The backup file of every store: a SQLite history without gaps.

Therefore `backup` and `restore_store` move a history from one kind of store to another.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from propense.errors import StoreError
from propense.files import PRIVATE, replacing
from propense.history.sqlite.schema import MIGRATIONS, migrate

TABLES: Final = (
    "state", "customers", "names", "events", "messages", "quiet_messages", "decisions",
    "suppressed", "profiles", "control_kinds", "controls",
)  # fmt: skip
AHEAD: Final = 2**32
"""A restored history goes on counting so far ahead: another process may still hold a version from
before the restoration, and no version may be used twice."""
COUNTS: Final = (
    f"UPDATE state SET seq = seq + {AHEAD}",
    f"UPDATE past_state SET version = version + {AHEAD}",
    f"UPDATE control_kinds SET number = number + {AHEAD}, removed = number + {AHEAD}",
)
"""Sets the counters of a restored history ahead. As if a record of each kind had been removed, so
that all records are read again."""


@contextlib.contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to. It takes that name at the end and is removed on errors.

    Raises StoreError where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as unfinished:
            unfinished.unlink(missing_ok=True)
            # SQLite would make it as the umask says; it takes over an empty file.
            os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
            yield unfinished
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"file {str(path)!r} cannot be written: {error}") from error


@contextlib.contextmanager
def new_copy(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to an empty history, which is at `path` at the end."""
    with replacing_file(path) as unfinished:
        with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as con:
            migrate(con, repr(str(path)))
            con.execute("BEGIN")
            con.execute("DELETE FROM state")
            yield con
            con.execute("COMMIT")


@contextlib.contextmanager
def open_backup(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for reading a backup. Raises StoreError where the file is not a backup."""
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
                f"{str(path)!r} is not a backup that this version of propense can read; "
                "choose a file that `propense backup` wrote"
            )
        if version == len(MIGRATIONS):
            yield con
            return
        # A file of its own that SQLite removes: the backup stays as it is.
        with contextlib.closing(sqlite3.connect("", isolation_level=None)) as newer:
            con.backup(newer)
            migrate(newer, repr(str(path)))
            yield newer


def restore_file(path: Path, backup: Path) -> None:
    """Make the history `path` from a backup.

    Raises StoreError where the file exists, or the backup cannot be read.
    """
    with open_backup(backup) as copy:
        if path.exists():
            raise StoreError(
                f"live history {str(path)!r} is there already; stop the service and move the file "
                "and its -wal and -shm away, then restore"
            )
        with replacing_file(path) as unfinished:
            copy.execute("VACUUM INTO ?", (str(unfinished),))
            with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as con:
                for count in COUNTS:
                    con.execute(count)
