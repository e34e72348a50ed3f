"""The same seed gives the same bundle."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness.small_runs import USERS, differing, run_small
from benchmarks.proof import Proof

KIND = "safety"
CLAIM = "two runs with the same seed make the same bundle, byte for byte"


def prove() -> Proof:
    """Generate, run and pack twice, in two folders."""
    with tempfile.TemporaryDirectory() as folder:
        one, other = (run_small(Path(folder) / name) for name in ("one", "other"))
    same = one.content == other.content
    figure = f"{USERS:,} users, {one.seconds:.0f} s and {other.seconds:.0f} s: "
    figure += "the same content" if same else f"different files: {differing(one, other)}"
    return Proof(CLAIM, KIND, "pass" if same else "fail", figure, "the same content")
