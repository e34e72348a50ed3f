"""The key of one purpose is rolled; the others and what was signed before stay as they are."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path

import pytest

from propense.errors import ServeError
from propense.privacy.receipts import Receipt, public_keys, sign, verify_receipt
from propense.security.audit import AuditLog
from propense.security.secrets import Roll, Secrets, open_secrets
from propense.serving.operations.secret_rolls import present, read_rolls, roll
from propense.serving.operations.service_store import service_store
from propense.settings import Settings, parse_settings
from propense.times import MICROS_PER_SECOND
from propense.web.webhooks import is_authentic, signature

NOW = 1_700_000_000_000_000


@pytest.fixture
def service(tmp_path: Path) -> Settings:
    settings = parse_settings({"users": {"path": "u.csv"}}, folder=tmp_path)
    own = open_secrets(tmp_path / "live")
    AuditLog(tmp_path / "live", own).close()
    return settings


def clock() -> int:
    return NOW


def test_a_rolled_key_is_another_one_and_the_others_stay(service: Settings) -> None:
    before = present(service)
    _, new = roll(service, "webhooks", 60, clock, "cli")
    after = present(service)
    assert new == Roll(1, NOW, NOW + 60 * MICROS_PER_SECOND)
    assert after.key("webhooks") != before.key("webhooks")
    for purpose in ("keys", "receipts", "audit", "suppression", "pseudonyms"):
        assert after.key(purpose) == before.key(purpose)
    both = after.keys("webhooks", NOW)
    assert both == (after.key("webhooks"), before.key("webhooks"))
    assert after.keys("webhooks", NOW + 60 * MICROS_PER_SECOND) == both[:1]
    with closing(AuditLog(Path(service.folder) / "live", after)) as log:
        assert log.verify().rows == 2, "an intention and its outcome"


def test_a_receiver_with_either_key_takes_messages_while_one_rolls(service: Settings) -> None:
    old = present(service).key("webhooks")
    after, _ = roll(service, "webhooks", 60, clock, "cli")
    seconds = NOW // MICROS_PER_SECOND
    header = signature(after.keys("webhooks", NOW), b"{}", seconds)
    for key in (old, after.key("webhooks")):
        assert is_authentic(key, b"{}", header, seconds)
        assert not is_authentic(key, b"{} ", header, seconds)
    assert not is_authentic(bytes(32), b"{}", header, seconds)
    later = signature(after.keys("webhooks", NOW + 61 * MICROS_PER_SECOND), b"{}", seconds)
    assert not is_authentic(old, b"{}", later, seconds)


def test_receipts_of_every_generation_can_be_verified(service: Settings) -> None:
    receipt = Receipt(id="r", time=NOW, subject="00")
    first = sign(receipt, present(service))
    after, _ = roll(service, "receipts", 0, clock, "cli")
    second = sign(receipt, after)
    new, old = public_keys(after)
    assert verify_receipt(first, old) and verify_receipt(second, new)
    assert not verify_receipt(first, new) and not verify_receipt(second, old)


def test_the_audit_log_stays_true_over_its_own_rolls(service: Settings) -> None:
    data = Path(service.folder) / "live"
    own = open_secrets(data)
    for number in range(3):
        with closing(AuditLog(data, own)) as log:
            log.append(NOW + number, "", "start")
        roll(service, "audit", 0, clock, "cli")
    with closing(AuditLog(data, own)) as log:
        saved = log.head()
        assert saved is not None and saved.generation == 3 and log.has(saved)
        log.append(NOW, "", "start")
        verdict = log.verify(saved)
        assert verdict.good and verdict.rows == 7
    # A row under the first key, as whoever stole it would write it, is no row of the log.
    with closing(AuditLog(data, own)) as log:
        seq, last = log._last_row()
        row = (seq + 1, NOW, "", "forged", "", "{}")
        log._con.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?)",
                         (*row, last, log._hash(last, row, 0)))  # fmt: skip
        assert not log.verify().good


def test_a_death_between_the_row_of_a_roll_and_its_head_is_no_alarm(
    service: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(service.folder) / "live"
    with closing(AuditLog(data, open_secrets(data))) as log:
        with monkeypatch.context() as patch:
            patch.setattr(log, "_write_head", lambda *_: None)
            log.roll(NOW, "cli")
        log.append(NOW, "", "start")
        head = log.head()
        assert head is not None and head.generation == 1 and log.verify().good


@pytest.mark.parametrize("purpose", ["pseudonyms", "suppression"])
def test_what_cannot_be_rolled_says_why(service: Settings, purpose: str) -> None:
    with pytest.raises(ServeError, match=r"cannot be rolled: .*customers"):
        roll(service, purpose, 0, clock, "cli")
    with pytest.raises(ServeError, match="did you mean 'webhooks'"):
        roll(service, "webhook", 0, clock, "cli")


def test_generations_have_keys_of_their_own() -> None:
    secrets = Secrets(bytes(32))
    purposes = ("keys", "webhooks", "receipts")
    keys = [
        secrets.of_generation(purpose, number)  # type: ignore[arg-type]
        for purpose, number in itertools.product(purposes, range(4))
    ]
    assert len(set(keys)) == 12 and secrets.key("keys") == keys[0]


def test_a_running_service_follows(service: Settings) -> None:
    own = open_secrets(Path(service.folder) / "live")
    roll(service, "receipts", 0, clock, "cli")
    assert len(public_keys(own)) == 1
    with service_store(service, own) as store:
        own.follow(read_rolls(store.controls))
    assert len(public_keys(own)) == 2
