"""Verbs of the shelf of bundles."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output

ShelfFolder = Annotated[Path | None, Parameter(name="--shelf", show_default=False)]


def list_bundles(*, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """Every bundle of the shelf, newest last, and which one serves.

    Parameters
    ----------
    shelf
        Folder of the shelf; without it the one of the settings.
    """
    from propense.inference.shelf import list_versions

    output = open_output(common)
    folder = _folder(shelf, common)
    versions = list_versions(folder)
    lines = [
        f"{'* ' if version.serving else '  '}{version.name:<10}{version.made:<28}"
        f"{version.content[:12]}"
        for version in versions
    ]
    output.result(versions, "\n".join(lines) or f"shelf {folder} is empty; fill it: propense pack")


def promote_bundle(
    version: str,
    /,
    *,
    reason: str = "",
    shelf: ShelfFolder = None,
    common: Common = DEFAULTS,
) -> None:
    """Let a bundle serve from now on.

    Refused if it is worse than the one that serves now, or worse than a plain
    rival, beyond the interval; a reason overrules that and is written down.

    Parameters
    ----------
    version
        The bundle's name, as `propense shelf list` shows it.
    reason
        Why it should serve although it is worse.
    shelf
        Folder of the shelf; without it the one of the settings.
    """
    from propense.inference.shelf import promote

    output = open_output(common)
    folder = _folder(shelf, common)
    promote(folder, version, reason, now())
    output.result({"shelf": folder, "serving": version, "reason": reason}, f"{version} serves now")


def rollback_bundle(*, shelf: ShelfFolder = None, common: Common = DEFAULTS) -> None:
    """Let the bundle serve again that served before this one.

    Parameters
    ----------
    shelf
        Folder of the shelf; without it the one of the settings.
    """
    from propense.inference.shelf import rollback

    output = open_output(common)
    folder = _folder(shelf, common)
    version = rollback(folder, now())
    output.result({"shelf": folder, "serving": version}, f"{version} serves now")


def now() -> str:
    """This moment, for the record of what served when."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _folder(shelf: Path | None, common: Common) -> Path:
    if shelf is not None:
        return shelf
    settings = load_settings(common)
    return Path(settings.folder) / settings.pack.shelf
