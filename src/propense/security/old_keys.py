"""Moves the keys that older versions wrote to `keys.json` of the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from propense.errors import ServeError
from propense.files import locked, rename
from propense.security.key_ring import KeyRing
from propense.security.keys import KeyRecord, OldSecret, Scope, kind_of

FILE: Final = "keys.json"
MOVED: Final = "keys.json.moved"
_LOCK: Final = "keys.lock"


class _OldRecord(msgspec.Struct, kw_only=True):
    prefix: str
    mac: bytes
    name: str
    scopes: frozenset[Scope]
    source: str | None = None
    created: int
    expires: int | None = None
    revoked: int | None = None
    old: tuple[OldSecret, ...] = ()


def move_old_keys(folder: Path, ring: KeyRing) -> str:
    """Take the keys of the file into the ring and set the file aside; returns what was done as a
    sentence, empty where there is no file.

    A key gets the kind that its scopes mean. Raises ServeError where the file cannot be read.
    """
    file = folder / FILE
    if not file.exists():
        return ""
    with locked(folder / _LOCK):
        try:
            records = msgspec.json.decode(file.read_bytes(), type=list[_OldRecord])
        except FileNotFoundError:
            return ""  # another process was first
        except (OSError, msgspec.DecodeError) as error:
            raise ServeError(
                f"the keys {str(file)!r} cannot be read: {error}; restore the file from a backup, "
                "or remove it and make new keys with: propense keys create"
            ) from error
        n_new = ring.add_old(
            KeyRecord(kind=kind_of(one.scopes), **msgspec.structs.asdict(one)) for one in records
        )
        rename(file, folder / MOVED)
    return (
        f"{n_new} of {len(records)} keys of {str(file)!r} were moved into the store; the file is "
        f"now {MOVED!r} and is not read any more"
    )
