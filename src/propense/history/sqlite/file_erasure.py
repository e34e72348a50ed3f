"""Removes the bytes of an erased customer from the files of a SQLite history.

SQLite overwrites what it deletes (`secure_delete`), but rows that moved to another page when
theirs was split can leave an older copy behind, in space that belongs to no row. So the file is
searched, and rewritten if there is one.
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
"""Suffix of an empty file beside the history. It exists from an erasure until the erased bytes are
gone, so that the next erasure finishes one that was stopped."""
_WAIT_SECONDS: Final = 20.0


def clean_files(
    con: sqlite3.Connection,
    path: Path,
    traces: list[bytes],
    write_lock: contextlib.AbstractContextManager[object],
) -> None:
    """Empty the write-ahead file, and rewrite the history if space without rows holds a trace.

    Without `traces` it is not known what to search for, so the history is rewritten anyway.
    `write_lock` keeps the other threads of this process from writing; they can write while the
    file is searched.
    """
    with write_lock:
        _empty_log(con)
    if not traces or has_traces(path, traces):
        with write_lock:
            con.execute("VACUUM")
            _empty_log(con)


def has_traces(path: Path, traces: list[bytes]) -> bool:
    """Whether space of the file that belongs to no row holds any of the traces.

    Another process searches: by the rules of POSIX, closing a file that SQLite has open would
    release the locks that this process holds on it. Traces go through a pipe, not into a command
    line that others can see.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", page_scan.__file__, str(path)],
        input="\n".join(trace.hex() for trace in traces),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (page_scan.CLEAN, page_scan.TRACES_LEFT):
        raise OSError(f"the file could not be searched for erased data: {done.stderr[-200:]}")
    return done.returncode == page_scan.TRACES_LEFT


def _empty_log(con: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    # SQLite waits for readers, but not for a checkpoint that another connection is making.
    while con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
        if time.monotonic() > deadline:
            raise StoreError(
                "the rows are erased, but a long read of another process kept the write-ahead "
                "file from being emptied; run any erasure again once that reader has finished"
            )
        time.sleep(0.01)
