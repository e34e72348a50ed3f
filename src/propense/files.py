"""Small files that several processes read and write: locked, and whole or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SERVICE_LOCK: Final = "serve.lock"
"""Held by the service whose data stand in a folder."""

State = tuple[int, int] | None
"""Of a file: another one whenever it was replaced; None where it is not there."""


def state_of(file: Path) -> State:
    """The state of `file`, which tells whether any process has replaced it since."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino


@contextmanager
def locked(file: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock `file` alone, among threads and processes of this machine.

    Without `wait`, BlockingIOError where another one holds it.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def replace_file(file: Path, content: bytes) -> None:
    """Give `file` new content, readable by its owner alone; a reader sees the old or the new.

    On return it is on disk. Two writers at once need a lock.
    """
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.unfinished")
    try:
        write_new(unfinished, content)
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(file.parent)


def write_new(file: Path, content: bytes) -> None:
    """Make `file`, readable by its owner alone. Raises FileExistsError."""
    file_flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(file, file_flags, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
