"""A service that asks for signatures answers from no bundle that lacks one."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from propense.errors import BundleError
from propense.inference.shelf import read_current, rollback
from propense.security.signing import make_signing_key, sign_bundle, trusted_keys
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
    sign_bundle(shelf / "v0001", own)
    for name, key in (("v0002", None), ("v0003", other), ("v0004", own)):
        shutil.copytree(shop.bundles / "v0001", shelf / name)
        if key is not None:
            sign_bundle(shelf / name, key)
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
        rollback(signed.bundles, "later", trusted_keys(signed.settings))
