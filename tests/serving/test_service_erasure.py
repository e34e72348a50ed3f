"""Erasures beside other things that happen at the same moment, and in other processes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from propense.errors import ServeError, StoreError
from propense.history.records import Customer, CustomerUpdate, Decision
from propense.runtime.customer_cache import Cache
from propense.runtime.customer_reader import CustomerReader
from propense.serving.answers import POPULAR
from propense.serving.operations import erasure
from support.service_bundle import ServedWorld
from support.service_live import Live, live_service


def update(name: str, **more: Any) -> CustomerUpdate:
    return CustomerUpdate(
        message_id=f"m-{name}", user_id=name, received=time.time_ns() // 1000, **more
    )


def test_a_name_that_is_joined_meanwhile_is_refused_as_well(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.teach("gone", [1, 2, 3])
    store = live.service.store
    suppress = store.suppress
    joined: list[str] = []

    def just_before(hashes: Any) -> None:
        if not joined:
            joined.append("a9")
            store.append([update("gone", previous_id="a9")])
        suppress(hashes)

    monkeypatch.setattr(store, "suppress", just_before)
    live.ask("DELETE", "/v1/users/gone", "admin")
    assert joined
    live.track_refused("a9")
    store.log_decisions(
        [Decision(user_id="a9", time=1, scenario="s", bundle="v1", policy="network", items=())]
    )
    assert store.decisions_of("a9") == []


def test_others_are_answered_while_a_file_is_cleaned(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.teach("gone", [1, 2, 3])
    erase = live.service.store.erase

    def slowly(user_id: str) -> Any:
        time.sleep(1.0)
        return erase(user_id)

    monkeypatch.setattr(live.service.store, "erase", slowly)

    async def play() -> float:
        http = live.client._http
        assert http is not None
        going = asyncio.ensure_future(
            http.request("DELETE", "/v1/users/gone", headers=live.headers("admin"))
        )
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        assert (await http.request("GET", "/health/live")).status_code == 200
        took = time.perf_counter() - began
        assert not going.done()
        assert (await going).status_code == 200
        return took

    assert live.client.await_(play()) < 0.5


def test_other_processes_forget_within_a_second(shop: ServedWorld, tmp_path: Path) -> None:
    with (
        live_service(shop, tmp_path / "live") as here,
        live_service(shop, tmp_path / "live") as there,
    ):
        here.service.reader.alone = there.service.reader.alone = False
        here.teach("gone", [1, 2, 3])
        assert there.recommend("gone")["policy"] == "network"
        assert there.service.engine.cache.get("gone") is not None
        here.ask("DELETE", "/v1/users/gone", "admin")
        ends = time.monotonic() + 10
        while there.service.engine.cache.get("gone") is not None:
            assert time.monotonic() < ends
            time.sleep(0.05)

        def broken(*_: Any) -> Any:
            raise StoreError("away")

        there.service.reader.store.read = broken  # type: ignore[method-assign]
        answer = there.recommend("gone")
        assert answer["policy"] == POPULAR


def test_erasures_at_the_same_time_are_all_done(shop: ServedWorld, tmp_path: Path) -> None:
    names = [f"gone-{number}" for number in range(8)]
    with live_service(shop, tmp_path / "live") as live:
        live.service.reader.alone = False
        for name in names:
            live.teach(name, [1, 2])
        calls = [
            ("DELETE", f"/v1/users/{name}", {"headers": live.headers("admin")}) for name in names
        ]
        answers = live.client.together(calls)
        assert [answer.status_code for answer in answers] == [200] * len(names)
        assert all(answer.json()["removed"]["live events"] == 2 for answer in answers)


@pytest.mark.parametrize("where", ["store", "files"])
def test_an_erasure_that_fails_halfway_is_finished_by_the_next_under_any_name(
    live: Live, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    live.ask("POST", "/v1/alias", "all", json={"previousId": "anon-7", "userId": "ada-lovelace"})
    live.teach("ada-lovelace", [1, 2, 3])
    live.recommend("ada-lovelace")
    service = live.service
    run = Path(service.settings.folder) / service.settings.run / "exports"
    run.mkdir(parents=True, exist_ok=True)
    file = run / "scores.csv"
    file.write_text("user_id,score\nada-lovelace,1\nstays,2\n")
    erase, clean = service.store.erase, erasure.erase_from_folder

    def fail_after(work: Any) -> Any:
        def call(*arguments: Any) -> Any:
            work(*arguments)
            raise StoreError("a long read") if where == "store" else ServeError("a torn file")

        return call

    try:
        with monkeypatch.context() as patch:
            if where == "store":
                patch.setattr(service.store, "erase", fail_after(erase))
            else:
                patch.setattr(erasure, "erase_from_folder", lambda *_: fail_after(len)(""))
            assert live.refused("DELETE", "/v1/users/anon-7", "admin")[0] == 503
        assert service.engine.cache.get("ada-lovelace") is None
        assert ("ada-lovelace" in file.read_text()) == (where == "files")
        assert clean is erasure.erase_from_folder
        again = live.ask("DELETE", "/v1/users/anon-7", "admin")
        assert file.read_text() == "user_id,score\nstays,2\n"
        assert again["removed"]["exports/scores.csv"] == 1 and again["traces"]
        assert service.pending.count() == 0
        live.track_refused("ada-lovelace")
    finally:
        file.unlink()
        run.rmdir()


def test_an_erasure_leaves_others_in_memory(live: Live) -> None:
    live.teach("gone", [1, 2, 3])
    live.teach("stays", [1, 2, 3])
    live.recommend("stays")
    customer = live.service.engine.cache.get("stays")
    live.ask("DELETE", "/v1/users/gone", "admin")
    time.sleep(1.0)
    assert customer is not None and live.service.engine.cache.get("stays") is customer


class SlowStore:
    """A store that is asked over a network."""

    is_local = False

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.go_on: Any = None

    def read(self, user_id: str) -> Customer:
        self.loop.call_soon_threadsafe(self.reading.set)
        asyncio.run_coroutine_threadsafe(self.go_on.wait(), self.loop).result(10)
        return Customer(user_id=user_id, version=1, events=[])


class OneEngine:
    def __init__(self) -> None:
        self.cache = Cache(1e6)

    def read(self, customer: Customer) -> Any:
        class Read:
            user_id, names, n_bytes, version = customer.user_id, (), 10, customer.version

        return Read()


def test_a_customer_who_is_erased_while_being_read_is_not_cached() -> None:
    async def play() -> None:
        store: Any = SlowStore()
        store.go_on = asyncio.Event()
        engine: Any = OneEngine()
        reader = CustomerReader(store, alone=False)
        finding = asyncio.ensure_future(reader.find(engine, "gone"))
        await store.reading.wait()
        reader.forget([engine], {"gone"})
        store.go_on.set()
        await finding
        assert len(engine.cache) == 0
        await reader.find(engine, "gone")
        assert len(engine.cache) == 1

    asyncio.run(play())


def test_a_killed_erasure_goes_on_at_the_next_start(shop: ServedWorld, tmp_path: Path) -> None:
    """What it had begun stays begun: nobody asks again."""
    data = tmp_path / "live"
    with live_service(shop, data) as live:
        live.teach("gone", [1, 2, 3])
        live.client.await_(live.service.eraser._begin("gone", "k3jq7d2m", 1))
        assert live.service.store.read("gone") is not None
    run = shop.folder / shop.settings.run / "exports"
    run.mkdir(parents=True, exist_ok=True)
    file = run / "scores.csv"
    file.write_text("user_id,score\ngone,1\nstays,2\n")
    file.with_name("scores.csv.unfinished").write_text("user_id,score\nst")
    try:
        with live_service(shop, data) as live:
            ends = time.monotonic() + 20
            while live.service.pending.count() and time.monotonic() < ends:
                time.sleep(0.05)
            assert live.service.pending.count() == 0
            assert live.service.store.read("gone") is None
            assert [one.name for one in run.iterdir()] == ["scores.csv"]
            assert file.read_text() == "user_id,score\nstays,2\n"
            live.track_refused("gone")
    finally:
        file.unlink()
        run.rmdir()


def test_an_erasure_that_does_not_end_is_told_until_it_does(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.teach("gone", [1, 2, 3])
    service = live.service

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(service.store, "erase", full)
        assert live.refused("DELETE", "/v1/users/gone", "admin")[0] == 503, (
            "a full disk is no defect"
        )
        live.client.await_(service.upkeep.do_round())
        health = live.client.request("GET", "/health/ready").json()
        assert any("1 erasures have begun" in warning for warning in health["warnings"])
        metrics = live.client.request("GET", "/metrics", headers=live.headers("admin")).text
        assert "propense_erasures_pending 1.0" in metrics
    service.upkeep._next_attempt = 0.0
    live.client.await_(service.upkeep.do_round())
    assert service.upkeep.warnings() == [] and service.store.read("gone") is None
    actions = [row["action"] for row in service.audit.rows_of("gone")]
    assert actions == [], "its rows name nobody any more"


def test_erasures_of_an_older_version_are_brought_over(shop: ServedWorld, tmp_path: Path) -> None:
    data = tmp_path / "live"
    data.mkdir(mode=0o700)
    (data / "erasing.json").write_text('[{"names": ["old"], "was_known": true, "removed": {}}]')
    with live_service(shop, data) as live:
        ends = time.monotonic() + 20
        while (data / "erasing.json").exists() or live.service.pending.count():
            assert time.monotonic() < ends
            time.sleep(0.05)
        live.track_refused("old")


def test_what_is_done_to_a_customer_is_logged_before_it_is_done(live: Live) -> None:
    live.teach("ann", [1])
    audit = live.service.audit
    live.ask("GET", "/v1/users/ann", "admin")
    assert [row["action"] for row in audit.rows_of("ann")] == ["customer.read"]
    head = live.service.data / "audit.head"
    content = head.read_bytes()
    head.write_bytes(content[:20])
    assert live.refused("GET", "/v1/users/ann", "admin")[0] == 503
    assert live.refused("DELETE", "/v1/users/ann", "admin")[0] == 503
    assert live.refused("PUT", "/v1/items/new-9", "admin", json={"title": "T"})[0] == 503
    serving = {"version": live.service.engine.version, "reason": "because"}
    assert live.refused("POST", "/v1/bundles/promote", "admin", json=serving)[0] == 503
    assert live.service.store.read("ann") is not None, "what cannot be logged is not done"
    assert "new-9" not in live.service.items.read()[1]
    head.write_bytes(content)


def test_refused_keys_are_logged_together(live: Live) -> None:
    key = live.keys["read"]
    for wrong in ("nonsense", key[:-1] + ("A" if key[-1] != "A" else "B")):
        answer = live.client.request(
            "GET", "/v1/popular", headers={"authorization": f"Bearer {wrong}"}
        )
        assert answer.status_code == 401
    upkeep = live.service.upkeep
    upkeep._next_refused = 0.0
    live.client.await_(upkeep.do_round())
    with sqlite3.connect(live.service.data / "audit.db") as con:
        rows = con.execute("SELECT detail FROM entries WHERE action = 'keys.refused'").fetchall()
    details = [json.loads(row[0]) for row in rows]
    assert sum(detail["n"] for detail in details) == 2
    assert [name for detail in details for name in detail["prefixes"]] == [key[3:11]]


def test_an_audit_log_that_is_taken_away_is_told(shop: ServedWorld, tmp_path: Path) -> None:
    data = tmp_path / "live"
    with live_service(shop, data) as live:
        live.teach("ann", [1])
        live.ask("GET", "/v1/users/ann", "admin")
        live.client.await_(live.service.upkeep.do_round())
    for file in data.glob("audit.*"):
        file.unlink()
    (data / "secret.key_id").write_text((data / "secret.key_id").read_text().splitlines()[0])
    with live_service(shop, data) as live:
        live.client.await_(live.service.upkeep.do_round())
        warnings = live.client.request("GET", "/health/ready").json()["warnings"]
        assert any("an earlier audit log is gone" in warning for warning in warnings)
        assert not live.service.audit.verify().good


@pytest.mark.parametrize("number", [28, 24])
def test_a_shortage_of_the_system_is_no_defect(
    live: Live, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whatever writes a file meets a full disk: the answer says that it passes."""

    def fail(*_: Any) -> None:
        raise OSError(number, "as the system says")

    monkeypatch.setattr(live.service.items, "put", fail)
    status, problem = live.refused("PUT", "/v1/items/n1", "admin", json={"title": "T"})
    assert status == 503 and "as the system says" in problem["detail"]
