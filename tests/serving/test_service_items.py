"""Items that come while the service runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from propense.inference.artifact.manifest import write_manifest
from propense.inference.shelf import activate
from propense.runtime import item_updates
from propense.runtime.loaded_bundles import Bundles
from propense.security.signing import ANY_SIGNER
from support.service_bundle import ServedWorld
from support.service_live import Live, live_service

NOW = "2025-03-01T00:00:00+00:00"


def test_a_new_item_is_in_the_next_answer(live: Live) -> None:
    record = {"kind": "course", "price": 10.0, "title": "Greek from Zero"}
    stored = live.ask("PUT", "/v1/items/brand-new", "admin", json=record)
    assert stored["item_id"] == "brand-new" and stored["new"]
    like = live.ask("GET", "/v1/items/brand-new/similar", "read", params={"k": 3})
    assert len(like["items"]) == 3
    live.teach("anna", [1, 2])
    everything = live.recommend("anna", k=500)
    assert "brand-new" in [item["item_id"] for item in everything["items"]]
    assert live.ask("PUT", "/v1/items/brand-new", "admin", json=record)["new"] is False


def test_it_is_known_to_the_service_that_starts_next(live: Live) -> None:
    live.ask("PUT", "/v1/items/brand-new", "admin", json={"kind": "course", "title": "Greek"})
    assert list(live.service.items.read()[1]) == ["brand-new"]
    again = Bundles(
        live.service.shelf,
        live.service.serve,
        ANY_SIGNER,
        live.service.items,
        live.service.popularity,
        print,
        print,
    )
    again.begin([live.service.engine.version], lambda version: None)
    assert again.serving.bundle.encoder.items.find("brand-new") >= 2


def test_what_the_catalogue_does_not_have_is_refused(live: Live) -> None:
    status, problem = live.refused("PUT", "/v1/items/x", "admin", json={"colour": "red"})
    assert status == 422 and "colour" in problem["detail"]
    assert not live.service.items.read()[1]


def test_the_evaluated_network_knows_what_its_report_knew(
    untimed: ServedWorld, tmp_path: Path
) -> None:
    with live_service(untimed, tmp_path / "live") as live:
        bundles = live.service.bundles
        assert live.client.await_(bundles.evaluated()) is live.service.engine
        live.ask("PUT", "/v1/items/new-1", "admin", json={"kind": "film", "title": "Film new"})
        assert "new-1" in live.service.engine.bundle.catalogue.index_of
        evaluated = live.client.await_(bundles.evaluated())
        assert "new-1" not in evaluated.bundle.catalogue.index_of
        assert evaluated is live.client.await_(bundles.evaluated())


@pytest.fixture
def own(shop: ServedWorld, tmp_path: Path) -> Iterator[Live]:
    """With a shelf of the test's own: v0002 is v0001 until `trained_again`."""
    shelf = tmp_path / "shelf"
    for version in ("v0001", "v0002"):
        shutil.copytree(shop.bundles / shop.version, shelf / version)
    activate(shelf, "v0001", "first", NOW)
    pack = msgspec.structs.replace(shop.settings.pack, shelf=str(shelf))
    world = ServedWorld(msgspec.structs.replace(shop.settings, pack=pack), shop.kind)
    with live_service(world, tmp_path / "live") as live:
        yield live


def trained_again(live: Live) -> None:
    """A bundle answers with the same network, whose catalogue was read just now."""
    write_manifest(live.world.bundles / "v0002", "0", NOW, time.time_ns() // 1000)
    serve(live, "v0002")


def serve(live: Live, version: str) -> None:
    """Also on the shelf, which the service follows: else it would soon go back."""
    activate(live.world.bundles, version, "first", NOW)
    live.client.await_(live.service.swap(version))


def test_a_later_training_knows_better_what_it_read_since(own: Live) -> None:
    catalogue = own.service.engine.bundle.catalogue
    listed = catalogue.vocabulary.words[0]
    record = catalogue.record(catalogue.index_of[listed])
    kind = "film" if record["kind"] != "film" else "course"
    own.ask("PUT", f"/v1/items/{listed}", "admin", json={"kind": kind, "title": "Changed"})
    own.ask("PUT", "/v1/items/unlisted", "admin", json={"kind": kind, "title": "Never listed"})
    assert title(own, listed) == "Changed"
    trained_again(own)
    assert title(own, listed) == record.get("title", listed) != "Changed"
    assert title(own, "unlisted") == "Never listed"
    own.ask("PUT", f"/v1/items/{listed}", "admin", json={"kind": kind, "title": "Again"})
    assert title(own, listed) == "Again"
    serve(own, "v0001")
    assert title(own, listed) == "Again"


def test_only_what_is_news_takes_room(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_updates, "MOST", 2)
    first, second = own.service.engine.bundle.catalogue.vocabulary.words[:2]
    record = {"kind": "course", "title": "Sent"}
    own.ask("PUT", f"/v1/items/{first}", "admin", json=record)
    own.ask("PUT", "/v1/items/unlisted", "admin", json=record)
    status, problem = own.refused("PUT", f"/v1/items/{second}", "admin", json=record)
    assert status == 422 and "were sent since the training" in problem["detail"]
    trained_again(own)
    own.ask("PUT", f"/v1/items/{second}", "admin", json=record)
    assert list(own.service.items.read()[1]) == ["unlisted", second]


def title(own: Live, item_id: str) -> str:
    catalogue = own.service.engine.bundle.catalogue
    return str(catalogue.titles[catalogue.index_of[item_id]])


def test_an_item_that_no_longer_fits_is_set_aside_and_named(
    shop: ServedWorld, tmp_path: Path
) -> None:
    """The next training's [items] can lack a column; that must stop neither start nor promotion."""
    data = tmp_path / "live"
    data.mkdir(mode=0o700)
    records = {
        "old-column": {"kind": "course", "title": "A", "shelf_mark": "X"},
        "bad-price": {"kind": "course", "title": "B", "price": [["a"]]},
        "good": {"kind": "course", "title": "C", "price": 3.0},
    }
    sent = {name: item_updates.ItemUpdate(2**62, record) for name, record in records.items()}
    (data / item_updates.FILE).write_bytes(msgspec.json.encode(sent))
    with live_service(shop, data) as live:
        index_of = live.service.engine.bundle.catalogue.index_of
        assert "good" in index_of and "old-column" not in index_of
        answer = live.ask("GET", "/v1/bundles", "admin")
        named = {one["item_id"]: one["reason"] for one in answer["set_aside"]}
        assert "shelf_mark" in named["old-column"] and answer["n_set_aside"] == len(named)
        health = live.client.request("GET", "/health/ready")
        assert health.status_code == 200
        assert "do not fit the serving bundle" in health.json()["warnings"][0]
        metrics = live.client.request("GET", "/metrics", headers=live.headers("admin")).text
        assert f"propense_items_set_aside {len(named):.1f}" in metrics
        live.ask("PUT", "/v1/items/later", "admin", json={"kind": "film", "title": "Later"})
        assert "later" in live.service.engine.bundle.catalogue.index_of


def test_a_damaged_file_of_items_is_set_aside(shop: ServedWorld, tmp_path: Path) -> None:
    data = tmp_path / "live"
    data.mkdir(mode=0o700)
    (data / item_updates.FILE).write_bytes(b'{"x": {"at": 1, "rec')
    with live_service(shop, data) as live:
        assert "damaged" in live.client.request("GET", "/health/ready").json()["warnings"][0]
        live.ask("PUT", "/v1/items/later", "admin", json={"kind": "film", "title": "Later"})
    assert (data / item_updates.DAMAGED).read_bytes().startswith(b'{"x"')
