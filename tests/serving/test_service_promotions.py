"""A bundle that another process promotes serves here; one that cannot be opened is reported."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from propense.inference.artifact.manifest import read_manifest, write_manifest
from propense.inference.shelf import activate, rollback
from propense.runtime.item_updates import ItemUpdate
from support.service_bundle import ServedWorld
from support.service_live import Live, live_service

NOW = "2025-03-01T00:00:00+00:00"


@pytest.fixture
def own(shop: ServedWorld, tmp_path: Path) -> ServedWorld:
    """A shelf of the test's own: a good bundle that serves, the same again, and a changed one."""
    shelf = tmp_path / "shelf"
    for version in ("v0001", "v0002", "v0003"):
        shutil.copytree(shop.bundles / shop.version, shelf / version)
    changed = shelf / "v0003" / next(iter(read_manifest(shelf / "v0003", verify=False).files))
    changed.write_bytes(changed.read_bytes() + b" ")
    activate(shelf, "v0001", "first", NOW)
    pack = msgspec.structs.replace(shop.settings.pack, shelf=str(shelf))
    return ServedWorld(msgspec.structs.replace(shop.settings, pack=pack), shop.kind)


@pytest.fixture
def live(own: ServedWorld, tmp_path: Path) -> Iterator[Live]:
    with live_service(own, tmp_path / "live") as opened:
        yield opened


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def is_ready(live: Live) -> bool:
    return live.client.request("GET", "/health/ready").status_code == 200


def is_warned(live: Live) -> bool:
    """Whether somebody is told that the promoted bundle does not serve."""
    warnings = live.client.request("GET", "/health/ready").json()["warnings"]
    return any("the promoted bundle cannot be opened" in warning for warning in warnings)


def test_a_bundle_that_cannot_be_opened_is_reported_until_it_is_rolled_back(live: Live) -> None:
    shelf = live.world.bundles
    live.teach("ann", [1, 2, 3])
    assert is_ready(live)
    activate(shelf, "v0003", "a mistake", NOW)
    until(lambda: is_warned(live))
    assert is_ready(live), "otherwise one bad bundle takes every machine out at once"
    assert "was changed" in live.ask("GET", "/v1/bundles", "admin")["refusal"]
    assert live.recommend("ann")["bundle"] == "v0001", "what answers goes on answering"
    rollback(shelf, NOW)
    until(lambda: not is_warned(live))
    activate(shelf, "v0002", "a good one", NOW)
    until(lambda: live.recommend("ann")["bundle"] == "v0002")
    assert is_ready(live)


def test_a_fault_that_passes_is_forgotten(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    import propense.serving.reloading as module

    right = module.read_current
    failing = [True]

    def sometimes(shelf: Path) -> object:
        if failing[0]:
            raise OSError(24, "too many open files")
        return right(shelf)

    monkeypatch.setattr(module, "read_current", sometimes)
    until(lambda: is_warned(live))
    failing[0] = False
    until(lambda: not is_warned(live))


def test_an_acknowledged_event_is_in_the_next_answer_of_a_promoted_bundle(live: Live) -> None:
    """Also while the evaluated network is open beside it, as after an integration test."""
    live.client.await_(live.service.bundles.evaluated())
    activate(live.world.bundles, "v0002", "newer", NOW)
    live.teach("ann", [1, 2, 3])
    until(lambda: live.recommend("ann")["bundle"] == "v0002")
    for _ in range(5):
        item = live.recommend("ann")["items"][0]["item_id"]
        live.track("ann", event="pay", item=item)
        assert item not in [one["item_id"] for one in live.recommend("ann", k=500)["items"]]


def test_a_bundle_that_is_repaired_in_place_is_tried_again(live: Live) -> None:
    shelf = live.world.bundles
    broken, good = shelf / "v0003", shelf / "v0002"
    activate(shelf, "v0003", "a mistake", NOW)
    until(lambda: is_warned(live))
    shutil.rmtree(broken)
    shutil.copytree(good, broken)
    activate(shelf, "v0003", "again", NOW)
    until(lambda: live.recommend("ann")["bundle"] == "v0003")
    assert is_ready(live)


def test_new_items_are_followed_though_a_bundle_does_not_open(live: Live) -> None:
    activate(live.world.bundles, "v0003", "a mistake", NOW)
    until(lambda: is_warned(live))
    sent = ItemUpdate(0, {"kind": "course", "title": "Greek"})
    live.service.items.put("brand-new", sent, live.service.engine.packed)
    until(lambda: "brand-new" in live.service.engine.bundle.catalogue.index_of)
    assert is_warned(live)


def test_a_name_with_another_content_answers_with_that_content(live: Live) -> None:
    """Engines stay open under their names; what the shelf says of a name is what answers."""
    shelf = live.world.bundles
    live.ask("POST", "/v1/bundles/promote", "admin", json={"version": "v0002", "reason": "x"})
    live.ask("POST", "/v1/bundles/rollback", "admin")
    before = live.ask("GET", "/v1/bundles", "admin")["content"]
    shutil.rmtree(shelf / "v0002")
    shutil.copytree(shelf / "v0001", shelf / "v0002")
    (shelf / "v0002" / "model_card.md").write_text("another training")
    content = write_manifest(shelf / "v0002", "0.1.0", NOW).content
    answer = live.ask(
        "POST", "/v1/bundles/promote", "admin", json={"version": "v0002", "reason": "x"}
    )
    assert answer["content"] == content != before
    (shelf / "v0002" / "model_card.md").write_text("and another one, in place")
    content = write_manifest(shelf / "v0002", "0.1.0", NOW).content
    until(lambda: live.ask("GET", "/v1/bundles", "admin")["content"] == content)


def test_files_cut_short_under_a_bundle_that_serves_stop_nobody(live: Live) -> None:
    """They were mapped once, so that the process died of SIGBUS."""
    live.teach("ann", [1, 2, 3])
    serving = live.world.bundles / "v0001"
    for file in [one for one in serving.rglob("*") if one.is_file()]:
        if file.name != "manifest.json":
            file.write_bytes(b"")
    live.ask("PUT", "/v1/items/brand-new", "admin", json={"kind": "course", "title": "Greek"})
    everything = live.recommend("ann", k=500)["items"]
    assert "brand-new" in [item["item_id"] for item in everything]
