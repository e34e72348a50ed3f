"""`propense serve` and `propense history`: the service, and the past of its customers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

from propense.cli.keys import ACTOR
from propense.cli.options import DEFAULTS, Changes, Common, Flag, load_settings
from propense.cli.output import open_output
from propense.cli.progress import show_progress
from propense.files import replace_file

FIRST_KEY: Final = "first_key"
"""File of the data folder for the first key where there is no terminal."""


def serve(
    *,
    set_: Changes = (),
    workers: int | None = None,
    port: int | None = None,
    host: str | None = None,
    first_key: Annotated[bool, Flag] = False,
    common: Common = DEFAULTS,
) -> int:
    """Serve predictions and recommendations over HTTP, and take live events.

    Once an event is acknowledged, the next answer and the next run take it into
    account. After a promotion the new bundle answers from the next request on.
    Ctrl-C stops the service after it has written every acknowledged event.
    The customers of the run come along: their histories are brought into the
    live store at the start, and after each new run what is new, while the service
    answers.

    Parameters
    ----------
    set_
        Override a setting, KEY=VALUE; may be repeated.
    workers
        Number of processes; default: [serve] workers.
    port
        Port to listen on, 0 for a free one; default: [serve] port.
    host
        Address to listen on; default: [serve] host.
    first_key
        If there is no valid key, create one with all scopes. It is shown on the
        terminal; without one it is in the file first_key of the data folder.
    """
    import msgspec

    from propense.web.no_pandas import leave_pandas_out

    leave_pandas_out()
    from propense.serving.server import Address, make_first_key, run

    output = open_output(common)
    settings = load_settings(common, set_)
    options = {"workers": workers, "port": port, "host": host}
    changes = {name: value for name, value in options.items() if value is not None}
    serve_settings = msgspec.structs.replace(settings.serve, **changes)
    settings = msgspec.structs.replace(settings, serve=serve_settings)
    if first_key:
        key = make_first_key(settings, ACTOR, output.message)
        if key is not None:
            _hand_over(key, Path(settings.folder) / settings.serve.data)

    def print_address(address: Address) -> None:
        output.result(
            {
                "url": address.url,
                "bundle": address.bundle,
                "workers": serve_settings.workers,
                "pid": os.getpid(),
            },
            f"serving {address.bundle} at {address.url}, processes: {serve_settings.workers}; "
            f"routes: {address.url}/openapi.json",
        )
        sys.stdout.flush()

    return run(settings, print_address, lambda: show_progress(output), output.message)


def _hand_over(key: str, data: Path) -> None:
    """Show the first key to whoever sits at the terminal. Where there is none, as under systemd
    or in a container, what is printed stays in logs, so it goes into a file of the owner."""
    if sys.stderr.isatty():
        print(f"key (shown once): {key}", file=sys.stderr)
        return
    file = data / FIRST_KEY
    replace_file(file, f"{key}\n".encode())
    print(
        f"the first key is in {file} (no terminal to show it on); store it elsewhere, then delete "
        "the file",
        file=sys.stderr,
    )


def load_history(
    *,
    set_: Changes = (),
    run: str | None = None,
    force: Annotated[bool, Flag] = False,
    common: Common = DEFAULTS,
) -> None:
    """Bring the histories, profiles and identities of a run into the live store.

    `propense serve` does this by itself, unless [serve] load_history is false. It
    works while a service runs, can be stopped at any time, and writes nothing
    twice. What is loaded is not read by the next training, whose sources have it
    already.

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
    from propense.security.recording import recorded
    from propense.security.secrets import open_secrets
    from propense.serving.operations import history_loading
    from propense.serving.operations.history_process import describe

    output = open_output(common)
    settings = load_settings(common, set_)
    if run is not None:
        settings = msgspec.structs.replace(settings, run=run)
    data = Path(settings.folder) / settings.serve.data
    with (
        recorded(data, open_secrets(data), ACTOR, "history.load"),
        show_progress(output) as progress,
    ):
        loaded = history_loading.load_history(settings, progress, force=force)
    output.result(msgspec.to_builtins(loaded), describe(loaded))
