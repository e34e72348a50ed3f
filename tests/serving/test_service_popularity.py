"""What is popular changes while the service runs: the same in every process, once a step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.takes import Takes
from propense.inference.scoring.gate import Gate
from propense.models.counts.decayed import HALF_LIVES, STEP, DecayedCounts
from propense.models.counts.live import LiveCounts
from propense.runtime.engine import ScoringEngine
from propense.runtime.followed_counts import GRACE_SECONDS, VISITOR_WEIGHT, StepRecord, weights_of
from propense.runtime.popularity import KIND, Popularity, forget_outdated
from propense.serving.operations.popularity_counting import PopularityCounting
from propense.serving.service import Service
from support.service_bundle import ServedWorld, item_id, served_world
from support.service_live import Live, live_service

NOW = int(time.time()) // STEP * STEP
"""The beginning of the step in which the test runs."""
MICROS = 1_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ServedWorld:
    return served_world("seen", tmp_path_factory)


class _Never(PopularityCounting):
    """Instead of the rounds of the service itself."""

    def count(self, now: int) -> None: ...

    def is_late(self, now: int) -> bool:
        return False


@pytest.fixture
def live(world: ServedWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    monkeypatch.setattr("propense.serving.service.PopularityCounting", _Never)
    with live_service(world, tmp_path / "data") as live:
        live.service.bundles.serving = engine_of(live.service)
        yield live


def engine_of(service: Service, records: Sequence[dict[str, str]] = ()) -> ScoringEngine:
    """An engine whose lists go by what is popular, of which its bundle knows nothing."""
    bundle = service.engine.packed
    base = np.zeros((len(HALF_LIVES), bundle.encoder.items.size))
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0)
    counts = LiveCounts.of(DecayedCounts(STEP, NOW // STEP - 1000, base, *nothing))
    gate = Gate.of(0.3, 0.1, 0.1, 0.1, 0.2, 0.2)
    ranker = replace(bundle.ranker, gate=gate, popular=counts)
    # Of the same version and items, so that the service takes it for its own.
    return ScoringEngine(
        service.engine.version, replace(bundle, ranker=ranker), {}, 1e7, records,
        service.items.state(),
    )  # fmt: skip


def newest(live: Live, at: int = NOW) -> StepRecord | None:
    followed = live.service.engine.followed
    assert followed is not None
    return live.service.popularity.newest(at, followed.step, followed.actions)


def counting(live: Live, popularity: Popularity | None = None) -> PopularityCounting:
    service = live.service
    return PopularityCounting(
        service.store, popularity or service.popularity, lambda: service.engine, service.pending
    )


def take(live: Live, users: list[str], item: str, at: int, n: int = 1, **more: object) -> None:
    live.service.store.append(
        [
            CustomerUpdate(
                message_id=f"{user}-{item}-{at}-{number}", user_id=user, received=at * MICROS,
                events=(LiveEvent(at * MICROS, "pay", item),), **more,
            )
            for user in users for number in range(n)
        ]
    )  # fmt: skip


def popular(engine: ScoringEngine, at: int) -> list[str]:
    words = engine.bundle.encoder.items.words
    scores = engine.popular(at)
    return [words[index - 2] for index in np.argsort(-scores)[: len(words)]]


def follow(live: Live, now: int) -> None:
    live.service.popularity.refresh()
    live.service.popularity.attach(live.service.engine, now)
    forget_outdated(live.service.engines())


def test_two_hundred_customers_lift_an_item_within_a_step(live: Live) -> None:
    engine = live.service.engine
    assert engine.followed is not None
    rare = popular(engine, NOW)[-1]
    take(live, [f"u{n}" for n in range(200)], rare, NOW - 600)
    counting(live).count(NOW * MICROS)
    follow(live, NOW)
    assert popular(engine, NOW + GRACE_SECONDS)[0] == rare
    # The customers themselves see it as well: what they were told before is not remembered.
    names = [each["item_id"] for each in live.recommend("nobody", k=3)["items"]]
    assert (time.time() < NOW + GRACE_SECONDS) or names[0] == rare


def test_an_item_that_was_sent_after_the_bundle_rises(live: Live) -> None:
    service = live.service
    greek = {"item_id": "brand-new", "kind": "course", "title": "Greek"}
    engine = engine_of(service, [greek])
    service.bundles.serving = engine
    take(live, [f"u{n}" for n in range(200)], "brand-new", NOW - 600)
    counting(live).count(NOW * MICROS)
    follow(live, NOW)
    assert popular(engine, NOW + GRACE_SECONDS)[0] == "brand-new"


def test_ten_thousand_events_count_as_ten(live: Live) -> None:
    users = [f"u{n}" for n in range(10)]
    take(live, users, item_id(3), NOW - 600, n=1_000)
    counting(live).count(NOW * MICROS)
    record = newest(live)
    assert record is not None
    assert (record.items, record.customers) == ((item_id(3),), (10,))


def test_visitors_count_little_and_of_a_day_never_more_than_the_customers_do() -> None:
    item, day = np.array([2, 3, 4, 4, 4], np.int32), np.array([1, 1, 1, 1, 2])
    customers, visitors = np.array([3.0, 0, 10, 0, 0]), np.array([5.0, 900, 30, 570, 3])
    weights = weights_of(day, item, customers, visitors)
    assert weights[0] == 3 + 5 * VISITOR_WEIGHT and weights[1] == pytest.approx(1)
    # Spread over the hours of a day they gain nothing.
    assert weights[2:4].sum() == pytest.approx(20) and weights[4] == pytest.approx(0.6)


def test_two_processes_and_one_that_starts_later_answer_alike(live: Live) -> None:
    service = live.service
    other = Popularity(service.store.controls)
    engines = [service.engine, engine_of(service)]
    rng = np.random.default_rng(1)
    for hour in range(6):
        begin = NOW - (5 - hour) * STEP
        for n in range(40):
            user, item = f"u{rng.integers(30)}", item_id(int(rng.integers(1, 30)))
            take(live, [user], item, begin - 1 - int(rng.integers(STEP)), n=1 + n % 2)
        # Whoever is first counts; the other finds it done.
        first, second = (service.popularity, other) if hour % 2 else (other, service.popularity)
        counting(live, first).count(begin * MICROS)
        counting(live, second).count(begin * MICROS)
        for popularity, engine in zip((service.popularity, other), engines, strict=True):
            popularity.refresh()
            popularity.attach(engine, begin)
    assert len(service.store.controls.read(KIND).records) == 6
    late = engine_of(service)
    Popularity(service.store.controls).attach(late, NOW)
    for at in (NOW - 1, NOW, NOW + 9, NOW + GRACE_SECONDS, NOW + STEP):
        steps = {engine.step_of(at) for engine in (*engines, late)}
        assert len(steps) == 1 and max(steps) >= at // STEP * STEP - STEP
        scores = [engine.popular(at) for engine in (*engines, late)]
        assert np.array_equal(scores[0], scores[1]) and np.array_equal(scores[0], scores[2])


def test_a_clock_that_is_ahead_stops_nobody(live: Live) -> None:
    take(live, ["ann"], item_id(3), NOW - 600)
    year = 365 * 24 * STEP
    counting(live).count((NOW + year) * MICROS)
    follow(live, NOW)
    assert live.service.engine.step_of(NOW + GRACE_SECONDS) == NOW
    take(live, ["bob"], item_id(4), NOW - 500)
    counting(live).count(NOW * MICROS)
    follow(live, NOW)
    record = newest(live)
    assert record is not None and record.begin == NOW
    assert set(record.items) == {item_id(3), item_id(4)}
    assert len(live.service.store.controls.read(KIND).records) == 1


def test_a_claim_that_was_not_ended_is_taken_over(live: Live) -> None:
    take(live, ["ann"], item_id(3), NOW - 600)
    with pytest.raises(AttributeError):
        PopularityCounting(
            _Broken(live.service.store),
            live.service.popularity,
            lambda: live.service.engine,
            live.service.pending,
        ).count(NOW * MICROS)  # type: ignore[arg-type]
    counting(live).count((NOW + 5) * MICROS)
    assert newest(live) is None
    counting(live).count((NOW + 61) * MICROS)
    assert newest(live) is not None


def test_an_erased_customer_is_out_of_the_counts(live: Live) -> None:
    service = live.service
    take(live, ["ann", "bob"], item_id(3), NOW - 2 * STEP - 600)
    take(live, ["ann"], item_id(4), NOW - 600)
    take(live, ["visitor"], item_id(4), NOW - 600, is_visitor=True)
    rounds = counting(live)
    rounds.count((NOW - STEP) * MICROS)
    take(live, ["ann"], item_id(5), NOW - 300)
    rounds.count(NOW * MICROS)
    assert live.ask("POST", "/v1/customers/erase", "admin", json={"user_id": "ann"})
    records = service.store.controls.read(KIND).records
    left = {
        (item, customers, visitors)
        for one in (msgspec.json.decode(record.value, type=StepRecord) for record in records)
        for item, customers, visitors in zip(one.items, one.customers, one.visitors, strict=True)
    }
    assert left == {(item_id(3), 1, 0), (item_id(4), 0, 1), (item_id(5), 0, 0)}


def test_a_step_with_very_many_items_has_several_records(live: Live) -> None:
    cells = {(f"{n:0100d}", 1): 1 for n in range(60_000)}
    live.service.popularity.write(NOW, STEP, (), Takes(5, cells, {}), 0)
    records = live.service.store.controls.read(KIND).records
    assert len(records) > 1
    other = Popularity(live.service.store.controls)
    assert sum(len(one.items) for one in other._records.values()) == 60_000


def test_a_bundle_of_other_actions_counts_from_the_beginning(live: Live) -> None:
    take(live, ["ann"], item_id(3), NOW - STEP - 600)
    counting(live).count((NOW - STEP) * MICROS)
    followed = live.service.engine.followed
    followed.actions = (*followed.actions, "refund")
    counting(live).count(NOW * MICROS)
    record = newest(live)
    assert record is not None and record.begin == NOW and record.items == (item_id(3),)
    assert len(live.service.store.controls.read(KIND).records) == 2
    live.ask("POST", "/v1/customers/erase", "admin", json={"user_id": "ann"})
    for one in live.service.store.controls.read(KIND).records:
        assert sum(msgspec.json.decode(one.value, type=StepRecord).customers) == 0


def test_counting_that_never_succeeds_is_named(live: Live) -> None:
    rounds = PopularityCounting(
        _Broken(live.service.store),
        live.service.popularity,
        lambda: live.service.engine,
        live.service.pending,
    )  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        rounds.count(NOW * MICROS)
    assert not rounds.is_late((NOW + STEP) * MICROS)
    assert rounds.is_late((NOW + 3 * STEP) * MICROS)


def test_counting_that_fails_for_long_is_named(live: Live) -> None:
    rounds = counting(live)
    assert not rounds.is_late(NOW * MICROS)
    rounds.count(NOW * MICROS)
    assert not rounds.is_late((NOW + 2 * STEP) * MICROS)
    assert rounds.is_late((NOW + 3 * STEP) * MICROS)


class _Broken:
    """A store whose process ends while it counts."""

    def __init__(self, store) -> None:
        self.controls = store.controls


def test_the_service_counts_and_follows_by_itself(world: ServedWorld, tmp_path: Path) -> None:
    with live_service(world, tmp_path / "data") as live:
        engine = live.service.bundles.serving = engine_of(live.service)
        assert engine.followed is not None
        deadline = time.monotonic() + 20
        while engine.followed.number < 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert engine.followed.number >= 1
        record = newest(live, int(time.time()))
        assert record is not None and record.begin == int(time.time()) // STEP * STEP
