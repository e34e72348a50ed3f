"""A whole small run and its hashes, for proofs that need several."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.proof import BIN, ROOT, measure

USERS = 400


@dataclass(frozen=True)
class SmallRun:
    """The result of a finished run."""

    content: str
    """Hash over the bundle: network, rivals, encoder, calibrators, report."""
    files: dict[str, str]
    """File of the bundle -> its hash."""
    seconds: float


def command(folder: Path, users: int = USERS) -> list[str]:
    """The command of a small demo; run again, it resumes.

    The last part of its folder is always the same, since the report has that name.
    """
    words = ["demo", "--users", str(users), "--folder", str(folder / "demo"), "--no-open", "--json"]
    return [str(BIN / "propense"), *words, "--quiet"]


def run_small(folder: Path, users: int = USERS) -> SmallRun:
    """Run to the end. Raises RuntimeError with the last line if it fails."""
    done = measure(*command(folder, users))
    if done.code:
        raise RuntimeError(f"demo ended with code {done.code}: {done.tail}")
    answer = json.loads(done.output[done.output.index("{") :])
    bundle = Path(answer["bundle"])
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    return SmallRun(manifest["content"], manifest["files"], done.seconds)


def run_and_kill(folder: Path, after_seconds: float) -> bool:
    """Run, and kill -9 the whole process group after a while; whether there was one to kill."""
    child = subprocess.Popen(
        command(folder), cwd=ROOT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    ends = time.monotonic() + after_seconds
    while time.monotonic() < ends:
        if child.poll() is not None:
            return False
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    return True


def differing(one: SmallRun, other: SmallRun) -> list[str]:
    """Files of the bundles that are not the same."""
    names = one.files.keys() | other.files.keys()
    return sorted(name for name in names if one.files.get(name) != other.files.get(name))
