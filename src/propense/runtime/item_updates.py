"""Items that were sent after the bundle was made: a file of the data folder that all processes
read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from propense import columns
from propense.errors import RefusedError, ServeError
from propense.files import State, locked, rename, replace_file, state_of
from propense.inference.bundle import Bundle

FILE: Final = "items.json"
LOCK: Final = "items.lock"
DAMAGED: Final = "items.json.damaged"
"""A file that could not be read. Its items have to be sent again; then remove it."""
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
    """The items that were sent, in the data folder `folder`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._lock = folder / LOCK
        self._damaged = folder / DAMAGED

    def read(self) -> tuple[State, dict[str, ItemUpdate]]:
        """The file's state, and every item by its id, oldest first.

        If the file changes in between, the state is the older one. A file that is damaged is set
        aside: the service goes on without its items. Raises ServeError where it cannot be read.
        """
        state = self.state()
        return state, self._read()

    def state(self) -> State:
        """A value that differs once any process has written."""
        return state_of(self._file)

    def put(self, item_id: str, update: ItemUpdate, bundle: Bundle) -> None:
        """Keep an item. If there are too many, those that the serving bundle has are removed.

        Raises RefusedError if that leaves no room.
        """
        with locked(self._lock):
            updates = self._read()
            updates.pop(item_id, None)
            if len(updates) >= MOST:
                updates = {
                    other_id: other
                    for other_id, other in updates.items()
                    if _is_pending(bundle, other_id, other)
                }
            if len(updates) >= MOST:
                raise RefusedError(
                    f"{MOST:,} items were sent since the training; put them into [items] and train"
                )
            updates[item_id] = update
            replace_file(self._file, msgspec.json.encode(updates))

    def _read(self) -> dict[str, ItemUpdate]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, ItemUpdate])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeError):
            return self._set_aside()
        except OSError as error:
            raise ServeError(
                f"{str(self._file)!r} cannot be read: {error}; correct its permissions"
            ) from error

    @property
    def damaged(self) -> bool:
        """Whether a damaged file was set aside and nobody has looked after it."""
        return self._damaged.exists()

    def _set_aside(self) -> dict[str, ItemUpdate]:
        """Rename the file, unless another process has done so or has replaced it."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return msgspec.json.decode(content, type=dict[str, ItemUpdate])
        except (msgspec.DecodeError, UnicodeError):
            rename(self._file, self._damaged)
        return {}
