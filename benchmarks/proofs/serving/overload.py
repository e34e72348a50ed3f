"""Three times more questions than the service can answer."""

from __future__ import annotations

import os
from itertools import cycle

import numpy as np

from benchmarks.harness.connections import Load
from benchmarks.harness.live_service import bundle_folder, serving
from benchmarks.harness.load_service import (
    OPEN_LIMITS,
    import_customers,
    invented_customers,
    items_of,
)
from benchmarks.harness.loading import closed_loop, open_loop, question
from benchmarks.proof import Proof

KIND = "speed"
CLAIM = "three times more questions than capacity: who is let in does not wait, the others are told"
CUSTOMERS, EVENTS = 12_000, 50
"""More customers than memory holds, so that most are read and scored again."""
SECONDS = 20.0
SHARE_OF_IDLE, TIMES = 0.05, 3.0
CONNECTIONS = 512
SLOWER = 5.0
LEAST_MS = 1.0
"""p99 of an idle service is taken as at least this."""
LIMIT = (
    f"p99 of answers <= {SLOWER:g} x idle p99, all others 429 or 503 with Retry-After, half of the "
    "capacity at least answered"
)


def prove(seconds: float = SECONDS, customers: int = CUSTOMERS) -> Proof:
    """Capacity in closed loop, latency at little load, then all at once."""
    rng = np.random.default_rng(0)
    cores = os.sched_getaffinity(0)
    alone = len(cores) > 1
    with bundle_folder() as folder, serving(folder, *OPEN_LIMITS, core=0 if alone else None) as one:
        if alone:
            os.sched_setaffinity(0, {max(cores)})
        try:
            users = import_customers(
                one, invented_customers(items_of(folder), customers, EVENTS, rng)
            )
            asks = cycle([question("/v1/recommend", one.key, {"user_id": user}) for user in users])
            capacity = closed_loop(one.url, asks, 8, seconds / 2).rate()
            idle = open_loop(one.url, asks, SHARE_OF_IDLE * capacity, seconds, rng)
            over = open_loop(one.url, asks, TIMES * capacity, seconds, rng, CONNECTIONS)
            after = open_loop(one.url, asks, SHARE_OF_IDLE * capacity, seconds / 4, rng)
        finally:
            os.sched_setaffinity(0, cores)
    return compare(capacity, idle, over, after)


def compare(capacity: float, idle: Load, over: Load, after: Load) -> Proof:
    """The four loads compared."""
    counts = over.counts()
    turned = counts.get(429, 0) + counts.get(503, 0)
    most = SLOWER * max(idle.ms(99), LEAST_MS)
    good = (
        counts.keys() <= {200, 429, 503} and turned == over.n_retry_after and turned > 0
        and over.ms(99) <= most and over.rate() >= capacity / 2
        and after.counts().keys() == {200} and after.ms(99) <= most
    )  # fmt: skip
    figure = (
        f"capacity {capacity:,.0f}/s; idle p99 {idle.ms(99):.2f} ms; offered "
        f"{len(over.statuses) / over.seconds:,.0f}/s: answered {over.format()}, "
        f"{over.n_retry_after:,} with Retry-After, lag of the generator "
        f"{over.lag * 1e3:.2f} ms; afterwards p99 "
        f"{after.ms(99):.2f} ms"
    )
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, LIMIT)
