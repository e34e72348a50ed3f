"""The same tables on Spark."""

from __future__ import annotations

import shutil

from benchmarks.proof import Proof, pytest_proof

KIND = "truth"
CLAIM = "DuckDB and Spark give the same tables"


def prove() -> Proof:
    """The tests marked `spark`."""
    if shutil.which("java") is None:
        return Proof(CLAIM, KIND, "skip", "no java on this machine")
    return pytest_proof(CLAIM, KIND, "-m", "spark", "tests")
