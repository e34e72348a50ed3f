"""What is older than the company keeps it goes by itself, and is told."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from propense.errors import RefusedError, SettingsError
from propense.files import locked
from propense.history.past import PastCustomer, PastEvent
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.retention import Expired
from propense.privacy.receipts import BackupTrace
from propense.runtime.integration_tests import MOST, IntegrationTests, clear_integration_tests
from propense.security.audit import AuditLog
from propense.security.secrets import open_secrets
from propense.serving.operations.backup import back_up
from propense.serving.operations.backup_records import UNLIMITED, BackupRecords
from propense.serving.operations.history_loading import LOCK
from propense.serving.operations.retention import EVERY_SECONDS, Expiry
from propense.serving.operations.service_store import open_history, service_store
from propense.settings import parse_settings
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND, written_iso

NOW = 1_700_000_000_000_000
ROUND = EVERY_SECONDS * MICROS_PER_SECOND


def settings_of(folder: Path, **retention: str):
    sections = {"users": {"path": "u.csv"}, "serve": {"retention": retention}}
    return parse_settings(sections, folder)


def integration_tests(settings, store) -> IntegrationTests:
    secrets = open_secrets(Path(settings.folder) / "live")
    return IntegrationTests(
        Path(settings.folder) / "live", lambda name: open_history(settings, secrets, name), store
    )


def update(user_id: str, days: int) -> CustomerUpdate:
    time = NOW - days * MICROS_PER_DAY
    return CustomerUpdate(
        message_id=f"{user_id}-{days}", user_id=user_id, received=time,
        events=(LiveEvent(time, "view", "c1"),),
    )  # fmt: skip


def test_rounds_delete_what_is_too_old_and_write_it_down(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, events="30d")
    secrets = open_secrets(tmp_path / "live")
    audit = AuditLog(tmp_path / "live", secrets)
    with closing(audit), service_store(settings, secrets) as store:
        expiry = Expiry(settings, store, audit, integration_tests(settings, store))
        store.append([update("ada", 40), update("ada", 10), update("bob", 29)])
        assert expiry.expire(NOW) == Expired(events=1)
        # Nobody begins another round for six hours, and the next finds what is too old by then.
        assert (
            Expiry(settings, store, audit, integration_tests(settings, store)).expire(
                NOW + 2 * MICROS_PER_DAY // 24
            )
            == Expired()
        )
        later = NOW + 2 * MICROS_PER_DAY
        assert expiry.expire(later) == Expired(events=1, customers=1)
        assert expiry.expire(later + ROUND) == Expired()
    with closing(sqlite3.connect(tmp_path / "live" / "audit.db")) as con:
        details = con.execute("SELECT detail FROM entries WHERE action = 'expire'").fetchall()
    assert [json.loads(detail)["events"] for (detail,) in details] == [1, 1]


def test_a_clock_that_is_ahead_deletes_two_days_at_most(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, events="30d")
    secrets = open_secrets(tmp_path / "live")
    audit = AuditLog(tmp_path / "live", secrets)
    with closing(audit), service_store(settings, secrets) as store:
        expiry = Expiry(settings, store, audit, integration_tests(settings, store))
        store.append([update("ada", 29), update("ada", 20), update("ada", 1)])
        assert expiry.expire(NOW) == Expired()
        year = 365 * MICROS_PER_DAY
        assert expiry.expire(NOW + year) == Expired(events=1)
        assert expiry.expire(NOW + year + ROUND // 2) == Expired(), "not due"
        # The clock is right again.
        assert expiry.expire(NOW + ROUND) == Expired()
        customer = store.read("ada")
        assert customer is not None and len(customer.events) == 2


def test_without_settings_nothing_goes(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    secrets = open_secrets(tmp_path / "live")
    audit = AuditLog(tmp_path / "live", secrets)
    with closing(audit), service_store(settings, secrets) as store:
        store.append([update("ada", 9_000)])
        assert (
            Expiry(settings, store, audit, integration_tests(settings, store)).expire(NOW)
            == Expired()
        )
        assert store.read("ada") is not None


def test_loaded_events_go_unless_a_run_is_being_loaded(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, events="30d")
    secrets = open_secrets(tmp_path / "live")
    audit = AuditLog(tmp_path / "live", secrets)
    times = (3, NOW - 40 * MICROS_PER_DAY)
    events = [PastEvent(time, "view", "c1", None, None, None) for time in times]
    with closing(audit), service_store(settings, secrets) as store:
        store.past.put([PastCustomer("ada", (), b"{}", msgspec.msgpack.encode(events), 2)], b"p")
        expiry = Expiry(settings, store, audit, integration_tests(settings, store))
        with locked(tmp_path / "live" / LOCK):
            assert expiry.expire(NOW) == Expired()
        assert expiry.expire(NOW + ROUND) == Expired(events=1)
        customer = store.read("ada")
        assert customer is not None
        # The first has no time, but a place in its log.
        assert [event.event_time for event in customer.events] == [3]


def test_a_wrong_duration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="duration 'a year'"):
        settings_of(tmp_path, traits="a year")


def test_expired_backups_are_deleted_and_receipts_name_the_others(tmp_path: Path) -> None:
    limited, unlimited = settings_of(tmp_path, backups="30d"), settings_of(tmp_path)
    secrets = open_secrets(tmp_path / "live")
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    assert back_up(limited, first, NOW - 40 * MICROS_PER_DAY, "cli").removed == []
    back_up(limited, second, NOW - 35 * MICROS_PER_DAY, "cli")
    second.rename(tmp_path / "moved")
    with service_store(limited, secrets) as store:
        assert BackupRecords(store.controls, "30d").trace(NOW) is None
        assert BackupRecords(store.controls, None).trace(NOW) == BackupTrace(
            n=2, first=written_iso(NOW // 10**6 - 40 * 86_400),
            last=written_iso(NOW // 10**6 - 35 * 86_400), until=UNLIMITED,
        )  # fmt: skip
    # Without a retention none is touched, and what is no backup of this service never.
    assert back_up(unlimited, tmp_path / "other", NOW, "cli").removed == []
    made = back_up(limited, third, NOW, "cli")
    assert made.removed == [str(first)] and made.elsewhere == [str(second)]
    assert not first.exists() and (tmp_path / "moved").is_dir() and third.is_dir()
    with service_store(limited, secrets) as store:
        trace = BackupRecords(store.controls, "30d").trace(NOW)
    until = written_iso(NOW // 10**6 + 30 * 86_400)
    assert trace is not None and (trace.n, trace.until) == (2, until)


def test_tests_are_bounded_and_abandoned_ones_end(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    secrets = open_secrets(tmp_path / "live")
    with asyncio.Runner() as runner, service_store(settings, secrets) as store:

        def begin(token: str) -> None:
            runner.run(tests.reader(token))

        tests = integration_tests(settings, store)
        for number in range(MOST):
            begin(f"{number:08x}")
        with pytest.raises(RefusedError, match="16 integration tests run already"):
            begin("ffffffff")
        begin("00000000")
        files = sorted(file.name for file in (tmp_path / "live").glob("verify-*.db"))
        assert len(files) == MOST
        began = store.controls.read("tests").records[0].value
        assert tests.destroy_abandoned(int(began) + MICROS_PER_DAY // 2) == 0
        assert tests.destroy_abandoned(int(began) + 2 * MICROS_PER_DAY) == MOST
        assert not list((tmp_path / "live").glob("verify-*"))
        begin("ffffffff")
        # What a service that starts removes counts no more.
        for number in range(MOST - 1):
            begin(f"{number:08x}")
        clear_integration_tests(tmp_path / "live")
        begin("eeeeeeee")
        tests.close()
