"""Every store keeps what was loaded from a run apart from live history, and reads both as one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from propense.history.opening import restore_store
from propense.history.past import PastCustomer, PastEvent
from propense.history.records import Decision, Erased, LiveEvent
from propense.history.store import Store
from propense.history.training_views import VIEWS, message_key
from support.live_stores import T0, Opened, event, held, suppression_hash, update


def past_event(n: int, message: str | None = None, **more: Any) -> PastEvent:
    key = None if message is None else message_key(message)
    return PastEvent(T0 + n, "view", f"item-{n}", None, None, None, key, **more)


def past(
    user_id: str,
    *events: PastEvent,
    names: tuple[str, ...] = (),
    traits: dict[str, Any] | None = None,
) -> PastCustomer:
    return PastCustomer(
        user_id=user_id,
        names=names,
        traits=msgspec.json.encode(traits or {}),
        events=msgspec.msgpack.encode(list(events)),
        n_events=len(events),
    )


def load(store: Store, *customers: PastCustomer) -> int:
    return store.past.put(customers, b"here")


def seen_by_training(store: Store) -> dict[str, list[dict[str, Any]]]:
    return {view: list(store.training_rows(view)) for view in VIEWS}


def test_what_was_loaded_is_read(store: Store) -> None:
    full = PastEvent(T0 - 5, "pay", "課程-1", 12_500_000, 2.5, "web")
    assert store.past.is_empty() and store.past.progress() == b""
    assert load(store, past("ada", full, past_event(2), names=("anon",), traits={"city": "Köln"}),
                past("bob")) == 2  # fmt: skip
    customer = held(store, "ada")
    assert customer == held(store, "anon")
    assert (customer.user_id, customer.names) == ("ada", ["anon"])
    assert customer.events == [LiveEvent(T0 - 5, "pay", "課程-1", 12_500_000, 2.5, "web"), event(2)]
    assert customer.traits == {"city": "Köln"} and customer.consent == {}
    assert (customer.first_seen, customer.last_seen) == (0, 0)
    assert customer.loaded_until == T0 + 2
    assert held(store, "bob").events == []
    assert store.read("nobody") is None and store.versions(["nobody"]) == [0]
    assert store.versions(["ada", "anon"]) == [customer.version] * 2
    assert sorted(store.user_ids()) == ["ada", "bob"] and store.n_customers() == 2
    assert store.past.progress() == b"here" and not store.past.is_empty()
    assert sorted(one for page in store.past.user_ids() for one in page) == ["ada", "bob"]


def test_live_history_is_joined_to_it(store: Store) -> None:
    store.append([update("m0", "anon", 3, events=(event(7),), traits={"b": 2})])
    load(store, past("ada", past_event(1), names=("anon",), traits={"a": 1, "b": 1}))
    store.append([update("m1", "ada", 5, events=(event(9),), consent={"train": True})])
    store.append([update("m2", "ada", 6, previous_id="phone", traits={"c": 3})])
    customer = held(store, "phone")
    assert customer == held(store, "ada") == held(store, "anon")
    assert customer.user_id == "ada" and sorted(customer.names) == ["anon", "phone"]
    assert sorted(customer.events, key=lambda one: one.event_time) == [event(1), event(7), event(9)]
    assert customer.traits == {"a": 1, "b": 2, "c": 3} and customer.consent == {"train": True}
    assert (customer.first_seen, customer.last_seen) == (T0 + 3, T0 + 6)
    assert set(store.versions(["ada", "anon", "phone"])) == {customer.version}
    assert list(store.user_ids()) == ["ada"] and store.n_customers() == 1


def test_a_live_message_makes_another_id_the_main_one(store: Store) -> None:
    load(store, past("old", past_event(1)), past("other", past_event(2)))
    store.append([update("m1", "new", previous_id="old"), update("m2", "new", previous_id="other")])
    customer = held(store, "other")
    assert customer.user_id == "new" and sorted(customer.names) == ["old", "other"]
    assert len(customer.events) == 2 and store.n_customers() == 1


def test_the_next_training_does_not_see_it(store: Store, opened: Opened) -> None:
    """All that live messages do is the same in a store where nothing was loaded."""
    plain = opened(name="plain")
    first = [
        update("m1", "anon", 1, events=(event(1),), traits={"a": 1}),
        update("m2", "cleo", 2, consent={"train": False}, events=(event(2),)),
    ]
    later = [
        update("m3", "ada", 3, events=(event(3), event(4)), previous_id="anon"),
        update("m4", "phone", 4, events=(event(5),)),
        update("m5", "bob", 5, traits={"b": 1}),
        update("known", "ada", 6, events=(event(6),)),
        update("m6", "new", 7, previous_id="bob"),
    ]
    shown = [Decision(user_id=name, time=T0, scenario="s", bundle="b", policy="p", items=("i",))
             for name in ("ada", "phone", "cleo", "nobody")]  # fmt: skip
    for one in (store, plain):
        one.append(first)
    load(
        store,
        past("ada", past_event(0, "known"), names=("phone", "anon"), traits={"z": 1}),
        past("bob", past_event(1)), past("cleo", past_event(2)), past("dora", past_event(3)),
    )  # fmt: skip
    for one in (store, plain):
        assert one.append(later) == ["kept"] * len(later)
        one.log_decisions(shown)
    assert seen_by_training(store) == seen_by_training(plain)
    load(store, past("ada", past_event(9)))
    store.past.remove(["bob", "dora"])
    assert seen_by_training(store) == seen_by_training(plain)


def test_an_event_that_is_live_too_counts_once(store: Store) -> None:
    load(
        store,
        past("ada", past_event(1, "known"), past_event(2), past_event(2),
             PastEvent(T0 + 3, "buy", "item-3", None, None, None, message_key("basket"), 1)),
    )  # fmt: skip
    store.append(
        [
            update("known", "ada", events=(LiveEvent(T0 + 500, "View", "item-1"),)),
            update("same", "ada", events=(event(2),)),
            update("basket", "ada", events=(event(7), LiveEvent(T0 + 900, "Bought", "item-3"))),
            update("fresh", "ada", events=(event(8),)),
        ]
    )
    assert store.past.live_messages("ada")[0] == (message_key("known"), 0)
    actions = [(one.action, one.item_id) for one in held(store, "ada").events]
    assert sorted(actions) == [
        ("buy", "item-3"), ("view", "item-1"), ("view", "item-2"), ("view", "item-2"),
        ("view", "item-7"), ("view", "item-8"),
    ]  # fmt: skip
    load(store, past("bob", past_event(1, "known")))
    store.append([update("other", "bob", events=(LiveEvent(T0, "view", "item-9"),))])
    assert len(held(store, "bob").events) == 2


def test_loading_again_writes_what_changed(store: Store) -> None:
    ada, bob = past("ada", past_event(1), names=("a",)), past("bob", past_event(2))
    assert load(store, ada, bob) == 2
    before = dict(zip("ab", store.versions(["ada", "bob"]), strict=True))
    assert held(store, "ada").version == before["a"]
    assert load(store, ada, bob) == 0 and store.versions(["ada", "bob"]) == list(before.values())
    assert load(store, past("ada", past_event(1), past_event(3), names=("b",)), bob) == 1
    assert [len(held(store, name).events) for name in ("ada", "b", "bob")] == [2, 2, 1]
    assert store.read("a") is None
    versions = store.versions(["ada", "bob"])
    assert versions[0] not in before.values() and versions[1] == before["b"]
    assert store.past.remove(["ada", "nobody"]) == 1 and store.read("b") is None
    assert load(store, ada) == 1 and store.versions(["ada"])[0] not in (versions[0], before["a"])
    store.past.note(b"done")
    assert store.past.progress() == b"done"


def test_a_name_goes_from_one_customer_to_another(store: Store) -> None:
    load(store, past("ada", past_event(1), names=("x", "y")), past("bob", past_event(2)))
    load(store, past("bob", past_event(2), names=("x",)), past("ada", past_event(1), names=("y",)))
    assert held(store, "x").user_id == "bob" and held(store, "y").user_id == "ada"
    load(store, past("ada", past_event(1)), past("y", past_event(5)))
    assert held(store, "y").events == [event(5)] and held(store, "ada").names == []


def test_erasure_reaches_it_under_every_name(store: Store) -> None:
    load(
        store,
        past("ada", past_event(1), past_event(2), names=("anon",), traits={"city": "Lyon"}),
        past("bob", past_event(3)),
    )
    store.append([update("m1", "anon", events=(event(5),), traits={"city": "Köln", "age": 3})])
    store.append([update("m2", "phone", previous_id="anon")])
    store.log_decisions(
        [Decision(user_id="ada", time=T0, scenario="s", bundle="b", policy="p", items=("i",))]
    )
    assert [one.user_id for one in store.decisions_of("phone")] == ["ada"]
    assert store.erase("phone") == Erased(events=3, traits=2, names=2, decisions=1)
    assert store.erase("ada") == Erased()
    for name in ("ada", "anon", "phone"):
        assert store.read(name) is None and store.versions([name]) == [0]
        assert store.decisions_of(name) == []
    assert len(held(store, "bob").events) == 1
    assert store.erase("bob") == Erased(events=1)


def test_the_suppressed_are_not_loaded(store: Store) -> None:
    store.suppress([suppression_hash("anon")])
    customers = past("ada", past_event(1), names=("anon",)), past("bob", past_event(2))
    assert load(store, *customers) == 1
    assert store.read("ada") is None and store.read("anon") is None
    assert len(held(store, "bob").events) == 1
    store.allow([suppression_hash("anon")])
    assert load(store, *customers) == 1 and len(held(store, "anon").events) == 1


def test_many_at_once(store: Store) -> None:
    customers = [past(f"user-{n:04}", past_event(n), names=(f"other-{n}",)) for n in range(900)]
    assert load(store, *customers) == 900
    assert load(store, *customers[::-1], past("one more")) == 1
    versions = store.versions([f"other-{n}" for n in range(900)])
    assert len(set(versions)) == 900 and all(versions)
    assert held(store, "other-77").events == [event(77)]
    assert sum(map(len, store.past.user_ids())) == 901
    assert store.past.remove([one.user_id for one in customers]) == 900
    assert list(store.user_ids()) == ["one more"]


def test_another_process_sees_it(store: Store, opened: Opened) -> None:
    other = opened()
    assert other.read("ada") is None
    store.append([update("m1", "ada", events=(event(1),))])
    before = other.versions(["ada"])
    load(store, past("ada", past_event(2)))
    deadline = time.monotonic() + 5
    while other.versions(["ada"]) == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert other.versions(["ada"]) == [held(other, "ada").version] != before
    assert len(held(other, "ada").events) == 2


def test_a_backup_keeps_live_history(store: Store, opened: Opened, tmp_path: Path) -> None:
    store.append([update("m1", "ada", events=(event(1),))])
    load(store, past("ada", past_event(2)))
    store.backup(tmp_path / "copy")
    restore_store(opened.url, opened.folder, tmp_path / "copy", opened.prefix + "again")
    again = opened(name="again")
    assert event(1) in held(again, "ada").events
    assert seen_by_training(again) == seen_by_training(store)
    load(again, past("ada", past_event(2)))
    assert len(held(again, "ada").events) == 2


@pytest.mark.parametrize("fresh", [True, False])
def test_ids_that_no_store_can_hold_are_nobody(store: Store, fresh: bool) -> None:
    if not fresh:
        load(store, past("ada"))
    assert store.read("a\0b") is None and store.versions(["a\0b"]) == [0]


def test_a_loaded_event_stands_for_one_live_event(store: Store) -> None:
    load(store, past("ada", past_event(1, "first")))
    store.append([update(name, "ada", events=(event(1),)) for name in ("first", "second")])
    assert held(store, "ada").events == [event(1), event(1)]
