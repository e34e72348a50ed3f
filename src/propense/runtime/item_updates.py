"""Items that came, or changed, after the bundle was made: kept in the data folder, known to all
processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from propense import columns
from propense.errors import RefusedError, ServeError
from propense.files import State, locked, replace_file, state_of
from propense.inference.bundle import Bundle

FILE: Final = "items.json"
LOCK: Final = "items.lock"
MOST: Final = 100_000
"""Items between two trainings; the catalogue itself belongs into [items]."""


class ItemUpdate(msgspec.Struct, frozen=True):
    """An item as it was sent last."""

    at: int
    """Microseconds UTC."""
    record: dict[str, Any]


def pending_updates(bundle: Bundle, sent: Mapping[str, ItemUpdate]) -> list[dict[str, Any]]:
    """The records that the bundle's own catalogue does not have yet, in order: of items that
    [items] does not tell of, and what was sent since it was read."""
    return [
        {columns.ITEM_ID: item_id, **one.record}
        for item_id, one in sent.items()
        if _is_pending(bundle, item_id, one)
    ]


def _is_pending(bundle: Bundle, item_id: str, sent: ItemUpdate) -> bool:
    if sent.at >= bundle.manifest.items_read:
        return True
    index = bundle.catalogue.index_of.get(item_id)
    return index is None or len(bundle.catalogue.record(index)) == 1


class ItemUpdates:
    """The items in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._lock = folder / LOCK

    def read(self) -> tuple[State, dict[str, ItemUpdate]]:
        """The file's state, and every item by id, oldest first; where it changes in between the
        state is the older one. Raises ServeError where the file cannot be read."""
        state = self.state()
        return state, self._read()

    def state(self) -> State:
        """Tells whether any process has written since."""
        return state_of(self._file)

    def put(self, item_id: str, sent: ItemUpdate, bundle: Bundle) -> None:
        """Keep an item. Where there are too many, those go that are no news to the bundle that
        answers; raises RefusedError where that leaves no room."""
        with locked(self._lock):
            known = self._read()
            known.pop(item_id, None)
            if len(known) >= MOST:
                known = {name: one for name, one in known.items() if _is_pending(bundle, name, one)}
            if len(known) >= MOST:
                raise RefusedError(
                    f"{MOST:,} items came since the training; put them into [items] and train"
                )
            known[item_id] = sent
            replace_file(self._file, msgspec.json.encode(known))

    def _read(self) -> dict[str, ItemUpdate]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, ItemUpdate])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise ServeError(
                f"{str(self._file)!r} cannot be read: {error}; move it away and send its items "
                "again"
            ) from error
