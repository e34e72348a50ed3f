"""Errors of a SQLite history in words, and which of them mean that the file is damaged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from propense.errors import DamagedError, StoreError

BUSY_MS: Final = 10_000
"""Milliseconds that a process waits for another one's write."""
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_RESTORE: Final = "stop the service, move the file and its -wal and -shm away and restore a backup"


class Faults:
    """Names the errors of one file. Once one of them shows that the file is damaged, every later
    call is refused: what is left of it would give wrong answers, and writing would spoil more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._damage: str | None = None
        """How the file is damaged, as far as it is known."""
        self._checking: sqlite3.Connection | None = None

    def refuse_damaged(self) -> None:
        """Raises DamagedError once the file is known to be damaged."""
        if self._damage is not None:
            raise self._damaged_error()

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Turns errors of SQLite and of the system into StoreErrors."""
        try:
            yield
        except (sqlite3.Error, OSError, msgspec.MsgspecError, UnicodeError) as error:
            raise self.named_error(error) from error

    def named_error(self, error: Exception) -> StoreError:
        """The StoreError that an error is; it remembers damage."""
        if _is_damage(error):
            self._damage = self._damage or str(error)
            return self._damaged_error()
        return StoreError(
            f"live history {str(self._path)!r}: {error}; nothing of the call was done"
            + _remedy(str(error))
        )

    def check_file(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Read the whole file, about 200 MB a second where it is in memory. Raises
        DamagedError."""
        with self.named(), contextlib.closing(connect()) as con:
            self._checking = con
            try:
                rows = con.execute("PRAGMA quick_check(1)").fetchall()
            finally:
                self._checking = None
        if rows != [("ok",)]:
            self._damage = self._damage or str(rows[0][0]).replace("\n", " ")[:200]
            raise self._damaged_error()

    def stop_check(self) -> None:
        """End a check that is going on; it raises StoreError."""
        if (checking := self._checking) is not None:
            with contextlib.suppress(sqlite3.Error):
                checking.interrupt()

    def _damaged_error(self) -> DamagedError:
        return DamagedError(
            f"live history {str(self._path)!r} is damaged: {self._damage}; nothing is read from it "
            f"or written to it any more: {_RESTORE}"
        )


def _is_damage(error: Exception) -> bool:
    if isinstance(error, msgspec.MsgspecError | UnicodeError):
        return True  # a cell that no version of propense has written
    if not isinstance(error, sqlite3.Error):
        return False
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in _DAMAGE or str(error).startswith("Could not decode to UTF-8")


def _remedy(reason: str) -> str:
    """What to do in the most common cases."""
    if "full" in reason or "space" in reason:
        return "; free disk space, then try again"
    if "locked" in reason or "busy" in reason:
        return f"; another process has been writing for {BUSY_MS // 1000} s; try again"
    return ""
