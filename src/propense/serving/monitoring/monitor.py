"""What the service reports about itself: counts, alarms and log lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from propense.evaluation.records import NETWORK
from propense.history.group_commit import Writer
from propense.history.records import WRITTEN, CustomerUpdate, WriteResult
from propense.inference.bundle import Bundle
from propense.ingest.rules import IgnoredReason
from propense.runtime.customer_state import CustomerState
from propense.runtime.metrics import EventOutcome, Gauges, Metrics, UpkeepKind
from propense.serving.answers import POPULAR, CustomerQuestion
from propense.serving.messages.recommend import RecommendAnswer
from propense.serving.monitoring.drift import DriftMonitor
from propense.serving.monitoring.item_share import ItemShareMonitor
from propense.web.log import LibraryHandler, Log, What

_OUTCOMES: Final[dict[WriteResult, EventOutcome]] = {
    "repeated": "repeated", "conflict": "conflict", "suppressed": "suppressed",
    "misnamed": "refused",
}  # fmt: skip
MOST_OF_A_BATCH: Final = 50
"""Drift is about customers who are on the site now, so only a few of a whole audience count."""


_UPKEEP: Final[dict[UpkeepKind, What]] = {
    "erasure": "erasure not ended", "audit": "audit log not true", "secrets": "store failed",
    "expiry": "expiry not ended", "popularity": "popularity not counted",
}  # fmt: skip


class Monitor:
    """Counts what happens and raises alarms. For the event loop's thread.

    Real customers only: callers leave out those of integration tests.
    """

    def __init__(
        self,
        folder: Path,
        routes: Sequence[str],
        gauges: Callable[[], Gauges],
        announce: Callable[[str, dict[str, Any]], None],
    ) -> None:
        """Counts are kept in `folder`; `gauges` gives the state of this process, drift and item
        alarms left out; `announce` sends a kind of message and its content to the webhooks."""
        self._gauges = gauges
        self._announce = announce
        self.metrics = Metrics(folder, routes, self._read_gauges)
        self.log = Log(lambda: time.time_ns() // 1000, routes=routes)
        self._libraries = LibraryHandler(self.log)
        self._failure: str | None = None
        """The writer's failure that was reported last."""
        self._n_set_aside = 0
        self._n_lost = 0
        """Lost decisions that were reported already."""

    def start(self, bundle: Bundle, version: str) -> None:
        """Watch this bundle. From now on libraries log here alone: their own lines name people."""
        self.follow(bundle)
        # Not uvicorn.access, which would then write a line a request without any content.
        self._libraries.take_over("uvicorn", "uvicorn.error", "propense")
        self.log.notice("started", bundle=version)

    def follow(self, bundle: Bundle) -> None:
        """Compare with this bundle's training from now on."""
        profile = bundle.reference_profile
        self._drift = DriftMonitor(profile)
        self._item_share = ItemShareMonitor(profile.item_shares)
        self._find_item = bundle.encoder.items.find
        self._bounds = profile.bounds
        self.log.inputs = frozenset(self._drift.gauges()[0]) | frozenset(profile.goals)

    def request_answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.metrics.request(route, status, seconds)
        self.log.access(route, status, seconds)

    def updates_written(
        self, updates: Sequence[CustomerUpdate], results: Sequence[WriteResult], n_refused: int
    ) -> None:
        """Count updates by their results, and messages that were refused."""
        counts: dict[EventOutcome, int] = dict.fromkeys(
            ("kept", "repeated", "conflict", "suppressed", "refused"), 0
        )
        observe, find, bounds = self._drift.observe_event, self._find_item, self._bounds
        n_clipped = 0
        for update, result in zip(updates, results, strict=True):
            if result not in WRITTEN:
                counts[_OUTCOMES[result]] += 1
                continue
            counts["kept"] += 1
            for event in update.events:
                unseen = None if event.item_id is None else find(event.item_id) < 2
                observe(event.action, event.source, event.value, unseen)
                n_clipped += bounds.clip_event(event) is not event
        for result_name, count in counts.items():
            if count:
                self.metrics.events(result_name, count)
        if n_clipped:
            self.metrics.events("clipped", n_clipped)
        if n_refused:
            self.metrics.events("refused", n_refused)

    def parts_ignored(self, reasons: Mapping[IgnoredReason, int]) -> None:
        """Count what was left out of messages that were kept."""
        for reason, count in reasons.items():
            self.metrics.ignored(reason, count)

    def quota_exceeded(self, n_customers: int) -> None:
        """Raise the alarm for customers whose updates exceed a quota."""
        self.metrics.alarm("quota")
        self.log.problem("quota exceeded", level="warning", n=n_customers)

    def lists_answered(
        self,
        questions: Sequence[CustomerQuestion],
        answers: Sequence[RecommendAnswer],
        by_serving: bool,
    ) -> None:
        """Count lists that were shown; `by_serving`: by the bundle that is followed."""
        for index, (each, answer) in enumerate(zip(questions, answers, strict=True)):
            if answer.policy == POPULAR:
                self.metrics.question("fallback")
            else:
                self.metrics.question("network" if answer.policy == NETWORK else "rival")
            if not by_serving:
                continue
            self._item_share.observe_list([item.item_id for item in answer.items])
            if index < MOST_OF_A_BATCH:
                self._drift.observe_answer(0 if each.customer is None else each.customer.n_events)

    def goals_answered(
        self,
        bundle: Bundle,
        customers: Sequence[CustomerState],
        predictions: Sequence[np.ndarray],
        by_serving: bool,
    ) -> None:
        """Count predictions, (n_goals,) each; a customer counts once, for the first goal's
        champion."""
        goals = bundle.info.goals
        if goals:
            champion = "rival" if goals[0].champion == "rival" else "network"
            self.metrics.question(champion, len(customers))  # type: ignore[arg-type]
        if by_serving:
            observed = zip(customers[:MOST_OF_A_BATCH], predictions, strict=False)
            for customer, prediction in observed:
                self._drift.observe_answer(customer.n_events, prediction.tolist())

    def check(self, writer: Writer, n_set_aside: int = 0) -> None:
        """Raise new alarms and publish this process's gauges. Never raises. `n_set_aside` items
        that were sent do not fit the serving bundle."""
        try:
            self._check(writer)
            if n_set_aside > self._n_set_aside:
                self.metrics.alarm("model")
                self.log.problem("items set aside", level="warning", n=n_set_aside)
            self._n_set_aside = n_set_aside
        except Exception as error:
            # Whatever it is, the service must go on following the shelf.
            self.log.problem("defect", error)

    def _check(self, writer: Writer) -> None:
        for line in self._drift.take_alarms():
            self.metrics.alarm("drift")
            self.log.notice("drift", input=line.name, n=line.n)
            self._announce("alarm", {"kind": "drift", "input": line.name, "psi": line.psi})
        for alarm in self._item_share.take_alarms():
            self.metrics.alarm("item_share")
            self.log.notice("item share jump", n=round(alarm.share * 100))
            self._announce("alarm", {"kind": "item_share", "what": str(alarm)})
        if writer.failed and writer.failed != self._failure:
            self.metrics.alarm("store")
            self.log.problem("store failed")
        self._failure = writer.failed
        if writer.n_lost_decisions > self._n_lost:
            n_lost = writer.n_lost_decisions - self._n_lost
            self.log.problem("decisions lost", level="warning", n=n_lost)
        self._n_lost = writer.n_lost_decisions
        self.metrics.publish()

    def reload_failed(self, error: Exception) -> None:
        """A promoted bundle, pushed items or an erasure elsewhere could not be taken over."""
        self.metrics.alarm("model")
        self.log.problem("bundle refused", error)

    def upkeep_failed(self, kind: UpkeepKind, error: Exception | None) -> None:
        """An erasure has not ended, the audit log is not true or cannot be written, the store
        does not say which keys were rolled, what is too old cannot be deleted, or what was taken
        of late not be counted."""
        self.metrics.alarm(kind if kind in ("erasure", "audit") else "store")
        self.log.problem(_UPKEEP[kind], error)
        self._announce("alarm", {"kind": kind})

    def shadow_failed(self, error: Exception) -> None:
        """The shadow could not take new items."""
        self.metrics.shadow("failed")
        self.log.problem("shadow failed", error)

    def close(self) -> None:
        """Close the files."""
        self.log.notice("stopped")
        self.metrics.close()

    def _read_gauges(self) -> Gauges:
        drift, n_drifting = self._drift.gauges()
        alarms = {"item_share": len(self._item_share.active), "drift": n_drifting}
        return msgspec.structs.replace(self._gauges(), drift=drift, alarms=alarms)
