"""Questions are scored in pieces, in the order they came, and others come between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest

from propense.runtime.batcher import LARGE, PIECE, Batcher


class Nobody:
    """A queue that lets everybody in."""

    def __init__(self):
        self.n_waiting = 0

    def enter(self, n):
        self.n_waiting += n

    def leave(self, n, seconds):
        assert seconds >= 0
        self.n_waiting -= n


@dataclass
class Held:
    kept: dict[Any, Any] = field(default_factory=dict)


@dataclass
class Ask:
    name: int
    known: Held = field(default_factory=Held)
    key: str = "scores"


class Engine:
    """Scores are the names asked about; every call is written down."""

    def __init__(self, calls):
        self.calls = calls

    def score(self, asks):
        self.calls.append([ask.name for ask in asks])
        if any(ask.name < 0 for ask in asks):
            raise ValueError("no such customer")
        return [ask.known.kept.get(ask.key, ask.name) for ask in asks]

    def predict(self, asked):
        self.calls.append(list(asked))
        return [f"{known} at {as_of}" for known, as_of in asked]


def run(work):
    async def all_of():
        queue = Nobody()
        found = await work(Batcher(asyncio.get_running_loop(), queue))
        # What is counted as answered is counted a turn after the answer.
        await asyncio.sleep(0)
        assert queue.n_waiting == 0
        return found

    return asyncio.run(all_of())


def test_whoever_asks_in_one_turn_is_scored_together():
    calls = []
    engine = Engine(calls)

    async def work(gather):
        return await asyncio.gather(*(gather.score(engine, [Ask(n)]) for n in range(5)))

    assert run(work) == [[0], [1], [2], [3], [4]]
    assert calls == [[0, 1, 2, 3, 4]]


def test_many_are_taken_in_pieces_in_the_order_they_came():
    calls = []
    engine = Engine(calls)
    n = LARGE + 2 * PIECE - 1

    async def work(gather):
        return await asyncio.gather(*(gather.score(engine, [Ask(name)]) for name in range(n)))

    assert run(work) == [[name] for name in range(n)]
    # Fewer than a large piece are left after the first.
    assert [len(call) for call in calls] == [LARGE, PIECE, PIECE - 1]
    assert list(chain(*calls)) == list(range(n))


def test_a_long_list_waits_its_turn_piece_by_piece():
    calls = []
    engine = Engine(calls)

    async def work(gather):
        long = gather.score(engine, [Ask(n) for n in range(100, 100 + 3 * PIECE)])
        return await asyncio.gather(long, *(gather.score(engine, [Ask(n)]) for n in range(3)))

    found = run(work)
    assert found[0] == list(range(100, 100 + 3 * PIECE)) and found[1:] == [[0], [1], [2]]
    # The three do not wait for the end of the list.
    assert calls[1] == [0, 1, 2]


def test_networks_are_not_mixed():
    calls = [[], []]
    engines = [Engine(each) for each in calls]

    async def work(gather):
        return await asyncio.gather(*(gather.score(engines[n % 2], [Ask(n)]) for n in range(6)))

    assert run(work) == [[n] for n in range(6)]
    assert [sorted(chain(*each)) for each in calls] == [[0, 2, 4], [1, 3, 5]]


def test_goals_are_gathered_apart_from_scores():
    calls = []
    engine = Engine(calls)

    async def work(gather):
        goals = [gather.predict(engine, [(f"c{n}", n)]) for n in range(3)]
        lists = [gather.score(engine, [Ask(n)]) for n in range(3)]
        both = [one for pair in zip(goals, lists, strict=True) for one in pair]
        return await asyncio.gather(*both)

    found = run(work)
    assert found[::2] == [["c0 at 0"], ["c1 at 1"], ["c2 at 2"]] and found[1::2] == [[0], [1], [2]]
    assert calls == [[("c0", 0), ("c1", 1), ("c2", 2)], [0, 1, 2]]


def test_nobody_is_passed_over_for_ever():
    """Whoever has waited longest is in the next piece, though others go better together."""
    calls = []
    engine = Engine(calls)

    async def work(gather):
        many = [gather.score(engine, [Ask(n)]) for n in range(PIECE + 1)]
        goal = gather.predict(engine, [("ann", 1)])
        return await asyncio.gather(*many, goal)

    assert run(work)[-1] == ["ann at 1"]
    assert calls == [list(range(PIECE)), [PIECE], [("ann", 1)]]


def test_what_is_known_waits_for_nobody():
    calls = []
    engine = Engine(calls)
    order = []

    async def ask(gather, ask):
        order.append((await gather.score(engine, [ask]))[0])

    async def work(gather):
        waiting = [asyncio.ensure_future(ask(gather, Ask(n))) for n in range(3 * PIECE)]
        await asyncio.sleep(0)
        known = Ask(-7, Held({"scores": "known"}))
        engine.score = lambda asks: [one.known.kept.get(one.key, one.name) for one in asks]
        await ask(gather, known)
        assert order == ["known"]
        await asyncio.gather(*waiting)

    run(work)
    assert order[1:] == list(range(3 * PIECE))


def test_others_come_between_two_pieces():
    """Who comes while a piece is scored and needs no scores is answered before the next piece."""
    calls = []
    engine = Engine(calls)

    async def work(gather):
        loop = asyncio.get_running_loop()
        scored = engine.score

        def score(asks):
            # As a request that comes while the first piece is scored: the loop sees it in its
            # next turn, behind all that is due by then.
            if not calls:
                loop.call_later(0, lambda: loop.create_task(between()))
            return scored(asks)

        async def between():
            calls.append("between")

        engine.score = score
        await asyncio.gather(*(gather.score(engine, [Ask(n)]) for n in range(PIECE + 1)))

    run(work)
    assert calls == [list(range(PIECE)), "between", [PIECE]]


def test_an_error_reaches_those_of_its_piece_alone():
    calls = []
    engine = Engine(calls)

    async def work(gather):
        names = [*range(PIECE), -1, 50]
        return await asyncio.gather(
            *(gather.score(engine, [Ask(n)]) for n in names), return_exceptions=True
        )

    found = run(work)
    assert found[:PIECE] == [[n] for n in range(PIECE)]
    assert all(isinstance(each, ValueError) for each in found[PIECE:])


def test_whoever_gave_up_keeps_nobody_waiting():
    calls = []
    engine = Engine(calls)

    async def work(gather):
        tasks = [asyncio.ensure_future(gather.score(engine, [Ask(n)])) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[1], asyncio.CancelledError)
        return [found[0], found[2]]

    assert run(work) == [[0], [2]]


@pytest.mark.parametrize("n", [0, 1, PIECE, PIECE + 1])
def test_as_many_scores_as_asks(n):
    engine = Engine([])

    async def work(gather):
        return await gather.score(engine, [Ask(number) for number in range(n)])

    assert run(work) == list(range(n))
