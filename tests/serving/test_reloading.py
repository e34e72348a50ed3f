"""A change that cannot be taken over stops no other, is reported once and tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from propense.serving import reloading
from propense.serving.reloading import ErasureNotice, Reloader


def test_a_failure_stops_nothing_is_reported_once_and_ends_when_it_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "SYSTEM_RETRY_SECONDS", 0.01)
    broken, reported, n_updates = True, list[Exception](), 0

    def state() -> None:
        if broken:
            raise OSError(24, "too many open files")

    async def update_items() -> None:
        nonlocal n_updates
        n_updates += 1

    async def swap(version: str) -> None:
        raise AssertionError("nothing was promoted")

    items: Any = SimpleNamespace(state=state)
    bundles: Any = SimpleNamespace(
        update_items=update_items, serving=SimpleNamespace(version="v0001")
    )
    notice = ErasureNotice(tmp_path, lambda user_ids: None)
    reloader = Reloader(tmp_path / "shelf", bundles, items, notice, swap, reported.append)

    async def check_often() -> None:
        for _ in range(50):
            await reloader.check()
            await asyncio.sleep(0.001)

    asyncio.run(check_often())
    assert reloader.warnings() == ["pushed items cannot be added to the catalogue; see the log"]
    assert [str(error) for error in reported] == ["[Errno 24] too many open files"]
    broken = False
    asyncio.run(check_often())
    assert reloader.warnings() == [] and n_updates > 1


def test_an_erasure_elsewhere_empties_memory_and_an_own_one_does_not(tmp_path: Path) -> None:
    forgotten: dict[str, int] = {"here": 0, "there": 0}

    def forget(name: str) -> Any:
        def count(user_ids: Any) -> None:
            assert user_ids is None
            forgotten[name] += 1

        return count

    here = ErasureNotice(tmp_path, forget("here"))
    there = ErasureNotice(tmp_path, forget("there"))
    here.publish()
    for notice in (here, there, here, there):
        asyncio.run(notice.check())
    assert forgotten == {"here": 0, "there": 1}
