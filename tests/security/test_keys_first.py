"""Keys that are made on the way are in the audit log as any other."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from propense.cli.verify import verify_key
from propense.security.audit import AuditLog
from propense.security.keys import KeyRing
from propense.security.secrets import VARIABLE, open_secrets
from propense.serving.server import open_keys
from propense.settings import Settings, parse_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv("PROPENSE_KEY", raising=False)
    return parse_settings({"users": {"path": "u.csv"}}, tmp_path)


def actions(settings: Settings) -> list[str]:
    data = Path(settings.folder) / "live"
    with closing(AuditLog(data, open_secrets(data))) as log:
        assert log.verify().good
    with closing(sqlite3.connect(data / "audit.db")) as con:
        return [row[0] for row in con.execute("SELECT action FROM entries ORDER BY seq")]


def test_the_first_key_is_made_once_and_written_down(settings: Settings) -> None:
    shown = open_keys(settings, "cli")
    assert shown is not None and shown.startswith("pp_")
    assert open_keys(settings, "cli") is None
    assert actions(settings) == ["keys.create"]


def test_the_key_of_an_integration_test_ends_with_it(settings: Settings) -> None:
    data = Path(settings.folder) / "live"
    with verify_key(settings, None) as shown:
        ring = KeyRing(data, open_secrets(data))
        assert ring.check(shown, ring.records()[0].created + 1) is not None
    assert actions(settings) == ["keys.create", "keys.revoke"]
    with verify_key(settings, "given") as shown:
        assert shown == "given"
    assert len(actions(settings)) == 2
