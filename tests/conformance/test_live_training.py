"""The next training reads the same history from every store of the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from propense.cli import main
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, Decision, LiveEvent
from propense.history.store import StoreOptions
from propense.pipeline import STAGES, clean, run, run_folder
from propense.pipeline.resume.inputs import input_hashes
from propense.serving.operations.history_loading import load_history
from propense.settings import Settings, parse_settings
from support.store_servers import STORES, started_store

TIME = 1_709_281_800_250_000  # 2024-03-01 08:30:00.25 UTC


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from started_store(request.param)


def settings_of(folder: Path, url: str) -> Settings:
    text = f"""
[sources.app]
events = "app.csv"
[sources.live]
events = "live"
[identities]
path = "live"
[users]
path = "live"
[impressions]
path = "live"
[serve]
store = "{url}"
"""
    (folder / "app.csv").write_text(
        "user_id,item_id,action,event_time,event_id\n"
        "ann,c1,view,2024-03-01 08:30:01,m1\nben,c2,view,2024-03-02 08:30:00,e2\n"
    )
    (folder / "propense.toml").write_text(text)
    import tomllib

    return parse_settings(tomllib.loads(text), folder)


def opened(folder: Path, url: str) -> Any:
    options = StoreOptions(durable="process", suppression_hash=str.encode, remember_seconds=60)
    return open_store(url, folder / "live", options)


def fill(folder: Path, url: str) -> None:
    basket = tuple(LiveEvent(TIME, "pay", item, 12_500_000, 2.0, "web") for item in ("c1", "c2"))
    updates = [
        CustomerUpdate(message_id="m1", user_id="anon-7", received=TIME,
             events=(LiveEvent(TIME, "view", "c1"),)),
        CustomerUpdate(message_id="m2", user_id="ann", previous_id="anon-7", received=TIME,
             traits={"city": "Lyon", "age": 31}),
        CustomerUpdate(message_id="m3", user_id="ann", received=TIME, events=basket),
        CustomerUpdate(message_id="m4", user_id="eve", received=TIME, events=basket,
             consent={"train": False}),
        CustomerUpdate(message_id="m5", user_id="verify:1", received=TIME, events=basket),
    ]  # fmt: skip
    with closing(opened(folder, url)) as store:
        assert store.append(updates) == ["kept"] * 5
        store.log_decisions(
            [Decision(user_id="ann", time=TIME, scenario="default", bundle="v0001",
                      policy="network", items=("c1", "c2"), p_action=(0.5, 0.25))]
        )  # fmt: skip


def test_every_store_gives_the_same_tables(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(tmp_path, url)
    empty = input_hashes(STAGES, settings)["clean"]
    accounts = {account.table: account for account in clean(settings)}
    for table in ("events", "identities", "users", "impressions"):
        assert accounts[table].rules[-1].note.startswith("0 rows of "), table
    fill(tmp_path, url)
    filled = input_hashes(STAGES, settings)["clean"]
    assert empty != filled == input_hashes(STAGES, settings)["clean"]
    accounts = {account.table: account for account in clean(settings)}
    folder = run_folder(settings)
    rows = pq.read_table(folder.clean / "events").to_pylist()
    words = ("user_id", "item_id", "action", "value", "source")
    assert sorted(tuple(row[word] for word in words) for row in rows) == [
        ("ann", "c1", "pay", 12_500_000, "web"), ("ann", "c1", "view", None, "app"),
        ("ann", "c2", "pay", 12_500_000, "web"), ("ben", "c2", "view", None, "app"),
    ]  # fmt: skip
    assert {row["event_time"].isoformat() for row in rows if row["action"] == "pay"} == {
        "2024-03-01T08:30:00.250000"
    }
    users = pq.read_table(folder.clean / "users.parquet").to_pylist()
    assert users == [{"user_id": "ann", "age": 31.0, "city": "Lyon"}]
    shown = pq.read_table(folder.clean / "impressions.parquet").to_pylist()
    assert sorted((row["item_id"], row["position"], row["p_action"]) for row in shown) == [
        ("c1", 1.0, 0.5), ("c2", 2.0, 0.25),
    ]  # fmt: skip
    assert accounts["identities"].n_out == 1
    assert not (folder.root / "scratch").exists(), "a copy of the history stayed behind"
    with closing(opened(tmp_path, url)) as store:
        store.erase("ann")
    assert input_hashes(STAGES, settings)["clean"] != filled
    assert main(["check", "--settings", str(tmp_path / "propense.toml"), "--json"]) in (0, 1)
    assert "0 rows of" in capsys.readouterr().out


@pytest.mark.slow
def test_what_a_run_loaded_changes_no_later_run(url: str, tmp_path: Path) -> None:
    later = [
        CustomerUpdate(message_id="m6", user_id="ben", received=TIME,
             events=(LiveEvent(TIME + 5, "view", "c1"),), traits={"city": "Rom"}),
        CustomerUpdate(message_id="e2", user_id="ben", received=TIME,
             events=(LiveEvent(TIME + 9, "view", "c2"),)),
        CustomerUpdate(message_id="m7", user_id="new", previous_id="anon-7", received=TIME),
        CustomerUpdate(message_id="m8", user_id="anon-9", received=TIME,
             events=(LiveEvent(TIME + 7, "view", "c1"),)),
    ]  # fmt: skip
    made = []
    for is_loaded in (True, False):
        folder = tmp_path / str(is_loaded)
        folder.mkdir()
        settings = settings_of(folder, url)
        fill(folder, url)
        if is_loaded:
            run(settings, until="clean")
            before = input_hashes(STAGES, settings)["clean"]
            assert load_history(settings).changed >= 2
            assert input_hashes(STAGES, settings)["clean"] == before, "nothing is to be done"
        with closing(opened(folder, url)) as store:
            assert store.append(later) == ["kept"] * 4
        run(settings, until="clean")
        if is_loaded:
            load_history(settings)
        clean_folder = run_folder(settings).clean
        made.append(
            {
                str(file.relative_to(clean_folder)): pq.read_table(file).to_pylist()
                for file in sorted(clean_folder.rglob("*.parquet")) if file.is_file()
            }
            | {"account": (clean_folder / "account.json").read_bytes()}
        )  # fmt: skip
        with closing(opened(folder, url)) as store:
            assert store.past.is_empty() is not is_loaded
            store.destroy()
    assert made[0] == made[1]


def test_no_secret_of_an_address_is_told(tmp_path: Path) -> None:
    from propense.history.view_reading import plain_address
    from propense.tables.sources.live import resolve_live

    for url in ("postgresql://shop:word@127.0.0.1:1/db", "redis://:word@127.0.0.1:1/0"):
        settings = settings_of(tmp_path, url)
        assert "word" not in plain_address(resolve_live("live", "events", settings))
