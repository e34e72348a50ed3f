"""`propense serve`: the service, until it is stopped."""

from __future__ import annotations

import os
import sys
from typing import Annotated

from cyclopts import Parameter

from propense.cli.keys import ACTOR
from propense.cli.options import DEFAULTS, Common, load_settings
from propense.cli.output import open_output


def serve(
    *,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    workers: int | None = None,
    port: int | None = None,
    host: str | None = None,
    first_key: Annotated[bool, Parameter(name="--first-key", negative="")] = False,
    common: Common = DEFAULTS,
) -> int:
    """Answer over HTTP with the bundle that serves, and take live events in.

    Events that were acknowledged are in the next answer, and in the next run. A
    bundle promoted meanwhile answers from the next question on. Ctrl-C stops it
    once what was taken in is written.

    Parameters
    ----------
    set_
        KEY=VALUE laid over the settings, for example serve.durable=power.
    workers
        Processes; default: [serve] workers.
    port
        Port to listen on, 0 for a free one; default: [serve] port.
    host
        Address to listen on; default: [serve] host.
    first_key
        Make a key with every scope and print it, where no key opens yet.
    """
    import msgspec

    from propense.web.no_pandas import leave_pandas_out

    leave_pandas_out()
    from propense.serving.server import Address, open_keys, run

    output = open_output(common)
    settings = load_settings(common, set_)
    given = {"workers": workers, "port": port, "host": host}
    changed = {name: value for name, value in given.items() if value is not None}
    own = msgspec.structs.replace(settings.serve, **changed)
    settings = msgspec.structs.replace(settings, serve=own)
    if first_key:
        shown = open_keys(settings, ACTOR)
        if shown is not None:
            print(f"key (shown once): {shown}", file=sys.stderr)

    def tell(address: Address) -> None:
        output.result(
            {
                "url": address.url,
                "bundle": address.bundle,
                "workers": own.workers,
                "pid": os.getpid(),
            },
            f"{address.bundle} answers at {address.url} ({own.workers} "
            f"process{'es' if own.workers > 1 else ''}); routes: {address.url}/openapi.json",
        )
        sys.stdout.flush()

    return run(settings, tell)
