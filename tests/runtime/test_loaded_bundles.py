"""Open bundles: the serving one is always among those that are kept up to date, and has every item
that was sent."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import propense.runtime.loaded_bundles as module
from propense.errors import BundleError
from propense.inference.new_items import Misfit
from propense.runtime.item_updates import ItemUpdate, ItemUpdates
from propense.runtime.loaded_bundles import MOST_OPEN, Bundles
from propense.runtime.popularity import Popularity
from propense.security.signing import ANY_SIGNER
from propense.settings import Serve
from support.live_stores import memory_controls

cannot_take: set[str] = set()
"""Versions whose catalogue cannot take new items."""


class FakeEngine:
    """Takes a while to make, like a real one."""

    def __init__(
        self, version: str, packed: Any, scenarios: Any, cache_bytes: float,
        records: Any = (), items_state: Any = None,
    ) -> None:  # fmt: skip
        time.sleep(0.02)
        self.set_aside: tuple[Misfit, ...] = ()
        self.followed = None
        if version == "vbroken" or (version in cannot_take and records):
            raise BundleError("it does not open")
        self.version, self.packed, self.items_state = version, packed, items_state
        self.items = {record["item_id"] for record in records}
        self.bundle = packed if not records else object()


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundles:
    def open_engine(
        folder: Path, scenarios: Any, cache_bytes: float, network: Any, keys: Any
    ) -> Any:
        packed = SimpleNamespace(
            info=SimpleNamespace(refreshed=True),
            manifest=SimpleNamespace(items_read=0, content=folder.name),
        )
        return FakeEngine(folder.name, packed, scenarios, cache_bytes)

    monkeypatch.setattr(module, "ScoringEngine", FakeEngine)
    monkeypatch.setattr(module, "open_engine", open_engine)
    monkeypatch.setattr(
        module, "decode_manifest", lambda folder: SimpleNamespace(content=folder.name)
    )
    monkeypatch.setattr(
        module, "fitting_items", lambda packed, records: ([], (Misfit("new", "it does not fit"),))
    )
    serve = Serve(shadow="v0")
    replaced: list[tuple[Any, Any]] = []
    failed: list[Exception] = []
    opened = Bundles(
        tmp_path, serve, ANY_SIGNER, ItemUpdates(memory_controls(), tmp_path),
        Popularity(memory_controls()),
        lambda old, new: replaced.append((old, new)),
        failed.append,
    )  # fmt: skip
    opened.begin(["v1"], lambda version: None)
    opened.open_now("v0")
    opened.replaced, opened.failed = replaced, failed  # type: ignore[attr-defined]
    return opened


def put(bundles: Bundles, item: str) -> None:
    bundles._items.put(item, ItemUpdate(0, {"kind": "book"}), bundles.serving.packed)


def items(bundles: Bundles) -> set[str]:
    return bundles.serving.items  # type: ignore[attr-defined, no-any-return]


def test_the_serving_engine_is_always_among_all(bundles: Bundles) -> None:
    async def run() -> None:
        await bundles.evaluated()
        for version in ("v2", "v3", "v4", "v2"):
            await bundles.swap(version)
            assert bundles.serving.version == version
            assert bundles.serving in bundles.all()
            await bundles.evaluated()
            assert bundles.serving in bundles.all()
        assert len(bundles.all()) <= MOST_OPEN + 1

    asyncio.run(run())


def test_one_bundle_opened_twice_at_once_is_one(bundles: Bundles) -> None:
    async def run() -> None:
        opened = await asyncio.gather(
            bundles.open("v2"), bundles.swap("v2"), bundles.open("v2"), bundles.swap("v2")
        )
        assert all(one is bundles.serving for one in opened)
        assert bundles.all().count(bundles.serving) == 1

    asyncio.run(run())


def test_items_sent_at_once_are_all_added(bundles: Bundles) -> None:
    async def run() -> None:
        async def send(item: str) -> None:
            put(bundles, item)
            await bundles.update_items()
            assert item in items(bundles)

        await asyncio.gather(*(send(f"item-{n}") for n in range(5)), bundles.swap("v2"))
        assert items(bundles) == {f"item-{n}" for n in range(5)}

    asyncio.run(run())


def test_a_rollback_has_the_items_sent_meanwhile(bundles: Bundles) -> None:
    async def run() -> None:
        await bundles.swap("v2")
        put(bundles, "new")
        await bundles.update_items()
        await bundles.swap("v1")
        assert items(bundles) == {"new"}

    asyncio.run(run())


def test_the_shadow_gets_them_too_and_its_change_is_reported(bundles: Bundles) -> None:
    async def run() -> None:
        shadow = bundles.open_now("v0")
        put(bundles, "new")
        await bundles.update_items()
        (change,) = [one for one in bundles.replaced if one[0] is shadow]  # type: ignore[attr-defined]
        assert change[1] is bundles.open_now("v0") and change[1].items == {"new"}

    asyncio.run(run())


def test_a_bundle_opened_but_refused_hides_no_item(bundles: Bundles) -> None:
    """The gate refuses a bundle that was opened with new items; the serving one has none yet."""

    async def run() -> None:
        put(bundles, "new")
        await bundles.open("v2")
        assert not items(bundles)
        await bundles.update_items()
        assert items(bundles) == {"new"}

    asyncio.run(run())


def test_a_bundle_that_does_not_open_changes_nothing(bundles: Bundles) -> None:
    async def run() -> None:
        before = bundles.serving
        with pytest.raises(BundleError, match="does not open"):
            await bundles.swap("vbroken")
        assert bundles.serving is before
        await bundles.swap("v2")
        assert bundles.serving.version == "v2"

    asyncio.run(run())


def test_a_bad_bundle_at_the_start_leaves_the_turn_to_the_one_before(bundles: Bundles) -> None:
    def check(version: str) -> None:
        if version == "v9":
            raise BundleError("it must not serve")

    bundles.begin(["v9", "vbroken", "v5", "v4"], check)
    assert bundles.serving.version == "v5"
    with pytest.raises(BundleError, match="it must not serve"):
        bundles.begin(["v9", "vbroken"], check)


def test_a_shadow_that_cannot_take_them_sets_them_aside(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "cannot_take", {"v0"})

    async def run() -> None:
        put(bundles, "new")
        await bundles.update_items()
        assert items(bundles) == {"new"} and not bundles.serving.set_aside
        assert bundles.open_now("v0").set_aside
        assert not bundles.failed  # type: ignore[attr-defined]

    asyncio.run(run())
