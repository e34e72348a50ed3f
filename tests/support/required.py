"""Skipping a test, unless the environment forbids it."""

from __future__ import annotations

import os

import pytest


def require(name: str, reason: str) -> None:
    """Skip the test for `reason`, or fail it if PROPENSE_REQUIRE lists `name`."""
    if name in os.environ.get("PROPENSE_REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"PROPENSE_REQUIRE has {name!r}, but {reason}")
    pytest.skip(reason)
