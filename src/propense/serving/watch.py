"""What the service tells of itself: counts, alarms, and whether it is ready."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from propense.errors import StoreError
from propense.evaluation.records import NETWORK
from propense.serving.engine import Engine
from propense.serving.known import Known
from propense.serving.messages import RecommendAnswer
from propense.serving.metrics import Gauges, Metrics
from propense.serving.questions import POPULAR, Asked
from propense.serving.records import Deed, Outcome

if TYPE_CHECKING:
    from propense.serving.service import Service

log = logging.getLogger(__name__)

LEAST_DISK: Final = 64_000_000
"""Bytes without which no event should be taken in."""


class Watch:
    """Counts what happens and knows what is wrong."""

    def __init__(self, service: Service, folder: Path, routes: Sequence[str]) -> None:
        self._service = service
        self.metrics = Metrics(folder, routes, self._look)

    def kept(self, deeds: Sequence[Deed], outcomes: Sequence[Outcome], n_refused: int) -> None:
        """Events came in."""
        for outcome in ("kept", "repeated", "suppressed"):
            count = outcomes.count(outcome)
            if count:
                self.metrics.events(outcome, count)
        if n_refused:
            self.metrics.events("refused", n_refused)

    def told(
        self, engine: Engine, asked: Sequence[Asked], answers: Sequence[RecommendAnswer]
    ) -> None:
        """Lists were shown."""
        for answer in answers:
            if answer.policy == POPULAR:
                self.metrics.question("fallback")
            else:
                self.metrics.question("network" if answer.policy == NETWORK else "rival")

    def predicted(
        self, engine: Engine, customers: Sequence[Known], answers: Sequence[np.ndarray]
    ) -> None:
        """Goals were answered."""
        self.metrics.question("network", len(customers))

    def what_is_missing(self) -> list[str]:
        """Why the service is not ready; nothing where it is. Takes a moment: not on the loop."""
        service = self._service
        missing = []
        try:
            service.store.ping()
        except StoreError as error:
            missing.append(f"live history: {error}")
        if not service.writer.is_alive:
            missing.append("the writer of events has stopped; restart the service")
        if service.writer.failed:
            missing.append(f"the last events were not written: {service.writer.failed}")
        free = shutil.disk_usage(service.data).free
        if free < LEAST_DISK:
            missing.append(f"only {free / 1e6:.0f} MB are left for {str(service.data)!r}")
        if service.broken_bundle:
            missing.append(f"the promoted bundle does not open: {service.broken_bundle}")
        return missing

    def publish(self) -> None:
        """Let other processes see this one's gauges."""
        self.metrics.publish()

    def close(self) -> None:
        """Let go of files."""
        self.metrics.close()

    def _look(self) -> Gauges:
        service = self._service
        return Gauges(
            bundle=service.engine.version,
            content=service.engine.bundle.manifest.content[:12],
            ready=service.writer.is_alive and not service.writer.failed,
            in_flight=service.in_flight,
            writer_queue=service.writer.n_waiting,
            store_lag_seconds=service.writer.lag(),
        )


def defect(route: str, error: Exception) -> None:
    """A route met what nobody foresaw: the trace goes to the log, without the request."""
    log.error("defect in %s: %s", route, type(error).__name__, exc_info=error)
