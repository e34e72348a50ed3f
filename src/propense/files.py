"""Files and folders that appear whole or not at all, also after a power cut; locks and states.

A name appears by a rename. What it names is brought to disk before, the rename after: in the
other order a power cut leaves a name that names nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from propense.errors import ServeError

ERASED: Final = "erased"
"""File in a service's data folder that is replaced after each erasure and while history is
loaded, so that its processes forget what they remember of customers."""
SERVICE_LOCK: Final = "serve.lock"
"""Locked by the service while it runs on a data folder."""

PRIVATE: Final = 0o600
"""Readable and writable by the owner alone."""

PRIVATE_FOLDER: Final = 0o700
"""Likewise, and nobody else can look into it."""

State = tuple[int, int] | None
"""A file's time of change in nanoseconds and its inode; None where there is no file."""


def state_of(file: Path) -> State:
    """The state of `file`, which differs once any process has replaced it."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_ino


def private_folder(folder: Path) -> None:
    """Make a folder that its owner alone can open, whatever the umask says.

    Raises ServeError where there is one that others can open: what is in it may have been read.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        raise ServeError(
            f"the folder {str(folder)!r} holds customers, keys and secrets, and has mode "
            f"{mode:04o}, so other users of this machine can open it; run: chmod 700 {folder} (of "
            f"a volume whose mode cannot be changed, set [serve] data to a folder inside it)"
        )


def narrow_files(folder: Path) -> None:
    """Make the files of a private folder readable by their owner alone."""
    for file in folder.iterdir():
        status = file.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
            file.chmod(PRIVATE)


@contextmanager
def locked(file: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock `file` alone, among threads and processes of this machine.

    The system releases it when the process that holds it dies. Without `wait`, raises
    BlockingIOError where another one holds it.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def replace_file(file: Path, content: bytes, private: bool = True) -> None:
    """Give `file` new content; a reader sees the old or the new.

    On return it is on disk. A private file is readable by its owner alone, any other one as the
    umask says. Two writers at once need a lock.
    """
    with replacing(file, per_process=True) as unfinished:
        unfinished.unlink(missing_ok=True)
        write_new(unfinished, content, private)


@contextmanager
def replacing(file: Path, per_process: bool = False) -> Iterator[Path]:
    """A path beside `file` to write to. At the end it takes the name of `file`, which is then on
    disk; on errors it is removed.

    Two processes can replace the same file at once with `per_process` alone: the last one wins.
    """
    process = f".{os.getpid()}" if per_process else ""
    unfinished = file.with_name(f"{file.name}{process}.unfinished")
    try:
        yield unfinished
        rename(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def rename(unfinished: Path, file: Path) -> None:
    """Give a finished file its name, in the place of an older one; on return both are on disk."""
    sync(unfinished)
    os.replace(unfinished, file)
    sync(file.parent)


@contextmanager
def new_folder(
    folder: Path, replace: bool = False, private: bool = False, durable: bool = True
) -> Iterator[Path]:
    """An empty folder beside `folder` to write to. At the end it takes that name, and all of it
    is on disk; on errors it is removed.

    With `replace` it takes the place of an older folder or file; without, raises OSError where
    there is one. Without `durable` the disk is not waited for. One process at a time.
    """
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    try:
        unfinished.mkdir(mode=0o700 if private else 0o777)
        yield unfinished
        if durable:
            sync_tree(unfinished)
        if replace:
            _remove(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if durable:
        sync(folder.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def private_opener(file: str, flags: int) -> int:
    """The `opener` with which `open` makes private files."""
    return os.open(file, flags, PRIVATE)


def write_new(file: Path, content: bytes, private: bool = True) -> None:
    """Make `file` and bring its content to disk. Raises FileExistsError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    handle = os.open(file, flags, PRIVATE if private else 0o666)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def sync_tree(folder: Path) -> None:
    """Bring every file and every name in `folder` to disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            sync(Path(root) / name)
        sync(Path(root))


def sync(path: Path) -> None:
    """Bring the content of a file, or the names in a folder, to disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
