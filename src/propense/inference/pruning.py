"""Deletes old bundles from a shelf."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from propense.errors import BundleError
from propense.inference.shelf import PRUNED, list_versions, read_current


def prune(shelf: Path, keep: int, also: Sequence[str] = ()) -> list[str]:
    """Delete all but the newest `keep` bundles; returns the names of the deleted ones.

    The active bundle is kept, the last other one that was active before it, and those named in
    `also`. A bundle is renamed off the shelf before its files are deleted, so none is left half.

    Raises BundleError if `keep` is below 1.
    """
    if keep < 1:
        raise BundleError(f"--keep must be at least 1, got {keep}: a shelf keeps its active bundle")
    history = [entry.version for entry in read_current(shelf).history]
    earlier = [version for version in history if version != history[-1]]
    protected = {*history[-1:], *earlier[-1:], *also}
    # In the order of their numbers: v10000 comes after v9999.
    names = sorted((one.name for one in list_versions(shelf)), key=lambda name: (len(name), name))
    removed = [name for name in names[:-keep] if name not in protected]
    for name in removed:
        trash = shelf / f"{PRUNED}{name}"
        shutil.rmtree(trash, ignore_errors=True)
        (shelf / name).rename(trash)
        shutil.rmtree(trash)
    for leftover in shelf.glob(f"{PRUNED}v*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return removed
