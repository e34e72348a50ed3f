"""Erasures that have begun and not ended, as records of the store that all processes and hosts see.

A record holds the customer's names, so that it can be gone on with after a restart, and so that a
second request goes on with it too, also under another name, which the store no longer knows. It
goes once the erasure has ended, and its bytes with it.
"""

from __future__ import annotations

import secrets
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from propense.errors import ServeError
from propense.files import PRIVATE, locked, write_new
from propense.history.controls import Change, Controls

KIND: Final = "erasing"
HOST: Final = "host"
"""File with the random name of a data folder, which tells the machines of one store apart."""
_OLD_FILE: Final = "erasing.json"
"""Where version 0.2 kept them."""


class Pending(msgspec.Struct):
    """An erasure that has begun and not ended."""

    names: set[str]
    was_stored: bool = msgspec.field(default=False, name="was_known")
    removed: dict[str, int] = {}
    user_id: str = ""
    """The id that was asked for; empty in a record of version 0.2."""
    actor: str = ""
    host: str = ""
    uncounted: bool = False
    """Whether what they took is out of the counts of what is popular."""
    since: int = 0
    """Microseconds UTC."""


class PendingErasures:
    """The erasures of a store that have begun and not ended. Methods block."""

    def __init__(self, controls: Controls, folder: Path) -> None:
        self._controls = controls
        self._folder = folder
        self.host = _host_name(folder)

    def all(self) -> dict[str, Pending]:
        """Every pending erasure by the key of its record, the oldest change first."""
        records = self._controls.read(KIND).records
        return {record.key: _decode(record.value) for record in records}

    def count(self) -> int:
        """How many there are."""
        return len(self._controls.read(KIND).records)

    def recall(self, names: set[str]) -> Pending:
        """What earlier attempts under any of the names have recorded."""
        pending = Pending(set(names))
        for other in self.all().values():
            if other.names & pending.names:
                pending.names |= other.names
                pending.was_stored |= other.was_stored
                pending.uncounted |= other.uncounted
                pending.removed = dict(Counter(pending.removed) + Counter(other.removed))
        return pending

    def save(self, pending: Pending) -> None:
        """Record it, in the place of earlier attempts under any of its names."""
        before = self._of(pending)
        key = before[0] if before else secrets.token_hex(8)
        self._controls.put(KIND, key, msgspec.json.encode(pending))
        for other in before[1:]:
            self._controls.remove(KIND, other)

    def change_of(self, pending: Pending) -> Change:
        """What saves it once it was saved, to be done with other changes."""
        return Change(KIND, self._of(pending)[0], msgspec.json.encode(pending))

    def remove(self, pending: Pending) -> None:
        """It has ended: remove its record and every byte of it."""
        for key in self._of(pending):
            self._controls.remove(KIND, key)
        # As the record held them, in quotes: a short name alone would be found in other words.
        self._controls.scrub([msgspec.json.encode(name) for name in pending.names])

    def take_over(self) -> None:
        """Bring in the file in which version 0.2 recorded them."""
        file = self._folder / _OLD_FILE
        try:
            old = msgspec.json.decode(file.read_bytes(), type=list[Pending])
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            raise ServeError(
                f"{str(file)!r} cannot be read: {error}; erase the customers it names again, then "
                "remove it"
            ) from error
        for pending in old:
            pending.user_id = pending.user_id or min(pending.names)
            pending.host = self.host
            self.save(pending)
        file.unlink(missing_ok=True)  # another process may have been faster

    def _of(self, pending: Pending) -> list[str]:
        return [key for key, other in self.all().items() if other.names & pending.names]


def _decode(value: bytes) -> Pending:
    return msgspec.json.decode(value, type=Pending)


def _host_name(folder: Path) -> str:
    """The random name of a data folder, made on first use."""
    file = folder / HOST
    with locked(file.with_suffix(".lock")):
        if not file.exists():
            write_new(file, secrets.token_hex(8).encode())
    file.chmod(PRIVATE)
    return file.read_text("ascii").strip()
