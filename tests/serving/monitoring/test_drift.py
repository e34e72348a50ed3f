"""Drift is seen where there is some, named, and not seen where there is none."""

from __future__ import annotations

import time

import numpy as np
import pytest

from propense.inference.artifact.reference_profile import ReferenceProfile, make_histogram
from propense.serving.monitoring.drift import BLOCKS, DriftMonitor

RNG = np.random.default_rng(0)
TRAINED = RNG.beta(2, 8, 20_000)
PROFILE = ReferenceProfile(
    n_events=20_000,
    actions={"view": 0.8, "pay": 0.15, "like": 0.05},
    sources={"app": 1.0},
    values=make_histogram(np.where(RNG.random(20_000) < 0.15, RNG.normal(4, 1, 20_000), np.nan)),
    unseen_items=0.01,
    n_item_events=10_000,
    n_rows=20_000,
    lengths=make_histogram(RNG.geometric(0.05, 20_000)),
    goals={"pay": make_histogram(TRAINED), "spend": make_histogram(TRAINED * 100)},
)
WINDOW = 2_000


def live(monitor, n, rng, actions=(0.8, 0.15, 0.05), unseen=0.01, shift=1.0, scale=1.0):
    """`n` events and answers, like training's unless told otherwise."""
    for _ in range(n):
        word = ("view", "pay", "like")[rng.choice(3, p=actions)]
        value = int(np.expm1(rng.normal(4, 1)) * scale * 1e6) if rng.random() < 0.15 else None
        monitor.observe_event(word, "app", value, bool(rng.random() < unseen))
        p = float(rng.beta(2, 8)) ** shift
        monitor.observe_answer(int(rng.geometric(0.05)), (p, p * 100))


def levels(monitor):
    return {line.name: line.level for line in monitor.report()}


def test_life_like_training_raises_nothing():
    monitor = DriftMonitor(PROFILE, WINDOW)
    rng = np.random.default_rng(1)
    for _ in range(10):
        live(monitor, 300, rng)
        assert set(levels(monitor).values()) == {"ok"}
    assert set(levels(monitor)) == {
        "actions", "sources", "values", "unseen_items", "lengths", "goal:pay", "goal:spend",
    }  # fmt: skip
    assert monitor.take_alarms() == []
    assert max(monitor.gauges()[0].values()) < 0.05


@pytest.mark.parametrize(
    ("change", "raised", "message"),
    [
        ({"actions": (0.3, 0.6, 0.1)}, {"actions"}, "'pay': 15.0% in training"),
        ({"unseen": 0.4}, {"unseen_items"}, "unseen: 1.0% in training"),
        ({"shift": 0.5}, {"goal:pay", "goal:spend"}, "and above: 10.0% in training"),
    ],
)
def test_a_change_is_named(change, raised, message):
    monitor = DriftMonitor(PROFILE, WINDOW)
    live(monitor, WINDOW, np.random.default_rng(2), **change)
    assert {name for name, level in levels(monitor).items() if level == "alarm"} == raised
    alarms = monitor.take_alarms()
    assert {line.name for line in alarms} == raised
    assert any(message in line.most for line in alarms), alarms
    assert monitor.take_alarms() == [], "an alarm is given out once"
    assert monitor.gauges()[1] == len(raised), "it holds all the same"


def test_prices_in_another_currency_are_a_drift_of_values():
    monitor = DriftMonitor(PROFILE, WINDOW)
    rng = np.random.default_rng(3)
    for _ in range(1000):
        monitor.observe_event("pay", "app", int(np.expm1(rng.normal(4, 1)) * 7e6), False)
    line = {line.name: line for line in monitor.report()}["values"]
    assert line.level == "alarm"


def test_words_never_seen_count_as_others():
    monitor = DriftMonitor(PROFILE, WINDOW)
    for _ in range(600):
        monitor.observe_event("teleport", "app", None, None)
    line = {line.name: line for line in monitor.report()}["actions"]
    assert line.level == "alarm"
    assert line.most.startswith("other words: 0.0% in training")
    # Events without an item say nothing of items.
    assert {line.name: line.n for line in monitor.report()}["unseen_items"] == 0


def test_nothing_is_said_of_few():
    monitor = DriftMonitor(PROFILE, WINDOW, fewest=500)
    live(monitor, 499, np.random.default_rng(4), unseen=1.0)
    assert levels(monitor)["unseen_items"] == "ok"
    assert monitor.gauges() == ({}, 0)
    live(monitor, 1, np.random.default_rng(4), unseen=1.0)
    assert levels(monitor)["unseen_items"] == "alarm"


def test_the_window_slides_and_the_alarm_ends():
    monitor = DriftMonitor(PROFILE, WINDOW)
    rng = np.random.default_rng(5)
    live(monitor, WINDOW, rng, unseen=0.5)
    assert levels(monitor)["unseen_items"] == "alarm"
    live(monitor, WINDOW, rng)
    lines = {line.name: line for line in monitor.report()}
    assert lines["unseen_items"].level == "ok"
    assert lines["unseen_items"].n == WINDOW


def test_a_level_does_not_flicker():
    monitor = DriftMonitor(PROFILE, 20 * BLOCKS, fewest=100)

    def feed(share):
        for index in range(400):
            monitor.observe_event("view", "app", None, index < share * 400)
        return {line.name: line for line in monitor.report()}["unseen_items"]

    up, under, down = feed(0.15), feed(0.11), feed(0.03)
    assert up.level == "alarm" and up.psi > 0.25
    assert under.level == "alarm" and 0.2 <= under.psi < 0.25
    assert down.level == "ok" and down.psi < 0.08
    assert feed(0.11).level == "notice", "the same share, from below"
    assert [line.name for line in monitor.take_alarms()].count("unseen_items") == 1


def test_tables_without_events_are_judged_by_their_answers():
    monitor = DriftMonitor(ReferenceProfile(goals={"churn": make_histogram(TRAINED)}), WINDOW)
    for p in np.random.default_rng(6).beta(2, 8, 1000):
        monitor.observe_answer(0, (float(p),))
        monitor.observe_event("view", None, None, None)
    assert levels(monitor) == {"goal:churn": "ok"}


def test_scores_must_be_those_of_the_bundle():
    monitor = DriftMonitor(PROFILE, WINDOW)
    with pytest.raises(ValueError, match="each of 2 goals needs a score, got 3"):
        monitor.observe_answer(3, (0.1, 0.2, 0.3))
    with pytest.raises(ValueError, match="at least 20 answers, got 5"):
        DriftMonitor(PROFILE, 5)
    monitor.observe_answer(3)
    assert [line.n for line in monitor.report() if line.name == "lengths"] == [1]


def test_an_answer_costs_microseconds():
    monitor = DriftMonitor(PROFILE)
    n, best = 20_000, 1.0
    scores = (0.2, 20.0)
    for _ in range(3):
        began = time.perf_counter()
        for length in range(n):
            monitor.observe_answer(length, scores)
        best = min(best, (time.perf_counter() - began) / n)
    assert best < 3e-6, f"{best * 1e6:.2f} us"
