"""A service that runs for a while in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from propense.errors import ServeError

TIMEOUT = 60
"""Seconds that the service gets to end."""


@contextmanager
def temporary_service(settings_file: Path) -> Iterator[str]:
    """The URL of a service with these settings, on a free port of this machine.

    Raises ServeError with the service's own error if it does not start.
    """
    command = [
        sys.executable, "-m", "propense", "serve", "--settings", str(settings_file),
        "--host", "127.0.0.1", "--port", "0", "--workers", "1", "--json",
        "--set", "serve.load_history=false",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if line.rstrip() == "}":
                break
        else:
            process.wait(TIMEOUT)
            raise ServeError(f"the service did not start: {process.stderr.read().strip()[-500:]}")
        yield str(json.loads(printed)["url"])
    finally:
        process.terminate()
        try:
            process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
