"""Every store does what a dictionary does, whatever is asked in whatever order."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
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
    trusted=st.booleans(),
    kind=st.sampled_from(["", "track"]),
    stated=st.none() | st.integers(10**15, 10**15 + 2000),
    is_visitor=st.booleans(),
    previous_is_visitor=st.booleans(),
)


def suppression_hash(user_id: str) -> bytes:
    return b"mark of " + user_id.encode()


class Group:
    """What a model holds of one customer."""

    def __init__(self, main: str, time: int) -> None:
        self.main = main
        self.names: list[str] = []
        self.events: list[tuple[int, int, int, LiveEvent]] = []
        """(order of arrival, member, receipt, event)."""
        self.profiles: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        """Member -> trait -> (moment, value); purpose -> (moment, flag)."""
        self.first = self.last = time
        self.changes = -1

    def saw(self, *times: int) -> None:
        self.first, self.last = min(self.first, *times), max(self.last, *times)

    @property
    def traits(self) -> dict[str, Any]:
        stated: dict[str, Any] = {}
        for _, (traits, _consent) in sorted(self.profiles.items()):
            for name, one in traits.items():
                if name not in stated or one[0] > stated[name][0]:
                    stated[name] = one
        return {name: value for name, (_, value) in stated.items() if value is not None}

    @property
    def consent(self) -> dict[str, bool]:
        flags: dict[str, Any] = {}
        for _traits, consent in self.profiles.values():
            for purpose, (stated_time, flag) in consent.items():
                consider(flags, purpose, stated_time, flag)
        return {purpose: flag for purpose, (_, flag) in flags.items()}


def consider(flags: dict[str, Any], purpose: str, stated_time: int, flag: bool) -> None:
    before = flags.get(purpose, (-(10**18), True))
    if stated_time >= before[0]:
        flags[purpose] = (stated_time, flag and (before[1] or stated_time > before[0]))


class Named:
    """A name in the model."""

    def __init__(self, group: Group, member: int, is_visitor: bool) -> None:
        self.group = group
        self.member = member
        self.is_visitor = is_visitor
        self.joined: bool | None = None
        """Whether a server joined it; None where nobody did."""


class Model:
    """What a store must be, in dictionaries."""

    def __init__(self) -> None:
        self.of: dict[str, Named] = {}
        self.messages: dict[tuple[object, ...], object] = {}
        self.suppressed: set[str] = set()
        self.decisions: list[Decision] = []
        self.arrived = itertools.count()
        self.members = itertools.count()

    @property
    def groups(self) -> dict[str, Group]:
        return {one.group.main: one.group for one in self.of.values()}

    def apply(self, update: CustomerUpdate) -> WriteResult:
        user, previous = update.user_id, update.previous_id
        if user in self.suppressed:
            return "suppressed"
        key = (update.trusted, update.kind, user, update.message_id)
        content = (update.events, repr(sorted(update.traits.items())), previous,
                   sorted(update.consent.items()))  # fmt: skip
        if key in self.messages:
            return "repeated" if self.messages[key] == content else "conflict"
        own = self.of.get(user)
        if own and update.is_visitor and not update.trusted and not own.is_visitor:
            return "misnamed"
        self.messages[key] = content
        result: WriteResult = "kept"
        if previous in self.suppressed:
            result, previous = "unnamed", None
        if own and own.is_visitor and not update.is_visitor and not own.joined:
            if own.joined is not None:
                self.part(user, update.received)
            self.of[user].is_visitor = False
        if previous not in (None, user) and not self.join(update, previous):
            result = "unjoined"
        if user not in self.of:
            self.begin(user, update)
        named = self.of[user]
        group = named.group
        group.events += [
            (next(self.arrived), named.member, update.received, event) for event in update.events
        ]
        if update.traits or update.consent:
            traits, consent = group.profiles.setdefault(named.member, ({}, {}))
            for name, value in update.traits.items():
                if name not in traits or update.stated_time >= traits[name][0]:
                    traits[name] = (update.stated_time, value)
            for purpose, flag in update.consent.items():
                if update.trusted or not flag:
                    consider(consent, purpose, update.stated_time, flag)
        group.saw(update.received)
        group.changes = next(self.arrived)
        return result

    def begin(self, name: str, update: CustomerUpdate) -> Named:
        group = Group(name, update.received)
        self.of[name] = Named(group, next(self.members), update.is_visitor)
        return self.of[name]

    def join(self, update: CustomerUpdate, previous: str) -> bool:
        user = update.user_id
        own, other = self.of.get(user), self.of.get(previous)
        if own and other and own.group is other.group:
            return True
        may = update.joins_customers
        if other and any(not self.of[name].is_visitor for name in self.names(previous)):
            if other.is_visitor:
                other = self.part(previous, update.received)
            elif not may:
                return False
        if other is None:
            own = own or self.begin(user, update)
            other = self.of[previous] = Named(own.group, next(self.members), not may)
            own.group.names.append(previous)
        elif own is None:
            group = other.group
            self.of[user] = Named(group, next(self.members), update.is_visitor)
            group.names.append(group.main)
            group.main = user
        else:
            mine, theirs = own.group, other.group
            mine.events = sorted(mine.events + theirs.events)
            mine.profiles |= theirs.profiles
            mine.names += [theirs.main, *theirs.names]
            mine.saw(theirs.first, theirs.last)
            for name in mine.names:
                self.of[name].group = mine
        other.joined = update.trusted
        return True

    def part(self, name: str, time: int) -> Named:
        before = self.of[name]
        former = before.group
        former.names.remove(name)
        former.changes = next(self.arrived)
        self.decisions = [
            msgspec.structs.replace(one, user_id=former.main) if one.user_id == name else one
            for one in self.decisions
        ]
        self.of[name] = Named(Group(name, time), next(self.members), before.is_visitor)
        self.of[name].group.changes = next(self.arrived)
        return self.of[name]

    def split(self, user: str) -> list[str]:
        if user not in self.of or not self.of[user].group.names:
            return []
        former = self.of[user].group
        names = [former.main, *former.names]
        own = {self.of[name].member: name for name in names}
        for name in names:
            group, member = Group(name, former.first), self.of[name].member
            group.events = [one for one in former.events if own.get(one[1], former.main) == name]
            group.profiles = {
                number: one for number, one in former.profiles.items()
                if own.get(number, former.main) == name
            }  # fmt: skip
            times = [one[2] for one in group.events] or [former.first, former.last]
            group.first, group.last = min(times), max(times)
            group.changes = next(self.arrived)
            self.of[name] = Named(group, member, self.of[name].is_visitor)
        return names

    def names(self, user: str) -> set[str]:
        if user not in self.of:
            return {user}
        return {self.of[user].group.main, *self.of[user].group.names}

    def erase(self, user: str) -> Erased:
        gone = self.names(user)
        shown = [one for one in self.decisions if one.user_id in gone]
        self.decisions = [one for one in self.decisions if one.user_id not in gone]
        self.messages = {key: one for key, one in self.messages.items() if key[2] not in gone}
        if user not in self.of:
            return Erased(decisions=len(shown))
        group = self.of[user].group
        for name in gone:
            del self.of[name]
        return Erased(events=len(group.events), traits=len(group.traits),
                      names=len(group.names), decisions=len(shown))  # fmt: skip


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

    @rule(name=names, which=st.integers(0, 1))
    def split(self, name: str, which: int) -> None:
        assert self.stores[which].split(name) == self.model.split(name)

    @rule(chosen=st.lists(names, max_size=2), which=st.integers(0, 1))
    def suppress(self, chosen: list[str], which: int) -> None:
        self.stores[which].suppress([suppression_hash(name) for name in chosen])
        self.model.suppressed |= set(chosen)
        refused = self.stores[1 - which].suppressed([suppression_hash(name) for name in NAMES])
        assert refused == [name in self.model.suppressed for name in NAMES]

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
            assert store.n_customers() == len(model.groups)
            assert sorted(store.user_ids()) == sorted(model.groups)
        for index, name in enumerate(NAMES):
            customer = self.stores[index % 2].read(name)
            named = model.of.get(name)
            own = model.names(name)
            shown = [one for one in model.decisions if one.user_id in own]
            assert self.stores[index % 2].decisions_of(name) == shown
            if named is None:
                assert customer is None and versions[index] == 0
                continue
            one = named.group
            assert customer is not None
            assert (customer.user_id, customer.names) == (one.main, one.names)
            assert customer.events == [event for *_, event in one.events]
            assert customer.traits == one.traits and customer.consent == one.consent
            assert (customer.first_seen, customer.last_seen) == (one.first, one.last)
            assert customer.version == versions[index] > 0
            # One number stands for one state of one customer, for ever.
            state = (one.main, one.changes)
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
