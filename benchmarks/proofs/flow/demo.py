"""The demo at full size: 100,000 users from nothing to a report."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.proof import BIN, Proof, measure

KIND = "speed"
CLAIM = "propense demo: 100,000 users from nothing to a report, in 10 minutes and 4 GB on two cores"
USERS = 100_000
LIMIT_SECONDS = 600
LIMIT_MB = 4_096


def prove() -> Proof:
    """Time and memory of the whole command; seconds of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "demo"
        done = measure(
            BIN / "propense", "demo", "--users", str(USERS), "--folder", target,
            "--no-open", "--quiet", "--json",
        )  # fmt: skip
        if done.code:
            return Proof(CLAIM, KIND, "fail", done.tail)
        answer = json.loads(done.output[done.output.index("{") :])
    stages = ", ".join(f"{name} {took:.0f}" for name, took in answer["stage_seconds"].items())
    good = done.seconds < LIMIT_SECONDS and done.peak_mb < LIMIT_MB
    figure = f"{done.seconds:.0f} s ({stages}), {done.peak_mb:.0f} MB at most"
    limit = f"< {LIMIT_SECONDS} s, < {LIMIT_MB} MB"
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, limit)
