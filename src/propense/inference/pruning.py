"""Removing old bundles from a shelf."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from propense.errors import BundleError
from propense.inference.shelf import list_versions, read_current


def prune(shelf: Path, keep: int, also: Sequence[str] = ()) -> list[str]:
    """Remove all but the newest `keep` bundles; returns the names of those removed.

    What serves stays, the last other one that served before it, and those named in `also`. A
    bundle goes as a whole: it leaves the shelf before its files do.

    Raises BundleError if `keep` is below 1.
    """
    if keep < 1:
        raise BundleError(f"--keep must be at least 1, got {keep}: a shelf keeps its active bundle")
    history = [entry.version for entry in read_current(shelf).history]
    earlier = [version for version in history if version != history[-1]]
    stays = {*history[-1:], *earlier[-1:], *also}
    # In the order of their numbers: v10000 comes after v9999.
    names = sorted((one.name for one in list_versions(shelf)), key=lambda name: (len(name), name))
    removed = [name for name in names[:-keep] if name not in stays]
    for name in removed:
        gone = shelf / f".pruned-{name}"
        shutil.rmtree(gone, ignore_errors=True)
        (shelf / name).rename(gone)
        shutil.rmtree(gone)
    for left in shelf.glob(".pruned-v*"):
        shutil.rmtree(left, ignore_errors=True)
    return removed
