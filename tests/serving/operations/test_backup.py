"""A copy of a service is whole, is made while it runs, and comes back only where it belongs."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from propense.cli import main
from propense.errors import ServeError, StoreError
from propense.files import SERVICE_LOCK, locked
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.store import StoreOptions
from propense.privacy.pseudonyms import Pseudonyms
from propense.runtime.item_updates import ItemUpdate, ItemUpdates
from propense.security.audit import AuditLog
from propense.security.secrets import VARIABLE, open_secrets
from propense.serving.operations.backup import HISTORY, back_up, restore
from propense.settings import parse_settings
from support.live_stores import opened_ring

NOW = 1_700_000_000_000_000


def settings_of(folder):
    folder.mkdir(exist_ok=True)
    (folder / "propense.toml").write_text('[users]\npath = "u.csv"\n')
    return parse_settings({"users": {"path": "u.csv"}}, folder)


def history(data):
    options = StoreOptions(
        durable="process",
        suppression_hash=Pseudonyms(open_secrets(data)).suppression_hash,
        remember_seconds=3600,
    )
    return open_store("sqlite", data, options)


FIRST = CustomerUpdate(
    message_id="m1", user_id="ann", received=NOW, events=(LiveEvent(NOW, "view", "c1", 5),)
)


@pytest.fixture
def service(tmp_path, monkeypatch):
    """Settings of a service that holds a customer, a refused one, a key and a row of the log."""
    monkeypatch.delenv(VARIABLE, raising=False)
    settings = settings_of(tmp_path / "one")
    data = Path(settings.folder) / "live"
    own = open_secrets(data)
    with closing(history(data)) as store:
        store.append([FIRST])
        store.suppress([Pseudonyms(own).suppression_hash("ben")])
    with opened_ring(data) as ring:
        ring.create("site", ["ingest"], now=NOW)
    with closing(history(data)) as store:
        ItemUpdates(store.controls, data).put("c9", ItemUpdate(NOW, {"title": "New"}), object())
    with closing(AuditLog(data, own)) as log:
        log.append(NOW, "abcdefgh", "erase", "ben")
    return settings


def bring_secret(settings, other):
    data = Path(other.folder) / "live"
    data.mkdir(mode=0o700)
    secret = (Path(settings.folder) / "live/secret").read_bytes()
    (data / "secret").write_bytes(secret)
    (data / "secret").chmod(0o600)
    return data


def test_a_backup_is_restored_whole(service, tmp_path):
    copy = tmp_path / "copy"
    # The service may run meanwhile.
    with locked(Path(service.folder) / "live" / SERVICE_LOCK, wait=False):
        files = back_up(service, copy, NOW, "cli").files
    assert files == sorted([HISTORY, "audit.db", "audit.head", "secret.key_id"])
    other = settings_of(tmp_path / "two")
    data = bring_secret(service, other)
    restored = restore(other, copy, NOW, "cli")
    assert restored.files == [HISTORY, "audit.db", "audit.head"]
    own = open_secrets(data)
    with closing(history(data)) as store:
        assert [event.item_id for event in store.read("ann").events] == ["c1"]
        refused = CustomerUpdate(message_id="m2", user_id="ben", received=NOW, traits={"a": 1})
        assert store.append([refused, FIRST]) == ["suppressed", "repeated"]
    with opened_ring(data) as ring:
        assert [key.name for key in ring.records()] == ["site"]
    with closing(history(data)) as store:
        items = ItemUpdates(store.controls, data).read()[1]
        assert items == {"c9": ItemUpdate(NOW, {"title": "New"})}
    with closing(AuditLog(data, own)) as log:
        verdict = log.verify()
        assert verdict.good and verdict.rows == 3, "the copy itself is in the log, and its return"
        assert [row["action"] for row in log.rows_of("ben")] == ["erase"]


def test_the_secret_is_not_in_the_copy(service, tmp_path):
    back_up(service, tmp_path / "copy", NOW, "cli")
    secret = (Path(service.folder) / "live/secret").read_bytes().strip()
    for file in (tmp_path / "copy").iterdir():
        assert secret not in file.read_bytes() and file.name != "secret"
        assert file.stat().st_mode & 0o077 == 0 or file.name == HISTORY
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0


def test_a_copy_is_never_written_over(service, tmp_path):
    (tmp_path / "copy").mkdir()
    with pytest.raises(ServeError, match="exists already"):
        back_up(service, tmp_path / "copy", NOW, "cli")


def test_nothing_is_copied_where_there_is_no_service(tmp_path):
    settings = settings_of(tmp_path / "empty")
    with pytest.raises(ServeError, match="not the data folder of a service"):
        back_up(settings, tmp_path / "copy", NOW, "cli")
    assert not (tmp_path / "copy").exists() and not (tmp_path / "empty/live").exists()


def test_what_cannot_come_back_is_said_and_nothing_is_done(service, tmp_path):
    copy = tmp_path / "copy"
    back_up(service, copy, NOW, "cli")
    with pytest.raises(ServeError, match="not a backup of a service"):
        restore(service, tmp_path, NOW, "cli")
    with pytest.raises(ServeError, match=r"already contains audit.db, .*audit.head;"):
        restore(service, copy, NOW, "cli")
    with (
        locked(Path(service.folder) / "live" / SERVICE_LOCK, wait=False),
        pytest.raises(ServeError, match="a service runs on"),
    ):
        restore(service, copy, NOW, "cli")
    other = settings_of(tmp_path / "two")
    with pytest.raises(ServeError, match="the secret is missing"):
        restore(other, copy, NOW, "cli")
    data = Path(other.folder) / "live"
    data.mkdir(mode=0o700)
    (data / "secret").write_text("ab" * 32)
    (data / "secret").chmod(0o600)
    with pytest.raises(ServeError, match="the secret is not the one"):
        restore(other, copy, NOW, "cli")
    assert sorted(file.name for file in data.iterdir()) == ["secret", SERVICE_LOCK]
    open_secrets(data)
    with pytest.raises(ServeError, match="with another secret"):
        restore(other, copy, NOW, "cli")


def test_existing_history_is_not_overwritten(service, tmp_path):
    back_up(service, tmp_path / "copy", NOW, "cli")
    other = settings_of(tmp_path / "two")
    data = bring_secret(service, other)
    history(data).close()
    with pytest.raises(StoreError, match="is there already"):
        restore(other, tmp_path / "copy", NOW, "cli")
    assert not (data / "audit.db").exists()


def test_no_key_opens_anything_after_a_restoration_until_it_is_enabled(service, tmp_path, capsys):
    """A backup has keys that were revoked after it."""
    data = Path(service.folder) / "live"
    with opened_ring(data) as ring:
        good, whole = ring.create("good", ["read"], now=NOW)
        bad, stolen = ring.create("stolen", ["admin"], now=NOW)
        earlier, _ = ring.create("earlier", ["read"], now=NOW)
        ring.revoke(earlier.prefix, NOW)
    back_up(service, tmp_path / "copy", NOW, "cli")
    with opened_ring(data) as ring:
        ring.revoke(bad.prefix, NOW)
    other = settings_of(tmp_path / "two")
    data = bring_secret(service, other)
    file = str(Path(other.folder) / "propense.toml")
    assert main(["restore", str(tmp_path / "copy"), "--settings", file]) == 0
    out = capsys.readouterr().out
    assert "all 3 API keys are off" in out and f"propense keys enable {good.prefix}" in out
    assert earlier.prefix not in out
    with opened_ring(data) as ring:
        assert ring.check(whole, NOW) is None and ring.check(stolen, NOW) is None
    assert main(["keys", "list", "--settings", file, "--json"]) == 0
    states = {one["name"]: one["state"] for one in json.loads(capsys.readouterr().out)}
    assert states == {"site": "off", "good": "off", "stolen": "off", "earlier": "revoked"}
    assert main(["keys", "enable", good.prefix, "--settings", file]) == 0
    with opened_ring(data) as ring:
        assert ring.check(whole, NOW) is not None and ring.check(stolen, NOW) is None
    assert main(["keys", "enable", "--all", "--settings", file]) == 0
    with opened_ring(data) as ring:
        assert ring.check(stolen, NOW) is not None, "as the operator said"


def test_the_keys_of_a_backup_of_an_older_version_are_off_too(service, tmp_path, capsys):
    back_up(service, tmp_path / "copy", NOW, "cli")
    old = {"prefix": "aaaabbbb", "mac": "AAAA", "name": "old", "scopes": ["read"], "created": NOW}
    (tmp_path / "copy" / "keys.json").write_text(json.dumps([old]))
    other = settings_of(tmp_path / "two")
    bring_secret(service, other)
    restored = restore(other, tmp_path / "copy", NOW, "cli")
    assert sorted(key.name for key in restored.keys) == ["old", "site"]


def test_the_verbs(service, tmp_path, capsys):
    file = str(Path(service.folder) / "propense.toml")
    copy = str(tmp_path / "copy")
    assert main(["backup", copy, "--settings", file, "--json"]) == 0
    assert HISTORY in json.loads(capsys.readouterr().out)["files"]
    assert main(["backup", copy, "--settings", file]) == 2
    assert "exists already" in capsys.readouterr().err
    other = settings_of(tmp_path / "two")
    bring_secret(service, other)
    settings = str(Path(other.folder) / "propense.toml")
    assert main(["restore", copy, "--settings", settings]) == 0
    assert "audit.db" in capsys.readouterr().out
