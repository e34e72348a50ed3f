"""Which questions wait and which are refused, by a clock of the test."""

from __future__ import annotations

import pytest

from propense.runtime import load_shedding
from propense.runtime.load_shedding import BATCH, SPAN, LoadShedder


class Loop:
    """Calls what is due at the end of a round."""

    def __init__(self):
        self.soon = []

    def call_soon(self, call, *words):
        self.soon.append((call, words))

    def cycle(self):
        soon, self.soon = self.soon, []
        for call, words in soon:
            call(*words)


class Clock:
    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(load_shedding, "time", clock)
    return clock


def offer(shedder, loop, clock, rate, seconds, cost=1e-3):
    """Questions at even intervals, answered one after the other. Returns how many were admitted and
    refused in each tenth of a second."""
    counts = []
    free = clock.now
    due = clock.now
    ends = clock.now + seconds
    waiting = 0
    count = [0, 0]
    until = clock.now + 0.1
    while due < ends:
        # Waiting questions are answered together, as in the service.
        clock.now = max(due, free)
        loop.cycle()
        if waiting:
            clock.now += waiting * cost
            shedder.leave(waiting, waiting * cost)
            waiting = 0
        free = clock.now
        while due <= clock.now:
            refused = shedder.is_too_long()
            count[refused] += 1
            if not refused:
                shedder.enter(1)
                waiting += 1
            due += 1 / rate
        if clock.now >= until:
            counts.append(tuple(count))
            count, until = [0, 0], clock.now + 0.1
    shedder.leave(waiting, waiting * cost)
    return counts


def test_a_burst_waits_up_to_its_limit(clock):
    loop = Loop()
    shedder = LoadShedder(loop, 0.020, 0.003)
    shedder.cost = 1e-3
    admitted = 0
    while not shedder.is_too_long():
        shedder.enter(1)
        admitted += 1
    assert admitted == 21


def test_below_capacity_nothing_is_refused(clock):
    loop = Loop()
    counts = offer(LoadShedder(loop, 0.020, 0.003), loop, clock, rate=800, seconds=3)
    assert sum(refused for _, refused in counts) == 0 and len(counts) > 20


def test_at_three_times_the_capacity_all_capacity_is_used_without_waiting(clock):
    loop = Loop()
    shedder = LoadShedder(loop, 0.020, 0.003)
    counts = offer(shedder, loop, clock, rate=3000, seconds=3)
    for admitted, refused in counts[3:]:
        assert 80 <= admitted <= 110 and refused > 100
    assert shedder.n_waiting <= BATCH + 1


def test_after_an_overload_bursts_can_wait_again(clock):
    loop = Loop()
    shedder = LoadShedder(loop, 0.020, 0.003)
    offer(shedder, loop, clock, rate=3000, seconds=1)
    counts = offer(shedder, loop, clock, rate=500, seconds=1)
    assert sum(refused for _, refused in counts[3:]) == 0
    clock.now += 10
    loop.cycle()
    shedder.leave(shedder.n_waiting, 0.0)
    shedder.cost = 1e-3
    for _ in range(15):
        assert not shedder.is_too_long()
        shedder.enter(1)


def test_soon_after_an_overload_nearly_the_capacity_is_admitted(clock):
    loop = Loop()
    shedder = LoadShedder(loop, 0.020, 0.003)
    offer(shedder, loop, clock, rate=3000, seconds=1)
    counts = offer(shedder, loop, clock, rate=900, seconds=1)
    assert sum(refused for _, refused in counts[3:]) == 0


def test_a_long_round_admits_fewer(clock):
    shedder = LoadShedder(Loop(), 0.020, 0.003)
    assert not shedder.is_too_long()
    clock.now += 0.021
    assert shedder.is_too_long()
    assert SPAN > 0.021
