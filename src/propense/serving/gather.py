"""Questions that arrive in the same turn of the event loop are scored together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from propense.schemas import Doubles
from propense.serving.engine import Ask, Engine, Scores
from propense.serving.known import Known
from propense.serving.queue import Queue

_CHUNK: Final = 16


class Gather:
    """Collects what has to be scored until the loop comes round, then scores it in batches."""

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: Queue) -> None:
        self._loop = loop
        self._queue = queue
        self._waiting: list[tuple[Engine, Sequence[Ask], asyncio.Future[list[Scores]]]] = []

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
        self._queue.enter(len(asks))
        return future

    def _flush(self) -> None:
        began = time.perf_counter()
        waiting, self._waiting = self._waiting, []
        groups: dict[int, list[tuple[Engine, Sequence[Ask], asyncio.Future[list[Scores]]]]] = {}
        for each in waiting:
            groups.setdefault(id(each[0]), []).append(each)
        for group in groups.values():
            asks = [ask for _, some, _ in group for ask in some]
            try:
                scores = group[0][0].score(asks)
            except Exception as error:
                for _, _, future in group:
                    if not future.done():
                        future.set_exception(error)
                scores = []
            first = 0
            for _, some, future in group:
                if not future.done():
                    future.set_result(scores[first : first + len(some)])
                first += len(some)
        # Those who were waiting go on before this is called: their answers are made by then.
        self._loop.call_soon(self._answered, sum(len(some) for _, some, _ in waiting), began)

    def _answered(self, n: int, began: float) -> None:
        self._queue.leave(n, time.perf_counter() - began)
