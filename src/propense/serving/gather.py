"""Questions that wait at the same time are scored together, some at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from propense.schemas import Doubles
from propense.serving.engine import Ask, Engine, Scores
from propense.serving.known import Known
from propense.serving.queue import Queue

PIECE: Final = 8
"""Questions scored together: more cost little less each, and everyone who comes meanwhile waits
for all of them."""
LARGE: Final = 16
"""Where so many wait: then the little less is what counts."""

_Waiting = tuple[Engine, Sequence[Ask], asyncio.Future[list[Scores]]]


class Gather:
    """Collects what has to be scored until the loop comes round, then scores it in pieces.

    Between two pieces the answers of the one are sent, and questions that need no scores, since
    they are known already, are answered.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: Queue) -> None:
        self._loop = loop
        self._queue = queue
        self._waiting: deque[_Waiting] = deque()
        self._due = False
        """Whether a piece is about to be scored."""

    async def score(self, engine: Engine, asks: Sequence[Ask]) -> list[Scores]:
        """Scores of each ask. Long lists are taken in pieces, so that others come between."""
        if all(ask.key in ask.known.kept for ask in asks):
            return engine.score(asks)
        out: list[Scores] = []
        for first in range(0, len(asks), PIECE):
            out += await self._enqueue(engine, asks[first : first + PIECE])
        return out

    async def predict(
        self, engine: Engine, customers: Sequence[Known], as_of: Sequence[int]
    ) -> list[Doubles]:
        """Every goal of each customer, (n_goals,) each; in pieces, so that others come between."""
        out: list[Doubles] = []
        for first in range(0, len(customers), PIECE):
            if first:
                await asyncio.sleep(0)
            piece = slice(first, first + PIECE)
            out += list(engine.predict(customers[piece], as_of[piece]))
        return out

    def _enqueue(self, engine: Engine, asks: Sequence[Ask]) -> asyncio.Future[list[Scores]]:
        future: asyncio.Future[list[Scores]] = self._loop.create_future()
        self._waiting.append((engine, asks, future))
        self._queue.enter(len(asks))
        if not self._due:
            self._due = True
            self._loop.call_soon(self._score_piece)
        return future

    def _score_piece(self) -> None:
        began = time.perf_counter()
        some = self._take()
        engine = some[0][0]
        asks = [ask for _, asks, _ in some for ask in asks]
        try:
            scores = engine.score(asks)
        except Exception as error:
            # Whatever it was, those who wait must hear of it.
            for _, _, future in some:
                if not future.done():
                    future.set_exception(error)
        else:
            first = 0
            for _, own, future in some:
                if not future.done():
                    future.set_result(scores[first : first + len(own)])
                first += len(own)
        # Those who were waiting go on before this is called: their answers are made by then.
        self._loop.call_soon(self._answered, len(asks), began)

    def _take(self) -> list[_Waiting]:
        """Who is next: at most a piece, of one engine."""
        most = LARGE if len(self._waiting) >= LARGE else PIECE
        some = [self._waiting.popleft()]
        size = len(some[0][1])
        while self._waiting:
            engine, asks, _ = self._waiting[0]
            size += len(asks)
            if engine is not some[0][0] or size > most:
                break
            some.append(self._waiting.popleft())
        return some

    def _answered(self, n: int, began: float) -> None:
        self._queue.leave(n, time.perf_counter() - began)
        self._due = bool(self._waiting)
        if self._due:
            # What has come meanwhile is read in this turn and taken up in the next.
            self._loop.call_soon(self._loop.call_soon, self._score_piece)
