"""`propense history`: the past of customers in the live store."""

from __future__ import annotations

from typing import Annotated

from propense.cli.options import DEFAULTS, Changes, Common, Flag, load_settings
from propense.cli.output import open_output
from propense.cli.progress import show_progress


def load(
    *,
    set_: Changes = (),
    run: str | None = None,
    force: Annotated[bool, Flag] = False,
    common: Common = DEFAULTS,
) -> None:
    """Bring the histories, profiles and identities of a run into the live store.

    `propense serve` does this by itself, unless [serve] load_history is false. It
    works while a service runs, can be stopped at any time, and writes nothing twice.
    What is loaded is not read by the next training, whose sources have it already.

    Parameters
    ----------
    set_
        Override a setting, KEY=VALUE; may be repeated.
    run
        Folder of the run; default: the setting `run`.
    force
        Compare every customer again, even if this run is loaded already.
    """
    import msgspec

    from propense.web.no_pandas import leave_pandas_out

    leave_pandas_out()
    from propense.serving.operations.history_loading import load_history
    from propense.serving.operations.history_process import describe

    output = open_output(common)
    settings = load_settings(common, set_)
    if run is not None:
        settings = msgspec.structs.replace(settings, run=run)
    with show_progress(output) as progress:
        loaded = load_history(settings, progress, force=force)
    output.result(msgspec.to_builtins(loaded), describe(loaded))
