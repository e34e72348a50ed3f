"""A command that promotes asks what the service will ask, and is in the service's log."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from propense.errors import BundleError, SettingsError
from propense.inference.artifact.manifest import write_manifest
from propense.inference.shelf import activate, read_current
from propense.runtime import item_updates
from propense.security.secrets import open_secrets
from propense.serving.operations import promotion
from propense.settings import Scenario, Settings
from support.service_bundle import ServedWorld

NOW = "2025-03-01T00:00:00+00:00"


@pytest.fixture
def settings(shop: ServedWorld, tmp_path: Path) -> Settings:
    """A shelf of the test's own with v0001 that serves, and v0002; the data folder of a service."""
    shelf = tmp_path / "shelf"
    for version in ("v0001", "v0002"):
        shutil.copytree(shop.bundles / shop.version, shelf / version)
        write_manifest(shelf / version, "0.2.0", NOW)
    activate(shelf, "v0001", "first", NOW)
    open_secrets(tmp_path / "live")
    pack = msgspec.structs.replace(shop.settings.pack, shelf=str(shelf))
    return msgspec.structs.replace(shop.serving(tmp_path / "live"), pack=pack)


def rows(settings: Settings) -> list[tuple[str, str, dict[str, Any]]]:
    with closing(sqlite3.connect(Path(settings.serve.data) / "audit.db")) as con:
        entries = con.execute("SELECT actor, action, detail FROM entries ORDER BY seq").fetchall()
    return [(actor, action, json.loads(detail)) for actor, action, detail in entries]


def serving(settings: Settings) -> str | None:
    return read_current(Path(settings.pack.shelf)).version


def test_it_is_logged_before_and_after(settings: Settings) -> None:
    assert promotion.promote(settings, "v0002", "because", NOW, "cli") == ()
    assert promotion.roll_back(settings, NOW, "cli") == "v0001" == serving(settings)
    logged = [(actor, action, detail["version"], detail["state"])
             for actor, action, detail in rows(settings)]  # fmt: skip
    assert logged == [
        ("cli", "promote", "v0002", "intended"), ("cli", "promote", "v0002", "done"),
        ("cli", "rollback", "v0001", "intended"), ("cli", "rollback", "v0001", "done"),
    ]  # fmt: skip


def test_what_cannot_be_logged_is_not_done(settings: Settings) -> None:
    promotion.promote(settings, "v0002", "because", NOW, "cli")
    head = Path(settings.serve.data) / "audit.head"
    head.write_bytes(head.read_bytes()[:20])
    with pytest.raises(Exception, match="audit log"):
        promotion.roll_back(settings, NOW, "cli")
    assert serving(settings) == "v0002"


def test_rules_that_the_bundle_cannot_keep_are_found_before_it_serves(settings: Settings) -> None:
    """The service would refuse the bundle, so that it must not be promoted."""
    rules = {"home": Scenario(only={"no_such_column": ("a",)})}
    strict = msgspec.structs.replace(
        settings, serve=msgspec.structs.replace(settings.serve, scenarios=rules)
    )
    with pytest.raises(SettingsError, match="no_such_column"):
        promotion.promote(strict, "v0002", "because", NOW, "cli")
    assert serving(settings) == "v0001"


def test_a_bundle_that_does_not_open_is_not_promoted(settings: Settings) -> None:
    bundle = Path(settings.pack.shelf) / "v0002"
    graph = next(bundle.rglob("next_item.onnx"))
    graph.write_bytes(graph.read_bytes()[:-100])
    write_manifest(bundle, "0.2.0", NOW)
    with pytest.raises(BundleError, match="cannot be opened"):
        promotion.promote(settings, "v0002", "because", NOW, "cli")
    assert serving(settings) == "v0001"


def test_items_that_it_cannot_take_are_named(settings: Settings) -> None:
    sent = {"old": item_updates.ItemUpdate(2**62, {"no_such_column": 1})}
    (Path(settings.serve.data) / item_updates.FILE).write_bytes(msgspec.json.encode(sent))
    ((item_id, reason),) = promotion.promote(settings, "v0002", "because", NOW, "cli")
    assert item_id == "old" and "no_such_column" in reason
    assert serving(settings) == "v0002"
