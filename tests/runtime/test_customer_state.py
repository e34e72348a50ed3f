"""A live customer is read as the shards are: the fast reader against the one of training."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from propense.encoding.encoder import Encoder
from propense.encoding.history import history_of
from propense.history.records import Customer, LiveEvent
from propense.inference.artifact.clipping import Clipper
from propense.runtime import customer_state
from propense.runtime.customer_state import MOST_ADDED, CustomerState, history_of_customer
from propense.schemas import Histories
from support.service_bundle import N_ITEMS, ServedWorld, item_id

MICRO = 1_000_000
NOON = 1_716_000_000 * MICRO

times = st.one_of(
    # Ties, ties within a second, and everything that 64 bits of microseconds hold.
    st.integers(0, 3).map(lambda step: NOON + step * 400_000),
    st.integers(0, 40).map(lambda day: NOON + day * 86_400 * MICRO),
    st.integers(0, 2**62 - 1),
)
words = st.one_of(
    st.sampled_from(["view", "pay", "take", "review", "PAY", "never seen"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=4),
)
items = st.one_of(
    st.none(), st.integers(0, N_ITEMS - 1).map(item_id), st.sampled_from(["new", "item-99"]), words
)
values = st.one_of(
    st.none(), st.sampled_from([0, 1, -1, 12_500_000, 10**15]), st.integers(-(2**60), 2**60)
)
counts = st.one_of(
    st.none(), st.sampled_from([0.0, -0.0, 1.0, 2.5, -3.0, 1e30]),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)  # fmt: skip
sources = st.one_of(st.none(), st.sampled_from(["app", "web", "shop"]), words)
events = st.builds(LiveEvent, times, words, items, values, counts, sources)
histories = st.lists(events, max_size=30)


def read_slowly(some: Sequence[LiveEvent], encoder: Encoder) -> Histories:
    rows = [
        {"event_time": event.event_time if encoder.timed else None, "action": event.action,
         "item_id": event.item_id, "value": event.value, "count": event.count,
         "source": event.source}
        for event in some
    ]  # fmt: skip
    return history_of(rows, encoder, ["ann"])


def assert_alike(one: Histories, other: Histories) -> None:
    assert one.timed == other.timed
    for name in ("user_ids", "offsets", "time", "action", "item", "source", "value", "count"):
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype, name
        np.testing.assert_array_equal(left, right, name)


def customer_of(some: Sequence[LiveEvent]) -> Customer:
    return Customer(user_id="ann", version=1, events=list(some))


@given(histories)
@example([])
@example([LiveEvent(NOON, "view"), LiveEvent(NOON, "view")])
@example([LiveEvent(NOON + 1, "b"), LiveEvent(NOON, "a")])
@example([LiveEvent(NOON, "view", source="b"), LiveEvent(NOON, "view", source="a")])
@example(
    [LiveEvent(NOON, "view", "é"), LiveEvent(NOON, "view", "z"), LiveEvent(NOON, "view", "🦊")]
)
@example([LiveEvent(NOON, "pay", "a", -5), LiveEvent(NOON, "pay", "a"), LiveEvent(NOON, "pay")])
def test_timed_events_are_read_as_the_shards_would_be(shop: ServedWorld, some: list[LiveEvent]):
    encoder = shop.bundle.encoder
    assert encoder.timed
    assert_alike(history_of_customer(customer_of(some), encoder), read_slowly(some, encoder))


def test_money_and_time_have_units_of_their_own(shop: ServedWorld, monkeypatch: pytest.MonkeyPatch):
    """Micro-units of money and microseconds happen to be as many; neither stands for the other."""
    monkeypatch.setattr(customer_state, "MICROS_PER_SECOND", 1_000)
    encoder = shop.bundle.encoder
    history = history_of_customer(customer_of([LiveEvent(NOON, "pay", "a", 12_500_000)]), encoder)
    assert history.value.tolist() == [12.5] and history.time.tolist() == [NOON // 1_000]


@given(histories)
def test_events_of_order_alone_keep_their_order(untimed: ServedWorld, some: list[LiveEvent]):
    encoder = untimed.bundle.encoder
    assert not encoder.timed
    assert_alike(history_of_customer(customer_of(some), encoder), read_slowly(some, encoder))


@given(histories, st.randoms())
def test_the_order_of_arrival_changes_nothing(shop: ServedWorld, some: list[LiveEvent], random):
    encoder = shop.bundle.encoder
    mixed = list(some)
    random.shuffle(mixed)
    assert_alike(
        history_of_customer(customer_of(mixed), encoder),
        history_of_customer(customer_of(some), encoder),
    )


@given(histories, st.lists(histories, max_size=3))
def test_later_events_added_in_memory_are_read_as_all_at_once(live, before, after):
    engine = live.service.engine
    some = sorted(before, key=lambda event: event.event_time)
    grown = engine.read(customer_of(some))
    for number, more in enumerate(after):
        first = max((event.event_time for event in some), default=0) + 1
        later = [
            msgspec.structs.replace(event, event_time=first + step)
            for step, event in enumerate(more)
        ]
        some += later
        grown = grown.with_events(later)
        assert grown.n_events == len(some)
        if number % 2:
            assert grown.histories.n_events == len(some)
    whole = engine.read(customer_of(some))
    assert_alike(grown.histories, whole.histories)
    for name in ("hour", "weekday", "gap"):
        np.testing.assert_array_equal(getattr(grown.clock, name), getattr(whole.clock, name))


def test_many_added_events_become_arrays(live):
    """Otherwise a customer who only sends events would take many times the bytes counted."""
    customer = live.service.engine.read(customer_of([]))
    sizes = []
    for number in range(3 * MOST_ADDED):
        customer = customer.with_events([LiveEvent(NOON + number * MICRO, "view")])
        sizes.append(customer.n_bytes - customer.n_events * 24)
    assert max(sizes) < sizes[0] + 350 * MOST_ADDED and sizes[-1] < sizes[0]


@given(histories.filter(bool), events)
def test_events_that_are_not_the_latest_are_not_added(live, before, event):
    customer = live.service.engine.read(customer_of(before))
    latest = max(each.event_time for each in before)
    tied = customer.with_events([msgspec.structs.replace(event, event_time=latest)])
    reversed_ = [msgspec.structs.replace(event, event_time=latest + step) for step in (2, 1)]
    assert tied is None and customer.with_events(reversed_) is None
    assert customer.n_events == len(before)


@given(histories, histories)
def test_events_of_order_alone_are_always_the_latest(untimed, before, after):
    encoder = untimed.bundle.encoder
    bounds = Clipper(untimed.bundle.reference_profile.bounds, encoder.actions)
    grown = CustomerState(customer_of(before), untimed.bundle, bounds).with_events(after)
    whole = CustomerState(customer_of([*before, *after]), untimed.bundle, bounds)
    assert grown is not None
    assert_alike(grown.histories, whole.histories)


@given(st.lists(st.integers(0, 100), max_size=12), st.integers(-1, 101))
def test_events_before_a_time_are_counted(live, days: list[int], day: int):
    some = [LiveEvent(NOON + each * 86_400 * MICRO, "view") for each in days]
    customer = live.service.engine.read(customer_of(some))
    as_of = NOON // MICRO + day * 86_400
    assert customer.end_at(as_of) == sum(each < day for each in days)
    assert customer.end_at(None) == len(days)


@pytest.fixture(scope="module")
def live(shared):
    return shared
