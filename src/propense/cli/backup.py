"""Verbs of copies: all that a service keeps, to a folder and back."""

from __future__ import annotations

import time
from pathlib import Path

from propense.cli.keys import ACTOR
from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output


def backup(folder: Path, /, *, common: Common = DEFAULTS) -> None:
    """Copy live history, keys and audit log into a new folder, while the service runs.

    The secret is not copied: keep it in another place. Nor are shelf and settings,
    which are plain files.

    Parameters
    ----------
    folder
        Where the copy goes; it must not be there yet.
    """
    from propense.serving.operations.backup import back_up

    output = open_output(common)
    files = back_up(load_settings(common), folder, time.time_ns() // 1000, ACTOR)
    output.result({"folder": folder, "files": files}, f"{folder}: {', '.join(files)}")


def restore(folder: Path, /, *, common: Common = DEFAULTS) -> None:
    """Make the service's data from a copy, while no service runs on them.

    The secret must be in its place; what is there already is never written over.
    Whoever was erased after the copy was made must be erased again.

    Parameters
    ----------
    folder
        The copy, as `propense backup` made it.
    """
    from propense.serving.operations.backup import restore as bring_back

    output = open_output(common)
    settings = load_settings(common)
    files = bring_back(settings, folder)
    data = Path(settings.folder) / settings.serve.data
    output.result({"data": data, "files": files}, f"{data} has {', '.join(files)} again")
