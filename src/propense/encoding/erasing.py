"""Taking customers out of an encoded data set, while the places of all others stay."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from propense.encoding.dataset import LEFT_OUT
from propense.errors import SourceError
from propense.files import replacing
from propense.schemas import ERASED, NO_TIME, NONE

_IDS: Final = "histories_user_ids.arrow"
_SENSITIVE: Final = "profiles_sensitive.arrow"

_OF_EVENTS: Final = {
    "histories_action": NONE, "histories_item": NONE, "histories_source": NONE,
    "histories_value": np.nan, "histories_count": 1.0,
}  # fmt: skip
"""Arrays of events, and what says nothing in them."""
_OF_USERS: Final = {
    "profiles_numeric": np.nan, "profiles_categorical": NONE, "profiles_times": NO_TIME,
    "profiles_valid_from": NO_TIME, "user_part": LEFT_OUT, "user_fold": LEFT_OUT,
}  # fmt: skip


def blank_customers(encoded: Path, ids: Set[str]) -> int:
    """Blank customers in the data set that `encode` wrote to `encoded`; returns how many.

    Their ids become "(erased)", their events and profile say nothing, their rows and targets
    belong to no part. How many events they had stays, so that the places of all others do. The
    arrays are changed where they lie, ids last: stopped half-way, the same call ends the work.
    A data set with folds cannot be read by fold afterwards; it is encoded anew by the next run.
    Raises SourceError where the folder cannot be read or written.
    """
    try:
        return _blank(encoded, ids)
    except (OSError, ValueError, pa.ArrowException, msgspec.DecodeError) as error:
        raise SourceError(
            f"customers cannot be erased from {str(encoded)!r}: {error}; mend it and erase again, "
            f"or remove the folder: the next run makes it anew"
        ) from error


def _blank(encoded: Path, ids: Set[str]) -> int:
    table = feather.read_table(str(encoded / _IDS), memory_map=False)
    names = table["user_ids"]
    gone = pc.is_in(names, value_set=pa.array(sorted(ids), pa.string()))
    users = np.flatnonzero(gone.to_numpy(zero_copy_only=False))
    if not len(users):
        return 0
    offsets = np.load(encoded / "histories_offsets.npy", allow_pickle=False)
    events = np.concatenate([np.arange(offsets[user], offsets[user + 1]) for user in users])
    for name, nothing in _OF_EVENTS.items():
        _fill(encoded / f"{name}.npy", events, nothing)
    if msgspec.json.decode((encoded / "histories.json").read_bytes()).get("timed", True):
        # One moment for all, and not theirs: the first of the whole log.
        times = np.load(encoded / "histories_time.npy", allow_pickle=False)
        _fill(encoded / "histories_time.npy", events, times.min(initial=0) if len(times) else 0)
    for name, nothing in _OF_USERS.items():
        _fill(encoded / f"{name}.npy", users, nothing)
    _blank_rows(encoded, users)
    sensitive = encoded / _SENSITIVE
    if sensitive.exists():
        words = feather.read_table(str(sensitive), memory_map=False)
        remaining = {
            name: pc.if_else(gone, pa.scalar(None, pa.string()), words[name])
            for name in words.column_names
        }
        _write(sensitive, pa.table(remaining))
    renamed = pc.if_else(gone, pa.scalar(ERASED), names)
    _write(encoded / _IDS, pa.table({"user_ids": renamed}))
    return len(users)


def _blank_rows(encoded: Path, users: Any) -> None:
    """As-of rows without labels, targets without items; both of no part."""
    rows = np.flatnonzero(_is_of(encoded / "rows_user.npy", users))
    _fill(encoded / "rows_y.npy", rows, np.nan)
    _fill(encoded / "rows_part.npy", rows, LEFT_OUT)
    targets = np.flatnonzero(_is_of(encoded / "targets_user.npy", users))
    _fill(encoded / "targets_part.npy", targets, LEFT_OUT)
    bounds = np.load(encoded / "targets_item_offsets.npy", allow_pickle=False)
    items = [np.arange(bounds[row], bounds[row + 1]) for row in targets]
    _fill(encoded / "targets_items.npy", np.concatenate(items) if items else targets, NONE)


def _is_of(file: Path, users: Any) -> Any:
    return np.isin(np.load(file, allow_pickle=False), users)


def _fill(file: Path, indices: Any, value: Any) -> None:
    """Set places of an array on disk; one that does not exist or is empty has none."""
    if not len(indices) or not file.exists():
        return
    array = np.lib.format.open_memmap(file, mode="r+")
    if array.size:
        array[indices] = value
        array.flush()


def _write(file: Path, table: Any) -> None:
    with replacing(file) as unfinished:
        feather.write_feather(table, str(unfinished), compression="uncompressed")
