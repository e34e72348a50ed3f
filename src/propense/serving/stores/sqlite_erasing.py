"""A customer taken out of a SQLite history: rows, write-ahead file, and what lies between rows.

SQLite overwrites what it deletes (`secure_delete`), but rows that moved to another page when
theirs was split can leave an older copy behind, in space that belongs to no row. So the files
are searched, and rewritten if there is one.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from propense.errors import StoreError
from propense.serving.stores import remnants


def clean_files(con: sqlite3.Connection, path: Path, traces: list[bytes]) -> None:
    """Empty the write-ahead file, and rewrite the history if space without rows holds a trace."""
    _empty_log(con)
    if has_remnant(path, traces):
        con.execute("VACUUM")
        _empty_log(con)


def has_remnant(path: Path, traces: list[bytes]) -> bool:
    """Whether any of the traces lies in a place of the file that belongs to no row.

    Another process looks: closing a file that SQLite has open would, by the rules of POSIX,
    end the locks that this process holds on it. Traces go through a pipe, not into a command
    line that others can see.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", remnants.__file__, str(path)],
        input="\n".join(trace.hex() for trace in traces),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (remnants.CLEAN, remnants.FOUND):
        raise OSError(f"the file cannot be searched for what was erased: {done.stderr[-200:]}")
    return done.returncode == remnants.FOUND


def _empty_log(con: sqlite3.Connection) -> None:
    (busy, _, _) = con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise StoreError(
            "the rows are erased, but a long read of another process kept the write-ahead file "
            "from being emptied; erase once more when it has ended"
        )
