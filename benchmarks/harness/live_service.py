"""A running service for proofs: a folder with a bundle, `propense serve`, and a client of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.small_runs import run_small
from benchmarks.proof import BIN
from propense.web.client import Client

EXISTING_FOLDER = "PROPENSE_SERVE_FOLDER"
"""Names a folder with propense.toml and a shelf, where one is there already; else the small demo
is run, which takes a minute or two."""
PATIENCE = 60
"""Seconds."""


@dataclass(frozen=True)
class Running:
    """A service that answers."""

    url: str
    key: str
    """Has every scope."""
    folder: Path
    process: subprocess.Popen[str]

    def ask(self, method: str, path: str, question: Any = None) -> tuple[int, Any]:
        """Status and JSON answer of one request."""
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        body = None if question is None else json.dumps(question).encode()
        with closing(Client(self.url, PATIENCE, headers)) as client:
            answer = client.request(method, path, body)
        return answer.status, json.loads(answer.body or b"null")


@contextmanager
def bundle_folder() -> Iterator[Path]:
    """A folder of its own with propense.toml and a shelf whose bundle serves; no live data yet."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "demo"
        existing = os.environ.get(EXISTING_FOLDER)
        if existing:
            folder.mkdir()
            shutil.copy(Path(existing) / "propense.toml", folder)
            shutil.copytree(Path(existing) / "shelf", folder / "shelf")
        else:
            run_small(Path(root))
        yield folder


@contextmanager
def serving(
    folder: Path,
    *words: str,
    key: str | None = None,
    core: int | None = None,
    load_history: bool = False,
) -> Iterator[Running]:
    """`propense serve` on a free port, with a fresh key of every scope where none is given;
    stopped at the end.

    `words` are further options, such as "--set", "serve.durable=power"; `core` is the one that
    it may use, by its number. Without `load_history` the customers of a run are unknown, so that a
    measurement has the machine and the store for itself.
    """
    errors = tempfile.TemporaryFile("w+")
    settings = str(folder / "propense.toml")
    pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
    process = subprocess.Popen(
        [*pinned, str(BIN / "propense"), "serve", "--settings", settings, "--port", "0", "--json",
         "--set", f"serve.load_history={str(load_history).lower()}", *words],
        stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        announced = _first_object(process)
        if not announced:
            errors.seek(0)
            raise RuntimeError(f"propense serve ended at once: {errors.read()[-2000:]}")
        if key is None:
            key = new_key(folder)
            time.sleep(1.0)  # a running service looks for new keys several times a second
        yield Running(announced["url"], key, folder, process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()
        errors.close()


def _first_object(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON object that the verb prints once it listens; empty if it ended before."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        try:
            announcement: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError:
            continue
        return announcement
    return {}


def new_key(folder: Path) -> str:
    """A key of every scope, written into the data folder of the settings."""
    words = ["keys", "create", "proof", "--settings", str(folder / "propense.toml"), "--json"]
    for scope in ("ingest", "read", "admin", "verify"):
        words += ["--scope", scope]
    done = subprocess.run([str(BIN / "propense"), *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"propense keys create: {done.stderr[-500:]}")
    key: str = json.loads(done.stdout)["key"]
    return key
