"""A copy of all that a service keeps, made while it runs, and a service made from the copy.

The secret is not in the copy: whoever holds both holds everything, so keep it in another place.
The shelf and the settings are plain files that any tool copies.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from propense.errors import ServeError
from propense.files import SERVICE_LOCK, locked, new_folder, write_new
from propense.history.opening import open_store, restore_store
from propense.privacy.pseudonyms import Pseudonyms
from propense.runtime import item_updates
from propense.security import audit, keys, secrets
from propense.settings import Settings, seconds

HISTORY: Final = "history.sqlite.backup"
_SMALL: Final = (secrets.FINGERPRINT, keys.FILE, audit.HEAD, item_updates.FILE)


def back_up(settings: Settings, folder: Path, now: int, actor: str) -> list[str]:
    """Copy history, keys, new items and audit log into the new `folder`; returns the names of
    its files. The audit log says who did.

    Each file is whole and consistent in itself. Raises ServeError where the folder is there
    already, StoreError where the history cannot be read.
    """
    data = Path(settings.folder) / settings.serve.data
    if not (data / secrets.FINGERPRINT).is_file():
        raise ServeError(f"{str(data)!r} holds no service; name the one of [serve] data")
    own = secrets.open_secrets(data)
    with closing(audit.AuditLog(data, own)) as log:
        log.append(now, actor, "backup")
    with _new_folder(folder) as unfinished:
        store = open_store(
            settings.serve.store, data, durable=settings.serve.durable, mark=Pseudonyms(own).mark,
            remember_seconds=seconds(settings.serve.remember_messages),
        )  # fmt: skip
        with closing(store):
            store.backup(unfinished / HISTORY)
        with locked(data / audit.LOCK):
            _copy_database(data / audit.FILE, unfinished / audit.FILE)
            for name in _SMALL:
                if (data / name).exists():
                    write_new(unfinished / name, (data / name).read_bytes())
    return sorted(file.name for file in folder.iterdir())


def restore(settings: Settings, folder: Path) -> list[str]:
    """Make the service of these settings from a copy; returns the names of the files taken.

    The secret must be back in its place first. Raises ServeError where a service runs, where
    something is there already, or the secret is another one; then nothing is done. Raises
    StoreError where the store holds something already.
    """
    data = Path(settings.folder) / settings.serve.data
    if not (folder / HISTORY).is_file() or not (folder / secrets.FINGERPRINT).is_file():
        raise ServeError(f"{str(folder)!r} is no copy of a service; make one: propense backup")
    if not os.environ.get(secrets.VARIABLE) and not (data / secrets.FILE).exists():
        raise ServeError(
            f"the secret is not there; put it into {secrets.VARIABLE}, or the file "
            f"{str(data / secrets.FILE)!r}, then restore"
        )
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(data):
        there = [name for name in (audit.FILE, *_SMALL[1:]) if (data / name).exists()]
        if there:
            raise ServeError(
                f"{str(data)!r} holds {', '.join(there)} already; move them away, then restore"
            )
        _same_secret(data, folder)
        restore_store(settings.serve.store, data, folder / HISTORY)
        taken = [name for name in (audit.FILE, *_SMALL[1:]) if (folder / name).exists()]
        for name in taken:
            write_new(data / name, (folder / name).read_bytes())
    return [HISTORY, *taken]


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A place beside `folder` that takes its name at the end, and vanishes on errors."""
    if folder.exists():
        raise ServeError(f"{str(folder)!r} is there already; choose another name")
    try:
        with new_folder(folder, private=True) as unfinished:
            yield unfinished
    except OSError as error:
        raise ServeError(f"{str(folder)!r} cannot be written: {error}") from error


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    try:
        with locked(data / SERVICE_LOCK, wait=False):
            yield
    except BlockingIOError as error:
        raise ServeError(f"a service runs on {str(data)!r}; stop it, then restore") from error


def _same_secret(data: Path, folder: Path) -> None:
    """Raises ServeError unless the secret in place is the one that the copy was written with."""
    fresh = not (data / secrets.FINGERPRINT).exists()
    if fresh:
        write_new(data / secrets.FINGERPRINT, (folder / secrets.FINGERPRINT).read_bytes())
    try:
        own = secrets.open_secrets(data)
    except ServeError:
        if fresh:
            (data / secrets.FINGERPRINT).unlink()
        raise
    if own.fingerprint != (folder / secrets.FINGERPRINT).read_text("ascii").strip():
        raise ServeError(
            f"{str(folder)!r} is the copy of a service with another secret than {str(data)!r}"
        )


def _copy_database(source: Path, target: Path) -> None:
    write_new(target, b"")
    try:
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)
    except sqlite3.Error as error:
        raise ServeError(f"{str(source)!r} cannot be copied: {error}") from error
