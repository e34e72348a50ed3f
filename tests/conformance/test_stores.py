"""Every store of live history keeps the one contract."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from propense.errors import StoreError
from propense.history.opening import open_store, restore_store
from propense.history.records import Decision, Erased, LiveEvent
from propense.history.store import Store, StoreOptions
from propense.history.training_views import VIEWS, message_key
from support.live_stores import DAY, T0, Opened, event, held, suppression_hash, update


def test_what_was_appended_is_read(store: Store) -> None:
    first = LiveEvent(T0 - 5, "pay", "課程-1", value=12_500_000, count=2.5, source="web")
    second = LiveEvent(-7_000_001, "open")
    assert store.append(
        [update("m1", "ada", 3, events=(first, second), traits={"city": "Lyon"})]
    ) == ["kept"]
    store.append([update("m2", "ada", 1, events=(event(9),), consent={"train": True})])
    customer = held(store, "ada")
    assert customer.events == [first, second, event(9)]
    assert customer.traits == {"city": "Lyon"} and customer.consent == {"train": True}
    assert (customer.first_seen, customer.last_seen, customer.names) == (T0 + 1, T0 + 3, [])
    assert store.read("nobody") is None
    assert store.versions(["ada", "nobody"]) == [customer.version, 0] and customer.version > 0


def test_a_message_is_obeyed_once(store: Store) -> None:
    one = update("m1", "ada", events=(event(),))
    assert store.append([one, one, update("m2", "ada")]) == ["kept", "repeated", "kept"]
    version = held(store, "ada").version
    assert store.append([one]) == ["repeated"]
    assert held(store, "ada").version == version and len(held(store, "ada").events) == 1


def test_traits_are_laid_over_and_none_takes_away(store: Store) -> None:
    store.append([update("m1", "ada", traits={"a": 1, "b": {"x": [1, None]}, "c": "é"})])
    store.append(
        [update("m2", "ada", traits={"a": None, "c": 2.5}), update("m3", "ada", traits={"d": True})]
    )
    assert held(store, "ada").traits == {"b": {"x": [1, None]}, "c": 2.5, "d": True}


def test_versions_are_never_used_twice(store: Store, opened: Opened) -> None:
    seen: list[int] = []
    for n in range(6):
        store.append([update(f"a{n}", "ada"), update(f"b{n}", "bob")])
        seen += store.versions(["ada", "bob"])
        if n == 3:
            store.erase("ada")
            assert store.versions(["ada"]) == [0]
            store.close()
            store = opened()
    assert len(set(seen)) == 12


def test_many_ids_at_once(store: Store) -> None:
    store.append([update(f"m{n}", f"user-{n}") for n in range(700)])
    asked = [f"user-{n}" for n in range(700)] + ["nobody", "user-3"]
    versions = store.versions(asked)
    assert versions[700] == 0 and versions[701] == versions[3]
    assert len(set(versions[:700])) == 700 and all(versions[:700])
    assert sorted(store.user_ids()) == sorted(asked[:700]) and store.n_customers() == 700


@pytest.mark.parametrize("identified", [True, False])
@pytest.mark.parametrize("anonymous", [True, False])
def test_a_previous_id_becomes_another_name(
    store: Store, identified: bool, anonymous: bool
) -> None:
    expected = []
    if identified:
        store.append(
            [update("m1", "ada", 5, events=(event(1),), traits={"a": "known", "b": 1},
                  consent={"train": False})]
        )  # fmt: skip
        expected.append(event(1))
    if anonymous:
        store.append(
            [update("m2", "anon", 2, events=(event(2),), traits={"a": "anon", "c": 1},
                  consent={"train": True, "advertise": False})]
        )  # fmt: skip
        expected.append(event(2))
    if identified:
        store.append([update("m3", "ada", 6, events=(event(3),))])
        expected.append(event(3))
    before = [version for version in store.versions(["ada", "anon"]) if version]
    store.append([update("m4", "ada", 7, previous_id="anon", events=(event(4),), traits={"d": 1})])
    store.append([update("m5", "anon", 8, events=(event(5),))])
    customer = held(store, "anon")
    assert (
        customer == held(store, "ada") and customer.user_id == "ada" and customer.names == ["anon"]
    )
    assert customer.events == [*expected, event(4), event(5)]
    traits = ({"a": "anon", "c": 1} if anonymous else {}) | (
        {"a": "known", "b": 1} if identified else {}
    )
    assert customer.traits == traits | {"d": 1}
    # Of the two, the customer's own word is the later one.
    assert customer.consent.get("train") is (False if identified else True if anonymous else None)
    assert customer.consent.get("advertise") is (False if anonymous else None)
    assert customer.first_seen == T0 + (2 if anonymous else 5 if identified else 7)
    assert (
        customer.version not in before and store.versions(["ada", "anon"]) == [customer.version] * 2
    )
    assert list(store.user_ids()) == ["ada"] and store.n_customers() == 1


def test_chains_and_cycles_end_in_one_customer(store: Store) -> None:
    store.append([update(f"e{name}", name, n, events=(event(n),)) for n, name in enumerate("abcd")])
    store.append(
        [update("1", "b", previous_id="a"), update("2", "c", previous_id="b"),
         update("3", "a", previous_id="c"), update("4", "d", previous_id="d"),
         update("5", "a", previous_id="d"), update("6", "d", previous_id="new")]
    )  # fmt: skip
    customer = held(store, "a")
    assert customer.user_id == "c" and sorted(customer.names) == ["a", "b", "d", "new"]
    assert customer.events == [event(n) for n in range(4)]
    assert all(held(store, name) == customer for name in "bcd") and store.n_customers() == 1


def test_an_alias_in_the_middle_of_a_group(store: Store) -> None:
    results = store.append(
        [update("1", "x", events=(event(1),)), update("2", "y", events=(event(2),)),
         update("3", "y", previous_id="x"), update("4", "x", events=(event(3),)),
         update("3", "y", previous_id="z"), update("5", "y", events=(event(4),))]
    )  # fmt: skip
    assert results == ["kept"] * 4 + ["conflict", "kept"]
    assert held(store, "x").events == [event(n) for n in (1, 2, 3, 4)]
    assert held(store, "x").names == ["x"]


def test_decisions_follow_the_customer(store: Store) -> None:
    one = Decision(user_id="anon", time=T0, scenario="home", bundle="v1", policy="network",
                   items=("i1", "i2"), p_action=(0.5, 1.0))  # fmt: skip
    two = Decision(user_id="ada", time=T0 - 9, scenario="home", bundle="v1", policy="popular",
                   items=())  # fmt: skip
    store.log_decisions([one])
    assert store.decisions_of("anon") == [one] and store.read("anon") is None
    store.log_decisions([two])
    store.append([update("m1", "ada", previous_id="anon")])
    assert store.decisions_of("anon") == store.decisions_of("ada") == [one, two]
    store.log_decisions([])


def test_erase_takes_everything_under_all_names(store: Store) -> None:
    store.append(
        [update("m1", "anon", events=(event(1), event(2)), traits={"a": 1}),
         update("m2", "ada", previous_id="anon", events=(event(3),), traits={"b": 1}),
         update("m3", "bob", events=(event(4),))]
    )  # fmt: skip
    store.log_decisions(
        [Decision(user_id=name, time=T0, scenario="s", bundle="b", policy="p", items=("i",))
         for name in ("anon", "ada", "bob", "stranger")]
    )  # fmt: skip
    assert store.erase("anon") == Erased(events=3, traits=2, names=1, decisions=2)
    assert store.erase("anon") == Erased() == store.erase("nobody")
    for name in ("ada", "anon"):
        assert store.read(name) is None and store.decisions_of(name) == []
        assert store.versions([name]) == [0]
    assert held(store, "bob").events == [event(4)] and len(store.decisions_of("bob")) == 1
    assert store.erase("stranger") == Erased(decisions=1)
    assert store.append([update("m1", "ada", events=(event(5),))]) == ["kept"]
    assert held(store, "ada").events == [event(5)] and held(store, "ada").names == []
    assert store.read("anon") is None


def test_the_suppressed_do_not_come_back(store: Store) -> None:
    store.suppress([suppression_hash("ada"), suppression_hash("anon"), suppression_hash("ada")])
    decision = Decision(user_id="ada", time=T0, scenario="s", bundle="b", policy="p", items=("i",))
    store.log_decisions([decision])
    results = store.append(
        [update("m1", "ada", events=(event(),)), update("m2", "bob"),
         update("m3", "bob", previous_id="anon"), update("m2", "ada")]
    )  # fmt: skip
    assert results == ["suppressed", "kept", "unnamed", "suppressed"]
    assert store.read("ada") is None and store.read("anon") is None
    assert held(store, "bob").names == [] and store.decisions_of("ada") == []
    store.allow([suppression_hash("ada"), suppression_hash("unknown")])
    assert store.append([update("m1", "ada"), update("m4", "bob", previous_id="anon")]) == [
        "kept", "unnamed",
    ]  # fmt: skip
    asked = [suppression_hash(name) for name in ("ada", "anon", "bob")]
    assert store.suppressed(asked) == [False, True, False] and store.suppressed([]) == []


def test_a_bad_group_leaves_nothing(store: Store) -> None:
    store.append([update("m0", "ada")])
    before = held(store, "ada")
    bad = LiveEvent(2**70, "view")
    with pytest.raises(ValueError, match="m-bad"):
        store.append(
            [update("m1", "ada", events=(event(),)), update("m-bad", "bob", events=(bad,))]
        )
    assert held(store, "ada") == before and store.read("bob") is None
    assert store.append([update("m1", "ada"), update("m-bad", "bob")]) == ["kept", "kept"]


def test_nothing_to_do(store: Store) -> None:
    assert store.append([]) == [] and store.versions([]) == []
    store.suppress([])
    store.allow([])
    store.ping()
    assert list(store.user_ids()) == [] and store.n_customers() == 0


def test_it_is_there_after_reopening(opened: Opened) -> None:
    for durable in ("process", "power"):
        store = opened(durable)
        store.append([update(f"m-{durable}", "ada", events=(event(),))])
        before = held(store, "ada")
        store.close()
        store.close()
        with pytest.raises(StoreError, match="closed"):
            store.read("ada")
        with pytest.raises(StoreError, match="closed"):
            store.append([update("m9", "ada")])
        assert held(opened(durable), "ada") == before


def test_names_are_apart(opened: Opened) -> None:
    one, other = opened(), opened(name="shadow")
    one.append([update("m1", "ada", events=(event(),))])
    assert other.read("ada") is None and other.append([update("m1", "ada")]) == ["kept"]
    assert other.n_customers() == 1 and len(held(one, "ada").events) == 1


def test_several_threads_and_two_openings(opened: Opened) -> None:
    stores = [opened(), opened()]
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        store = stores[thread % 2]
        try:
            for n in range(25):
                own = f"m-{thread}-{n}"
                assert store.append([update(own, "ada", events=(event(n),))]) == ["kept"]
                assert store.read("ada") is not None and store.versions(["ada"])[0] > 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(held(stores[0], "ada").events) == 100
    assert held(stores[0], "ada") == held(stores[1], "ada")


def test_backup_and_restore(opened: Opened, tmp_path: Path) -> None:
    store = opened(consent_required=True)
    first = update("m1", "ada", 4, previous_id="anon", events=(event(1), event(2, "pay", value=5)),
                   traits={"a": [1]}, consent={"train": True})  # fmt: skip
    store.append([first, update("m2", "bob")])
    store.log_decisions(
        [Decision(user_id="ada", time=T0, scenario="s", bundle="b", policy="p", items=("i",))]
    )
    store.suppress([suppression_hash("eve")])
    copy = tmp_path / "copy.backup"
    store.backup(copy)
    store.append([update("m3", "late")])
    newest = held(store, "late").version
    restore_store(opened.url, opened.folder, copy, name=opened.prefix + "other")
    with pytest.raises(StoreError, match="already"):
        restore_store(opened.url, opened.folder, copy, name=opened.prefix + "other")
    other = opened(name="other")
    assert held(other, "anon") == held(store, "ada") and other.n_customers() == 2
    assert other.decisions_of("ada") == store.decisions_of("ada")
    assert other.append([first, update("m4", "eve"), update("m5", "ada", events=(event(3),))]) == [
        "repeated",
        "suppressed",
        "kept",
    ]
    assert held(other, "ada").version > newest
    assert held(other, "ada").events == [event(1), event(2, "pay", value=5), event(3)]
    with pytest.raises(StoreError, match="nowhere"):
        restore_store(opened.url, opened.folder, tmp_path / "nowhere", name=opened.prefix + "third")


def rows_of(store: Store, view: str) -> list[tuple[object, ...]]:
    return sorted(
        (tuple(row[column] for column in VIEWS[view]) for row in store.training_rows(view)),
        key=str,
    )


def test_the_next_training_reads_it(store: Store) -> None:
    paid = LiveEvent(T0 + 250, "pay", "課程-1", value=12_500_000, count=2.0, source="web")
    store.append(
        [update("m1", "anon", events=(paid, LiveEvent(-1, "open")), traits={"city": "Zürich"}),
         update("m2", "ada", previous_id="anon"), update("m3", "bob", traits={"b": 1}),
         update("m4", "verify:1", events=(event(),), previous_id="verify:2"),
         update("m5", "eve", events=(event(),), consent={"train": False, "personalise": True}),
         update("m6", "eve", previous_id="eve-2", traits={"e": 1})]
    )  # fmt: skip
    store.log_decisions(
        [Decision(user_id="anon", time=T0, scenario="s", bundle="b", policy="network",
                  items=("i1", "i2"), p_action=(0.25, 1.0)),
         Decision(user_id="guest", time=T0, scenario="s", bundle="b", policy="popular",
                  items=("i3",)),
         Decision(user_id="eve-2", time=T0, scenario="s", bundle="b", policy="p", items=("i4",)),
         Decision(user_id="verify:3", time=T0, scenario="s", bundle="b", policy="p",
                  items=("i5",))]
    )  # fmt: skip
    key = message_key("m1").hex()
    assert rows_of(store, "live_events") == [
        ("ada", "課程-1", "pay", "2023-11-14T22:13:20.000250Z", 12.5, 2.0, "web", f"{key}-0"),
        ("ada", None, "open", "1969-12-31T23:59:59.999999Z", None, None, None, f"{key}-1"),
    ]
    assert rows_of(store, "live_identities") == [("ada", "anon")]
    assert [(user, json.loads(traits)) for user, traits in rows_of(store, "live_users")] == [
        ("ada", {"city": "Zürich"}), ("bob", {"b": 1}),
    ]  # fmt: skip
    when = "2023-11-14T22:13:20.000000Z"
    assert rows_of(store, "live_impressions") == [
        ("ada", "i1", 1, 0.25, "network", when, None),
        ("ada", "i2", 2, 1.0, "network", when, None),
        ("guest", "i3", 1, None, "popular", when, None),
    ]


def test_where_consent_is_required_silence_is_a_refusal(opened: Opened) -> None:
    store = opened(consent_required=True)
    store.append(
        [update("m1", "ada", events=(event(1),), consent={"train": True}),
         update("m2", "bob", events=(event(2),), consent={"personalise": True})]
    )  # fmt: skip
    store.log_decisions(
        [Decision(user_id=name, time=T0, scenario="s", bundle="b", policy="p", items=("i",))
         for name in ("ada", "bob", "guest")]
    )  # fmt: skip
    for view in ("live_events", "live_users", "live_impressions"):
        assert [row[0] for row in rows_of(store, view)] == ["ada"], view
    again = opened()
    assert len(rows_of(again, "live_events")) == 1
    relaxed = opened(consent_required=False)
    assert [row[0] for row in rows_of(relaxed, "live_impressions")] == ["ada", "bob", "guest"]
    store.append([update("m3", "bob", previous_id="ada", consent={"train": False})])
    assert rows_of(store, "live_events") == []


def test_a_destroyed_store_is_gone(opened: Opened) -> None:
    one, other = opened(name="trial"), opened(name="trial")
    one.append([update("m1", "ada", events=(event(),))])
    assert not other.is_destroyed
    other.destroy()
    assert one.is_destroyed
    again = opened(name="trial")
    assert again.read("ada") is None and again.n_customers() == 0
    assert again.append([update("m1", "ada")]) == ["kept"]


def test_a_backup_moves_to_another_kind_of_store(opened: Opened, tmp_path: Path) -> None:
    store = opened()
    first = update("m1", "ada", 4, previous_id="anon", events=(event(1),), traits={"a": [1, "é"]})
    store.append([first, update("m2", "bob", consent={"train": False})])
    store.log_decisions(
        [Decision(user_id="x", time=T0, scenario="s", bundle="b", policy="p", items=("i",))]
    )
    store.backup(tmp_path / "copy")
    restore_store("sqlite", tmp_path, tmp_path / "copy", name="moved")
    options = StoreOptions(
        durable="process", suppression_hash=suppression_hash, remember_seconds=DAY, name="moved"
    )
    moved = open_store("sqlite", tmp_path, options)
    for name in ("anon", "bob"):
        there, here = held(moved, name), held(store, name)
        here.version = there.version
        assert there == here
    assert moved.decisions_of("x") == store.decisions_of("x")
    moved.backup(tmp_path / "back")
    moved.close()
    restore_store(opened.url, opened.folder, tmp_path / "back", name=opened.prefix + "home")
    home = opened(name="home")
    assert held(home, "ada").events == [event(1)] and home.append([first]) == ["repeated"]
    assert rows_of(home, "live_events") == rows_of(store, "live_events")


def test_moments_of_all_times(store: Store) -> None:
    micros = [-(2**62), -62_000_000_000_000_001, 0, 2_000_000_000_000_000, 2**62]
    store.append([update("m", "ada", events=tuple(LiveEvent(one, "a") for one in micros))])
    assert [event.event_time for event in held(store, "ada").events] == micros
    texts = [
        None, "0005-04-19T09:46:39.999999Z", "1970-01-01T00:00:00.000000Z",
        "2033-05-18T03:33:20.000000Z", None,
    ]  # fmt: skip
    times = [row["event_time"] for row in store.training_rows("live_events")]
    assert sorted(times, key=str) == sorted(texts, key=str)
