"""Readiness says what is missing, does not hang, and gives nothing away."""

from __future__ import annotations

import threading
import time

import pytest

from propense.errors import BundleError, DamagedError, EvictingError, StoreError
from propense.serving.monitoring import readiness
from propense.serving.monitoring.readiness import Readiness, State


@pytest.fixture
def tested(monkeypatch):
    """Bundles that were asked; "broken" ones do not answer."""
    seen = []

    def ask(bundle):
        seen.append(bundle)
        if bundle == "broken":
            raise BundleError("goal 'pay' answered nan")
        if bundle == "crashing":
            raise IndexError("customer ann is out of range")

    monkeypatch.setattr(readiness, "self_test", ask)
    return seen


def make(folder, bundle="good", ping=lambda: None, writer=lambda: None, **options):
    return Readiness(folder, lambda: bundle, ping, writer, **options)


def test_all_is_well(tmp_path, tested):
    ready = make(tmp_path)
    assert not ready.check().reasons
    assert not ready.check().reasons
    assert tested == ["good"], "a bundle is asked once"


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        (None, "no bundle is open"),
        ("broken", "goal 'pay' answered nan"),
        ("crashing", "the bundle does not answer: IndexError"),
    ],
)
def test_a_bundle_that_does_not_answer(tmp_path, tested, bundle, reason):
    reasons = make(tmp_path, bundle).check().reasons
    assert len(reasons) == 1
    assert reason in reasons[0] and "ann" not in reasons[0]


def test_a_new_bundle_is_tested_again(tmp_path, tested):
    serving = ["good"]
    ready = Readiness(tmp_path, lambda: serving[0], lambda: None, lambda: None)
    assert not ready.check().reasons
    serving[0] = "broken"
    assert ready.check().reasons
    serving[0] = "better"
    assert not ready.check().reasons
    assert tested == ["good", "broken", "better"]


@pytest.mark.parametrize("error", [StoreError, OSError])
def test_a_store_that_fails_gives_no_password_away(tmp_path, tested, error):
    def ping():
        raise error("postgresql://app:hunter2@db/live is down")

    reasons = make(tmp_path, ping=ping).check().reasons
    assert "live history does not answer" in reasons[0]
    assert "hunter2" not in reasons[0]


def test_a_store_that_hangs_is_waited_for_by_one_thread(tmp_path, tested):
    free = threading.Event()
    ready = make(tmp_path, ping=lambda: free.wait(30) and None, ping_seconds=0.05)
    n_threads = threading.active_count()
    for _ in range(5):
        began = time.monotonic()
        assert ready.check() == State([], ["live history has not answered within 0.05 s"])
        assert time.monotonic() - began < 5
    assert threading.active_count() <= n_threads + 1
    free.set()
    for _ in range(200):
        if not ready.check().reasons:
            break
        time.sleep(0.01)
    assert not ready.check().reasons


def test_every_failure_is_reported(tmp_path, tested):
    ready = make(tmp_path, None, writer=lambda: "the writer has stopped", least_disk=2**62)
    reasons = ready.check().reasons
    assert len(reasons) == 3
    assert "MB left" in reasons[2] and "free some space" in reasons[2]
    gone = make(tmp_path / "gone")
    assert "data folder cannot be read" in gone.check().reasons[0]


def test_a_store_that_is_away_stops_events_and_no_answers(tmp_path, tested):
    def ping():
        raise StoreError("away")

    state = make(tmp_path, ping=ping, writer=lambda: "not written").check()
    assert state.answers == [] and len(state.events) == 2


def test_a_server_that_evicts_is_named(tmp_path, tested):
    def ping():
        raise EvictingError("redis://10.0.0.7 evicts")

    state = make(tmp_path, ping=ping).check()
    assert state.answers == [] and "noeviction" in state.events[0] and "10.0" not in state.events[0]


def test_a_damaged_history_ends_both_for_good(tmp_path, tested):
    damaged = [True]

    def ping():
        if damaged[0]:
            raise DamagedError("malformed")

    ready = make(tmp_path, ping=ping)
    assert "is damaged" in ready.check().answers[0]
    damaged[0] = False
    state = ready.check()
    assert "is damaged" in state.answers[0] and state.reasons == state.answers


def test_nothing_is_ready_until_the_history_was_checked(tmp_path, tested):
    free = threading.Event()

    def check():
        free.wait(30)
        raise DamagedError("malformed")

    ready = make(tmp_path, check=check)
    ready.begin()
    assert "is being checked" in ready.check().answers[0]
    free.set()
    for _ in range(500):
        if "is damaged" in ready.check().answers[0]:
            break
        time.sleep(0.01)
    assert "is damaged" in ready.check().answers[0]
