"""A service of one's own for a while: started, asked, stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from propense.errors import ServeError

STARTS_WITHIN = 60


@contextmanager
def deployed(settings_file: Path) -> Iterator[str]:
    """The address of a service that runs by these settings, on a free port of this machine.

    Raises ServeError with what it said where it does not start.
    """
    command = [
        sys.executable, "-m", "propense", "serve", "--settings", str(settings_file),
        "--host", "127.0.0.1", "--port", "0", "--workers", "1", "--json",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    try:
        told = ""
        for line in process.stdout:
            told += line
            if line.rstrip() == "}":
                break
        else:
            process.wait(STARTS_WITHIN)
            raise ServeError(f"the service did not start: {process.stderr.read().strip()[-500:]}")
        yield str(json.loads(told)["url"])
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STARTS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
