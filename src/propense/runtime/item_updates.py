"""Items that were sent after the bundle was made: records of the store that all hosts read."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from propense import columns
from propense.errors import RefusedError, ServeError
from propense.files import State, locked, rename
from propense.history.controls import Change, Controls
from propense.inference.bundle import Bundle

KIND: Final = "items"
"""The kind of their records."""
FILE: Final = "items.json"
"""Where older versions had them;"""
MOVED: Final = "items.json.moved"
"""its name once they are in the store,"""
DAMAGED: Final = "items.json.damaged"
"""and if it could not be read. Its items have to be sent again; then remove it."""
LOCK: Final = "items.lock"
MOST: Final = 100_000
"""Items between two trainings; the catalogue itself belongs into [items]."""


class ItemUpdate(msgspec.Struct, frozen=True):
    """An item as it was last sent."""

    at: int
    """Microseconds UTC."""
    record: dict[str, Any]


def pending_updates(bundle: Bundle, updates: Mapping[str, ItemUpdate]) -> list[dict[str, Any]]:
    """The records that the bundle's own catalogue lacks, in order: items that [items] does not
    have, and those that were sent after it was read."""
    return [
        {columns.ITEM_ID: item_id, **update.record}
        for item_id, update in updates.items()
        if _is_pending(bundle, item_id, update)
    ]


def _is_pending(bundle: Bundle, item_id: str, update: ItemUpdate) -> bool:
    if update.at >= bundle.manifest.items_read:
        return True
    index = bundle.catalogue.index_of.get(item_id)
    return index is None or len(bundle.catalogue.record(index)) == 1


class ItemUpdates:
    """The items that were sent: records of the store, one set for all processes and hosts.

    `state` and what `read` returned before are in memory; everything else blocks, and raises
    StoreError where the store cannot be reached.
    """

    def __init__(self, controls: Controls, folder: Path) -> None:
        """`folder` is the data folder, where older versions had them in a file."""
        self._controls = controls
        self._lock = threading.Lock()
        self._updates: dict[str, ItemUpdate] = {}
        self._number = 0
        self._unreadable: set[str] = set()
        self._damaged = folder / DAMAGED
        _move_old(folder, controls)
        self.refresh()

    def read(self) -> tuple[State, dict[str, ItemUpdate]]:
        """The state, and every item by its id, oldest first."""
        self.refresh()
        with self._lock:
            return self.state(), dict(self._updates)

    def state(self) -> State:
        """A value that differs once any process has written and `refresh` has noticed."""
        return self._number, 0

    def refresh(self) -> None:
        """Take over what other processes have written. Cheap: made to be called a few times a
        second."""
        with self._lock:
            if self._controls.numbers().get(KIND, 0) == self._number:
                return
            changed = self._controls.read(KIND, self._number)
            if changed.whole:
                self._updates, self._unreadable = {}, set()
            for record in changed.records:
                self._updates.pop(record.key, None)
                self._unreadable.discard(record.key)
                try:
                    update = msgspec.json.decode(record.value, type=ItemUpdate)
                except (msgspec.DecodeError, UnicodeError):
                    self._unreadable.add(record.key)
                else:
                    self._updates[record.key] = update
            self._number = changed.number

    def put(self, item_id: str, update: ItemUpdate, bundle: Bundle) -> None:
        """Keep an item. If there are too many, those that the serving bundle has are removed.

        Raises RefusedError if that leaves no room.
        """
        _, updates = self.read()
        if item_id not in updates and len(updates) >= MOST:
            old = [one for one in updates if not _is_pending(bundle, one, updates[one])]
            if not old:
                raise RefusedError(
                    f"{MOST:,} items were sent since the training; put them into [items] and train"
                )
            self._controls.write([Change(KIND, one, None) for one in old])
        self._controls.put(KIND, item_id, msgspec.json.encode(update))
        self.refresh()

    @property
    def damaged(self) -> bool:
        """Whether items could not be read, and nobody has looked after them."""
        return bool(self._unreadable) or self._damaged.exists()


def _move_old(folder: Path, controls: Controls) -> None:
    """Move the items of an older version's file into the store, and set the file aside. Items that
    are in the store already are newer."""
    file = folder / FILE
    if not file.exists():
        return
    with locked(folder / LOCK):
        try:
            updates = msgspec.json.decode(file.read_bytes(), type=dict[str, ItemUpdate])
        except FileNotFoundError:
            return  # another process was first
        except (msgspec.DecodeError, UnicodeError):
            rename(file, folder / DAMAGED)
            return
        except OSError as error:
            raise ServeError(
                f"{str(file)!r} cannot be read: {error}; correct its permissions"
            ) from error
        stored = {record.key for record in controls.read(KIND).records}
        controls.write(
            [
                Change(KIND, item_id, msgspec.json.encode(update))
                for item_id, update in updates.items()
                if item_id not in stored
            ]
        )
        rename(file, folder / MOVED)
