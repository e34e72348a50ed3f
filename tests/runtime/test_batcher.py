"""Questions are scored in pieces, in the order of arrival, with others in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pytest

from propense.runtime.batcher import LARGE, PIECE, Batcher


class Admitting:
    """A load shedder that admits everything."""

    def __init__(self):
        self.n_waiting = 0

    def enter(self, n):
        self.n_waiting += n

    def leave(self, n, seconds):
        assert seconds >= 0
        self.n_waiting -= n


@dataclass
class Customer:
    cached: dict[Any, Any] = field(default_factory=dict)


@dataclass
class ScoreRequest:
    name: int
    customer: Customer = field(default_factory=Customer)
    key: str = "scores"


class Engine:
    """Its scores are the names; every call is recorded."""

    def __init__(self, calls):
        self.calls = calls

    def score(self, requests):
        self.calls.append([request.name for request in requests])
        if any(request.name < 0 for request in requests):
            raise ValueError("no such customer")
        return [request.customer.cached.get(request.key, request.name) for request in requests]

    def predict(self, questions):
        self.calls.append(list(questions))
        return [f"{customer} at {as_of}" for customer, as_of in questions]


def run(work):
    async def all_of():
        shedder = Admitting()
        result = await work(Batcher(asyncio.get_running_loop(), shedder))
        # Answers are counted one round of the loop after they are given.
        await asyncio.sleep(0)
        assert shedder.n_waiting == 0
        return result

    return asyncio.run(all_of())


def test_questions_of_one_round_are_scored_together():
    calls = []
    engine = Engine(calls)

    async def work(batcher):
        return await asyncio.gather(*(batcher.score(engine, [ScoreRequest(n)]) for n in range(5)))

    assert run(work) == [[0], [1], [2], [3], [4]]
    assert calls == [[0, 1, 2, 3, 4]]


def test_many_are_scored_in_pieces_in_the_order_of_arrival():
    calls = []
    engine = Engine(calls)
    n = LARGE + 2 * PIECE - 1

    async def work(batcher):
        return await asyncio.gather(
            *(batcher.score(engine, [ScoreRequest(name)]) for name in range(n))
        )

    assert run(work) == [[name] for name in range(n)]
    # Fewer than a large piece are left after the first.
    assert [len(call) for call in calls] == [LARGE, PIECE, PIECE - 1]
    assert list(chain(*calls)) == list(range(n))


def test_a_long_list_is_scored_piece_by_piece():
    calls = []
    engine = Engine(calls)

    async def work(batcher):
        long = batcher.score(engine, [ScoreRequest(n) for n in range(100, 100 + 3 * PIECE)])
        return await asyncio.gather(
            long, *(batcher.score(engine, [ScoreRequest(n)]) for n in range(3))
        )

    results = run(work)
    assert results[0] == list(range(100, 100 + 3 * PIECE)) and results[1:] == [[0], [1], [2]]
    # The three do not wait for the end of the list.
    assert calls[1] == [0, 1, 2]


def test_networks_are_not_mixed():
    calls = [[], []]
    engines = [Engine(each) for each in calls]

    async def work(batcher):
        return await asyncio.gather(
            *(batcher.score(engines[n % 2], [ScoreRequest(n)]) for n in range(6))
        )

    assert run(work) == [[n] for n in range(6)]
    assert [sorted(chain(*each)) for each in calls] == [[0, 2, 4], [1, 3, 5]]


def test_goals_and_scores_are_different_batches():
    calls = []
    engine = Engine(calls)

    async def work(batcher):
        goals = [batcher.predict(engine, [(f"c{n}", n)]) for n in range(3)]
        lists = [batcher.score(engine, [ScoreRequest(n)]) for n in range(3)]
        both = [one for pair in zip(goals, lists, strict=True) for one in pair]
        return await asyncio.gather(*both)

    results = run(work)
    assert results[::2] == [["c0 at 0"], ["c1 at 1"], ["c2 at 2"]] and results[1::2] == [
        [0],
        [1],
        [2],
    ]
    assert calls == [[("c0", 0), ("c1", 1), ("c2", 2)], [0, 1, 2]]


def test_no_question_waits_for_ever():
    """The question that has waited longest is in the next piece, even if others fit better."""
    calls = []
    engine = Engine(calls)

    async def work(batcher):
        many = [batcher.score(engine, [ScoreRequest(n)]) for n in range(PIECE + 1)]
        goal = batcher.predict(engine, [("ann", 1)])
        return await asyncio.gather(*many, goal)

    assert run(work)[-1] == ["ann at 1"]
    assert calls == [list(range(PIECE)), [PIECE], [("ann", 1)]]


def test_cached_scores_do_not_wait():
    calls = []
    engine = Engine(calls)
    order = []

    async def score(batcher, request):
        order.append((await batcher.score(engine, [request]))[0])

    async def work(batcher):
        waiting = [asyncio.ensure_future(score(batcher, ScoreRequest(n))) for n in range(3 * PIECE)]
        await asyncio.sleep(0)
        cached = ScoreRequest(-7, Customer({"scores": "cached"}))
        engine.score = lambda requests: [
            one.customer.cached.get(one.key, one.name) for one in requests
        ]
        await score(batcher, cached)
        assert order == ["cached"]
        await asyncio.gather(*waiting)

    run(work)
    assert order[1:] == list(range(3 * PIECE))


def test_cached_answers_are_given_between_two_pieces():
    """A question that arrives during a piece and needs no scores is answered before the next."""
    calls = []
    engine = Engine(calls)

    async def work(batcher):
        loop = asyncio.get_running_loop()
        score_really = engine.score

        def score(requests):
            # Like a request that arrives while the first piece is scored: the loop sees it in its
            # next round, after everything that is due by then.
            if not calls:
                loop.call_later(0, lambda: loop.create_task(between()))
            return score_really(requests)

        async def between():
            calls.append("between")

        engine.score = score
        await asyncio.gather(*(batcher.score(engine, [ScoreRequest(n)]) for n in range(PIECE + 1)))

    run(work)
    assert calls == [list(range(PIECE)), "between", [PIECE]]


def test_an_error_reaches_only_its_piece():
    calls = []
    engine = Engine(calls)

    async def work(batcher):
        names = [*range(PIECE), -1, 50]
        return await asyncio.gather(
            *(batcher.score(engine, [ScoreRequest(n)]) for n in names), return_exceptions=True
        )

    results = run(work)
    assert results[:PIECE] == [[n] for n in range(PIECE)]
    assert all(isinstance(each, ValueError) for each in results[PIECE:])


def test_a_cancelled_question_delays_nobody():
    calls = []
    engine = Engine(calls)

    async def work(batcher):
        tasks = [asyncio.ensure_future(batcher.score(engine, [ScoreRequest(n)])) for n in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[1], asyncio.CancelledError)
        return [results[0], results[2]]

    assert run(work) == [[0], [2]]


@pytest.mark.parametrize("n", [0, 1, PIECE, PIECE + 1])
def test_as_many_scores_as_asks(n):
    engine = Engine([])

    async def work(batcher):
        return await batcher.score(engine, [ScoreRequest(number) for number in range(n)])

    assert run(work) == list(range(n))
