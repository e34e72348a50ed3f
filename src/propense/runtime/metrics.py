"""The service's metrics for Prometheus: one answer for all its processes.

Counts are in `SharedCounters`, not in prometheus_client's own metrics: with labels those take
4.6 us a request on the machine of the benchmarks (6 us and an environment variable with several
processes), these 1.1 us. The client renders them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from propense.ingest.rules import IGNORED_REASONS, IgnoredReason
from propense.schemas import Ints
from propense.web.quotas import QuotaName
from propense.web.shared_counters import SharedCounters

BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
"""Upper edges in seconds."""
OTHER_ROUTE: Final = "other"
_STATUSES: Final = tuple(range(100, 600))
_NANO: Final = 1_000_000_000

EventOutcome = Literal["kept", "repeated", "conflict", "refused", "suppressed", "clipped"]
Policy = Literal["network", "rival", "fallback"]
CacheResult = Literal["hit", "miss"]
ShedReason = Literal["in_flight", "wait", "rate"]
AlarmKind = Literal["drift", "item_share", "quota", "store", "model", "erasure", "audit"]
UpkeepKind = Literal["erasure", "audit", "secrets", "expiry", "popularity"]
"""What a process looks after beside answering."""
ShadowResult = Literal["same", "different", "outrun", "failed"]
StoreCall = Literal["append", "read", "log", "erase"]


class Family(msgspec.Struct, frozen=True):
    """One metric, as the documentation names it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


COUNTERS: Final = (
    Family(
        "propense_events_total", "counter",
        "Events received, by outcome; a clipped one is also kept.",
        ("outcome",),
        ("kept", "repeated", "conflict", "refused", "suppressed", "clipped"),
    ),
    Family(
        "propense_ignored_total", "counter",
        "Parts of kept messages that were left out, by reason.", ("reason",), IGNORED_REASONS,
    ),
    Family(
        "propense_questions_total", "counter", "Answers, by what ranked them.",
        ("policy",), ("network", "rival", "fallback"),
    ),
    Family(
        "propense_cache_total", "counter", "Lookups of customers and answers in memory.",
        ("result",), ("hit", "miss"),
    ),
    Family(
        "propense_shed_total", "counter", "Requests refused, by the limit they exceeded.",
        ("reason",), ("in_flight", "wait", "rate"),
    ),
    Family(
        "propense_quota_refusals_total", "counter", "Events and customers refused by a quota.",
        ("limit",), ("events_per_day", "new_customers_per_hour"),
    ),
    Family(
        "propense_alarms_total", "counter", "Alarms raised.",
        ("kind",), ("drift", "item_share", "quota", "store", "model", "erasure", "audit"),
    ),
    Family(
        "propense_shadow_total", "counter", "Answers of the shadow bundle beside the serving one.",
        ("result",), ("same", "different", "outrun", "failed"),
    ),
)  # fmt: skip
REQUESTS: Final = Family(
    "propense_requests_total",
    "counter",
    "Requests answered, by route and status.",
    ("route", "status"),
)
REQUEST_SECONDS: Final = Family(
    "propense_request_seconds", "histogram", "Seconds from the end of the request to the answer.",
    ("route",),
)  # fmt: skip
STORE_SECONDS: Final = Family(
    "propense_store_seconds", "histogram", "Seconds that calls to the store took.",
    ("call",), ("append", "read", "log", "erase"),
)  # fmt: skip
GAUGES: Final = (
    Family("propense_workers", "gauge", "Processes that serve."),
    Family("propense_workers_ready", "gauge", "Processes that are ready to answer."),
    Family("propense_in_flight", "gauge", "Requests being processed."),
    Family("propense_writer_queue", "gauge", "Messages waiting to be written."),
    Family(
        "propense_store_lag_seconds", "gauge", "Age of the oldest message waiting to be written."
    ),
    Family(
        "propense_items_set_aside", "gauge",
        "Items that were sent and that the serving bundle cannot take.",
    ),
    Family(
        "propense_erasures_pending", "gauge", "Erasures that have begun and not ended.",
    ),
    Family("propense_alarms_active", "gauge", "Alarms that are active.", ("kind",)),
    Family(
        "propense_drift", "gauge",
        "Population stability index of an input or answer against training.", ("input",),
    ),
    Family(
        "propense_model_info", "gauge", "Processes that serve a bundle.",
        ("bundle", "content", "role"),
    ),
)  # fmt: skip
FAMILIES: Final = (*COUNTERS, REQUESTS, REQUEST_SECONDS, STORE_SECONDS, *GAUGES)


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """The current state of one process."""

    bundle: str = ""
    """Its name on the shelf, likewise that of the shadow."""
    content: str = ""
    """The first digits of the manifest's `content`."""
    shadow: str = ""
    ready: bool = False
    in_flight: int = 0
    writer_queue: int = 0
    store_lag_seconds: float = 0.0
    items_set_aside: int = 0
    erasures_pending: int = 0
    drift: dict[str, float] = {}
    """Input -> population stability index."""
    alarms: dict[str, int] = {}
    """Kind -> active alarms."""


class Metrics:
    """The counts of this process, and the answer to /metrics for all processes that share `folder`.

    `routes` are the templates of paths, like "/v1/users/{id}"; any other route counts as
    "other". `gauges` is called for this process's gauges at each answer. A count takes about
    1 us and can come from any thread.
    """

    def __init__(
        self, folder: Path, routes: Iterable[str], gauges: Callable[[], Gauges] = Gauges
    ) -> None:
        self.gauges = gauges
        self._routes = (*sorted(set(routes) - {OTHER_ROUTE}), OTHER_ROUTE)
        layout: list[str] = []
        self._slots: dict[str, dict[str, int]] = {}
        for family in COUNTERS:
            self._slots[family.name] = _add_slots(layout, family.name, family.values)
        self._store = _add_histogram(layout, STORE_SECONDS.name, STORE_SECONDS.values)
        self._seconds = _add_histogram(layout, REQUEST_SECONDS.name, self._routes)
        statuses = [f"{route} {status}" for route, status in product(self._routes, _STATUSES)]
        slots = _add_slots(layout, REQUESTS.name, statuses)
        self._status = {route: slots[f"{route} {_STATUSES[0]}"] for route in self._routes}
        self._events = self._slots["propense_events_total"]
        self._questions = self._slots["propense_questions_total"]
        self._cache = self._slots["propense_cache_total"]
        self._counters = SharedCounters(folder, layout)
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_Collector(self.collect))

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        if route not in self._status:
            route = OTHER_ROUTE
        code = status - _STATUSES[0]
        if not 0 <= code < len(_STATUSES):
            code = 500 - _STATUSES[0]
        bucket, total = self._seconds[route]
        nanos = int(max(seconds, 0.0) * _NANO)
        self._counters.add_three(
            self._status[route] + code, bucket + bisect_left(BUCKETS, seconds), total, nanos
        )

    def events(self, outcome: EventOutcome, n: int = 1) -> None:
        self._counters.add(self._events[outcome], n)

    def ignored(self, reason: IgnoredReason, n: int = 1) -> None:
        self._counters.add(self._slots["propense_ignored_total"][reason], n)

    def question(self, policy: Policy, n: int = 1) -> None:
        self._counters.add(self._questions[policy], n)

    def cache(self, result: CacheResult, n: int = 1) -> None:
        self._counters.add(self._cache[result], n)

    def shed(self, reason: ShedReason) -> None:
        self._counters.add(self._slots["propense_shed_total"][reason])

    def quota_refusal(self, limit: QuotaName, n: int = 1) -> None:
        self._counters.add(self._slots["propense_quota_refusals_total"][limit], n)

    def alarm(self, kind: AlarmKind) -> None:
        self._counters.add(self._slots["propense_alarms_total"][kind])

    def shadow(self, result: ShadowResult) -> None:
        self._counters.add(self._slots["propense_shadow_total"][result])

    def store(self, call: StoreCall, seconds: float) -> None:
        """Count one call to the store."""
        bucket, total = self._store[call]
        self._counters.add(bucket + bisect_left(BUCKETS, seconds))
        self._counters.add(total, int(max(seconds, 0.0) * _NANO))

    def publish(self) -> None:
        """Publish this process's gauges to the others; call it every few seconds."""
        self._counters.note(msgspec.json.encode(self.gauges()))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The answer to /metrics and its content type, for the request's Accept header."""
        encoder, kind = choose_encoder(accept)
        return encoder(self.registry), kind

    def close(self) -> None:
        """Close the file; its counts stay, and the next process continues them."""
        self._counters.close()

    def collect(self) -> Iterator[Metric]:
        """Every family, summed over processes."""
        self.publish()
        counts, notes = self._counters.read_all()
        for family in COUNTERS:
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for value, slot in self._slots[family.name].items():
                counter.add_metric([value], int(counts[slot]))
            yield counter
        requests = CounterMetricFamily(REQUESTS.name, REQUESTS.help, labels=REQUESTS.labels)
        for route, first in self._status.items():
            by_status = counts[first : first + len(_STATUSES)]
            for code in np.flatnonzero(by_status).tolist():
                requests.add_metric([route, str(_STATUSES[code])], int(by_status[code]))
        yield requests
        yield _histogram(REQUEST_SECONDS, self._seconds, counts)
        yield _histogram(STORE_SECONDS, self._store, counts)
        yield from _gauges([msgspec.json.decode(note, type=Gauges) for note in notes])


class _Collector(Collector):
    """What the client's registry collects from."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()


def _add_slots(layout: list[str], name: str, values: Iterable[str]) -> dict[str, int]:
    """Give each value a slot."""
    slots = {}
    for value in values:
        slots[value] = len(layout)
        layout.append(f"{name} {value}")
    return slots


def _add_histogram(
    layout: list[str], name: str, values: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """The slots, for each value, of the first bucket and of the sum in nanoseconds."""
    slots = {}
    for value in values:
        buckets = _add_slots(layout, f"{name} {value}", [*map(str, BUCKETS), "+Inf"])
        total = _add_slots(layout, f"{name} {value}", ["sum"])
        slots[value] = (buckets[str(BUCKETS[0])], total["sum"])
    return slots


def _histogram(family: Family, slots: dict[str, tuple[int, int]], counts: Ints) -> Metric:
    """Values without observations are left out."""
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    edges = [*map(str, BUCKETS), "+Inf"]
    for value, (first, total) in slots.items():
        cumulative = np.cumsum(counts[first : first + len(edges)]).tolist()
        if cumulative[-1]:
            buckets = list(zip(edges, cumulative, strict=True))
            metric.add_metric([value], buckets=buckets, sum_value=int(counts[total]) / _NANO)
    return metric


def _gauges(processes: list[Gauges]) -> Iterator[Metric]:
    """Gauges summed over processes; lag and drift take the maximum."""
    numbers: dict[str, dict[tuple[str, ...], float]] = {
        "propense_workers": {(): len(processes)},
        "propense_workers_ready": {(): sum(one.ready for one in processes)},
        "propense_in_flight": {(): sum(one.in_flight for one in processes)},
        "propense_writer_queue": {(): sum(one.writer_queue for one in processes)},
        "propense_store_lag_seconds": {
            (): max((one.store_lag_seconds for one in processes), default=0.0)
        },
    }
    numbers["propense_items_set_aside"] = {
        (): max((one.items_set_aside for one in processes), default=0)
    }
    numbers["propense_erasures_pending"] = {
        (): max((one.erasures_pending for one in processes), default=0)
    }
    alarms = numbers.setdefault("propense_alarms_active", {})
    drift = numbers.setdefault("propense_drift", {})
    models = numbers.setdefault("propense_model_info", {})
    for one in processes:
        for kind, n in one.alarms.items():
            alarms[(kind,)] = alarms.get((kind,), 0) + n
        for name, psi in one.drift.items():
            drift[(name,)] = max(drift.get((name,), 0.0), psi)
        for role, bundle in (("serving", one.bundle), ("shadow", one.shadow)):
            if bundle:
                key = (bundle, one.content if role == "serving" else "", role)
                models[key] = models.get(key, 0) + 1
    for family in GAUGES:
        metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        for values, number in sorted(numbers[family.name].items()):
            metric.add_metric(list(values), number)
        yield metric
