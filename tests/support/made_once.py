"""Folders that take long to make: made once, and shared by all workers of a test run."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

CACHE: Final = "PROPENSE_TEST_CACHE"
"""Names a folder where what tests share is kept from run to run. It is used as it is, so it must
be removed when the code that makes it changes."""


def made_once(name: str, make: Callable[[Path], object], factory: pytest.TempPathFactory) -> Path:
    """The folder `name`, filled by `make` where no worker has done so yet; nobody may change it."""
    shared = _shared_folder(factory) / name
    shared.parent.mkdir(parents=True, exist_ok=True)
    done = shared.with_name(f"{shared.name}.done")
    with shared.with_name(f"{shared.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(shared, ignore_errors=True)
            shared.mkdir()
            make(shared)
            done.touch()
    return shared


def _shared_folder(factory: pytest.TempPathFactory) -> Path:
    cache = os.environ.get(CACHE)
    if cache:
        return Path(cache).resolve()
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
