"""Every store deletes what is older than is asked, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec

from propense.history.opening import restore_store
from propense.history.past import PastCustomer, PastEvent
from propense.history.records import Decision
from propense.history.retention import Expired, Oldest, expire_past
from propense.history.store import Store
from support.live_stores import T0, Opened, event, held, update


def decision(user_id: str, n: int) -> Decision:
    return Decision(
        user_id=user_id, time=T0 + n, scenario="home", bundle="v1", policy="network", items=("a",),
        p_action=(1.0,),
    )  # fmt: skip


def test_old_events_go_by_their_own_time(store: Store) -> None:
    store.append(
        [update("m1", "ada", 50, events=(event(1), event(40))), update("m2", "bob", 5),
         update("m3", "cid", 60, events=(event(45),))]
    )  # fmt: skip
    before = dict(zip(("ada", "cid"), store.versions(["ada", "cid"]), strict=True))
    assert store.expire(Oldest(events=T0 + 30)) == Expired(events=1, customers=1)
    ada = held(store, "ada")
    assert ada.events == [event(40)] and ada.version > before["ada"] and ada.last_seen == T0 + 50
    assert held(store, "cid").version == before["cid"] and store.read("bob") is None
    assert list(store.user_ids()).count("bob") == 0 and store.n_customers() == 2
    assert store.expire(Oldest(events=T0 + 30)) == Expired()


def test_a_customer_without_events_is_gone_under_every_name_and_may_come_again(
    store: Store,
) -> None:
    store.append(
        [update("m1", "v", 1, events=(event(1),), is_visitor=True),
         update("m2", "ada", 2, events=(event(2),), previous_id="v", previous_is_visitor=True)]
    )  # fmt: skip
    assert store.expire(Oldest(events=T0 + 30)) == Expired(events=2, customers=1)
    assert store.read("ada") is None and store.read("v") is None
    assert store.versions(["ada", "v"]) == [0, 0]
    assert store.append([update("m3", "ada", 70, events=(event(70),))]) == ["kept"]
    assert held(store, "ada").events == [event(70)] and held(store, "ada").names == []


def test_a_repeated_message_stays_a_repetition(store: Store) -> None:
    one = update("m1", "ada", 50, events=(event(1),), traits={"a": 1})
    store.append([one])
    store.expire(Oldest(events=T0 + 30))
    assert store.append([one]) == ["repeated"] and held(store, "ada").events == []


def test_a_word_on_consent_never_expires(store: Store) -> None:
    store.append([update("m1", "ada", 1, events=(event(1),), consent={"train": False})])
    store.expire(Oldest(events=T0 + 30, traits=T0 + 30))
    assert held(store, "ada").consent == {"train": False} and held(store, "ada").events == []


def test_traits_go_by_when_they_were_stated(store: Store) -> None:
    store.append([update("m1", "ada", 1, traits={"city": "Lyon", "age": 31, "left": 1})])
    store.append([update("m2", "ada", 50, traits={"age": 32, "left": None})])
    store.append([update("m3", "bob", 60, traits={"age": 20})])
    version = held(store, "ada").version
    assert store.expire(Oldest(traits=T0 + 30)) == Expired(traits=1)
    assert held(store, "ada").traits == {"age": 32} and held(store, "ada").version > version
    assert held(store, "bob").traits == {"age": 20}
    # A removal is remembered as long as a trait, so that an older message brings none back.
    late = update("m4", "ada", 70, traits={"left": 2}, stated=T0 + 40)
    store.append([late])
    assert held(store, "ada").traits == {"age": 32}


def test_decisions_go_by_when_they_were_made(store: Store) -> None:
    store.log_decisions([decision("ada", 1), decision("ada", 50), decision("bob", 2)])
    assert store.expire(Oldest(decisions=T0 + 30)) == Expired(decisions=2)
    assert store.decisions_of("ada") == [decision("ada", 50)]
    assert store.decisions_of("bob") == []
    assert len(list(store.training_rows("live_impressions"))) == 1


def test_nothing_is_asked_nothing_goes(store: Store) -> None:
    store.append([update("m1", "ada", 1, events=(event(-(10**15)),), traits={"a": 1})])
    store.log_decisions([decision("ada", 1)])
    assert store.expire(Oldest()) == Expired() and len(held(store, "ada").events) == 1


def test_many_customers_are_as_if_only_the_younger_had_come(store: Store, opened: Opened) -> None:
    rng = random.Random(0)
    twin = opened(name="twin")
    cutoff = T0 + 500
    expected = Expired()
    for n in range(400):
        user_id = f"user-{rng.randrange(150)}"
        times = [rng.randrange(1000) for _ in range(rng.randrange(3))]
        received = max([*times, rng.randrange(1000)])
        store.append([update(f"m{n}", user_id, received, events=tuple(map(event, times)))])
        young = tuple(event(time) for time in times if T0 + time >= cutoff)
        if young or T0 + received >= cutoff:
            twin.append([update(f"m{n}", user_id, received, events=young)])
        expected += Expired(events=len(times) - len(young))
    n_before = store.n_customers()
    expired = store.expire(Oldest(events=cutoff))
    assert expired.events == expected.events
    assert sorted(store.user_ids()) == sorted(twin.user_ids())
    assert expired.customers == n_before - twin.n_customers()
    for user_id in twin.user_ids():
        assert held(store, user_id).events == held(twin, user_id).events
        assert held(store, user_id).last_seen == held(twin, user_id).last_seen
    first, second = (
        sorted(row["item_id"] for row in one.training_rows("live_events")) for one in (store, twin)
    )
    assert first == second


def test_what_has_expired_is_in_no_backup(store: Store, opened: Opened, tmp_path: Path) -> None:
    store.append([update("m1", "ada", 50, events=(event(1), event(40)), traits={"a": 1})])
    store.append([update("m2", "bob", 5, events=(event(2),))])
    store.log_decisions([decision("ada", 1), decision("ada", 50)])
    store.expire(Oldest(events=T0 + 30, decisions=T0 + 30))
    store.backup(tmp_path / "copy")
    restore_store(opened.url, opened.folder, tmp_path / "copy", opened.prefix + "second")
    second = opened(name="second")
    assert held(second, "ada").events == [event(40)] and second.read("bob") is None
    assert second.decisions_of("ada") == [decision("ada", 50)]


def test_loaded_events_expire_too(store: Store) -> None:
    events = [PastEvent(T0 + n, "view", f"item-{n}", None, None, None) for n in (1, 40)]
    encode = msgspec.msgpack.encode
    past = store.past
    past.put(
        [PastCustomer("ada", ("old",), b'{"city":"Lyon"}', encode(events), 2),
         PastCustomer("bob", (), b"{}", encode(events[1:]), 1)],
        b"progress",
    )  # fmt: skip
    before = past.versions(["ada", "bob"])
    assert expire_past(past, T0 + 30) == 1
    ada, bob = held(store, "ada"), held(store, "bob")
    assert ada.events == [event(40)] and ada.names == ["old"] and ada.traits == {"city": "Lyon"}
    after = past.versions(["ada", "bob"])
    assert after["ada"] != before["ada"] and after["bob"] == before["bob"]
    assert bob.events == [event(40)] and past.progress() == b"progress"
    assert expire_past(past, T0 + 30) == 0
