"""Items that come while the service runs."""

from __future__ import annotations

from pathlib import Path

from service_bundle import Place
from service_live import Live, live_service

from propense.serving.bundles import Bundles


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
    assert [record["item_id"] for record in live.service.stock.read()[1]] == ["brand-new"]
    again = Bundles(live.service.shelf, live.service.serve, (), live.service.stock, print, print)
    again.begin(live.service.engine.version)
    assert again.serving.bundle.encoder.items.find("brand-new") >= 2


def test_what_the_catalogue_does_not_have_is_refused(live: Live) -> None:
    status, problem = live.refused("PUT", "/v1/items/x", "admin", json={"colour": "red"})
    assert status == 422 and "colour" in problem["detail"]
    assert not live.service.stock.read()[1]


def test_the_evaluated_network_knows_what_its_report_knew(untimed: Place, tmp_path: Path) -> None:
    with live_service(untimed, tmp_path / "live") as live:
        bundles = live.service.bundles
        assert live.client.await_(bundles.evaluated()) is live.service.engine
        live.ask("PUT", "/v1/items/new-1", "admin", json={"kind": "film", "title": "Film new"})
        assert "new-1" in live.service.engine.bundle.catalogue.index_of
        evaluated = live.client.await_(bundles.evaluated())
        assert "new-1" not in evaluated.bundle.catalogue.index_of
        assert evaluated is live.client.await_(bundles.evaluated())
