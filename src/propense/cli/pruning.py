"""`propense shelf prune`."""

from __future__ import annotations

from pathlib import Path

from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output
from propense.cli.shelf import ShelfFolder


def prune_bundles(*, keep: int, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """Delete old bundles from the shelf.

    The serving bundle, the one a rollback would return to, and the one named by
    [serve] shadow are always kept.

    Parameters
    ----------
    keep
        How many of the newest bundles to keep.
    shelf
        Folder of the shelf; default: [pack] shelf.
    """
    from propense.inference.pruning import prune

    output = open_output(common)
    settings = load_settings(common) if shelf is None or common.settings.is_file() else None
    if shelf is None:
        assert settings is not None
        shelf = Path(settings.folder) / settings.pack.shelf
    shadow = settings.serve.shadow if settings is not None else None
    removed = prune(shelf, keep, also=() if shadow is None else (shadow,))
    text = f"deleted {', '.join(removed)}" if removed else "nothing to delete"
    output.result({"shelf": shelf, "removed": removed}, text)
