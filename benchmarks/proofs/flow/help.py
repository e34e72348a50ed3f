"""`propense --help` answers at once, and importing propense loads nothing heavy."""

from __future__ import annotations

import statistics
import subprocess

from benchmarks.proof import BIN, Proof, measure

KIND = "speed"
CLAIM = "propense --help answers within 150 ms; importing loads no torch, ibis, sklearn"
LIMIT_MS = 150


def prove() -> Proof:
    """Median of 15 starts."""
    took = [measure(BIN / "propense", "--help").seconds * 1000 for _ in range(15)]
    verb = [measure(BIN / "propense", "run", "--help").seconds * 1000 for _ in range(5)]
    program = (
        "import sys, propense, propense.cli; "
        "print(sorted({'torch', 'ibis', 'sklearn', 'duckdb', 'lightgbm'} & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [str(BIN / "python"), "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()
    median = statistics.median(took)
    good = median < LIMIT_MS and loaded == "[]"
    figure = (
        f"median {median:.0f} ms of {len(took)}, slowest {max(took):.0f} ms; "
        f"a verb's help {statistics.median(verb):.0f} ms; heavy packages loaded: {loaded}"
    )
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, f"< {LIMIT_MS} ms, []")
