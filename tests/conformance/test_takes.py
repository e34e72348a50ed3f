"""Every store counts alike what was taken of late, as a plain count over all events does."""

from __future__ import annotations

import random
from collections import Counter

from propense.history.records import LiveEvent
from propense.history.store import Store
from propense.history.takes import Cell, TakesQuestion
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND
from support.live_stores import T0, update

HOUR = 3600
ALWAYS = 1
Seen = tuple[int, str, str, int]
"""(count before which it came, user, item, time)."""


def question(after: int, actions: tuple[str, ...] = ("pay",), oldest: int = ALWAYS):
    return TakesQuestion(actions, after, oldest, HOUR)


def plainly(seen: list[Seen], number: int) -> Counter[Cell]:
    firsts: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
    for count, user, item, time in seen:
        firsts.setdefault((user, item, time // MICROS_PER_DAY), []).append((count, time))
    return Counter(
        (item, min(time for _, time in some) // (HOUR * MICROS_PER_SECOND))
        for (_, item, _), some in firsts.items()
        if min(count for count, _ in some) == number
    )


def test_counts_are_those_of_a_plain_count(store: Store) -> None:
    rng = random.Random(5)
    seen: list[Seen] = []
    after = -1
    for number in range(5):
        updates = []
        for n in range(60):
            user, item = f"u{rng.randrange(12)}", f"i{rng.randrange(5)}"
            time = T0 - rng.randrange(3 * MICROS_PER_DAY)
            action = rng.choice(["pay", "pay", "open"])
            one = LiveEvent(time, action, item if rng.random() < 0.9 else None)
            updates.append(update(f"{number}-{n}", user, n, events=(one,)))
            if one.item_id is not None and action == "pay":
                seen.append((number, user, item, time))
        store.append(updates)
        takes = store.count_takes(question(after))
        assert takes.customers == plainly(seen, number) and not takes.visitors
        assert takes.until > after
        after = takes.until
    nothing = store.count_takes(question(after))
    assert nothing.until == after and not nothing.customers


def test_ten_thousand_events_of_ten_customers_count_as_ten(store: Store) -> None:
    for page in range(10):
        store.append(
            [
                update(f"{page}-{n}", f"u{n % 10}", events=(LiveEvent(T0 - n, "pay", "x"),) * 10)
                for n in range(100)
            ]
        )
    takes = store.count_takes(question(-1))
    assert sum(takes.customers.values()) == 10 and {item for item, _ in takes.customers} == {"x"}
    store.append([update("again", "u3", events=(LiveEvent(T0, "pay", "x"),))])
    assert not store.count_takes(question(takes.until)).customers


def test_visitors_are_apart_and_customers_who_refuse_do_not_count(store: Store) -> None:
    events = (LiveEvent(T0, "pay", "x"),)
    cell = ("x", T0 // (HOUR * MICROS_PER_SECOND))
    store.append(
        [
            update("1", "ada", events=events),
            update("2", "visitor", events=events, is_visitor=True),
            update("3", "refuses", events=events, consent={"train": False}),
            update("4", "verify:run-1", events=events),
        ]
    )
    takes = store.count_takes(question(-1))
    assert (takes.customers, takes.visitors) == ({cell: 1}, {cell: 1})
    store.erase("ada")
    assert store.count_takes(question(-1)).customers == {}


def test_only_the_actions_asked_for_and_events_that_are_not_too_old_count(store: Store) -> None:
    store.append(
        [
            update("1", "ada", events=(LiveEvent(T0, "open", "x"), LiveEvent(T0, "pay", "y"))),
            update("2", "bob", events=(LiveEvent(T0 - MICROS_PER_DAY, "pay", "z"),)),
        ]
    )
    every = store.count_takes(question(-1, ()))
    assert {item for item, _ in every.customers} == {"x", "y", "z"}
    late = store.count_takes(question(-1, (), T0))
    assert {item for item, _ in late.customers} == {"x", "y"}
    assert {item for item, _ in store.count_takes(question(-1, ("pay",), T0)).customers} == {"y"}


def test_of_one_customer_by_any_name_up_to_an_event(store: Store) -> None:
    store.append(
        [
            update("1", "ada", events=(LiveEvent(T0, "pay", "x"),), previous_id="v"),
            update("2", "bob", events=(LiveEvent(T0, "pay", "x"),)),
            update("3", "ada", consent={"train": False}),
        ]
    )
    until = store.count_takes(question(-1)).until
    store.append([update("4", "ada", events=(LiveEvent(T0, "pay", "y"),))])
    for name in ("ada", "v"):
        own = store.count_takes(question(-1)._replace(user_id=name, until=until))
        assert list(own.customers) == [("x", T0 // (HOUR * MICROS_PER_SECOND))], name
    whole = store.count_takes(question(-1)._replace(user_id="ada"))
    assert {item for item, _ in whole.customers} == {"x", "y"}
    assert not store.count_takes(question(-1)._replace(user_id="nobody")).customers


def test_more_customers_than_a_page(store: Store) -> None:
    store.append(
        [update(str(n), f"u{n}", events=(LiveEvent(T0, "pay", "x"),)) for n in range(4_100)]
    )
    takes = store.count_takes(question(-1))
    assert list(takes.customers.values()) == [4_100]
    store.append([update("one", "u7", events=(LiveEvent(T0, "pay", "y"),))])
    later = store.count_takes(question(takes.until))
    assert {item for item, _ in later.customers} == {"y"}
