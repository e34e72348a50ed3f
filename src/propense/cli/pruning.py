"""`propense shelf prune`."""

from __future__ import annotations

from pathlib import Path

from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output
from propense.cli.shelf import ShelfFolder


def prune_bundles(*, keep: int, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """Remove old bundles from the shelf.

    What serves stays, and what a rollback leads to, and what [serve] shadow names.

    Parameters
    ----------
    keep
        How many of the newest stay.
    shelf
        Folder of the shelf; without it the one of the settings.
    """
    from propense.inference.pruning import prune

    output = open_output(common)
    settings = load_settings(common) if shelf is None or common.settings.is_file() else None
    if shelf is None:
        assert settings is not None
        shelf = Path(settings.folder) / settings.pack.shelf
    shadow = settings.serve.shadow if settings is not None else None
    removed = prune(shelf, keep, also=() if shadow is None else (shadow,))
    told = f"removed {', '.join(removed)}" if removed else "nothing to remove"
    output.result({"shelf": shelf, "removed": removed}, told)
