"""Questions that arrive in the same turn of the event loop are scored together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from propense.schemas import Doubles
from propense.serving.engine import Ask, Engine, Scores
from propense.serving.known import Known

_SLOW: Final = 0.05
"""Weight of the newest measurement in the mean cost of an answer."""
_FIRST_COST: Final = 5e-4
_CHUNK: Final = 64


class Gather:
    """Collects what has to be scored until the loop comes round, then scores it in batches."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[Engine, Sequence[Ask], asyncio.Future[list[Scores]]]] = []
        self._turn: float | None = None
        """When the first of the questions that were read together was taken up."""
        self.n_waiting = 0
        self.cost = _FIRST_COST
        """Mean seconds of one customer's scores, lately."""

    def wait_of_next(self) -> float:
        """Seconds that the question now at hand has waited for those that were read with it,
        and will wait for what has to be scored before it."""
        now = time.perf_counter()
        if self._turn is None:
            self._turn = now
            self._loop.call_soon(self._end_turn)
        return now - self._turn + self.n_waiting * self.cost

    def _end_turn(self) -> None:
        self._turn = None

    async def score(self, engine: Engine, asks: Sequence[Ask]) -> list[Scores]:
        """Scores of each ask. Long lists are taken in pieces, so that others come between."""
        if all(ask.key in ask.known.kept for ask in asks):
            return engine.score(asks)
        out: list[Scores] = []
        for first in range(0, len(asks), _CHUNK):
            out += await self._enqueue(engine, asks[first : first + _CHUNK])
        return out

    async def predict(
        self, engine: Engine, customers: Sequence[Known], as_of: Sequence[int]
    ) -> list[Doubles]:
        """Every goal of each customer, (n_goals,) each; in pieces, so that others come between."""
        out: list[Doubles] = []
        for first in range(0, len(customers), _CHUNK):
            if first:
                await asyncio.sleep(0)
            piece = slice(first, first + _CHUNK)
            out += list(engine.predict(customers[piece], as_of[piece]))
        return out

    def _enqueue(self, engine: Engine, asks: Sequence[Ask]) -> asyncio.Future[list[Scores]]:
        future: asyncio.Future[list[Scores]] = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append((engine, asks, future))
        self.n_waiting += len(asks)
        return future

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        groups: dict[int, list[tuple[Engine, Sequence[Ask], asyncio.Future[list[Scores]]]]] = {}
        for each in waiting:
            groups.setdefault(id(each[0]), []).append(each)
        for group in groups.values():
            asks = [ask for _, some, _ in group for ask in some]
            began = time.perf_counter()
            try:
                scores = group[0][0].score(asks)
            except Exception as error:
                for _, _, future in group:
                    if not future.done():
                        future.set_exception(error)
                scores = []
            spent = (time.perf_counter() - began) / max(len(asks), 1)
            self.cost += _SLOW * (spent - self.cost)
            first = 0
            for _, some, future in group:
                if not future.done():
                    future.set_result(scores[first : first + len(some)])
                first += len(some)
        self.n_waiting -= sum(len(some) for _, some, _ in waiting)
