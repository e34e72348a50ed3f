"""Every store keeps names apart that are not one customer's, and takes the later word."""

from __future__ import annotations

import itertools
import time
from typing import Any

import msgspec
import pytest

from propense.history.bounds import VISITOR_TRAIT_BYTES, VISITOR_TRAITS
from propense.history.merging import MOST_NAMES
from propense.history.past import PastCustomer, PastEvent
from propense.history.records import CustomerUpdate, Decision, WriteResult
from propense.history.store import Store
from support.live_stores import T0, Opened, event, held, update


def page(message_id: str, user_id: str, n: int = 0, **more: Any) -> CustomerUpdate:
    return update(message_id, user_id, n, trusted=False, **more)


def visit(message_id: str, visitor: str, n: int = 0, **more: Any) -> CustomerUpdate:
    return page(message_id, visitor, n, is_visitor=True, **more)


def sign_in(message_id: str, user_id: str, visitor: str, n: int = 0, **more: Any) -> CustomerUpdate:
    return page(message_id, user_id, n, previous_id=visitor, previous_is_visitor=True, **more)


def numbers(store: Store, user_id: str) -> list[int]:
    return [one.event_time - T0 for one in held(store, user_id).events]


@pytest.mark.parametrize("as_visitor", [True, False])
def test_a_page_joins_no_two_customers(store: Store, as_visitor: bool) -> None:
    store.append([update("m1", "victim", events=(event(1),), traits={"mail": "v@x.example"}),
                  page("m2", "attacker", events=(event(2),))])  # fmt: skip
    theft = page("m3", "attacker", previous_id="victim", previous_is_visitor=as_visitor)
    assert store.append([theft]) == ["unjoined"]
    assert numbers(store, "attacker") == [2] and held(store, "attacker").traits == {}
    assert store.erase("attacker").events == 1
    assert numbers(store, "victim") == [1]


def test_a_page_cannot_take_a_customers_id_before_it_is_used(store: Store) -> None:
    store.append([visit("m1", "victim", events=(event(1),)), sign_in("m2", "attacker", "victim")])
    store.append([update("m3", "victim", events=(event(2),))])
    assert numbers(store, "victim") == [2] and held(store, "victim").names == []
    assert numbers(store, "attacker") == [1] and held(store, "attacker").names == []
    assert store.append([visit("m4", "victim", events=(event(3),))]) == ["misnamed"]
    assert store.append([sign_in("m5", "attacker", "victim")]) == ["unjoined"]


def test_two_people_on_one_device_stay_two(store: Store) -> None:
    store.log_decisions([Decision(user_id="tablet", time=T0, scenario="s", bundle="b", policy="p",
                                  items=("i",))])  # fmt: skip
    store.append(
        [visit("m1", "tablet", 1, events=(event(1),)),
         sign_in("m2", "alice", "tablet", 2, traits={"name": "Alice"}),
         page("m3", "alice", 3, events=(event(3),)),
         sign_in("m4", "bob", "tablet", 4, traits={"name": "Bob"}),
         visit("m5", "tablet", 5, events=(event(5),))]
    )  # fmt: skip
    assert numbers(store, "alice") == [1, 3] and held(store, "alice").user_id == "alice"
    assert numbers(store, "bob") == [5] and held(store, "bob").names == ["tablet"]
    assert [held(store, one).traits["name"] for one in ("alice", "bob")] == ["Alice", "Bob"]
    assert len(store.decisions_of("alice")) == 1 and store.decisions_of("bob") == []
    assert store.erase("alice").events == 2 and numbers(store, "tablet") == [5]


def test_a_server_joins_and_a_split_undoes_it(store: Store, opened: Opened) -> None:
    store.append(
        [update("m1", "old", 1, events=(event(1),), traits={"city": "Rom", "a": 1},
                consent={"train": False}),
         update("m2", "new", 2, events=(event(2),), traits={"city": "Bonn"}),
         visit("m3", "phone", 3, events=(event(3),)), sign_in("m4", "new", "phone", 4),
         update("m5", "new", 5, previous_id="old", events=(event(5),)),
         update("m6", "old", 6, events=(event(6),))]
    )  # fmt: skip
    joined = held(store, "old")
    assert joined.user_id == "new" and sorted(joined.names) == ["old", "phone"]
    assert numbers(store, "new") == [1, 2, 3, 5, 6]
    assert joined.traits == {"city": "Bonn", "a": 1} and joined.consent == {"train": False}
    assert sorted(store.split("old")) == ["new", "old", "phone"]
    assert store.split("old") == [] == store.split("nobody")
    assert (numbers(store, "old"), numbers(store, "new")) == ([1, 6], [2, 5])
    assert held(store, "old").traits == {"city": "Rom", "a": 1}
    assert held(store, "old").consent == {"train": False} and held(store, "new").consent == {}
    assert held(store, "new").traits == {"city": "Bonn"} and numbers(store, "phone") == [3]
    assert store.n_customers() == 3
    again = update("m1", "old", 1, events=(event(1),), traits={"city": "Rom", "a": 1},
                   consent={"train": False})  # fmt: skip
    assert store.append([again]) == ["repeated"]
    assert held(opened(), "old") == held(store, "old")


def test_the_later_word_counts_whenever_it_arrives(store: Store) -> None:
    def stating(message_id: str, stated: int, flag: bool, **more: Any) -> CustomerUpdate:
        return update(message_id, "ada", 100, stated=T0 + stated, consent={"train": flag}, **more)

    store.append([stating("m1", 50, False, traits={"city": "new"})])
    store.append([stating("m2", 20, True, traits={"city": "old", "a": 1})])
    assert held(store, "ada").consent == {"train": False}
    assert held(store, "ada").traits == {"city": "new", "a": 1}
    store.append([stating("m3", 50, True)])
    assert held(store, "ada").consent == {"train": False}, "of one moment the refusal counts"
    store.append([stating("m4", 51, True, traits={"a": None})])
    assert held(store, "ada").consent == {"train": True}
    store.append([stating("m5", 40, False, traits={"a": 2})])
    assert held(store, "ada").consent == {"train": True}
    assert held(store, "ada").traits == {"city": "new"}, "an older message brings nothing back"


def test_a_page_grants_nothing(store: Store) -> None:
    store.append([update("m1", "ada", consent={"train": False, "personalise": True})])
    store.append([page("m2", "ada", 9, consent={"train": True, "personalise": False})])
    assert held(store, "ada").consent == {"train": False, "personalise": False}
    store.append([page("m3", "ben", consent={"train": True})])
    assert held(store, "ben").consent == {}


@pytest.mark.parametrize(
    ("other", "outcome"),
    [
        (update("order", "shop-1", events=(event(2),)), "conflict"),
        (update("order", "shop-1", events=(event(1),)), "repeated"),
        (update("order", "shop-2", events=(event(2),)), "kept"),
        (update("order", "shop-1", events=(event(2),), kind="page"), "kept"),
        (page("order", "shop-1", events=(event(2),)), "kept"),
    ],
)
def test_an_id_is_used_up_only_where_it_was_used(
    store: Store, other: CustomerUpdate, outcome: WriteResult
) -> None:
    store.append([update("order", "shop-1", events=(event(1),))])
    version = held(store, "shop-1").version
    assert store.append([other]) == [outcome] == store.append([other]) or outcome == "kept"
    if outcome != "kept":
        assert held(store, "shop-1").version == version
    # What pages sent before hinders no server.
    store.append([page("next", "shop-1", events=(event(8),))])
    assert store.append([update("next", "shop-1", events=(event(9),))]) == ["kept"]


def test_the_traits_of_a_customer_are_bounded(opened: Opened) -> None:
    store = opened(bounds=(3, 60))
    store.append([update("m1", "ada", traits={"a": 1, "b": 2})])
    assert store.append(
        [update("m2", "ada", 1, traits={"c": 3, "d": 4}, events=(event(1),),
                consent={"train": False}),
         update("m3", "ada", 2, traits={"c": "x" * 60}), update("m4", "ada", 3, traits={"c": 3}),
         update("m5", "ada", 4, traits={"a": 9})]
    ) == ["overfull", "overfull", "kept", "kept"]  # fmt: skip
    ada = held(store, "ada")
    assert ada.traits == {"a": 9, "b": 2, "c": 3} and ada.consent == {"train": False}
    assert numbers(store, "ada") == [1]
    store.append([visit("m6", "phone", traits={"e": 1})])
    assert store.append([sign_in("m7", "ada", "phone")]) == ["unjoined"]


def test_what_a_page_writes_of_a_visitor_is_bounded_tightly(opened: Opened) -> None:
    """Everybody can invent visitors, and each message writes the whole profile."""
    store = opened(bounds=(500, 64_000))
    large = {"a": "x" * (VISITOR_TRAIT_BYTES - 100)}
    assert store.append(
        [visit("m1", "v", traits=large), visit("m2", "v", 1, traits={"b": "x" * 100}),
         visit("m3", "v", 2, traits={"a": "small"}), visit("m4", "v", 3, traits={"b": "x" * 100}),
         visit("m5", "w", traits={str(n): 1 for n in range(VISITOR_TRAITS + 1)})]
    ) == ["kept", "overfull", "kept", "kept", "overfull"]  # fmt: skip
    # What a server has made large is not written again for a visitor's word.
    store.append([update("m6", "ada", traits={"a": "x" * 50_000})])
    store.append([sign_in("m7", "ada", "phone")])
    assert store.append([visit("m8", "phone", 4, traits={"a": 1})]) == ["overfull"]
    assert store.append([update("m9", "ada", 5, traits={"a": 1})]) == ["kept"]
    assert held(store, "ada").traits == {"a": 1}


def test_the_names_of_a_customer_are_bounded(store: Store) -> None:
    group = [sign_in(f"m{n}", "ada", f"phone-{n}") for n in range(MOST_NAMES + 1)]
    results = store.append(group)
    assert results.count("kept") == MOST_NAMES - 1 == len(held(store, "ada").names)
    assert results[-1] == "unjoined"


def test_a_chain_of_joins_moves_a_history_once(store: Store) -> None:
    store.append([update(f"e{n}", "big", events=(event(n),)) for n in range(2_000)])
    store.append([update(f"u{n}", f"user-{n}", events=(event(n),)) for n in range(300)])
    chain = ["big", *(f"user-{n}" for n in range(300))]
    joins = [
        update(f"j{n}", new, previous_id=old)
        for n, (old, new) in enumerate(itertools.pairwise(chain))
    ]
    began = time.perf_counter()
    assert set(store.append(joins)) == {"kept"}
    assert time.perf_counter() - began < 15
    assert len(held(store, "big").events) == 2_300


def test_a_past_is_stolen_by_no_page(store: Store) -> None:
    bought = msgspec.msgpack.encode([PastEvent(T0, "buy", "i", None, None, None)])
    past = PastCustomer(user_id="victim", names=("tablet",), n_events=1, events=bought)
    store.past.put([past], b"here")
    assert store.append([sign_in("m1", "attacker", "victim")]) == ["unjoined"]
    assert store.append([sign_in("m2", "bob", "tablet", events=(event(1),))]) == ["kept"]
    assert store.append([visit("m3", "tablet", events=(event(2),))]) == ["kept"]
    for name in ("bob", "tablet"):
        assert numbers(store, name) == [1, 2] and held(store, name).user_id == "bob"
    assert [one.action for one in held(store, "victim").events] == ["buy"]
    assert store.versions(["victim"]) == [held(store, "victim").version]
    assert store.versions(["tablet"]) == [held(store, "bob").version]
    assert store.erase("bob").events == 2
    assert [one.action for one in held(store, "victim").events] == ["buy"]


def test_a_receipt_far_ahead_counts_as_now(store: Store) -> None:
    now = time.time_ns() // 1000
    months = 60 * 86_400 * 10**6
    late = CustomerUpdate(
        message_id="m1", user_id="ada", received=now + months, consent={"train": True},
        events=(msgspec.structs.replace(event(), event_time=now + months),),
    )  # fmt: skip
    assert store.append([late, late]) == ["kept", "repeated"]
    ada = held(store, "ada")
    assert ada.last_seen < now + 10**9 and ada.events[0].event_time < now + 10**9
    later = CustomerUpdate(message_id="m2", user_id="ada", received=now + 10**9,
                           consent={"train": False})  # fmt: skip
    store.append([later])
    assert held(store, "ada").consent == {"train": False}
