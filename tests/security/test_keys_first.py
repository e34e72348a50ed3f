"""Keys that are made on the way are in the audit log as any other."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from propense.cli import main
from propense.cli.verify import verify_key
from propense.security.audit import AuditLog
from propense.security.keys import SCOPES
from propense.security.secrets import VARIABLE, open_secrets
from propense.serving.server import make_first_key
from propense.settings import Settings, parse_settings
from support.live_stores import opened_ring


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
    shown = make_first_key(settings, "cli", print)
    assert shown is not None and shown.startswith("pp_")
    assert make_first_key(settings, "cli", print) is None
    assert actions(settings) == ["keys.create"] * 2, "the intention and the outcome"


def test_the_key_of_an_integration_test_ends_with_it(settings: Settings) -> None:
    data = Path(settings.folder) / "live"
    with verify_key(settings, None) as shown:
        with opened_ring(data) as ring:
            assert ring.check(shown, ring.records()[0].created + 1) is not None
    assert actions(settings) == ["keys.create"] * 2 + ["keys.revoke"] * 2
    with verify_key(settings, "given") as shown:
        assert shown == "given"
    assert len(actions(settings)) == 4


@pytest.mark.parametrize("terminal", [True, False])
def test_the_first_key_is_shown_on_a_terminal_alone(
    settings: Settings,
    terminal: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is printed elsewhere stays in a journal or in a container's log."""
    folder = Path(settings.folder)
    (folder / "propense.toml").write_text('[users]\npath = "u.csv"\n')
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setattr("propense.serving.server.run", lambda *words: 0)
    words = ["serve", "--first-key", "--settings", str(folder / "propense.toml")]
    assert main(words) == 0
    out = capsys.readouterr()
    file = folder / "live" / "first_key"
    assert not out.out and ("pp_" in out.err) == terminal and file.exists() != terminal
    if not terminal:
        assert str(file) in out.err and file.stat().st_mode & 0o777 == 0o600
        with opened_ring(folder / "live") as ring:
            record = ring.check(file.read_text().strip(), ring.records()[0].created)
        assert record is not None and record.scopes == set(SCOPES)
    assert main(words) == 0
    assert "key" not in capsys.readouterr().err
