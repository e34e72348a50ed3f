"""Backups of a running service's data, and services restored from them.

A backup does not contain the secret: the two together give access to everything, so keep them
apart. The shelf and the settings are plain files that any tool copies.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from propense.errors import ServeError
from propense.files import SERVICE_LOCK, locked, new_folder, private_folder, write_new
from propense.history.opening import restore_store
from propense.runtime import item_updates
from propense.security import audit, old_keys, secrets
from propense.security.audit_records import Detail
from propense.security.key_ring import KeyRing
from propense.security.keys import KeyRecord
from propense.security.recording import recorded, write_down
from propense.serving.operations.backup_records import BackupRecords
from propense.serving.operations.opening import opened_keys
from propense.serving.operations.pending_erasures import PendingErasures
from propense.serving.operations.service_store import service_store
from propense.settings import Settings

HISTORY: Final = "history.sqlite.backup"
_SMALL: Final = (secrets.KEY_ID, audit.HEAD, item_updates.FILE)


class Restored(NamedTuple):
    """What came back from a backup."""

    files: list[str]
    keys: list[KeyRecord]
    """Keys that are valid again once they are switched on."""


class Made(NamedTuple):
    """What `back_up` did."""

    files: list[str]
    removed: list[str]
    """Folders of expired backups, which were deleted."""
    elsewhere: list[str]
    """Folders of expired backups that somebody else has to delete: another host made them, or they
    were moved."""


def back_up(settings: Settings, folder: Path, now: int, actor: str) -> Made:
    """Copy history with keys, new items and audit log into the new `folder`, then delete backups
    that are older than `[serve.retention] backups`. The audit log records it.

    Each file is whole and consistent in itself. Raises ServeError where the folder exists
    already, StoreError where the history cannot be read.
    """
    data = Path(settings.folder) / settings.serve.data
    if not secrets.key_id_file(data).is_file():
        raise ServeError(f"{str(data)!r} is not the data folder of a service; check [serve] data")
    own = secrets.open_secrets(data)
    with recorded(data, own, actor, "backup"), _new_folder(folder) as unfinished:
        with service_store(settings, own) as store:
            old_keys.move_old_keys(data, KeyRing(store.controls, own))
            store.backup(unfinished / HISTORY)
        with locked(data / audit.LOCK):
            _copy_database(data / audit.FILE, unfinished / audit.FILE)
            for name in _SMALL:
                if (data / name).exists():
                    write_new(unfinished / name, (data / name).read_bytes())
    with service_store(settings, own) as store:
        records = BackupRecords(store.controls, settings.serve.retention.backups)
        host = PendingErasures(store.controls, data).host
        records.add(now, host, folder)
        removed, elsewhere = records.remove_expired(now, host, lambda one: _is_of(one, own))
    if removed or elsewhere:
        detail: Detail = {"rows": len(removed), "elsewhere": len(elsewhere)}
        write_down(data, own, now, actor, "backups.expire", detail)
    return Made(sorted(file.name for file in folder.iterdir()), removed, elsewhere)


def _is_of(folder: Path, own: secrets.Secrets) -> bool:
    """Whether a folder is a backup of the service with these secrets."""
    key_id = secrets.key_id_file(folder)
    is_backup = (folder / HISTORY).is_file() and key_id.is_file()
    return is_backup and secrets.read_key_id(key_id) == own.key_id


def restore(settings: Settings, folder: Path, now: int, actor: str) -> Restored:
    """Restore the service of these settings from a backup, and log it in the log that is restored.
    Every key is switched off: among them are those that were revoked since.

    The secret must be in its place first. Raises ServeError where a service runs, where there are
    data already, or where the secret is another one; then nothing is done. Raises StoreError where
    the store is not empty.
    """
    data = Path(settings.folder) / settings.serve.data
    if not (folder / HISTORY).is_file() or not secrets.key_id_file(folder).is_file():
        raise ServeError(
            f"{str(folder)!r} is not a backup of a service; make one with: propense backup"
        )
    if not os.environ.get(secrets.VARIABLE) and not (data / secrets.FILE).exists():
        raise ServeError(
            f"the secret is missing; put it into {secrets.VARIABLE} or the file "
            f"{str(data / secrets.FILE)!r}, then restore"
        )
    private_folder(data)
    with _locked_service(data):
        single = (audit.FILE, old_keys.FILE, *_SMALL[1:])
        existing = [name for name in single if (data / name).exists()]
        if existing:
            raise ServeError(
                f"{str(data)!r} already contains {', '.join(existing)}; move them away first"
            )
        _check_secret(data, folder)
        restore_store(settings.serve.store, data, folder / HISTORY)
        restored = [name for name in (audit.FILE, *_SMALL[1:]) if (folder / name).exists()]
        for name in restored:
            write_new(data / name, (folder / name).read_bytes())
        if (folder / old_keys.FILE).exists():
            # An older version wrote the backup.
            write_new(data / old_keys.FILE, (folder / old_keys.FILE).read_bytes())
            restored.append(old_keys.FILE)
        with opened_keys(settings, lambda text: None) as ring:
            ring.switch_off(now)
            keys = [record for record in ring.records() if record.off is not None]
        write_down(data, secrets.open_secrets(data), now, actor, "restore", {"files": restored})
    return Restored([HISTORY, *restored], keys)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """An unfinished folder that gets its name at the end, and is removed on errors."""
    if folder.exists():
        raise ServeError(f"{str(folder)!r} exists already; choose another name")
    try:
        with new_folder(folder, private=True) as unfinished:
            yield unfinished
    except OSError as error:
        raise ServeError(f"{str(folder)!r} cannot be written: {error}") from error


@contextmanager
def _locked_service(data: Path) -> Iterator[None]:
    """Keeps a service from starting meanwhile."""
    try:
        with locked(data / SERVICE_LOCK, wait=False):
            yield
    except BlockingIOError as error:
        raise ServeError(f"a service runs on {str(data)!r}; stop it, then restore") from error


def _check_secret(data: Path, folder: Path) -> None:
    """Raises ServeError unless the secret is the one that the backup was made with."""
    is_new = not secrets.key_id_file(data).exists()
    if is_new:
        write_new(data / secrets.KEY_ID, secrets.key_id_file(folder).read_bytes())
    try:
        own = secrets.open_secrets(data)
    except ServeError:
        if is_new:
            (data / secrets.KEY_ID).unlink()
        raise
    if own.key_id != secrets.read_key_id(secrets.key_id_file(folder)):
        raise ServeError(
            f"{str(folder)!r} is the backup of a service with another secret than {str(data)!r}; "
            "put that service's secret in its place"
        )


def _copy_database(source: Path, target: Path) -> None:
    write_new(target, b"")
    try:
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)
    except sqlite3.Error as error:
        raise ServeError(f"{str(source)!r} cannot be copied: {error}") from error
