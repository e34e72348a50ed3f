"""The pages in a real browser."""

from __future__ import annotations

import shutil

from benchmarks.proof import Proof, pytest_proof

KIND = "truth"
CLAIM = "a headless Chromium shows the report in the language and colours asked for"
BROWSERS = ("chromium", "google-chrome")


def prove() -> Proof:
    """The tests marked `browser`."""
    if not any(map(shutil.which, BROWSERS)):
        return Proof(CLAIM, KIND, "skip", "no Chromium on this machine")
    return pytest_proof(CLAIM, KIND, "-m", "browser", "tests")
