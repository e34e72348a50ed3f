"""Who may wait, and who is turned away, by a clock of our own."""

from __future__ import annotations

import pytest

from propense.runtime import load_shedding
from propense.runtime.load_shedding import BATCH, SPAN, LoadShedder


class Loop:
    """Calls what is due when the turn ends."""

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


def offer(made, loop, clock, rate, seconds, cost=1e-3):
    """Questions at even distances, of which the loop answers one after the other; how many were
    let in and how many turned away, in each tenth of a second."""
    told = []
    free = clock.now
    due = clock.now
    ends = clock.now + seconds
    waiting = 0
    count = [0, 0]
    until = clock.now + 0.1
    while due < ends:
        # Those who wait are answered together, as in the service.
        clock.now = max(due, free)
        loop.cycle()
        if waiting:
            clock.now += waiting * cost
            made.leave(waiting, waiting * cost)
            waiting = 0
        free = clock.now
        while due <= clock.now:
            refused = made.is_too_long()
            count[refused] += 1
            if not refused:
                made.enter(1)
                waiting += 1
            due += 1 / rate
        if clock.now >= until:
            told.append(tuple(count))
            count, until = [0, 0], clock.now + 0.1
    made.leave(waiting, waiting * cost)
    return told


def test_a_burst_may_wait_for_as_long_as_bursts_may(clock):
    loop = Loop()
    made = LoadShedder(loop, 0.020, 0.003)
    made.cost = 1e-3
    let_in = 0
    while not made.is_too_long():
        made.enter(1)
        let_in += 1
    assert let_in == 21


def test_less_than_can_be_answered_is_never_turned_away(clock):
    loop = Loop()
    told = offer(LoadShedder(loop, 0.020, 0.003), loop, clock, rate=800, seconds=3)
    assert sum(refused for _, refused in told) == 0 and len(told) > 20


def test_of_three_times_too_much_as_much_is_answered_as_can_be_and_soon(clock):
    loop = Loop()
    made = LoadShedder(loop, 0.020, 0.003)
    told = offer(made, loop, clock, rate=3000, seconds=3)
    for let_in, refused in told[3:]:
        assert 80 <= let_in <= 110 and refused > 100
    assert made.n_waiting <= BATCH + 1


def test_when_it_is_over_bursts_may_wait_again(clock):
    loop = Loop()
    made = LoadShedder(loop, 0.020, 0.003)
    offer(made, loop, clock, rate=3000, seconds=1)
    told = offer(made, loop, clock, rate=500, seconds=1)
    assert sum(refused for _, refused in told[3:]) == 0
    clock.now += 10
    loop.cycle()
    made.leave(made.n_waiting, 0.0)
    made.cost = 1e-3
    for _ in range(15):
        assert not made.is_too_long()
        made.enter(1)


def test_nearly_as_much_as_can_be_answered_is_again_soon_after_too_much(clock):
    loop = Loop()
    made = LoadShedder(loop, 0.020, 0.003)
    offer(made, loop, clock, rate=3000, seconds=1)
    told = offer(made, loop, clock, rate=900, seconds=1)
    assert sum(refused for _, refused in told[3:]) == 0


def test_a_turn_that_takes_long_lets_fewer_in(clock):
    made = LoadShedder(Loop(), 0.020, 0.003)
    assert not made.is_too_long()
    clock.now += 0.021
    assert made.is_too_long()
    assert SPAN > 0.021
