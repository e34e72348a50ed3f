"""A second bundle answers silently, so that its differences are known before it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from propense.errors import StoreError
from propense.history.records import Customer
from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import CustomerAsOf, ScoringEngine
from propense.serving.answers import Asked, asks, list_items
from propense.serving.messages import RecommendAnswer

if TYPE_CHECKING:
    from propense.serving.service import Service

FILE: Final = "shadow.jsonl"
MOST_BYTES: Final = 50_000_000
"""Of the file; then it is put aside as shadow.1.jsonl and begun anew."""
MOST_WAITING: Final = 64
"""Comparisons that wait; more are left out, so that the shadow never slows what serves."""


class ListDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Two lists for one question; of whom is not said."""

    time: int
    scenario: str
    serving: str
    shadow: str
    shared: float
    """Of the serving list's items, how many the shadow's list holds."""
    items: list[str]
    shadow_items: list[str]


class GoalDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Two answers to one question about goals."""

    time: int
    serving: str
    shadow: str
    goals: dict[str, tuple[float, float]]
    """Goal -> (serving, shadow)."""


class Shadow:
    """The bundle that answers silently."""

    def __init__(self, service: Service, engine: ScoringEngine) -> None:
        self._service = service
        self.engine = engine
        self._file = service.data / FILE
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def compare_lists(
        self, asked: Sequence[Asked], answers: Sequence[RecommendAnswer], now: int
    ) -> None:
        """Answer the same questions later, and write down what differs. `now` in seconds."""
        if self._waiting < MOST_WAITING:
            self._later(self._lists(list(asked), list(answers), now))

    def compare_goals(
        self,
        engine: ScoringEngine,
        customers: Sequence[CustomerState],
        as_of: Sequence[int],
        answers: Sequence[np.ndarray],
        now: int,
    ) -> None:
        """Likewise of goals."""
        if self._waiting < MOST_WAITING:
            self._later(self._goals(engine, list(customers), list(as_of), list(answers), now))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self._waiting += 1
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._waiting -= 1
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._service.metrics.shadow("failed")

    async def _lists(self, asked: list[Asked], answers: list[RecommendAnswer], now: int) -> None:
        again: list[Asked] = []
        given: list[RecommendAnswer] = []
        for each, answer in zip(asked, answers, strict=True):
            known = None if each.known is None else await self._find(each.known)
            if known is not None or each.known is None:
                again.append(Asked(each.question, known, each.personal, each.degraded))
                given.append(answer)
        if not again:
            return
        wanted = asks(self.engine, again)
        real = [ask for ask in wanted if ask is not None]
        scores = iter(await self._service.gather.score(self.engine, real) if real else [])
        for each, ask, answer in zip(again, wanted, given, strict=True):
            made = list_items(self.engine, each, ask, None if ask is None else next(scores), now)
            items = [item.item_id for item in answer.items]
            others = [item.item_id for item in made.items]
            self._service.metrics.shadow("same" if items == others else "different")
            if items != others:
                self._write(
                    ListDifference(
                        time=now,
                        scenario=answer.scenario,
                        serving=answer.bundle,
                        shadow=self.engine.version,
                        items=items,
                        shadow_items=others,
                        shared=len(set(items) & set(others)) / max(len(items), 1),
                    )
                )

    async def _goals(
        self,
        engine: ScoringEngine,
        customers: list[CustomerState],
        as_of: list[int],
        answers: list[np.ndarray],
        now: int,
    ) -> None:
        moments: list[CustomerAsOf] = []
        given: list[np.ndarray] = []
        for known, moment, answer in zip(customers, as_of, answers, strict=True):
            again = await self._find(known)
            if again is not None:
                moments.append((again, moment))
                given.append(answer)
        made = await self._service.gather.predict(self.engine, moments)
        names = [serving.goal.name for serving in engine.bundle.info.goals]
        others = [serving.goal.name for serving in self.engine.bundle.info.goals]
        for one, other in zip(given, made, strict=True):
            pairs = {
                name: (float(one[place]), float(other[others.index(name)]))
                for place, name in enumerate(names) if name in others
            }  # fmt: skip
            same = all(np.isclose(first, second, atol=1e-6) for first, second in pairs.values())
            self._service.metrics.shadow("same" if same else "different")
            if not same:
                self._write(
                    GoalDifference(
                        time=now, serving=engine.version, shadow=self.engine.version, goals=pairs
                    )
                )

    async def _find(self, known: CustomerState) -> CustomerState | None:
        """The same customer as the shadow's bundle reads them; None, and counted, where they have
        changed since. Raises StoreError where the store cannot be read."""
        if not known.version:
            return self.engine.read(Customer(user_id=known.user_id, version=0, events=[]))
        again, degraded = await self._service.people.find(self.engine, known.user_id)
        if again is None and degraded:
            raise StoreError("the shadow cannot read live history")
        if again is None or not again.is_like(known):
            self._service.metrics.shadow("outrun")
            return None
        return again

    def _write(self, difference: msgspec.Struct) -> None:
        try:
            if self._file.exists() and self._file.stat().st_size > MOST_BYTES:
                self._file.replace(_aside(self._file))
            with self._file.open("ab") as stream:
                stream.write(msgspec.json.encode(difference) + b"\n")
        except OSError as error:
            self._service.watch.log.problem("shadow failed", error)


def open_shadow(service: Service) -> Shadow | None:
    """The shadow that the settings name. Raises BundleError where it is not on the shelf."""
    version = service.serve.shadow
    return None if version is None else Shadow(service, service.bundles.open_now(version))


def _aside(file: Path) -> Path:
    return file.with_name(file.stem + ".1.jsonl")
