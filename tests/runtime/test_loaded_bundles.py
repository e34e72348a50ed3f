"""Which bundles are open: what answers is always among those whose memory follows changes, and
knows every item that came."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import propense.runtime.loaded_bundles as module
from propense.errors import BundleError
from propense.runtime.item_updates import ItemUpdate, ItemUpdates
from propense.runtime.loaded_bundles import KEPT, Bundles
from propense.settings import Serve

cannot_take: set[str] = set()
"""Versions whose catalogue has no place for new items."""


class FakeEngine:
    """Takes a while to be made, as a real one does."""

    def __init__(
        self, version: str, packed: Any, scenarios: Any, room: float,
        records: Any = (), stock: Any = None,
    ) -> None:  # fmt: skip
        time.sleep(0.02)
        if version == "broken" or (version in cannot_take and records):
            raise BundleError("it does not open")
        self.version, self.packed, self.stock = version, packed, stock
        self.items = {record["item_id"] for record in records}
        self.bundle = packed if not records else object()


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundles:
    def open_engine(folder: Path, scenarios: Any, room: float, network: Any, keys: Any) -> Any:
        packed = SimpleNamespace(
            info=SimpleNamespace(refreshed=True), manifest=SimpleNamespace(items_read=0)
        )
        return FakeEngine(folder.name, packed, scenarios, room)

    monkeypatch.setattr(module, "Engine", FakeEngine)
    monkeypatch.setattr(module, "open_engine", open_engine)
    serve = Serve(shadow="v0")
    replaced: list[tuple[Any, Any]] = []
    failed: list[Exception] = []
    opened = Bundles(
        tmp_path, serve, (), ItemUpdates(tmp_path), lambda old, new: replaced.append((old, new)),
        failed.append,
    )  # fmt: skip
    opened.begin("v1")
    opened.open_now("v0")
    opened.replaced, opened.failed = replaced, failed  # type: ignore[attr-defined]
    return opened


def put(bundles: Bundles, item: str) -> None:
    bundles._stock.put(item, ItemUpdate(0, {"kind": "book"}), bundles.serving.packed)


def items(bundles: Bundles) -> set[str]:
    return bundles.serving.items  # type: ignore[attr-defined, no-any-return]


def test_what_answers_is_followed_whatever_else_is_open(bundles: Bundles) -> None:
    async def play() -> None:
        await bundles.evaluated()
        for version in ("v2", "v3", "v4", "v2"):
            await bundles.swap(version)
            assert bundles.serving.version == version
            assert bundles.serving in bundles.all()
            await bundles.evaluated()
            assert bundles.serving in bundles.all()
        assert len(bundles.all()) <= KEPT + 1

    asyncio.run(play())


def test_one_bundle_opened_twice_at_once_is_one(bundles: Bundles) -> None:
    async def play() -> None:
        opened = await asyncio.gather(
            bundles.open("v2"), bundles.swap("v2"), bundles.open("v2"), bundles.swap("v2")
        )
        assert all(one is bundles.serving for one in opened)
        assert bundles.all().count(bundles.serving) == 1

    asyncio.run(play())


def test_items_that_come_together_are_all_known(bundles: Bundles) -> None:
    async def play() -> None:
        async def come(item: str) -> None:
            put(bundles, item)
            await bundles.restock()
            assert item in items(bundles)

        await asyncio.gather(*(come(f"item-{n}") for n in range(5)), bundles.swap("v2"))
        assert items(bundles) == {f"item-{n}" for n in range(5)}

    asyncio.run(play())


def test_a_roll_back_knows_the_items_that_came_meanwhile(bundles: Bundles) -> None:
    async def play() -> None:
        await bundles.swap("v2")
        put(bundles, "new")
        await bundles.restock()
        await bundles.swap("v1")
        assert items(bundles) == {"new"}

    asyncio.run(play())


def test_the_shadow_knows_them_too_and_is_told_of(bundles: Bundles) -> None:
    async def play() -> None:
        shadow = bundles.open_now("v0")
        put(bundles, "new")
        await bundles.restock()
        (pair,) = [one for one in bundles.replaced if one[0] is shadow]  # type: ignore[attr-defined]
        assert pair[1] is bundles.open_now("v0") and pair[1].items == {"new"}

    asyncio.run(play())


def test_what_is_opened_but_refused_hides_no_item(bundles: Bundles) -> None:
    """A bundle that the gate then refuses was opened with the new items; what serves was not."""

    async def play() -> None:
        put(bundles, "new")
        await bundles.open("v2")
        assert not items(bundles)
        await bundles.restock()
        assert items(bundles) == {"new"}

    asyncio.run(play())


def test_a_bundle_that_does_not_open_changes_nothing(bundles: Bundles) -> None:
    async def play() -> None:
        before = bundles.serving
        with pytest.raises(BundleError, match="does not open"):
            await bundles.swap("broken")
        assert bundles.serving is before
        await bundles.swap("v2")
        assert bundles.serving.version == "v2"

    asyncio.run(play())


def test_a_shadow_that_cannot_take_them_is_told_of_once_and_disturbs_nobody(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "cannot_take", {"v0"})

    async def play() -> None:
        put(bundles, "new")
        for _ in range(3):
            await bundles.restock()
        assert items(bundles) == {"new"}
        assert len(bundles.failed) == 1  # type: ignore[attr-defined]
        put(bundles, "newer")
        await bundles.restock()
        assert len(bundles.failed) == 2  # type: ignore[attr-defined]

    asyncio.run(play())
