"""`propense backup` and `propense restore`: the service's data, to a folder and back."""

from __future__ import annotations

import time
from pathlib import Path

from propense.cli.keys import ACTOR
from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output


def backup(folder: Path, /, *, common: Common = DEFAULTS) -> None:
    """Back up live history, keys and audit log to a new folder while the service runs.

    The service's secret is not copied: keep it elsewhere. Shelf and settings are
    plain files and are not copied either. Earlier backups that are older than
    `[serve.retention] backups` are deleted afterwards.

    Parameters
    ----------
    folder
        Where the backup is written; it must not exist yet.
    """
    from propense.serving.operations.backup import back_up

    output = open_output(common)
    made = back_up(load_settings(common), folder, time.time_ns() // 1000, ACTOR)
    lines = [f"{folder}: {', '.join(made.files)}"]
    lines += [f"deleted, as it is too old: {one}" for one in made.removed]
    lines += [f"too old, and not here: delete {one} where it is now" for one in made.elsewhere]
    output.result({"folder": folder, **made._asdict()}, "\n".join(lines))


def restore(folder: Path, /, *, common: Common = DEFAULTS) -> None:
    """Restore the service's data from a backup while no service is running.

    Put the service's secret back first. Existing data are never overwritten.
    Customers who were erased after the backup must be erased again. All API keys
    are off, as the backup has some that were revoked later: switch on those in use
    with `propense keys enable`.

    Parameters
    ----------
    folder
        The backup, as `propense backup` wrote it.
    """
    from propense.serving.operations import backup as operations

    output = open_output(common)
    settings = load_settings(common)
    restored = operations.restore(settings, folder, time.time_ns() // 1000, ACTOR)
    data = Path(settings.folder) / settings.serve.data
    lines = [f"restored to {data}: {', '.join(restored.files)}"]
    if restored.keys:
        lines += [
            f"all {len(restored.keys)} API keys are off, as some may have been revoked since the",
            "backup; switch on those that are in use:",
            *(f"  propense keys enable {one.prefix}   # {one.kind} key {one.name}"
              for one in restored.keys),
            "  propense keys enable --all",
        ]  # fmt: skip
    keys_off = [{"prefix": one.prefix, "name": one.name, "kind": one.kind} for one in restored.keys]
    output.result({"data": data, "files": restored.files, "keys_off": keys_off}, "\n".join(lines))
