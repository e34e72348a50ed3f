"""Questions that wait at the same time are scored together, some at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from propense.runtime.engine import Ask, CustomerAsOf, Scores, ScoringEngine
from propense.runtime.load_shedding import LoadShedder
from propense.schemas import Doubles

PIECE: Final = 8
"""Questions scored together: more cost little less each, and everyone who comes meanwhile waits
for all of them."""
LARGE: Final = 16
"""Where so many wait: then the little less is what counts."""


@dataclass(frozen=True)
class _Pending:
    """What one question waits for."""

    engine: ScoringEngine
    of_goals: bool
    asks: Sequence[Ask] | Sequence[CustomerAsOf]
    future: asyncio.Future[list[Any]]

    def goes_with(self, other: _Pending) -> bool:
        """Whether both can be answered in one run of a network."""
        return self.engine is other.engine and self.of_goals == other.of_goals


class Batcher:
    """Collects what has to be scored until the loop comes round, then scores it in pieces.

    Between two pieces the answers of the one are sent, and questions that need no scores, since
    they are known already, are answered.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: LoadShedder) -> None:
        self._loop = loop
        self._queue = queue
        self._waiting: deque[_Pending] = deque()
        self._due = False
        """Whether a piece is about to be scored."""

    async def score(self, engine: ScoringEngine, asks: Sequence[Ask]) -> list[Scores]:
        """Scores of each ask. Long lists are taken in pieces, so that others come between."""
        if all(ask.key in ask.known.kept for ask in asks):
            return engine.score(asks)
        out: list[Scores] = []
        for first in range(0, len(asks), PIECE):
            out += await self._enqueue(engine, asks[first : first + PIECE], of_goals=False)
        return out

    async def predict(
        self, engine: ScoringEngine, moments: Sequence[CustomerAsOf]
    ) -> list[Doubles]:
        """Every goal of each customer at a moment, (n_goals,) each; likewise in pieces."""
        out: list[Doubles] = []
        for first in range(0, len(moments), PIECE):
            out += await self._enqueue(engine, moments[first : first + PIECE], of_goals=True)
        return out

    def _enqueue(
        self, engine: ScoringEngine, asks: Sequence[Ask] | Sequence[CustomerAsOf], of_goals: bool
    ) -> asyncio.Future[list[Any]]:
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting.append(_Pending(engine, of_goals, asks, future))
        self._queue.enter(len(asks))
        if not self._due:
            self._due = True
            self._loop.call_soon(self._score_piece)
        return future

    def _score_piece(self) -> None:
        began = time.perf_counter()
        some = self._take()
        asks: list[Any] = [ask for wish in some for ask in wish.asks]
        engine = some[0].engine
        try:
            found = list(engine.predict(asks)) if some[0].of_goals else engine.score(asks)
        except Exception as error:
            # Whatever it was, those who wait must hear of it.
            for wish in some:
                if not wish.future.done():
                    wish.future.set_exception(error)
        else:
            first = 0
            for wish in some:
                if not wish.future.done():
                    wish.future.set_result(found[first : first + len(wish.asks)])
                first += len(wish.asks)
        # Those who were waiting go on before this is called: their answers are made by then.
        self._loop.call_soon(self._answered, len(asks), began)

    def _take(self) -> list[_Pending]:
        """Who has waited longest, and who goes with them; the others keep their places."""
        most = LARGE if len(self._waiting) >= LARGE else PIECE
        some: list[_Pending] = []
        others: deque[_Pending] = deque()
        size = 0
        for wish in self._waiting:
            if size + len(wish.asks) <= most and (not some or wish.goes_with(some[0])):
                some.append(wish)
                size += len(wish.asks)
            else:
                others.append(wish)
        self._waiting = others
        return some

    def _answered(self, n: int, began: float) -> None:
        self._queue.leave(n, time.perf_counter() - began)
        self._due = bool(self._waiting)
        if self._due:
            # What has come meanwhile is read in this turn and taken up in the next.
            self._loop.call_soon(self._loop.call_soon, self._score_piece)
