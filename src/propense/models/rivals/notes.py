"""Notes about a rival: how it was fitted, on how many rows, and how long it took."""

from __future__ import annotations

from pathlib import Path

import msgspec

from propense.errors import BundleError


class RivalNotes(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one fit."""

    rows: int = 0
    """Rows learned from, after sampling."""
    rows_available: int = 0
    trials: int = 0
    """Settings that were tried on validation."""
    members: int = 1
    settings: dict[str, float | int | str | bool] = {}
    """Those chosen."""
    score: float | None = None
    """Score of the chosen settings on validation; `measure` names the metric."""
    measure: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0
    """Size of the largest arrays held at once, where memory limits the rival."""
    remarks: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write as JSON; the file holds a duration, so it is no part of a model's content."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)))


def read_notes(path: Path) -> RivalNotes:
    """Notes that `write` wrote; empty where the file is absent.

    Raises BundleError if the file is no such notes.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=RivalNotes)
    except FileNotFoundError:
        return RivalNotes()
    except msgspec.MsgspecError as error:
        raise BundleError(f"{str(path)!r} cannot be read: {error}; fit the rivals again") from error
