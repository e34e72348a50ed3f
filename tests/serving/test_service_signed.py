"""A service that asks for signatures answers from no bundle that lacks one."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from propense.errors import BundleError
from propense.inference.artifact.manifest import sign
from propense.inference.shelf import activate, read_current, rollback
from propense.security.signing import make_signing_key, signers_of
from propense.serving.operations import promotion
from support.service_bundle import ServedWorld
from support.service_live import live_service


@pytest.fixture
def signed(shop: ServedWorld, tmp_path: Path) -> ServedWorld:
    """The shop with a shelf of its own: a signed bundle that serves, and others to promote."""
    shelf = tmp_path / "shelf"
    shutil.copytree(shop.bundles, shelf)
    own, other = tmp_path / "own.pem", tmp_path / "other.pem"
    public = make_signing_key(own)
    make_signing_key(other)
    sign(shelf / "v0001", own, shop.settings.name)
    for name, key in (("v0002", None), ("v0003", other), ("v0004", own)):
        shutil.copytree(shop.bundles / "v0001", shelf / name)
        if key is not None:
            sign(shelf / name, key, shop.settings.name)
    pack = msgspec.structs.replace(shop.settings.pack, shelf=str(shelf), public_key=str(public))
    return ServedWorld(msgspec.structs.replace(shop.settings, pack=pack), shop.kind)


def test_an_unsigned_bundle_is_neither_promoted_nor_serves(signed, tmp_path):
    with live_service(signed, tmp_path / "live") as live:
        for name, message in (("v0002", "is not signed"), ("v0003", "was changed, or signed")):
            status, problem = live.refused(
                "POST", "/v1/bundles/promote", "admin", json={"version": name, "reason": "please"}
            )
            assert status == 409 and message in problem["detail"]
            assert read_current(signed.bundles).version == "v0001"
        answer = live.ask("POST", "/v1/bundles/promote", "admin", json={"version": "v0004"})
        assert answer["serving"] == "v0004"


def test_a_service_does_not_start_with_an_unsigned_bundle(signed, tmp_path):
    (signed.bundles / "v0001/manifest.sig").unlink()
    with pytest.raises(BundleError, match="is not signed"):
        with live_service(signed, tmp_path / "live"):
            pass


def test_what_cannot_be_opened_is_not_promoted(signed, tmp_path):
    graph = next((signed.bundles / "v0004").glob("*/goals.onnx"))
    graph.write_bytes(graph.read_bytes()[:-1])
    with live_service(signed, tmp_path / "live") as live:
        status, _ = live.refused("POST", "/v1/bundles/promote", "admin", json={"version": "v0004"})
        assert status == 409 and read_current(signed.bundles).version == "v0001"
        assert live.ask("GET", "/v1/popular")["bundle"] == "v0001"


def test_an_unsigned_bundle_is_not_rolled_back_to(signed, tmp_path):
    with live_service(signed, tmp_path / "live") as live:
        live.ask("POST", "/v1/bundles/promote", "admin", json={"version": "v0004"})
        (signed.bundles / "v0001/manifest.sig").unlink()
        status, problem = live.refused("POST", "/v1/bundles/rollback", "admin")
        assert status == 409 and "is not signed" in problem["detail"]
        assert read_current(signed.bundles).version == "v0004"
        assert live.client.request("GET", "/health/ready").status_code == 200
    with pytest.raises(BundleError, match="is not signed"):
        rollback(signed.bundles, "later", signers_of(signed.settings))


def test_editing_the_shelf_brings_no_older_bundle_back(signed, tmp_path):
    """Whoever may write the shelf has neither a key of the service nor its data folder."""
    data = tmp_path / "live"
    with live_service(signed, data) as live:
        live.ask("POST", "/v1/bundles/promote", "admin", json={"version": "v0004"})
        activate(signed.bundles, "v0001", "by hand", "later")
        until(lambda: warnings_of(live))
        answer = live.ask("GET", "/v1/bundles", "admin")
        assert answer["serving"] == "v0004"
        assert "older than number 4" in answer["refusal"]
        activate(signed.bundles, "v0004", "and back", "later")
        until(lambda: not warnings_of(live))
        live.ask("POST", "/v1/bundles/rollback", "admin")
        assert live.ask("GET", "/v1/bundles", "admin")["serving"] == "v0001"
        live.ask("POST", "/v1/bundles/promote", "admin", json={"version": "v0004"})
        serves = [row["version"] for row in rows_of(data, "serves")]
        assert serves == ["v0001", "v0004", "v0001", "v0004"]
    current = signed.bundles / "current.json"
    only = {"history": [{"version": "v0001", "reason": "", "made": ""}]}
    current.write_text(json.dumps(only))
    with pytest.raises(BundleError, match="older than number 4"):
        with live_service(signed, data):
            pass
    promotion.promote(signed.serving(data), "v0001", "on purpose", "later", "cli")
    with live_service(signed, data) as live:
        assert live.ask("GET", "/v1/bundles", "admin")["serving"] == "v0001"
    states = [row["state"] for row in rows_of(data, "promote")]
    assert states == ["intended", "done"] * 3


def test_a_start_with_a_bundle_that_does_not_open_answers_with_the_one_before(signed, tmp_path):
    graph = next((signed.bundles / "v0004").glob("*/goals.onnx"))
    graph.write_bytes(graph.read_bytes()[:-1])
    activate(signed.bundles, "v0004", "a mistake", "later")
    with live_service(signed, tmp_path / "live") as live:
        assert live.client.request("GET", "/health/ready").status_code == 200
        assert live.ask("GET", "/v1/popular")["bundle"] == "v0001"
        until(lambda: warnings_of(live))


def warnings_of(live):
    return live.client.request("GET", "/health/ready").json()["warnings"]


def rows_of(data, action):
    with closing(sqlite3.connect(data / "audit.db")) as con:
        rows = con.execute("SELECT detail FROM entries WHERE action = ? ORDER BY seq", (action,))
        return [json.loads(row[0]) for row in rows]


def until(true):
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)
