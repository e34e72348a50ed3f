"""Items that came, or changed, after the bundle was made: kept in the data folder, known to all
processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from propense import columns
from propense.errors import RefusedError, ServeError
from propense.serving.files import State, locked, replace_file, state_of

FILE: Final = "items.json"
LOCK: Final = "items.lock"
MOST: Final = 100_000
"""Items between two trainings; the catalogue itself belongs into [items]."""


class Stock:
    """The records in `folder`, item id -> column -> value."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._lock = folder / LOCK

    def read(self) -> tuple[State, list[dict[str, Any]]]:
        """The file's state, and every record, oldest first; where it changes in between the
        state is the older one. Raises ServeError where the file cannot be read."""
        state = self.state()
        return state, [{columns.ITEM_ID: item, **one} for item, one in self._read().items()]

    def state(self) -> State:
        """Tells whether any process has written since."""
        return state_of(self._file)

    def put(self, item_id: str, record: Mapping[str, Any]) -> None:
        """Keep a record. Raises RefusedError where there are too many."""
        with locked(self._lock):
            known = self._read()
            if item_id not in known and len(known) >= MOST:
                raise RefusedError(
                    f"{MOST:,} items came since the training; put them into [items] and train"
                )
            known.pop(item_id, None)
            known[item_id] = dict(record)
            replace_file(self._file, msgspec.json.encode(known))

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, dict[str, Any]])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise ServeError(f"{str(self._file)!r} cannot be read: {error}") from error
