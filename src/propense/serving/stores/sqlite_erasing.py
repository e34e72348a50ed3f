"""A customer taken out of a SQLite history: rows, write-ahead file, and what lies between rows.

SQLite overwrites what it deletes (`secure_delete`), but rows that moved to another page when
theirs was split can leave an older copy behind, in space that belongs to no row. So the files
are searched, and rewritten if there is one.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from propense.errors import StoreError
from propense.serving.records import Erased
from propense.serving.stores import remnants
from propense.serving.stores.sqlite_writing import dict_of, names_of

_SHORTEST_TEXT: Final = 6
"""Shorter texts of a profile are words that many share: finding one tells nothing."""


def erase_rows(con: sqlite3.Connection, user_id: str) -> tuple[Erased, list[bytes]]:
    """Delete every row of the customer behind `user_id`, inside the caller's transaction.

    Returns how many there were, and bytes that must not be found in the files any more.
    """
    row = con.execute(
        "SELECT c.key, c.user_id, c.names, c.traits FROM names n"
        " JOIN customers c ON c.key = n.customer WHERE n.name = ?",
        (user_id,),
    ).fetchone()
    key, names, traits = -1, [user_id], dict[str, Any]()
    if row is not None:
        key, names, traits = row[0], [row[1], *names_of(row[2])], dict_of(row[3])
    messages = con.execute(
        "SELECT message FROM events WHERE customer = ?"
        " UNION SELECT key FROM quiet_messages WHERE customer = ?",
        (key, key),
    ).fetchall()
    con.executemany("DELETE FROM messages WHERE key = ?", messages)
    con.execute("DELETE FROM quiet_messages WHERE customer = ?", (key,))
    events = con.execute("DELETE FROM events WHERE customer = ?", (key,)).rowcount
    con.execute("DELETE FROM customers WHERE key = ?", (key,))
    decisions = 0
    for name in names:
        con.execute("DELETE FROM names WHERE name = ?", (name,))
        decisions += con.execute("DELETE FROM decisions WHERE user_id = ?", (name,)).rowcount
    if row is None and not decisions:
        return Erased(), []
    traces = [name.encode() for name in names] + [message[0] for message in messages]
    traces += [text.encode() for text in _texts(traits) if len(text) >= _SHORTEST_TEXT]
    erased = Erased(events=events, traits=len(traits), names=len(names) - 1, decisions=decisions)
    return erased, [trace for trace in traces if trace]


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


def _texts(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
