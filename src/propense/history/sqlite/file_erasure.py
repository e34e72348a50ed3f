"""A customer taken out of a SQLite history: rows, write-ahead file, and what lies between rows.

SQLite overwrites what it deletes (`secure_delete`), but rows that moved to another page when
theirs was split can leave an older copy behind, in space that belongs to no row. So the files
are searched, and rewritten if there is one.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from propense.errors import StoreError
from propense.history.sqlite import page_scan

UNCLEAN: Final = "-unclean"
"""Behind the file's name, of an empty file that is there from an erasure until what it left
between rows is gone: one that was stopped is ended by the next."""
_WAIT_SECONDS: Final = 20.0


def clean_files(
    con: sqlite3.Connection,
    path: Path,
    traces: list[bytes],
    alone: contextlib.AbstractContextManager[object],
) -> None:
    """Empty the write-ahead file, and rewrite the history if space without rows holds a trace,
    or where it is not known of what: without `traces`.

    `alone` keeps the other threads of this process from writing; they go on while the file is
    searched.
    """
    with alone:
        _empty_log(con)
    if not traces or has_remnant(path, traces):
        with alone:
            con.execute("VACUUM")
            _empty_log(con)


def has_remnant(path: Path, traces: list[bytes]) -> bool:
    """Whether any of the traces lies in a place of the file that belongs to no row.

    Another process looks: closing a file that SQLite has open would, by the rules of POSIX,
    end the locks that this process holds on it. Traces go through a pipe, not into a command
    line that others can see.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", page_scan.__file__, str(path)],
        input="\n".join(trace.hex() for trace in traces),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (page_scan.CLEAN, page_scan.FOUND):
        raise OSError(f"the file cannot be searched for what was erased: {done.stderr[-200:]}")
    return done.returncode == page_scan.FOUND


def _empty_log(con: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    # SQLite waits for readers, but not for a checkpoint that another connection is at.
    while con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            raise StoreError(
                "the rows are erased, but a long read of another process kept the write-ahead "
                "file from being emptied; erase anybody once more when it has ended"
            )
        time.sleep(0.01)
