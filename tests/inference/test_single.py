"""One customer's scores, made quickly, are those of the batched code that wrote the report."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from propense.encoding.batches import EventClock
from propense.inference.bundle import Bundle
from propense.inference.scoring.gate import N_GROUPS, Gate
from propense.inference.single import count_one, score_one, seek_one
from propense.models.counts.transitions import TransitionCounts
from propense.models.shape import ItemHead
from propense.schemas import Histories
from support.service_bundle import ServedWorld, served_world

ONE = np.zeros(1, np.int32)
NOON = 1_716_000_000
LONG = 150
"""More than a window of the small network holds."""


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ServedWorld:
    return served_world("refreshed", tmp_path_factory)


@pytest.fixture(scope="session")
def untimed(tmp_path_factory: pytest.TempPathFactory) -> ServedWorld:
    return served_world("untimed", tmp_path_factory)


@st.composite
def updates(draw: st.DrawFn, most: int = 25) -> list[tuple[int, int, int, int, float, float]]:
    """(seconds to the event before, action, item, source, value, count)."""
    gaps = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 400_000))
    values = st.one_of(st.just(float("nan")), st.floats(-1e5, 1e5, width=32))
    one = st.tuples(
        gaps, st.integers(1, 4), st.one_of(st.integers(0, 41), st.integers(2, 6)),
        st.integers(0, 3), values, st.floats(-2, 50, width=32),
    )  # fmt: skip
    some = draw(st.lists(one, max_size=most))
    repeats = draw(st.integers(1, 1 if most < 25 else 4))
    return some * repeats


def histories_of(bundle: Bundle, some: list[tuple[int, int, int, int, float, float]]) -> Histories:
    columns = list(zip(*some, strict=True)) or [()] * 6
    n, encoder = len(some), bundle.encoder
    time = NOON + np.cumsum(np.array(columns[0], np.int64))

    def words(column: tuple[float, ...], size: int, kind: type) -> np.ndarray:
        return np.minimum(np.array(column, np.int64), size - 1).astype(kind)

    return Histories(
        user_ids=np.array(["ann"], object),
        offsets=np.array([0, n], np.int64),
        time=time if encoder.timed else np.arange(n, dtype=np.int64),
        action=words(columns[1], encoder.actions.size, np.int16),
        item=words(columns[2], encoder.items.size, np.int32),
        source=words(columns[3], encoder.sources.size, np.int16),
        value=np.array(columns[4], np.float32),
        count=np.array(columns[5], np.float32),
        timed=encoder.timed,
    )


def assert_alike(bundle: Bundle, some, end: int | None = None, heads=None) -> None:
    histories = histories_of(bundle, some)
    clock = bundle.clock(histories)
    end = histories.n_events if end is None else min(end, histories.n_events)
    for as_of in (NOON, NOON + 10_000_000) if histories.timed else (None,):
        asked = None if as_of is None else np.array([as_of])
        quick = score_one(bundle, histories, clock, end, as_of, heads)
        batched = bundle.item_scores(histories, clock, ONE, np.array([end]), asked, heads)[0]
        assert_scores_alike(quick, batched)
    if end:
        assert_parts_alike(bundle, histories, clock, end)


def assert_scores_alike(quick: np.ndarray, batched: np.ndarray) -> None:
    assert quick.shape == batched.shape and quick.dtype == batched.dtype
    np.testing.assert_allclose(quick, batched, rtol=2e-4, atol=2e-7)


def assert_parts_alike(bundle: Bundle, histories: Histories, clock: EventClock, end: int) -> None:
    ends = np.array([end])
    for fast, batched in zip(
        seek_one(bundle.scorer, histories, clock, end),
        bundle.scorer.seek_items(histories, clock, ONE, ends), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(fast, batched[0], rtol=1e-4, atol=1e-5)
    assert bundle.ranker is not None
    counts = bundle.ranker.counts
    assert isinstance(counts, TransitionCounts)
    counted = count_one(counts, histories, end)
    np.testing.assert_allclose(
        counted, counts.opinions(histories, ONE, ends)[0], rtol=1e-5, atol=1e-9
    )


PLAIN = (0, 2, 5, 1, 3.0, 1.0)


@given(updates())
@example([])
@example([PLAIN])
@example([(0, 2, item, 1, 1.0, 1.0) for item in (5, 6, 5, 6, 7)])
@example([(9, 2, 0, 1, 1.0, 1.0)] * 3)
@example([(9, 2, 1, 1, 1.0, 1.0)] * 3)
@example([(60, 2, 2 + index % 40, 1, 1.0, 1.0) for index in range(LONG)])
@example([(0, 2, 2 + index % 40, 1, 1.0, 1.0) for index in range(LONG)])
@example([PLAIN, (5, 3, 5, 1, float("nan"), -1.0), (0, 3, 5, 2, 0.0, 0.0), (1, 2, 9, 1, 1.0, 1.0)])
def test_timed(shop: ServedWorld, some):
    assert_alike(shop.bundle, some)
    assert_alike(shop.evaluated, some)


@given(updates(), st.integers(0, 30))
def test_a_part_of_a_history(shop: ServedWorld, some, end: int):
    assert_alike(shop.bundle, some, end)


@given(updates())
@example([])
@example([(0, 2, 2 + index % 40, 1, 1.0, 1.0) for index in range(LONG)])
def test_order_alone(untimed: ServedWorld, some):
    assert_alike(untimed.bundle, some)


@given(updates())
@example([])
@example([PLAIN] * 3)
@settings(max_examples=50)
def test_every_opinion_is_heard(shop: ServedWorld, some):
    ranker = shop.bundle.ranker
    assert ranker is not None and ranker.gate is not None
    gate = Gate(tuple(
        (0.8, 0.3, 0.4 + group, 0.6, 0.2 * group, 0.5) for group in range(N_GROUPS)
    ))  # fmt: skip
    repeating = replace(
        shop.bundle, ranker=replace(ranker, gate=gate),
        info=msgspec.structs.replace(shop.bundle.info, owned=None),
    )  # fmt: skip
    assert_alike(repeating, some)


@given(updates())
@settings(max_examples=30)
def test_without_counts_the_network_alone(shop: ServedWorld, some):
    ranker = shop.bundle.ranker
    assert ranker is not None
    alone = replace(shop.bundle, ranker=replace(ranker, counts=None, gate=None))
    histories = histories_of(alone, some)
    clock, end = alone.clock(histories), histories.n_events
    np.testing.assert_allclose(
        score_one(alone, histories, clock, end, NOON),
        alone.item_scores(histories, clock, ONE, np.array([end]), np.array([NOON]))[0],
        rtol=2e-4, atol=2e-7,
    )  # fmt: skip


@given(updates(12), st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0]), min_size=9, max_size=9))
@example([PLAIN], [0.0] * 9)
@example([PLAIN], [1.0] + [0.0] * 8)
@settings(max_examples=50)
def test_weights_of_the_heads(shop: ServedWorld, some, weights: list[float]):
    heads = tuple(
        ItemHead(head.name, head.actions, weight)
        for head, weight in zip(shop.bundle.info.shape.item_heads, weights, strict=False)
    )
    assert_alike(shop.bundle, some, None, heads)
