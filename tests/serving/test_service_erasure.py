"""Erasures beside other things that happen at the same moment, and in other processes."""

from __future__ import annotations

import asyncio
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
    live.ask("POST", "/v1/alias", "ingest", json={"previousId": "anon-7", "userId": "ada-lovelace"})
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
        assert not (service.data / erasure.FILE).exists()
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
