"""Every store of live history beside a dictionary, 10,000 steps each."""

from __future__ import annotations

from benchmarks.proof import Proof, pytest_proof

KIND = "safety"
CLAIM = "SQLite, Redis and PostgreSQL keep customers exactly as a dictionary does, 10,000 steps"


def prove() -> Proof:
    """Appending, repeating, joining, erasing, suppressing, reading and reopening, in any order."""
    return pytest_proof(
        CLAIM, KIND, "tests/conformance/test_stores_machine.py", "-k", "10_000", "-m", "slow"
    )
