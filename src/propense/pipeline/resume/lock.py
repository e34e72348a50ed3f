"""One run at a time in a run folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from propense.errors import PropenseError
from propense.files import locked
from propense.schemas import RunFolder


@contextmanager
def one_run(run: RunFolder) -> Iterator[None]:
    """Hold the run folder until the end; `run.lock` names the process that does.

    Raises PropenseError while another process holds it.
    """
    run.root.mkdir(parents=True, exist_ok=True)
    file = run.root / "run.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(file, wait=False))
        except BlockingIOError as error:
            holder = file.read_text("utf-8").strip() or "unknown"
            raise PropenseError(
                f"another run (process {holder}) is using {str(run.root)!r}; wait for it, "
                "or give this one a folder of its own: --set run=runs/other"
            ) from error
        file.write_text(f"{os.getpid()}\n", "utf-8")
        stack.callback(file.write_text, "", "utf-8")
        yield
