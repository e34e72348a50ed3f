"""Where the real data sets are, and the skipping of tests that need one."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.required import require

DATA = Path(
    os.environ.get("PROPENSE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


def real_data(name: str) -> Path:
    """A data set's folder, or a file in it; the test is skipped where it is absent."""
    path = DATA / name
    if not path.exists():
        require("data", f"real data {name} is not in {DATA}; PROPENSE_DATA names the folder")
    return path
