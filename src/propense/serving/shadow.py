"""A second bundle answers silently, so that its differences are known before it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from propense.errors import StoreError
from propense.files import private_opener
from propense.history.records import Customer
from propense.runtime.batcher import Batcher
from propense.runtime.customer_reader import CustomerReader
from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import CustomerAsOf, ScoringEngine
from propense.runtime.metrics import Metrics
from propense.serving.answers import CustomerQuestion, list_items, score_requests
from propense.serving.messages.recommend import RecommendAnswer
from propense.web.log import Log

FILE: Final = "shadow.jsonl"
MOST_BYTES: Final = 50_000_000
"""Size at which the file is renamed to shadow.1.jsonl and a new one begun."""
MOST_WAITING: Final = 64
"""Comparisons that may wait; more are left out, so that the shadow never slows what serves."""


class ListDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Two lists for one question, without its customer."""

    time: int
    scenario: str
    serving: str
    shadow: str
    shared: float
    """Fraction of the serving list's items that the shadow's list holds."""
    items: list[str]
    shadow_items: list[str]


class GoalDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Two answers to one question about goals, without its customer."""

    time: int
    serving: str
    shadow: str
    goals: dict[str, tuple[float, float]]
    """Goal -> (serving, shadow)."""


class Shadow:
    """The bundle that answers silently. Differences are written to `file`, results counted."""

    def __init__(
        self,
        engine: ScoringEngine,
        reader: CustomerReader,
        batcher: Batcher,
        metrics: Metrics,
        file: Path,
        log: Log,
    ) -> None:
        self.engine = engine
        self._reader = reader
        self._batcher = batcher
        self._metrics = metrics
        self._file = file
        self._log = log
        self._n_waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def compare_lists(
        self, questions: Sequence[CustomerQuestion], answers: Sequence[RecommendAnswer], now: int
    ) -> None:
        """Answer the same questions later, and write down the differences. `now` in seconds."""
        if self._n_waiting < MOST_WAITING:
            self._start(self._compare_lists(list(questions), list(answers), now))

    def compare_goals(
        self,
        engine: ScoringEngine,
        customers: Sequence[CustomerAsOf],
        predictions: Sequence[np.ndarray],
        now: int,
    ) -> None:
        """The same for predictions of goals, (n_goals,) each; `engine` made them."""
        if self._n_waiting < MOST_WAITING:
            self._start(self._compare_goals(engine, list(customers), list(predictions), now))

    def _start(self, comparison: Coroutine[Any, Any, None]) -> None:
        self._n_waiting += 1
        task = asyncio.get_running_loop().create_task(comparison)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._n_waiting -= 1
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._metrics.shadow("failed")

    async def _compare_lists(
        self, questions: list[CustomerQuestion], answers: list[RecommendAnswer], now: int
    ) -> None:
        repeated: list[CustomerQuestion] = []
        served: list[RecommendAnswer] = []
        for each, answer in zip(questions, answers, strict=True):
            customer = None if each.customer is None else await self._reread(each.customer)
            if customer is not None or each.customer is None:
                repeated.append(replace(each, customer=customer))
                served.append(answer)
        if not repeated:
            return
        requests = score_requests(self.engine, repeated, now)
        scored = [request for request in requests if request is not None]
        scores = iter(await self._batcher.score(self.engine, scored) if scored else [])
        for each, request, answer in zip(repeated, requests, served, strict=True):
            own = list_items(
                self.engine, each, request, None if request is None else next(scores), now
            )
            items = [item.item_id for item in answer.items]
            shadow_items = [item.item_id for item in own.items]
            self._metrics.shadow("same" if items == shadow_items else "different")
            if items != shadow_items:
                self._write(
                    ListDifference(
                        time=now,
                        scenario=answer.scenario,
                        serving=answer.bundle,
                        shadow=self.engine.version,
                        items=items,
                        shadow_items=shadow_items,
                        shared=len(set(items) & set(shadow_items)) / max(len(items), 1),
                    )
                )

    async def _compare_goals(
        self,
        engine: ScoringEngine,
        customers: list[CustomerAsOf],
        predictions: list[np.ndarray],
        now: int,
    ) -> None:
        repeated: list[CustomerAsOf] = []
        served: list[np.ndarray] = []
        for (customer, as_of), prediction in zip(customers, predictions, strict=True):
            own_customer = await self._reread(customer)
            if own_customer is not None:
                repeated.append((own_customer, as_of))
                served.append(prediction)
        own = await self._batcher.predict(self.engine, repeated)
        names = [serving.goal.name for serving in engine.bundle.info.goals]
        own_names = [serving.goal.name for serving in self.engine.bundle.info.goals]
        for prediction, own_prediction in zip(served, own, strict=True):
            goals = {
                name: (float(prediction[index]), float(own_prediction[own_names.index(name)]))
                for index, name in enumerate(names) if name in own_names
            }  # fmt: skip
            same = all(np.isclose(first, second, atol=1e-6) for first, second in goals.values())
            self._metrics.shadow("same" if same else "different")
            if not same:
                self._write(
                    GoalDifference(
                        time=now, serving=engine.version, shadow=self.engine.version, goals=goals
                    )
                )

    async def _reread(self, customer: CustomerState) -> CustomerState | None:
        """The same customer as the shadow's bundle reads them; None, and counted, where they have
        changed since. Raises StoreError where the store cannot be read."""
        if not customer.version:
            return self.engine.read(Customer(user_id=customer.user_id, version=0, events=[]))
        own, degraded = await self._reader.find(self.engine, customer.user_id)
        if own is None and degraded:
            raise StoreError("the shadow cannot read live history")
        if own is None or not own.is_like(customer):
            self._metrics.shadow("outrun")
            return None
        return own

    def _write(self, difference: msgspec.Struct) -> None:
        try:
            if self._file.exists() and self._file.stat().st_size > MOST_BYTES:
                self._file.replace(self._file.with_name(f"{self._file.stem}.1.jsonl"))
            with open(self._file, "ab", opener=private_opener) as stream:
                stream.write(msgspec.json.encode(difference) + b"\n")
        except OSError as error:
            self._log.problem("shadow failed", error)
