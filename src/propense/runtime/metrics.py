"""What the service says of itself, for Prometheus: one answer for all its processes.

Counts live in `SharedCounters`, not in prometheus_client's own metrics: with labels those take
4.6 us a request on the machine of the benchmarks (and 6 us and an environment variable where
several processes count), these 1.1 us. The client renders them.
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

EventOutcome = Literal["kept", "repeated", "refused", "suppressed", "clipped"]
Policy = Literal["network", "rival", "fallback"]
CacheResult = Literal["hit", "miss"]
ShedReason = Literal["in_flight", "wait", "rate"]
AlarmKind = Literal["drift", "item_share", "quota", "store", "model"]
ShadowResult = Literal["same", "different", "outrun", "failed"]
StoreCall = Literal["append", "read", "log", "erase"]


class Family(msgspec.Struct, frozen=True):
    """One metric as the page of docs names it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


COUNTERS: Final = (
    Family(
        "propense_events_total", "counter",
        "Events taken in, by what became of them; a clipped one is also kept.",
        ("outcome",), ("kept", "repeated", "refused", "suppressed", "clipped"),
    ),
    Family(
        "propense_questions_total", "counter", "Answers given, by who made them.",
        ("policy",), ("network", "rival", "fallback"),
    ),
    Family(
        "propense_cache_total", "counter", "Histories and answers looked for in memory.",
        ("result",), ("hit", "miss"),
    ),
    Family(
        "propense_shed_total", "counter", "Requests turned away, by the limit they met.",
        ("reason",), ("in_flight", "wait", "rate"),
    ),
    Family(
        "propense_quota_refusals_total", "counter", "Events and customers refused by a quota.",
        ("limit",), ("events_per_day", "new_customers_per_hour"),
    ),
    Family(
        "propense_alarms_total", "counter", "Alarms raised.",
        ("kind",), ("drift", "item_share", "quota", "store", "model"),
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
    "propense_request_seconds", "histogram", "Seconds from the request's end to the answer.",
    ("route",),
)  # fmt: skip
STORE_SECONDS: Final = Family(
    "propense_store_seconds", "histogram", "Seconds that calls of the store took.",
    ("call",), ("append", "read", "log", "erase"),
)  # fmt: skip
GAUGES: Final = (
    Family("propense_workers", "gauge", "Processes that serve."),
    Family("propense_workers_ready", "gauge", "Processes that are ready to answer."),
    Family("propense_in_flight", "gauge", "Requests at work."),
    Family("propense_writer_queue", "gauge", "Deeds that wait to be written."),
    Family(
        "propense_store_lag_seconds", "gauge", "Age of the oldest deed that waits to be written."
    ),
    Family("propense_alarms_active", "gauge", "Alarms that hold now.", ("kind",)),
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
    """The present state of one process."""

    bundle: str = ""
    """Its name on the shelf, likewise that of the shadow."""
    content: str = ""
    """The first digits of the manifest's `content`."""
    shadow: str = ""
    ready: bool = False
    in_flight: int = 0
    writer_queue: int = 0
    store_lag_seconds: float = 0.0
    drift: dict[str, float] = {}
    """Input -> population stability index."""
    alarms: dict[str, int] = {}
    """Kind -> alarms that hold."""


class Metrics:
    """Counts of this process, and the answer to /metrics for all that share `folder`.

    `routes` are the templates of paths, like "/v1/users/{id}"; another route counts as
    "other". `look` is asked for this process's gauges at each answer. Each count takes about
    1 us and may come from any thread.
    """

    def __init__(
        self, folder: Path, routes: Iterable[str], look: Callable[[], Gauges] = Gauges
    ) -> None:
        self.look = look
        self._routes = (*sorted(set(routes) - {OTHER_ROUTE}), OTHER_ROUTE)
        layout: list[str] = []
        self._at: dict[str, dict[str, int]] = {}
        for family in COUNTERS:
            self._at[family.name] = _lay(layout, family.name, family.values)
        self._store = _lay_histogram(layout, STORE_SECONDS.name, STORE_SECONDS.values)
        self._seconds = _lay_histogram(layout, REQUEST_SECONDS.name, self._routes)
        statuses = [f"{route} {status}" for route, status in product(self._routes, _STATUSES)]
        at = _lay(layout, REQUESTS.name, statuses)
        self._status = {route: at[f"{route} {_STATUSES[0]}"] for route in self._routes}
        self._events = self._at["propense_events_total"]
        self._questions = self._at["propense_questions_total"]
        self._cache = self._at["propense_cache_total"]
        self._cells = SharedCounters(folder, layout)
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_Collected(self.collect))

    def request(self, route: str, status: int, seconds: float) -> None:
        """One request that was answered."""
        if route not in self._status:
            route = OTHER_ROUTE
        code = status - _STATUSES[0]
        if not 0 <= code < len(_STATUSES):
            code = 500 - _STATUSES[0]
        bucket, total = self._seconds[route]
        nanos = int(max(seconds, 0.0) * _NANO)
        self._cells.add_three(
            self._status[route] + code, bucket + bisect_left(BUCKETS, seconds), total, nanos
        )

    def events(self, outcome: EventOutcome, n: int = 1) -> None:
        self._cells.add(self._events[outcome], n)

    def question(self, policy: Policy, n: int = 1) -> None:
        self._cells.add(self._questions[policy], n)

    def cache(self, result: CacheResult, n: int = 1) -> None:
        self._cells.add(self._cache[result], n)

    def shed(self, reason: ShedReason) -> None:
        self._cells.add(self._at["propense_shed_total"][reason])

    def quota_refusal(self, limit: QuotaName, n: int = 1) -> None:
        self._cells.add(self._at["propense_quota_refusals_total"][limit], n)

    def alarm(self, kind: AlarmKind) -> None:
        self._cells.add(self._at["propense_alarms_total"][kind])

    def shadow(self, result: ShadowResult) -> None:
        self._cells.add(self._at["propense_shadow_total"][result])

    def store(self, call: StoreCall, seconds: float) -> None:
        """One call of the store."""
        bucket, total = self._store[call]
        self._cells.add(bucket + bisect_left(BUCKETS, seconds))
        self._cells.add(total, int(max(seconds, 0.0) * _NANO))

    def publish(self) -> None:
        """Let other processes see this one's gauges; call it every few seconds."""
        self._cells.note(msgspec.json.encode(self.look()))

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The answer to /metrics and its content type, for the request's Accept header."""
        encoder, kind = choose_encoder(accept)
        return encoder(self.registry), kind

    def close(self) -> None:
        """Let go of the file; its counts stay and are taken on by the next process."""
        self._cells.close()

    def collect(self) -> Iterator[Metric]:
        """Every family, summed over processes."""
        self.publish()
        cells, notes = self._cells.read_all()
        for family in COUNTERS:
            counter = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for value, place in self._at[family.name].items():
                counter.add_metric([value], int(cells[place]))
            yield counter
        requests = CounterMetricFamily(REQUESTS.name, REQUESTS.help, labels=REQUESTS.labels)
        for route, first in self._status.items():
            found = cells[first : first + len(_STATUSES)]
            for code in np.flatnonzero(found).tolist():
                requests.add_metric([route, str(_STATUSES[code])], int(found[code]))
        yield requests
        yield _histogram(REQUEST_SECONDS, self._seconds, cells)
        yield _histogram(STORE_SECONDS, self._store, cells)
        yield from _gauges([msgspec.json.decode(note, type=Gauges) for note in notes])


class _Collected(Collector):
    """What the client's registry asks."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()


def _lay(layout: list[str], name: str, values: Iterable[str]) -> dict[str, int]:
    """Give each value a cell."""
    at = {}
    for value in values:
        at[value] = len(layout)
        layout.append(f"{name} {value}")
    return at


def _lay_histogram(
    layout: list[str], name: str, values: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Cell of the first bucket, and of the sum in nanoseconds, of each value."""
    at = {}
    for value in values:
        buckets = _lay(layout, f"{name} {value}", [*map(str, BUCKETS), "+Inf"])
        total = _lay(layout, f"{name} {value}", ["sum"])
        at[value] = (buckets[str(BUCKETS[0])], total["sum"])
    return at


def _histogram(family: Family, at: dict[str, tuple[int, int]], cells: Ints) -> Metric:
    """Values never seen are left out."""
    made = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    edges = [*map(str, BUCKETS), "+Inf"]
    for value, (first, total) in at.items():
        counts = np.cumsum(cells[first : first + len(edges)]).tolist()
        if counts[-1]:
            pairs = list(zip(edges, counts, strict=True))
            made.add_metric([value], buckets=pairs, sum_value=int(cells[total]) / _NANO)
    return made


def _gauges(living: list[Gauges]) -> Iterator[Metric]:
    """Sums over processes; of lag and drift the greatest."""
    numbers: dict[str, dict[tuple[str, ...], float]] = {
        "propense_workers": {(): len(living)},
        "propense_workers_ready": {(): sum(one.ready for one in living)},
        "propense_in_flight": {(): sum(one.in_flight for one in living)},
        "propense_writer_queue": {(): sum(one.writer_queue for one in living)},
        "propense_store_lag_seconds": {
            (): max((one.store_lag_seconds for one in living), default=0.0)
        },
    }
    alarms = numbers.setdefault("propense_alarms_active", {})
    drift = numbers.setdefault("propense_drift", {})
    models = numbers.setdefault("propense_model_info", {})
    for one in living:
        for kind, n in one.alarms.items():
            alarms[(kind,)] = alarms.get((kind,), 0) + n
        for name, psi in one.drift.items():
            drift[(name,)] = max(drift.get((name,), 0.0), psi)
        for role, bundle in (("serving", one.bundle), ("shadow", one.shadow)):
            if bundle:
                key = (bundle, one.content if role == "serving" else "", role)
                models[key] = models.get(key, 0) + 1
    for family in GAUGES:
        made = GaugeMetricFamily(family.name, family.help, labels=family.labels)
        for values, number in sorted(numbers[family.name].items()):
            made.add_metric(list(values), number)
        yield made
