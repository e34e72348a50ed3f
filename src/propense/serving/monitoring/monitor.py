"""What the service tells of itself: counts, alarms, log lines, and whether it is ready."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from propense.evaluation.records import NETWORK
from propense.history.records import VERIFY_PREFIX, CustomerUpdate, WriteResult
from propense.runtime.customer_state import CustomerState
from propense.runtime.engine import ScoringEngine
from propense.runtime.metrics import Gauges, Metrics
from propense.serving.answers import POPULAR, Asked
from propense.serving.messages import RecommendAnswer
from propense.serving.monitoring.drift import DriftMonitor
from propense.serving.monitoring.item_share import ItemShareMonitor
from propense.serving.monitoring.readiness import Readiness
from propense.web.log import LibraryHandler, Log

if TYPE_CHECKING:
    from propense.serving.service import Service

MOST_OF_A_BATCH: Final = 50
"""Drift is about customers who are there; of whole audiences a few are looked at."""


class Monitor:
    """Counts what happens and knows what is wrong. For the event loop's thread, but
    `what_is_missing`."""

    def __init__(self, service: Service, folder: Path, routes: Sequence[str]) -> None:
        self._service = service
        self.metrics = Metrics(folder, routes, self._look)
        self.log = Log(lambda: time.time_ns() // 1000, routes=routes)
        self._libraries = LibraryHandler(self.log)
        self._readiness = Readiness(
            service.data, lambda: service.engine.bundle, lambda: service.store.ping(),
            self._why_not_written,
        )  # fmt: skip
        self._failed: str | None = None
        self._n_lost = 0
        """What was told of the writer already."""
        self.follow(service.engine)

    def start(self) -> None:
        """What libraries say goes to the log alone from now on: their own lines name people."""
        # Not of uvicorn.access, which would then write a line a request for nobody.
        self._libraries.take_over("uvicorn", "uvicorn.error", "propense")
        self.log.notice("started", bundle=self._service.engine.version)

    def follow(self, engine: ScoringEngine) -> None:
        """Look at what this bundle answers, from now on."""
        reference_profile = engine.bundle.reference_profile
        self._drift = DriftMonitor(reference_profile)
        self._item_shares = ItemShareMonitor(reference_profile.item_shares)
        self._find = engine.bundle.encoder.items.find
        self.log.inputs = frozenset(self._drift.gauges()[0]) | frozenset(reference_profile.goals)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self.metrics.request(route, status, seconds)
        self.log.access(route, status, seconds)

    def defect(self, route: str, error: Exception) -> None:
        """A route met what nobody foresaw."""
        self.log.problem("defect", error, route=route, status=500)

    def kept(
        self, updates: Sequence[CustomerUpdate], outcomes: Sequence[WriteResult], n_refused: int
    ) -> None:
        """Events came in; `outcomes` are of `updates`, of integration tests nothing is counted."""
        counts = dict.fromkeys(("kept", "repeated", "suppressed"), 0)
        bounds = self._service.engine.bundle.reference_profile.bounds
        observe, find = self._drift.observe_event, self._find
        n_clipped = 0
        for update, outcome in zip(updates, outcomes, strict=True):
            if update.user_id.startswith(VERIFY_PREFIX):
                continue
            counts[outcome] += 1
            if outcome != "kept":
                continue
            for event in update.events:
                unseen = None if event.item_id is None else find(event.item_id) < 2
                observe(event.action, event.source, event.value, unseen)
                n_clipped += bounds.clip_event(event) is not event
        for word, count in counts.items():
            if count:
                self.metrics.events(word, count)  # type: ignore[arg-type]
        if n_clipped:
            self.metrics.events("clipped", n_clipped)
        if n_refused:
            self.metrics.events("refused", n_refused)

    def flooded(self, n_customers: int) -> None:
        """Customers were refused as a flood."""
        self.metrics.alarm("flood")
        self.log.problem("flood refused", level="warning", n=n_customers)

    def told(
        self, engine: ScoringEngine, asked: Sequence[Asked], answers: Sequence[RecommendAnswer]
    ) -> None:
        """Lists were shown."""
        follows = engine is self._service.engine
        for number, (each, answer) in enumerate(zip(asked, answers, strict=True)):
            if each.question.user_id.startswith(VERIFY_PREFIX):
                continue
            if answer.policy == POPULAR:
                self.metrics.question("fallback")
            else:
                self.metrics.question("network" if answer.policy == NETWORK else "rival")
            if not follows:
                continue
            self._item_shares.observe_list([item.item_id for item in answer.items])
            if number < MOST_OF_A_BATCH:
                self._drift.observe_answer(0 if each.known is None else each.known.n_events)

    def predicted(
        self,
        engine: ScoringEngine,
        customers: Sequence[CustomerState],
        answers: Sequence[np.ndarray],
    ) -> None:
        """Goals were answered."""
        real = [
            (known, row) for known, row in zip(customers, answers, strict=True)
            if not known.user_id.startswith(VERIFY_PREFIX)
        ]  # fmt: skip
        for number, serving in enumerate(engine.bundle.info.goals[:1]):
            policy = "rival" if serving.champion == "rival" else "network"
            self.metrics.question(policy, len(real) - number)  # type: ignore[arg-type]
        if engine is self._service.engine:
            for known, row in real[:MOST_OF_A_BATCH]:
                self._drift.observe_answer(known.n_events, row.tolist())

    def cycle(self) -> None:
        """Raise what has become alarming, and let other processes see this one's gauges."""
        try:
            self._cycle()
        except Exception as error:
            # Whatever it is, the shelf must be followed all the same.
            self.log.problem("defect", error)

    def _cycle(self) -> None:
        service = self._service
        for line in self._drift.take_alarms():
            self.metrics.alarm("drift")
            self.log.notice("drift", input=line.name, n=line.n)
            service.announce("alarm", {"kind": "drift", "input": line.name, "psi": line.psi})
        for alarm in self._item_shares.take_alarms():
            self.metrics.alarm("exposure")
            self.log.notice("exposure jump", n=round(alarm.share * 100))
            service.announce("alarm", {"kind": "exposure", "what": str(alarm)})
        self._look_at_writer()
        self.metrics.publish()

    def refused(self, error: Exception) -> None:
        """What was promoted, came into the catalogue, or was erased elsewhere is not followed."""
        self.metrics.alarm("model")
        self.log.problem("bundle refused", error)

    def _look_at_writer(self) -> None:
        writer = self._service.writer
        if writer.failed and writer.failed != self._failed:
            self.metrics.alarm("store")
            self.log.problem("store failed")
        self._failed = writer.failed
        if writer.n_lost_decisions > self._n_lost:
            lost = writer.n_lost_decisions - self._n_lost
            self.log.problem("decisions lost", level="warning", n=lost)
        self._n_lost = writer.n_lost_decisions

    def what_is_missing(self) -> list[str]:
        """Why the service is not ready; nothing where it is. Takes a moment: not on the loop."""
        _, missing = self._readiness.check()
        return missing + self._service.following.faults()

    def close(self) -> None:
        """Let go of files."""
        self.log.notice("stopped")
        self.metrics.close()

    def _why_not_written(self) -> str | None:
        writer = self._service.writer
        if not writer.is_alive:
            return "the writer of events has stopped; restart the service"
        if writer.failed:
            return "the last events could not be written; look at the log"
        return None

    def _look(self) -> Gauges:
        service = self._service
        writer = service.writer
        drift, n_drifting = self._drift.gauges()
        return Gauges(
            bundle=service.engine.version,
            content=service.engine.bundle.manifest.content[:12],
            ready=writer.is_alive and not writer.failed,
            shadow="" if service.shadow is None else service.shadow.engine.version,
            in_flight=service.in_flight,
            writer_queue=writer.n_waiting,
            store_lag_seconds=writer.lag(),
            drift=drift,
            alarms={"exposure": len(self._item_shares.active), "drift": n_drifting},
        )
