"""Dynamic batching: questions that wait at the same time are scored together."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from propense.runtime.engine import CustomerAsOf, ScoreRequest, Scores, ScoringEngine
from propense.runtime.load_shedding import LoadShedder
from propense.schemas import Doubles

PIECE: Final = 8
"""Questions scored together. More would cost little less each, and every question that arrives
meanwhile waits for all of them."""
LARGE: Final = 16
"""From so many waiting questions on they are scored so many together: then the cost of each
counts more."""


@dataclass(frozen=True)
class _Pending:
    """Questions that wait, and the future of their answers."""

    engine: ScoringEngine
    for_goals: bool
    requests: Sequence[ScoreRequest] | Sequence[CustomerAsOf]
    future: asyncio.Future[list[Any]]

    def fits(self, other: _Pending) -> bool:
        """Whether one run of a network can answer both."""
        return self.engine is other.engine and self.for_goals == other.for_goals


class Batcher:
    """Collects questions until the event loop comes round, then scores them in pieces.

    Between two pieces the loop sends the answers of the first, and answers questions whose
    scores are cached.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, shedder: LoadShedder) -> None:
        self._loop = loop
        self._shedder = shedder
        self._waiting: deque[_Pending] = deque()
        self._scheduled = False
        """Whether a piece is about to be scored."""

    async def score(self, engine: ScoringEngine, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """The scores of each request. Long lists are scored in pieces, with others in between."""
        if all(request.key in request.customer.cached for request in requests):
            return engine.score(requests)
        scores: list[Scores] = []
        for first in range(0, len(requests), PIECE):
            scores += await self._enqueue(engine, requests[first : first + PIECE], for_goals=False)
        return scores

    async def predict(
        self, engine: ScoringEngine, customers: Sequence[CustomerAsOf]
    ) -> list[Doubles]:
        """Every goal of each customer as of a time, (n_goals,) each; also in pieces."""
        predictions: list[Doubles] = []
        for first in range(0, len(customers), PIECE):
            piece = customers[first : first + PIECE]
            predictions += await self._enqueue(engine, piece, for_goals=True)
        return predictions

    def _enqueue(
        self,
        engine: ScoringEngine,
        requests: Sequence[ScoreRequest] | Sequence[CustomerAsOf],
        for_goals: bool,
    ) -> asyncio.Future[list[Any]]:
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting.append(_Pending(engine, for_goals, requests, future))
        self._shedder.enter(len(requests))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._score_piece)
        return future

    def _score_piece(self) -> None:
        start = time.perf_counter()
        piece = self._next_piece()
        requests: list[Any] = [request for pending in piece for request in pending.requests]
        engine = piece[0].engine
        try:
            answers = (
                list(engine.predict(requests)) if piece[0].for_goals else engine.score(requests)
            )
        except Exception as error:
            # Of any kind: those who wait must be answered.
            for pending in piece:
                if not pending.future.done():
                    pending.future.set_exception(error)
        else:
            first = 0
            for pending in piece:
                if not pending.future.done():
                    pending.future.set_result(answers[first : first + len(pending.requests)])
                first += len(pending.requests)
        # The tasks that were waiting run before this is called, so their answers are made by then.
        self._loop.call_soon(self._piece_done, len(requests), start)

    def _next_piece(self) -> list[_Pending]:
        """The questions that have waited longest and others that fit; the rest keep their order."""
        most = LARGE if len(self._waiting) >= LARGE else PIECE
        piece: list[_Pending] = []
        rest: deque[_Pending] = deque()
        size = 0
        for pending in self._waiting:
            if size + len(pending.requests) <= most and (not piece or pending.fits(piece[0])):
                piece.append(pending)
                size += len(pending.requests)
            else:
                rest.append(pending)
        self._waiting = rest
        return piece

    def _piece_done(self, n: int, start: float) -> None:
        self._shedder.leave(n, time.perf_counter() - start)
        self._scheduled = bool(self._waiting)
        if self._scheduled:
            # Requests that arrived meanwhile are read in this round of the loop and join in the
            # next.
            self._loop.call_soon(self._loop.call_soon, self._score_piece)
