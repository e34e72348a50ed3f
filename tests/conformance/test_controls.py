"""Every store keeps records of control alike: versions, conflicts, numbers, backups."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from propense.errors import ConflictError, StoreError
from propense.history.controls import LARGEST_VALUE, LONGEST_KEY, Change, Record
from propense.history.opening import open_store, restore_store
from propense.history.store import Store, StoreOptions
from support.live_stores import Opened, event, held, suppression_hash, update


def test_what_was_put_is_read(store: Store) -> None:
    controls = store.controls
    value = bytes(range(256)) + "é".encode()
    assert controls.numbers() == {} and controls.read("keys").records == []
    assert controls.get("keys", "a") is None
    version = controls.put("keys", "a", value)
    assert controls.get("keys", "a") == Record("a", version, value)
    assert controls.put("items", "ключ 鍵 *[x]", b"") >= 1
    assert controls.get("items", "ключ 鍵 *[x]").value == b""
    assert controls.get("items", "a") is None, "a key belongs to its kind"
    assert controls.read("keys") == (version, True, [Record("a", version, value)])


def test_a_number_grows_with_every_change_of_its_kind(store: Store) -> None:
    controls = store.controls
    controls.put("keys", "a", b"1")
    before = controls.numbers()
    controls.put("items", "a", b"1")
    assert controls.numbers()["keys"] == before["keys"]
    last = before["keys"]
    for change in (lambda: controls.put("keys", "a", b"1"), lambda: controls.remove("keys", "a"),
                   lambda: controls.put("keys", "a", b"1")):  # fmt: skip
        change()
        now = controls.numbers()["keys"]
        assert now > last
        last = now
    assert controls.read("keys").number == last


def test_only_what_changed_is_read_again(store: Store) -> None:
    controls = store.controls
    for n in range(5):
        controls.put("items", f"i{n}", b"old")
    number = controls.read("items").number
    assert controls.read("items", number) == (number, False, [])
    controls.put("items", "i1", b"new")
    controls.put("items", "i9", b"new")
    changed = controls.read("items", number)
    assert not changed.whole and [one.key for one in changed.records] == ["i1", "i9"]
    controls.remove("items", "i0")
    rest = controls.read("items", changed.number)
    assert rest.whole and [one.key for one in rest.records] == ["i2", "i3", "i4", "i1", "i9"]
    assert controls.read("items", rest.number) == (rest.number, False, [])


def test_a_writer_names_the_version_it_has_seen(store: Store) -> None:
    controls = store.controls
    first = controls.put("keys", "a", b"1", expected=0)
    with pytest.raises(ConflictError, match="'a' was changed meanwhile"):
        controls.put("keys", "a", b"2", expected=0)
    second = controls.put("keys", "a", b"2", expected=first)
    with pytest.raises(ConflictError):
        controls.remove("keys", "a", expected=first)
    controls.remove("keys", "a", expected=second)
    with pytest.raises(ConflictError):
        controls.put("keys", "a", b"3", expected=second)
    third = controls.put("keys", "a", b"3", expected=0)
    assert third not in (first, second), "a version is never used twice"


def test_several_changes_are_made_or_none(store: Store) -> None:
    controls = store.controls
    versions = controls.write(
        [Change("keys", "a", b"1", 0), Change("items", "a", b"2"), Change("keys", "b", b"3")]
    )
    assert [controls.get("keys", "a").version, controls.get("items", "a").version,
            controls.get("keys", "b").version] == versions  # fmt: skip
    before = controls.numbers()
    with pytest.raises(ConflictError, match="'b'"):
        controls.write(
            [Change("keys", "a", None), Change("items", "new", b""), Change("keys", "b", b"", 0)]
        )
    assert controls.numbers() == before and controls.get("items", "new") is None
    assert controls.get("keys", "a").value == b"1" and controls.write([]) == []


@pytest.mark.parametrize(
    "change",
    [Change("Keys", "a", b""), Change("", "a", b""), Change("keys", "", b""),
     Change("keys", "a\0", b""), Change("keys", "\ud800", b""),
     Change("keys", "a" * (LONGEST_KEY + 1), b""), Change("keys", "a", bytes(LARGEST_VALUE + 1))],
    ids=lambda change: repr(change)[:40],
)  # fmt: skip
def test_what_no_store_can_hold_is_refused(store: Store, change: Change) -> None:
    with pytest.raises(ValueError):
        store.controls.write([Change("keys", "good", b""), change])
    with pytest.raises(ValueError, match="same record"):
        store.controls.write([Change("keys", "a", b""), Change("keys", "a", None)])
    assert store.controls.numbers() == {}


def test_the_longest_and_the_largest(store: Store) -> None:
    key, value = "鍵" * LONGEST_KEY, bytes(LARGEST_VALUE)
    store.controls.put("keys", key, value)
    assert store.controls.get("keys", key).value == value


def test_of_two_writers_one_wins(opened: Opened) -> None:
    stores = [opened(), opened()]
    stores[0].controls.put("budgets", "b", b"0")
    rounds, wins, failures = 25, [[], []], []
    both = threading.Barrier(2)

    def race(number: int) -> None:
        controls = stores[number].controls
        try:
            for round_ in range(rounds):
                both.wait(30)
                version = controls.get("budgets", "b").version
                both.wait(30)
                try:
                    controls.put("budgets", "b", f"{number}-{round_}".encode(), version)
                    wins[number].append(round_)
                except ConflictError:
                    pass
        except BaseException as error:
            failures.append(error)
            both.abort()

    threads = [threading.Thread(target=race, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(wins[0] + wins[1]) == list(range(rounds)), "exactly one of each round"
    last = (0 if rounds - 1 in wins[0] else 1, rounds - 1)
    assert stores[1].controls.get("budgets", "b").value == "{}-{}".format(*last).encode()


def test_updates_of_many_writers_are_all_made(opened: Opened) -> None:
    stores = [opened(), opened()]
    failures: list[BaseException] = []

    def count(number: int) -> None:
        try:
            for round_ in range(10):
                stores[number % 2].controls.update(
                    "budgets", "spent", lambda before: str(int(before or b"0") + 1).encode()
                )
                stores[number % 2].append(
                    [update(f"m-{number}-{round_}", "ada", events=(event(),))]
                )
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=count, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert stores[0].controls.get("budgets", "spent").value == b"40"
    assert len(held(stores[1], "ada").events) == 40


def test_another_opening_sees_a_change_at_once(opened: Opened) -> None:
    one, other = opened().controls, opened().controls
    one.put("keys", "a", b"live")
    seen = other.read("keys")
    one.put("keys", "a", b"revoked")
    assert other.numbers()["keys"] > seen.number
    assert [record.value for record in other.read("keys", seen.number).records] == [b"revoked"]


def test_an_erasure_touches_no_record(store: Store) -> None:
    store.controls.put("erasures", "ada", b"ada")
    store.append([update("m1", "ada", events=(event(),))])
    store.erase("ada")
    assert store.controls.get("erasures", "ada").value == b"ada"


def test_a_removed_record_leaves_no_byte_in_the_files(tmp_path: Path) -> None:
    store = open_store("sqlite", tmp_path, StoreOptions(
        durable="process", suppression_hash=suppression_hash, remember_seconds=86_400))  # fmt: skip
    trace = b"zebra-8231"
    for n in range(300):
        store.controls.put("erasures", f"{trace.decode()}-{n}", trace * (n % 40 + 1))
    for n in range(300):
        store.controls.remove("erasures", f"{trace.decode()}-{n}")
    store.controls.scrub([trace])
    for file in tmp_path.iterdir():
        assert trace not in file.read_bytes(), file.name
    store.close()


def test_a_backup_has_the_records(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    controls = store.controls
    store.append([update("m1", "ada", events=(event(),))])
    controls.put("keys", "a", bytes(range(256)))
    controls.put("items", "é", b"{}")
    controls.put("items", "gone", b"")
    controls.remove("items", "gone")
    store.backup(tmp_path / "copy")
    controls.put("keys", "a", b"later")
    newest = controls.numbers()["keys"]
    restore_store(opened.url, opened.folder, tmp_path / "copy", name=opened.prefix + "other")
    other = opened(name="other").controls
    assert other.get("keys", "a").value == bytes(range(256))
    assert [record.key for record in other.read("items").records] == ["é"]
    assert other.numbers()["keys"] > newest
    assert other.read("keys", newest).whole, "a process that held the older records reads all"
    assert other.put("keys", "a", b"x", other.get("keys", "a").version) > newest


def test_records_move_to_another_kind_of_store_and_back(opened: Opened, tmp_path: Path) -> None:
    opened().controls.put("keys", "a", b"\x00\xff")
    opened().backup(tmp_path / "copy")
    restore_store("sqlite", tmp_path, tmp_path / "copy", name="moved")
    moved = open_store("sqlite", tmp_path, StoreOptions(
        durable="process", suppression_hash=suppression_hash, remember_seconds=86_400,
        name="moved"))  # fmt: skip
    assert moved.controls.get("keys", "a").value == b"\x00\xff"
    moved.backup(tmp_path / "back")
    moved.close()
    restore_store(opened.url, opened.folder, tmp_path / "back", name=opened.prefix + "home")
    assert opened(name="home").controls.get("keys", "a").value == b"\x00\xff"


def test_nothing_is_restored_over_records(opened: Opened, tmp_path: Path) -> None:
    opened().backup(tmp_path / "copy")
    opened(name="used").controls.put("keys", "a", b"")
    with pytest.raises(StoreError, match="already"):
        restore_store(opened.url, opened.folder, tmp_path / "copy", name=opened.prefix + "used")


def test_a_closed_store_has_no_records(opened: Opened) -> None:
    store = opened()
    store.controls.put("keys", "a", b"")
    store.close()
    for call in (lambda: store.controls.put("keys", "b", b""), store.controls.numbers,
                 lambda: store.controls.get("keys", "a")):  # fmt: skip
        with pytest.raises(StoreError, match="closed"):
            call()
    assert opened().controls.get("keys", "a") is not None
