"""The tests that take minutes."""

from __future__ import annotations

from benchmarks.proof import Proof, pytest_proof

KIND = "truth"
CLAIM = "the slow tests pass"


def prove() -> Proof:
    """The tests marked `slow` that need no Spark and no browser."""
    return pytest_proof(CLAIM, KIND, "-m", "slow and not spark and not browser", "tests")
