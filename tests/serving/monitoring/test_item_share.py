"""A jump of an item's share is named; the ordinary ups and downs of lists are not."""

from __future__ import annotations

import time

import numpy as np
import pytest

from propense.inference.artifact.reference_profile import ItemShares
from propense.serving.monitoring.item_share import DEEPEST, LONGEST, ItemShareMonitor

WINDOW = 500
ITEMS = [f"item-{number}" for number in range(1_000)]
WEIGHTS = 1 / (np.arange(1_000) + 5)
WEIGHTS /= WEIGHTS.sum()


def lists(n, rng, forced=None, share=0.0):
    """`n` lists of ten, drawn by popularity; `forced` is put on top of a `share` of them."""
    keys = np.log(rng.random((n, 1_000))) / WEIGHTS  # Efraimidis and Spirakis: weighted draws
    drawn = np.argpartition(-keys, 10, axis=1)[:, :10]
    for row in drawn:
        items = [ITEMS[position] for position in row]
        if forced is not None and rng.random() < share and forced not in items:
            items[0] = forced
        yield items


def feed(monitor, n, rng, **forced):
    for items in lists(n, rng, **forced):
        monitor.observe_list(items)


def trained(rng, n=3_000):
    counts = {}
    for items in lists(n, rng):
        for item in items:
            counts[item] = counts.get(item, 0) + 1
    most = sorted(counts.items(), key=lambda pair: -pair[1])[:100]
    return ItemShares(n, (0.03, 0.2, 0.6), {item: count / n for item, count in most})


def test_ordinary_lists_raise_nothing():
    rng = np.random.default_rng(0)
    monitor = ItemShareMonitor(trained(rng), WINDOW)
    feed(monitor, 8 * WINDOW, rng)
    assert monitor.take_alarms() == [] and monitor.active == []
    assert 0 < monitor.top[0] < monitor.top[1] < monitor.top[2] < 1


def test_a_jump_is_named_once_and_ends():
    rng = np.random.default_rng(1)
    monitor = ItemShareMonitor(trained(rng), WINDOW)
    feed(monitor, 2 * WINDOW, rng)
    feed(monitor, WINDOW, rng, forced="item-900", share=0.4)
    alarms = monitor.take_alarms()
    assert {(alarm.item_id, alarm.against) for alarm in alarms} == {
        ("item-900", "window"), ("item-900", "training"),
    }  # fmt: skip
    assert alarms[0].share == pytest.approx(0.4, abs=0.06) and alarms[0].z > 6
    assert str(alarms[0]).startswith("item 'item-900' is in 4")
    feed(monitor, WINDOW, rng, forced="item-900", share=0.4)
    assert monitor.take_alarms() == [] and len(monitor.active) == 2
    feed(monitor, WINDOW, rng)
    assert monitor.active == []


def test_what_stays_is_no_news_but_still_unlike_training():
    rng = np.random.default_rng(2)
    monitor = ItemShareMonitor(trained(rng), WINDOW)
    feed(monitor, WINDOW, rng)
    feed(monitor, (LONGEST + 1) * WINDOW, rng, forced="item-900", share=0.4)
    assert [alarm.against for alarm in monitor.active] == ["training"]
    assert len(monitor.take_alarms()) == 2


def test_a_slow_climb_is_held_against_training():
    rng = np.random.default_rng(3)
    monitor = ItemShareMonitor(trained(rng), WINDOW)
    share = 0.01
    while share < 0.5:
        feed(monitor, WINDOW, rng, forced="item-900", share=share)
        share *= 1.3
    assert {alarm.against for alarm in monitor.take_alarms()} == {"training"}


def test_a_rare_item_is_left_alone():
    rng = np.random.default_rng(4)
    monitor = ItemShareMonitor(ItemShares(), WINDOW)
    feed(monitor, WINDOW, rng)
    feed(monitor, WINDOW, rng, forced="item-900", share=0.03)
    assert monitor.take_alarms() == []


def test_a_small_catalogue_may_fill_every_list():
    everywhere = {item: 1.0 for item in ITEMS[:10]}
    monitor = ItemShareMonitor(ItemShares(500, (0.1, 1.0, 1.0), everywhere), 100)
    for _ in range(300):
        monitor.observe_list(ITEMS[:10])
    assert monitor.take_alarms() == []
    for _ in range(200):
        monitor.observe_list(ITEMS[5:15])
    assert {alarm.item_id for alarm in monitor.take_alarms()} == set(ITEMS[10:15])


def test_memory_is_bounded_by_the_window():
    monitor = ItemShareMonitor(ItemShares(), 10)
    for number in range(1_000):
        monitor.observe_list([f"{number}-{position}" for position in range(500)])
    assert len(monitor._present) + len(monitor._before) <= 20 * DEEPEST
    assert len(monitor._active) <= 2 * 10 * DEEPEST
    with pytest.raises(ValueError, match="at least one list, got 0"):
        ItemShareMonitor(ItemShares(), 0)


def test_a_list_costs_microseconds():
    monitor = ItemShareMonitor(ItemShares())
    shown = list(lists(2_000, np.random.default_rng(5)))
    best = 1.0
    for _ in range(3):
        began = time.perf_counter()
        for items in shown:
            monitor.observe_list(items)
        best = min(best, (time.perf_counter() - began) / len(shown))
    assert best < 20e-6, f"{best * 1e6:.2f} us"
