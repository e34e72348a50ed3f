"""The record of a proof, and the measuring of commands."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
"""The programs of the environment that runs this."""


@dataclass(frozen=True)
class Proof:
    """One claim of the project and what was measured."""

    claim: str
    kind: Literal["speed", "truth", "safety", "quality"]
    status: Literal["pass", "fail", "skip"]
    figure: str
    """The measured value with its unit; for a skipped proof, the reason."""
    limit: str = ""
    """The bound that the value had to keep."""


@dataclass(frozen=True)
class Measured:
    """A finished command."""

    code: int
    seconds: float
    peak_mb: float
    """Largest resident memory of the largest process among it and its children."""
    output: str
    """Both streams, in order."""

    @property
    def tail(self) -> str:
        """The last line that says something."""
        lines = [line for line in self.output.splitlines() if line.strip()]
        return lines[-1].strip(" =") if lines else ""


def measure(*command: str | Path, cwd: Path = ROOT, **environment: str) -> Measured:
    """Run a command to its end, and measure it; its output is kept, not shown."""
    with tempfile.TemporaryFile() as stream:
        began = time.perf_counter()
        child = subprocess.Popen(
            [str(word) for word in command], cwd=cwd, stdout=stream, stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )  # fmt: skip
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        stream.seek(0)
        output = stream.read().decode("utf-8", "replace")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Measured(child.returncode, seconds, used.ru_maxrss / unit, output)


def pytest_proof(
    claim: str, kind: Literal["speed", "truth", "safety", "quality"], *words: str
) -> Proof:
    """A proof that consists of tests; skipped if all of them are."""
    done = measure(BIN / "python", "-m", "pytest", *words, OMP_NUM_THREADS="1")
    passed = " passed" in done.tail
    figure = f"{done.tail} ({' '.join(words)})"
    if done.code == 5 or (done.code == 0 and not passed):
        return Proof(claim, kind, "skip", figure)
    return Proof(claim, kind, "pass" if done.code == 0 else "fail", figure, "all tests pass")
