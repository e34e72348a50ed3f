"""The wheel works outside the checkout."""

from __future__ import annotations

from benchmarks.proof import Proof, pytest_proof

KIND = "quality"
CLAIM = "the built wheel holds every file of the package and works outside the checkout"


def prove() -> Proof:
    """tests/test_wheel.py."""
    return pytest_proof(CLAIM, KIND, "-m", "slow", "tests/test_wheel.py")
