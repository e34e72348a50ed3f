"""Whatever cannot be followed, what can be goes on being followed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from propense.serving import reloading
from propense.serving.reloading import Reloader


def test_a_fault_ends_nothing_is_told_once_and_is_over_when_it_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(reloading, "SOON_SECONDS", 0.01)
    broken, told, restocked = True, list[Exception](), 0

    def state() -> None:
        if broken:
            raise OSError(24, "too many open files")

    async def restock() -> None:
        nonlocal restocked
        restocked += 1

    service: Any = SimpleNamespace(
        data=tmp_path, shelf=tmp_path / "shelf", stock=SimpleNamespace(state=state),
        bundles=SimpleNamespace(restock=restock),
        watch=SimpleNamespace(cycle=lambda: None, refused=told.append),
    )  # fmt: skip

    async def play() -> None:
        nonlocal broken
        made = Reloader(service)
        task = asyncio.create_task(made.run())
        await asyncio.sleep(0.1)
        assert made.faults() == ["items that came cannot be taken in; look at the log"]
        assert [str(error) for error in told] == ["[Errno 24] too many open files"]
        broken = False
        await asyncio.sleep(0.1)
        assert made.faults() == [] and restocked > 1 and not task.done()
        task.cancel()

    asyncio.run(play())
