"""Every store does what a dictionary does, whatever is asked in whatever order."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, Decision, Erased, LiveEvent, WriteResult
from propense.history.store import Store, StoreOptions
from support.store_servers import STORES, started_store

NAMES = ["ada", "bob", "eve", "课", "a:b", "anon-1", "anon-2"]
names = st.sampled_from(NAMES)
times = st.integers(-(10**15), 2 * 10**15)
events = st.builds(
    LiveEvent,
    event_time=times,
    action=st.sampled_from(["view", "pay", "学"]),
    item_id=st.none() | st.text("xy'\"é", max_size=3),
    value=st.none() | st.integers(-(2**62), 2**62),
    count=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    source=st.none() | st.just("app"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text('aé\\"', max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("k", max_size=1), inner),
    max_leaves=4,
)
purposes = st.dictionaries(st.sampled_from(["train", "personalise"]), st.booleans(), max_size=2)
updates = st.builds(
    CustomerUpdate,
    message_id=st.integers(0, 60).map("message-{}".format),
    user_id=names,
    received=st.integers(10**15, 10**15 + 1000),
    events=st.lists(events, max_size=3).map(tuple),
    traits=st.dictionaries(st.sampled_from(["a", "b", "ç"]), json_values, max_size=2),
    previous_id=st.none() | st.none() | names,
    consent=purposes,
)


def suppression_hash(user_id: str) -> bytes:
    return b"mark of " + user_id.encode()


class Model:
    """What a store must be, in dictionaries."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}
        self.customers: dict[str, dict[str, Any]] = {}
        self.messages: dict[str, str] = {}
        self.suppressed: set[str] = set()
        self.decisions: list[Decision] = []
        self.arrived = itertools.count()

    def apply(self, update: CustomerUpdate) -> WriteResult:
        if {update.user_id, update.previous_id} & self.suppressed:
            return "suppressed"
        if update.message_id in self.messages:
            return "repeated"
        if update.previous_id not in (None, update.user_id):
            self.join(update.user_id, update.previous_id)
        user_id = self.of.setdefault(update.user_id, update.user_id)
        self.messages[update.message_id] = update.user_id
        one = self.customers.setdefault(user_id, fresh())
        one["events"] += [(next(self.arrived), event) for event in update.events]
        one["traits"] |= update.traits
        one["traits"] = {name: v for name, v in one["traits"].items() if v is not None}
        one["consent"] |= update.consent
        one["seen"] |= {update.received}
        one["changes"] = next(self.arrived)
        return "kept"

    def join(self, user: str, previous: str | None) -> None:
        assert previous is not None
        mine, theirs = self.of.get(user), self.of.get(previous)
        if theirs is None:
            mine = self.of.setdefault(user, mine or user)
            self.of[previous] = mine
            self.customers.setdefault(mine, fresh())["names"].append(previous)
        elif mine is None:
            one = self.customers[user] = self.customers.pop(theirs)
            one["names"].append(theirs)
            for name in (user, *one["names"]):
                self.of[name] = user
        elif mine != theirs:
            one, other = self.customers[mine], self.customers.pop(theirs)
            one["events"] = sorted(one["events"] + other["events"], key=lambda pair: pair[0])
            one["traits"] = other["traits"] | one["traits"]
            for purpose, flag in other["consent"].items():
                one["consent"][purpose] = one["consent"].get(purpose, True) and flag
            one["names"] += [theirs, *other["names"]]
            one["seen"] |= other["seen"]
            for name in one["names"]:
                self.of[name] = mine

    def names(self, user: str) -> list[str]:
        user_id = self.of.get(user)
        return [user] if user_id is None else [user_id, *self.customers[user_id]["names"]]

    def erase(self, user: str) -> Erased:
        gone = self.names(user)
        shown = [one for one in self.decisions if one.user_id in gone]
        self.decisions = [one for one in self.decisions if one.user_id not in gone]
        one = self.customers.pop(self.of.get(user, ""), None)
        for name in gone:
            self.of.pop(name, None)
        self.messages = {m: name for m, name in self.messages.items() if name not in gone}
        if one is None:
            return Erased(decisions=len(shown))
        return Erased(events=len(one["events"]), traits=len(one["traits"]),
                      names=len(one["names"]), decisions=len(shown))  # fmt: skip


def fresh() -> dict[str, Any]:
    return {"events": [], "traits": {}, "consent": {}, "names": [], "seen": set(), "changes": -1}


class StoreMachine(RuleBasedStateMachine):
    """One store, opened twice, beside the model."""

    url: ClassVar[str]
    count: ClassVar[Iterator[int]] = itertools.count()

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.name = f"machine-{next(self.count)}"
        self.model = Model()
        self.stores = [self.open(), self.open()]
        self.numbers: dict[int, tuple[str, int]] = {}

    def open(self) -> Store:
        options = StoreOptions(
            durable="process", suppression_hash=suppression_hash, remember_seconds=10**6,
            name=self.name,
        )  # fmt: skip
        return open_store(self.url, Path(self.folder.name), options)

    @rule(group=st.lists(updates, min_size=1, max_size=5), which=st.integers(0, 1))
    def append(self, group: list[CustomerUpdate], which: int) -> None:
        assert self.stores[which].append(group) == [self.model.apply(update) for update in group]

    @rule(name=names, which=st.integers(0, 1))
    def erase(self, name: str, which: int) -> None:
        assert self.stores[which].erase(name) == self.model.erase(name)

    @rule(chosen=st.lists(names, max_size=2), which=st.integers(0, 1))
    def suppress(self, chosen: list[str], which: int) -> None:
        self.stores[which].suppress([suppression_hash(name) for name in chosen])
        self.model.suppressed |= set(chosen)

    @rule(which=st.integers(0, 1))
    def allow_all(self, which: int) -> None:
        self.stores[which].allow([suppression_hash(name) for name in sorted(self.model.suppressed)])
        self.model.suppressed.clear()

    @rule(chosen=st.lists(names, min_size=1, max_size=3), time=times)
    def show(self, chosen: list[str], time: int) -> None:
        shown = [
            Decision(user_id=name, time=time, scenario="s", bundle="b", policy="p",
                     items=("i", name), p_action=(0.1, 1.0))
            for name in chosen
        ]  # fmt: skip
        self.stores[0].log_decisions(shown)
        self.model.decisions += [one for one in shown if one.user_id not in self.model.suppressed]

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.stores[which].close()
        self.stores[which] = self.open()

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "stores"):
            return
        model = self.model
        versions = self.stores[0].versions(NAMES)
        assert versions == self.stores[1].versions(NAMES)
        for store in self.stores:
            assert store.n_customers() == len(model.customers)
            assert sorted(store.user_ids()) == sorted(model.customers)
        for index, name in enumerate(NAMES):
            customer = self.stores[index % 2].read(name)
            user_id = model.of.get(name)
            own = model.names(name)
            shown = [one for one in model.decisions if one.user_id in own]
            assert self.stores[index % 2].decisions_of(name) == shown
            if user_id is None:
                assert customer is None and versions[index] == 0
                continue
            one = model.customers[user_id]
            assert (
                customer is not None
                and customer.user_id == user_id
                and customer.names == one["names"]
            )
            assert customer.events == [event for _, event in one["events"]]
            assert customer.traits == one["traits"] and customer.consent == one["consent"]
            assert (customer.first_seen, customer.last_seen) == (min(one["seen"]), max(one["seen"]))
            assert customer.version == versions[index] > 0
            # One number stands for one state of one customer, for ever.
            state = (user_id, one["changes"])
            assert self.numbers.setdefault(customer.version, state) == state

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            self.stores[0].close()
            self.stores[1].destroy()
            self.folder.cleanup()


def run(kind: str, examples: int, steps: int) -> None:
    for url in started_store(kind):
        machine = type(f"Machine_{kind}", (StoreMachine,), {"url": url})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


@pytest.mark.parametrize("kind", STORES)
def test_a_store_is_a_dictionary(kind: str) -> None:
    run(kind, examples=8, steps=25)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STORES)
def test_a_store_is_a_dictionary_for_10_000_steps(kind: str) -> None:
    run(kind, examples=200, steps=50)
