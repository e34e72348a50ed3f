"""Secrets are rolled and shown from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from propense.cli import main


@pytest.fixture
def shop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROPENSE_SECRET", raising=False)
    (tmp_path / "propense.toml").write_text('[users]\npath = "users.csv"\n')
    assert main(["keys", "create", "site", "--scope", "ingest"]) == 0
    capsys.readouterr()
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["secret", *words, "--json"]) == 0
    read: dict[str, object] = json.loads(capsys.readouterr().out)
    return read


def test_the_key_of_the_webhooks_is_rolled_and_shown_with_the_old_one(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (old,) = answer(capsys, "show", "webhooks")["keys"]  # type: ignore[misc]
    rolled = answer(capsys, "roll", "webhooks", "--grace", "2h")
    assert rolled["generation"] == 1 and rolled["grace_seconds"] == 7200
    assert answer(capsys, "show", "webhooks")["keys"] == [rolled["key"], old]
    rolled = answer(capsys, "roll", "webhooks", "--grace", "0")
    assert answer(capsys, "show", "webhooks")["keys"] == [rolled["key"]]
    assert main(["audit"]) == 0


@pytest.mark.parametrize("purpose", ["receipts", "audit"])
def test_other_keys_are_rolled_and_not_printed(
    shop: Path, capsys: pytest.CaptureFixture[str], purpose: str
) -> None:
    assert answer(capsys, "roll", purpose) == {"purpose": purpose, "generation": 1}
    assert main(["audit"]) == 0


def test_what_is_no_purpose_says_what_is(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secret", "roll", "pseudonyms"]) == 2
    assert "cannot be rolled" in capsys.readouterr().err
    assert main(["secret", "show", "audit"]) == 2
    assert "nobody else needs the key of 'audit'" in capsys.readouterr().err


def test_a_lost_log_is_accepted_with_a_reason(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "--accept", "why"]) == 2
    assert "no earlier audit log is missing" in capsys.readouterr().err
    for file in (shop / "live").glob("audit.*"):
        file.unlink()
    assert main(["audit"]) == 2
    assert "an earlier log is gone" in capsys.readouterr().out
    assert main(["audit", "--accept", "the disk was lost on 3 May"]) == 0
    assert main(["audit"]) == 0
