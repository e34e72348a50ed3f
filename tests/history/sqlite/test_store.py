"""What only a SQLite history promises: its file, its versions, its pages, a full disk."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from propense.errors import DamagedError, StoreError
from propense.history.opening import restore_store
from propense.history.records import CustomerUpdate, Decision, LiveEvent
from propense.history.sqlite.controls import open_controls
from propense.history.sqlite.maintenance import MESSAGES, QUIET
from propense.history.sqlite.page_scan import gaps, has_traces
from propense.history.sqlite.schema import MIGRATIONS
from propense.history.sqlite.store import SqliteStore, open_store
from propense.history.store import StoreOptions

T0 = 1_700_000_000_000_000


def opened(folder: Path, durable: str = "process") -> SqliteStore:
    options = StoreOptions(durable=durable, suppression_hash=str.encode, remember_seconds=3600)
    return open_store("sqlite", folder, options)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = opened(tmp_path)
    yield store
    store.close()


def update(message_id: str, user_id: str, received: int = T0, **more: object) -> CustomerUpdate:
    return CustomerUpdate(message_id=message_id, user_id=user_id, received=received, **more)


def view(n: int = 0) -> LiveEvent:
    return LiveEvent(T0 + n, "view", f"item-{n}")


def rows(path: Path, sql: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as con:
        return con.execute(sql, values).fetchall()


def test_a_file_of_version_1_gets_its_views(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with contextlib.closing(sqlite3.connect(path)) as con:
        con.executescript(MIGRATIONS[0])
        con.execute(
            "INSERT INTO customers VALUES (1, 'ada', 1, 5, 6, '{\"a\":1}', NULL, NULL, NULL)"
        )
        con.execute("INSERT INTO names VALUES ('ada', 1)")
        con.execute("UPDATE state SET customer = 1, seq = 1")
        con.execute("PRAGMA user_version = 1")
        con.commit()
    store = opened(tmp_path)
    customer = store.read("ada")
    assert customer is not None and customer.traits == {"a": 1} and customer.version == 1
    store.append([update("m1", "ada", events=(view(),)), update("m2", "bob")])
    assert rows(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert rows(path, "SELECT user_id, item_id FROM live_events") == [("ada", "item-0")]
    assert store.n_customers() == 2
    store.close()


def test_the_state_of_the_views_is_another_after_each_change(store: SqliteStore) -> None:
    def state() -> dict[object, object]:
        return dict(rows(store.path, "SELECT * FROM live_state"))

    store.append([update("m0", "bob", consent={"train": False}), update("m1", "ada")])
    seen = [state()]
    store.append([update("m2", "ada", events=(view(),))])
    seen.append(state())
    store.append([update("m3", "ada", traits={"a": 1})])
    seen.append(state())
    assert len({state["live_events"] for state in seen}) == 3
    store.append(
        [update("m4", "bob", events=(view(),)), update("m5", "verify:1", events=(view(),))]
    )
    assert state() == seen[-1]
    store.log_decisions(
        [Decision(user_id="x", time=T0, scenario="s", bundle="b", policy="p", items=("i",))]
    )
    assert state()["live_events"] == seen[-1]["live_events"]
    assert state()["live_impressions"] != seen[-1]["live_impressions"]


def test_a_file_of_a_newer_propense_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    path = tmp_path / "history.db"
    with contextlib.closing(sqlite3.connect(path)) as con:
        con.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"history\.db.*version 99.*up to \d+; run"):
        opened(tmp_path)
    with pytest.raises(StoreError, match="not a backup that this version of propense can read"):
        restore_store("sqlite", tmp_path, path, name="other")


def test_a_file_that_is_no_history(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(StoreError, match=r"not a database.*restore a backup"):
        opened(tmp_path)


def test_power_waits_for_the_disk_and_process_does_not(tmp_path: Path) -> None:
    for durable, number in (("process", 1), ("power", 2)):
        store = opened(tmp_path / durable, durable)
        (synchronous,) = store._connect().execute("PRAGMA synchronous").fetchone()
        assert synchronous == number
        store.close()


def test_a_full_disk_undoes_the_call_and_is_got_over(store: SqliteStore) -> None:
    store.append([update("m0", "ada", events=(view(),))])
    writer = store._writer
    assert writer is not None
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    many = [update(f"m{n}", f"user-{n}", events=(view(n),)) for n in range(1, 3000)]
    with pytest.raises(
        StoreError, match=r"history\.db.*full; nothing of the call.*free disk space"
    ):
        store.append(many)
    assert store.n_customers() == 1 and store.versions(["user-1"]) == [0]
    assert store.read("ada") is not None
    writer.execute("PRAGMA max_page_count = 1000000")
    assert set(store.append(many)) == {"kept"} and store.n_customers() == 3000


def test_what_was_written_goes_to_the_file_by_itself(store: SqliteStore) -> None:
    store.append([update("m0", "ada", events=(view(),), traits={"motto": "per aspera ad astra"})])
    deadline = time.monotonic() + 20
    while b"per aspera ad astra" not in store.path.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_old_message_ids_are_forgotten(store: SqliteStore) -> None:
    now, hour = time.time_ns() // 1000, 3_600_000_000
    store.append([update("old", "ada", now - hour + 10**8)])
    store.append([update("older", "ada", now - hour - 10**8), update("new", "ada", now)])
    assert store.forget_messages() == 1
    again = [update("old", "ada", now), update("older", "ada", now), update("new", "ada", now)]
    assert store.append(again) == ["repeated", "kept", "repeated"]


def test_a_clock_that_is_set_ahead_forgets_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, months = time.time_ns, 60 * 86_400 * 10**9
    now = wall() // 1000
    store.append([update("order", "ada", now)])
    ahead = [update("ahead", "ada", now + months // 1000)]
    store.append(ahead)
    monkeypatch.setattr(time, "time_ns", lambda: wall() + months)
    assert store.forget_messages() == 0
    monkeypatch.setattr(time, "time_ns", wall)
    assert store.forget_messages() == 0
    assert store.append([update("order", "ada", now), *ahead]) == ["repeated", "repeated"]
    customer = store.read("ada")
    assert customer is not None and customer.last_seen < now + 10**9


@pytest.mark.parametrize("how", [MESSAGES, QUIET])
def test_forgetting_never_reads_a_whole_table_for_a_row(store: SqliteStore, how) -> None:
    key = (1, b"k") if how is QUIET else (b"k",)
    for statement in (how.after, how.delete):
        plan = " ".join(row[3] for row in rows(store.path, f"EXPLAIN QUERY PLAN {statement}", key))
        assert "SEARCH" in plan and "SCAN" not in plan and "TEMP" not in plan, plan


def test_many_quiet_messages_are_forgotten_page_by_page(store: SqliteStore) -> None:
    for name in ("ada", "bob"):
        store.append([update(f"{name}-{n}", name, T0) for n in range(1_300)])
    with store.transaction() as con:
        con.execute("INSERT INTO quiet_messages SELECT 1, key, received FROM messages")
    store.append([update("new", "ada", time.time_ns() // 1000)])
    store.forget_messages()
    assert rows(store.path, "SELECT count(*) FROM quiet_messages") == [(0,)]
    assert rows(store.path, "SELECT count(*) FROM messages") == [(1,)]


def test_asking_whether_it_answers_leaves_nothing_open(store: SqliteStore) -> None:
    def ask() -> None:
        asked = threading.Thread(target=store.ping)
        asked.start()
        asked.join()

    ask()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        ask()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    assert not store._readers


def test_an_erasure_that_was_stopped_is_ended_by_the_next(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import propense.history.sqlite.store as module

    secret = "f00dfeedf00dfeedf00dfeedf00dfeed"
    store.append([update("m1", secret, events=(view(),), traits={"motto": "ad astra per aspera"})])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "clean_files", killed)
        with pytest.raises(KeyboardInterrupt):
            store.erase(secret)
    assert store.read(secret) is None
    store.erase("nobody")
    for file in store.path.parent.iterdir():
        assert secret.encode() not in file.read_bytes(), file
        assert b"ad astra per aspera" not in file.read_bytes(), file
    assert not store.path.with_name(store.path.name + "-unclean").exists()


def test_erased_bytes_are_in_no_file(store: SqliteStore) -> None:
    """Pages split before and after; ids of 32 bytes that occur nowhere else."""
    rng = random.Random(5)
    secrets = [f"{rng.getrandbits(128):032x}" for _ in range(6)]
    emails = [f"{secret[:12]}@example.org" for secret in secrets]
    number = 0

    def crowd(n: int) -> list[CustomerUpdate]:
        nonlocal number
        made = []
        for _ in range(n):
            number += 1
            user = f"{rng.getrandbits(64):016x}"
            made.append(
                update(f"m{number}", user, events=tuple(view(k) for k in range(rng.randrange(4))),
                     traits={"note": "x" * rng.randrange(200)})
            )  # fmt: skip
        return made

    for _ in range(6):
        store.append(crowd(800))
        for secret, email in zip(secrets, emails, strict=True):
            number += 1
            store.append(
                [update(f"m{number}", secret, events=(view(number),), traits={"email": email}),
                 update(f"n{number}", secret, previous_id="anon-" + secret, traits={"n": number})]
            )  # fmt: skip
            store.log_decisions(
                [Decision(user_id=secret, time=T0, scenario="s", bundle="b", policy="p",
                          items=tuple(f"i{k}" for k in range(rng.randrange(60))))]
            )  # fmt: skip
    store.append(crowd(800))
    held = {path.name: path.read_bytes() for path in store.path.parent.iterdir()}
    assert any(secrets[0].encode() in content for content in held.values())
    n_before = store.n_customers()
    for secret in secrets:
        assert store.erase(secret).events == 6
    assert store.n_customers() == n_before - len(secrets)
    for path in store.path.parent.iterdir():
        content = path.read_bytes()
        for secret, email in zip(secrets, emails, strict=True):
            assert secret.encode() not in content, path.name
            assert email.encode() not in content, path.name
    assert rows(store.path, "PRAGMA integrity_check") == [("ok",)]


def test_a_trace_between_rows_is_seen_and_goes(tmp_path: Path) -> None:
    """Without `secure_delete` a deleted row stays in its page; erasing rewrites the file."""
    store = opened(tmp_path)
    store.append([update(f"m{n}", f"user-{n:03d}", events=(view(),)) for n in range(500)])
    store.append([update("m", "the-one-who-stays-behind")])
    writer = store._writer
    assert writer is not None
    writer.execute("PRAGMA secure_delete = OFF")
    writer.execute("DELETE FROM names WHERE name = 'user-250'")
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert b"user-250" in store.path.read_bytes()
    assert has_traces(str(store.path), [b"user-250"])
    assert not has_traces(str(store.path), [b"user-251"])
    writer.execute(
        "INSERT INTO names (name, customer) SELECT 'user-250', key FROM customers"
        " WHERE user_id = 'user-250'"
    )
    store.erase("user-250")
    assert b"user-250" not in store.path.read_bytes() and store.versions(["user-251"])[0]
    store.close()


def test_short_ids_of_others_are_no_traces(store: SqliteStore) -> None:
    store.append([update(f"m{n}", f"u{n}", events=(view(),)) for n in range(300)])
    before = store.path.stat().st_ino, rows(store.path, "SELECT count(*) FROM events")
    store.erase("u2")
    assert store.versions(["u20"])[0] and store.versions(["u2"]) == [0]
    assert before[1] == [(300,)] and not has_traces(str(store.path), [b"u29"])


def test_gaps_of_a_page() -> None:
    page = bytearray(64)
    page[0] = 13
    page[1:3] = (48).to_bytes(2)
    page[3:5] = (1).to_bytes(2)
    page[5:7] = (40).to_bytes(2)
    page[8:10] = (56).to_bytes(2)
    page[10:40] = b"g" * 30
    page[40:48] = b"c" * 8
    page[48:56] = (0).to_bytes(2) + (8).to_bytes(2) + b"free"
    assert list(gaps(bytes(page), 0)) == [b"g" * 30, b"free"]
    assert list(gaps(b"\0" * 64, 0)) == [b"\0" * 64]


def damaged(folder: Path, n_customers: int = 400) -> Path:
    """A history of which every sixth page is overwritten."""
    store = opened(folder)
    for n in range(0, n_customers, 50):
        store.append([update(f"m{m}", f"user-{m}", events=(view(m),)) for m in range(n, n + 50)])
    store.close()
    content = bytearray(store.path.read_bytes())
    rng = random.Random(1)
    for page in range(6, len(content) // 4096, 6):
        content[page * 4096 : (page + 1) * 4096] = rng.randbytes(4096)
    store.path.write_bytes(content)
    return store.path


def test_damage_is_found_by_the_check_and_ends_reading_and_writing(tmp_path: Path) -> None:
    """What a damaged file still answers is wrong without saying so."""
    damaged(tmp_path)
    store = opened(tmp_path)
    with pytest.raises(DamagedError, match="restore a backup"):
        store.check()
    for call in (
        lambda: store.read("user-1"), lambda: store.versions(["user-1"]), store.ping,
        store.check_writable, lambda: store.append([update("new", "ann")]),
        lambda: list(store.user_ids()), lambda: open_controls(store).numbers(),
    ):  # fmt: skip
        with pytest.raises(DamagedError):
            call()
    store.close()


def test_damage_that_a_question_meets_ends_everything_too(tmp_path: Path) -> None:
    damaged(tmp_path)
    store = opened(tmp_path)
    for n in range(400):
        try:
            store.read(f"user-{n}")
        except DamagedError:
            break
    with pytest.raises(DamagedError):
        store.append([update("new", "ann")])
    with pytest.raises(DamagedError):
        store.backup(tmp_path / "copy")
    store.close()


def test_files_are_for_their_owner_alone(store: SqliteStore) -> None:
    store.append([update("m1", "ada", events=(view(),))])
    for file in store.path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
