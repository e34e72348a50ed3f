"""A fresh clone passes `make test` with nothing but python3 and make."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from benchmarks.proof import ROOT, Proof, measure

KIND = "quality"
CLAIM = "a fresh clone: make setup, then make test passes in under six minutes on two idle cores"
LIMIT_SECONDS = 360
LIMIT_COVERAGE = 90


def prove() -> Proof:
    """Clone the last commit, set up, test; data sets are not there."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "propense"
        measure("git", "clone", "--quiet", ROOT, clone)
        nowhere = {"PROPENSE_DATA": str(Path(folder) / "no-data")}
        setup = measure("make", "setup", cwd=clone, **nowhere)
        if setup.code:
            return Proof(CLAIM, KIND, "fail", f"make setup: {setup.tail}")
        test = measure("make", "test", cwd=clone, **nowhere)
    covered = re.search(r"^TOTAL .* (\d+)%$", test.output, re.M)
    percent = int(covered[1]) if covered else 0
    good = test.code == 0 and test.seconds < LIMIT_SECONDS and percent >= LIMIT_COVERAGE
    figure = (
        f"setup {setup.seconds:.0f} s, test {test.seconds:.0f} s, branch coverage {percent} %; "
        f"{_counts(test.output)}"
    )
    limit = f"tests < {LIMIT_SECONDS} s, coverage >= {LIMIT_COVERAGE} %"
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, limit)


def _counts(output: str) -> str:
    lines = [line for line in output.splitlines() if re.search(r"\d+ (passed|failed|error)", line)]
    return lines[-1].strip(" =") if lines else "no test ran"
