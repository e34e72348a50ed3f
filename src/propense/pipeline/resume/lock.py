"""One run at a time in a run folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from propense.errors import PropenseError
from propense.schemas import RunFolder


@contextmanager
def one_run(run: RunFolder) -> Iterator[None]:
    """Hold the run folder until the end; `run.lock` names the process that does.

    The system lets go of it when that process dies, however it dies, so that the lock of a
    dead one is simply taken. Raises PropenseError while another process lives that holds it.
    """
    run.root.mkdir(parents=True, exist_ok=True)
    with (run.root / "run.lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise PropenseError(
                f"another run (process {holder}) is at work in {str(run.root)!r}; wait for it, "
                "or give this one a folder of its own: --set run=runs/other"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
