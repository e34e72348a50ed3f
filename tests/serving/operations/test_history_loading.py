"""A run's customers come along: loaded in bulk, again and again, whatever stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propense.errors import ServeError, SourceError
from propense.files import ERASED, locked
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.store import Store, StoreOptions
from propense.history.training_views import event_id, message_key
from propense.privacy.pseudonyms import Pseudonyms
from propense.security.secrets import open_secrets
from propense.serving.operations import history_loading, run_history
from propense.serving.operations.history_loading import LOCK, load_history
from propense.serving.operations.history_process import HistoryLoader
from propense.settings import Settings, read_settings

N_CUSTOMERS = 400
N_EVENTS = 6_000
START = datetime(2024, 1, 1)


def write_run(
    folder: Path, n_events: int = N_EVENTS, seed: int = 1, timed: bool = True, **more: list[Any]
) -> Settings:
    """Clean tables as `clean` leaves them, of a generated log."""
    rng = np.random.default_rng(seed)
    clean = folder / "runs/main/clean"
    user = [f"u{number:04}" for number in rng.integers(0, N_CUSTOMERS, n_events)]
    events = pa.table(
        {
            "user_id": user,
            "item_id": [None if n % 7 == 0 else f"i{n % 50}" for n in range(n_events)],
            "action": [("view", "buy", "觀看")[n % 3] for n in range(n_events)],
            "event_time": pa.array(
                [START + timedelta(microseconds=int(n)) if timed else None
                 for n in rng.permutation(n_events)], pa.timestamp("us")),
            "value": pa.array([n if n % 3 == 1 else None for n in range(n_events)], pa.int64()),
            "count": [1.0 if n % 2 else None for n in range(n_events)],
            "event_id": pa.array(more.get("event_id", [None] * n_events), pa.string()),
            "source": ["web"] * n_events,
            "order": pa.array([None if timed else n for n in range(n_events)], pa.int64()),
        }
    )  # fmt: skip
    tables = {
        "events": events,
        "users.parquet": pa.table({"user_id": ["u0001", "only"], "city": ["Köln", None],
                                   "since": [START, START], "label": [1, 0]}),
        "identities.parquet": pa.table({"user_id": ["u0001", "u0001"], "alias": ["b", "a"]}),
    }  # fmt: skip
    for name, table in tables.items():
        (clean / name).mkdir(parents=True, exist_ok=True)
        pq.write_table(table, clean / name / "part-0.parquet")
    (clean / "done.json").write_text(json.dumps({"inputs_hash": f"{n_events} {seed}"}))
    (folder / "propense.toml").write_text(
        '[sources.a]\nevents = "a.csv"\n[users]\npath = "u.csv"\n[goals.g]\ncolumn = "label"\n'
    )
    return read_settings(folder / "propense.toml")


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    data = Path(settings.folder) / settings.serve.data
    options = StoreOptions(
        durable="process", remember_seconds=86_400,
        suppression_hash=Pseudonyms(open_secrets(data)).suppression_hash,
    )  # fmt: skip
    store = open_store(settings.serve.store, data, options)
    try:
        yield store
    finally:
        store.close()


def stored(settings: Settings) -> dict[str, Any]:
    with opened(settings) as store:
        return {one: store.read(one) for one in sorted(store.user_ids())}


def counts(settings: Settings) -> tuple[int, int]:
    customers = stored(settings)
    return len(customers), sum(len(one.events) for one in customers.values())


def test_every_customer_is_read_as_the_tables_have_them(tmp_path: Path) -> None:
    settings = write_run(tmp_path)
    loaded = load_history(settings)
    customers = stored(settings)
    assert loaded.customers == loaded.changed == len(customers) and loaded.events == N_EVENTS
    assert customers["only"].traits == {"since": "2024-01-01T00:00:00+00:00"}
    one = customers["u0001"]
    assert one.names == ["a", "b"] and one.traits["city"] == "Köln" and "label" not in one.traits
    rows = pq.read_table(tmp_path / "runs/main/clean/events").sort_by("event_time").to_pylist()
    expected: dict[str, list[LiveEvent]] = {}
    for row in rows:
        micros = (row["event_time"] - datetime(1970, 1, 1)) // timedelta(microseconds=1)
        expected.setdefault(row["user_id"], []).append(
            LiveEvent(micros, row["action"], row["item_id"], row["value"], row["count"], "web")
        )
    assert {name: one.events for name, one in customers.items() if one.events} == expected
    assert load_history(settings).up_to_date
    assert load_history(settings, force=True).changed == 0


def test_a_large_log_is_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = write_run(tmp_path)
    load_history(settings)
    whole = stored(settings)
    monkeypatch.setattr(run_history, "EVENTS_AT_ONCE", 1_000)
    monkeypatch.setattr(run_history, "_ROWS_AT_ONCE", 50)
    assert load_history(settings, force=True).changed == 0
    settings = msgspec.structs.replace(
        settings, serve=msgspec.structs.replace(settings.serve, data="other")
    )
    load_history(settings)
    other = stored(settings)
    assert {name: one.events for name, one in other.items()} == {
        name: one.events for name, one in whole.items()
    }
    assert not (tmp_path / "other/history.unfinished").exists()


def test_what_a_killed_loading_divided_is_not_read_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_history, "EVENTS_AT_ONCE", 1_000)
    settings = write_run(tmp_path, seed=1)
    with monkeypatch.context() as killed:
        killed.setattr(run_history.RunHistory, "close", lambda _: None)
        killed.setattr(history_loading._Loading, "_check_unchanged", _stop)
        with pytest.raises(SourceError, match="stopped"):
            load_history(settings)
    settings = write_run(tmp_path, seed=2)
    load_history(settings)
    loaded = stored(settings)
    again = msgspec.structs.replace(settings.serve, data="other")
    settings = msgspec.structs.replace(settings, serve=again)
    load_history(settings)
    assert {name: one.events for name, one in stored(settings).items()} == {
        name: one.events for name, one in loaded.items()
    }


def _stop(*_: object) -> None:
    raise SourceError("stopped")


def test_a_log_without_times_keeps_its_order(tmp_path: Path) -> None:
    settings = write_run(tmp_path, 500, timed=False)
    load_history(settings)
    rows = pq.read_table(tmp_path / "runs/main/clean/events").to_pylist()
    expected = [row["item_id"] for row in rows if row["user_id"] == "u0001"]
    assert [event.item_id for event in stored(settings)["u0001"].events] == expected


def test_a_new_run_changes_what_is_new(tmp_path: Path) -> None:
    settings = write_run(tmp_path)
    load_history(settings)
    write_run(tmp_path, N_EVENTS + 20)
    before = stored(settings)
    write_run(tmp_path, 10, seed=2)
    loaded = load_history(settings)
    assert loaded.removed == len(before) - len(stored(settings)) > 0
    assert counts(settings)[1] == 10


def test_stopped_anywhere_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = write_run(tmp_path)
    monkeypatch.setattr(history_loading, "CUSTOMERS", 30)
    monkeypatch.setattr(run_history, "EVENTS_AT_ONCE", 3_000)

    class Stop(Exception):
        pass

    class Progress:
        n = 0

        def start(self, task: str, total: int | None) -> None: ...
        def stage(self, name: str, sentence: str) -> None: ...
        def finish(self, task: str) -> None: ...
        def advance(self, task: str, n: int = 1, note: str = "") -> None:
            self.n += 1
            if self.n > 4:
                raise Stop

    written = []
    for _ in range(3):
        with pytest.raises(Stop):
            load_history(settings, Progress())
        written.append(len(stored(settings)))
    assert 0 < written[0] < N_CUSTOMERS
    assert load_history(settings).changed + written[0] == len(stored(settings))
    assert counts(settings)[1] == N_EVENTS


def test_kill_9_in_the_middle_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    settings = write_run(tmp_path, 20_000)
    code = (
        "import sys, time; from pathlib import Path\n"
        "from propense.settings import read_settings\n"
        "from propense.serving.operations import history_loading as module\n"
        "module.CUSTOMERS = 10\n"
        "class Slow(type(module.SILENT)):\n"
        "    def advance(self, task, n=1, note=''):\n"
        "        print(n, flush=True); time.sleep(0.01)\n"
        "module.load_history(read_settings(Path(sys.argv[1])), Slow())\n"
        "print('end', flush=True)"
    )
    n_kills = 0
    for after in (1, 5, 12, 17, 10_000):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "propense.toml")],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for number, line in enumerate(process.stdout, 1):
            if number >= after or line == "end\n":
                break
        if process.poll() is None and line != "end\n":
            os.kill(process.pid, signal.SIGKILL)
            n_kills += 1
        process.wait()
        process.stdout.close()
    assert n_kills >= 4
    assert load_history(settings).up_to_date
    assert counts(settings)[1] == 20_000


def test_live_events_stay_and_those_of_the_run_count_once(tmp_path: Path) -> None:
    key = message_key("live-1")
    ids = ["log-1", event_id(key, 0)] + [None] * 3
    settings = write_run(tmp_path, 5, event_id=ids)
    rows = pq.read_table(tmp_path / "runs/main/clean/events").to_pylist()

    def message(message_id: str, row: dict[str, Any], action: str) -> CustomerUpdate:
        event = LiveEvent(1_800_000_000_000_000, action, row["item_id"])
        return CustomerUpdate(
            message_id=message_id, user_id=row["user_id"], received=1, events=(event,)
        )

    with opened(settings) as store:
        store.append([message("live-1", rows[1], "raw"), message("new", rows[2], "view")])
    load_history(settings)
    assert counts(settings)[1] == 6
    with opened(settings) as store:
        assert store.append([message("log-1", rows[0], "late")]) == ["kept"]
    assert counts(settings)[1] == 6
    assert all(
        event.action not in ("raw", "late")
        for one in stored(settings).values() for event in one.events
    )  # fmt: skip


def test_the_erased_do_not_come_back(tmp_path: Path) -> None:
    settings = write_run(tmp_path)
    load_history(settings)
    with opened(settings) as store:
        data = Path(settings.folder) / settings.serve.data
        store.suppress([Pseudonyms(open_secrets(data)).suppression_hash("u0001")])
        assert store.erase("a").events > 0
    assert load_history(settings, force=True).changed == 0
    assert "u0001" not in stored(settings)


def test_pseudonyms_are_stored(tmp_path: Path) -> None:
    settings = write_run(tmp_path)
    serve = msgspec.structs.replace(settings.serve, pseudonyms=True)
    settings = msgspec.structs.replace(settings, serve=serve)
    load_history(settings)
    names = Pseudonyms(open_secrets(tmp_path / "live"))
    with opened(settings) as store:
        assert store.read("u0001") is None
        customer = store.read(names.pseudonym("a"))
        assert customer is not None and customer.user_id == names.pseudonym("u0001")


def test_a_run_that_is_being_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = write_run(tmp_path)
    done = tmp_path / "runs/main/clean/done.json"
    content = done.read_bytes()
    done.unlink()
    with pytest.raises(SourceError, match="propense run"):
        load_history(settings)
    done.write_bytes(content)
    put = history_loading._Loading._remove_others

    def replaced(self: Any, user_ids: list[str]) -> int:
        raise AssertionError("customers of half a run must not be removed")

    monkeypatch.setattr(history_loading._Loading, "_remove_others", replaced)
    write = history_loading._batches

    def meanwhile(customers: Any) -> Any:
        yield from write(customers)
        done.write_text(json.dumps({"inputs_hash": "another"}))

    monkeypatch.setattr(history_loading, "_batches", meanwhile)
    with pytest.raises(SourceError, match="made anew"):
        load_history(settings)
    monkeypatch.setattr(history_loading, "_batches", write)
    monkeypatch.setattr(history_loading._Loading, "_remove_others", put)
    assert load_history(settings).customers == counts(settings)[0]
    with locked(tmp_path / "live" / LOCK), pytest.raises(ServeError, match="another process"):
        load_history(settings, newer=True)


def test_an_older_run_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    settings = write_run(tmp_path)
    load_history(settings)
    write_run(tmp_path, 50)
    os.utime(tmp_path / "runs/main/clean/done.json", ns=(1, 1))
    assert load_history(settings, newer=True).up_to_date
    assert not load_history(settings).up_to_date and counts(settings)[1] == 50


def test_a_service_loads_each_run_by_itself(tmp_path: Path) -> None:
    settings = write_run(tmp_path)
    open_secrets(tmp_path / "live")
    lines: list[str] = []
    shown: list[str] = []

    class Display:
        def start(self, task: str, total: int | None) -> None:
            shown.append(f"{task} {total}")

        def stage(self, name: str, sentence: str) -> None: ...
        def finish(self, task: str) -> None:
            shown.append("finish")

        def advance(self, task: str, n: int = 1, note: str = "") -> None: ...

    @contextmanager
    def show() -> Iterator[Display]:
        yield Display()

    loader = HistoryLoader(settings, show, lines.append)
    try:
        _wait(lambda: len(lines) == 1)
        assert f"{N_EVENTS:,} events" in lines[0] and shown[0] == "history 401"
        assert (tmp_path / "live" / ERASED).exists()
        write_run(tmp_path, 70)
        _wait(lambda: len(lines) == 2)
        assert "70 events" in lines[1] and counts(settings)[1] == 70
        (tmp_path / "runs/main/clean/events/part-0.parquet").write_bytes(b"no parquet")
        (tmp_path / "runs/main/clean/done.json").write_text('{"inputs_hash": "broken"}')
        _wait(lambda: len(lines) == 3)
        assert "could not be loaded" in lines[2] and counts(settings)[1] == 70
    finally:
        loader.stop()


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
