"""kill -9 at any moment costs no result: the run goes on and ends with the same bundle."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness.small_runs import USERS, differing, run_and_kill, run_small
from benchmarks.proof import Proof

KIND = "safety"
CLAIM = "a run that is killed with kill -9 again and again ends with the same bundle"
KILLS = 8


def prove() -> Proof:
    """One run in peace; another that is killed at random moments, then left to end."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        peace = run_small(Path(folder) / "peace")
        killed = 0
        for after in rng.uniform(0.05, 0.9, KILLS) * peace.seconds:
            killed += run_and_kill(Path(folder) / "war", float(after))
        war = run_small(Path(folder) / "war")
    same = peace.content == war.content and killed >= KILLS // 2
    figure = f"{killed} kills of a run of {peace.seconds:.0f} s with {USERS:,} users; "
    figure += "the same content" if same else f"different files: {differing(peace, war)}"
    return Proof(CLAIM, KIND, "pass" if same else "fail", figure, "the same content")
