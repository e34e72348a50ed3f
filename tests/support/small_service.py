"""A small education platform with a bundle, served by `propense serve` on a free port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from propense.worlds.education.education import generate_education

EXISTING_FOLDER = "PROPENSE_SERVE_FOLDER"
"""Names a folder that already has such a platform, its run and its shelf."""
BIN = Path(sys.executable).parent
PATIENCE = 120
N_USERS = 300
QUICK = """
[model]
size = "small"
[train]
max_epochs = 1
threads = 1
[rivals]
goals = ["majority"]
items = ["popularity"]
trials = 1
[evaluate]
resamples = 20
[pack]
refresh = false
"""


def without(text: str, *tables: str) -> str:
    """A propense.toml without some of its tables."""
    for table in tables:
        before, there, after = text.partition(f"[{table}]\n")
        text = before + after.partition("\n\n")[2] if there else text
    return text


def make_platform(folder: Path) -> None:
    """Logs, a run and a shelf with v0001, and v0002 which is the same."""
    existing = os.environ.get(EXISTING_FOLDER)
    if existing:
        shutil.copytree(existing, folder, ignore=shutil.ignore_patterns("live"), dirs_exist_ok=True)
    else:
        generate_education(folder, N_USERS)
        file = folder / "propense.toml"
        text = without(file.read_text("utf-8"), "model", "train", "rivals", "evaluate")
        file.write_text(text + QUICK, "utf-8")
        done = subprocess.run(
            [str(BIN / "propense"), "run"], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
    if not (folder / "shelf/v0002").exists():
        shutil.copytree(folder / "shelf/v0001", folder / "shelf/v0002")


@dataclass
class Shell:
    """Runs pieces of code in a folder, one after the other; exported variables are passed on."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **self.env}

    def bash(self, code: str) -> str:
        """The output of bash code. Raises AssertionError where one of its commands fails."""
        variables = self.folder / "environment"
        output = self._run("bash", "-euo", "pipefail", "-c", f"{code}\nenv -0 > {variables}")
        lines = variables.read_bytes().decode().rstrip("\0").split("\0")
        self.env = dict(line.split("=", 1) for line in lines)
        variables.unlink()
        return output

    def python(self, code: str) -> str:
        return self._run(sys.executable, "-c", code)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout


@contextmanager
def serving(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """`propense serve` in the folder, with further options; gives its URL."""
    errors = (folder / "serve.log").open("w+")
    process = subprocess.Popen(
        [str(BIN / "propense"), "serve", "--port", "0", "--json", *words], cwd=folder,
        stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(env or {})},
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        text = ""
        for line in process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        errors.seek(0)
        assert text, errors.read()[-3000:]
        yield str(json.loads(text)["url"])
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)
        process.stdout.close()
        errors.close()


def objects(text: str) -> list[Any]:
    """The JSON objects of an output; several can be on one line."""
    values, decoder = [], json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        value, end = decoder.raw_decode(text, at)
        values.append(value)
        at = text.find("{", end)
    return values
