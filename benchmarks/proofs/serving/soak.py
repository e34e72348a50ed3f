"""Questions and events for a long time at 70 % of what the service can take."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from itertools import count

import numpy as np

from benchmarks.harness.live_service import Running, bundle_folder, serving
from benchmarks.harness.load_service import (
    OPEN_LIMITS,
    import_customers,
    invented_customers,
    items_of,
    resident_mb,
    track,
)
from benchmarks.harness.loading import closed_loop, open_loop, question
from benchmarks.proof import Proof

KIND = "speed"
CLAIM = "20 minutes of questions and events at 70 % of capacity: answers at once, memory flat"
MINUTES = 20.0
CUSTOMERS, EVENTS = 4_000, 150
"""More events than the network reads: what comes later makes no answer dearer."""
SHARE, OF_EVENTS = 0.7, 4
"""Every such request is an event."""
P99_MS = 10.0
GROWTH_MB = 30.0
"""An hour, by the slope over the second half."""
LIMIT = f"p99 <= {P99_MS:g} ms, all 200, memory grows by <= {GROWTH_MB:g} MB an hour"


def prove(minutes: float = MINUTES, customers: int = CUSTOMERS) -> Proof:
    """One process; its memory is looked at every second."""
    rng = np.random.default_rng(0)
    cores = os.sched_getaffinity(0)
    alone = len(cores) > 1
    with bundle_folder() as folder, serving(folder, *OPEN_LIMITS, core=0 if alone else None) as one:
        items = items_of(folder)
        users = import_customers(one, invented_customers(items, customers, EVENTS, rng))
        memory: list[tuple[float, float]] = []
        over = threading.Event()
        looking = threading.Thread(target=_look, args=(one, memory, over))
        if alone:
            os.sched_setaffinity(0, {max(cores)})
        try:
            asks = _requests(one, users, items)
            capacity = closed_loop(one.url, asks, 8, min(20.0, 10 * minutes)).rate()
            looking.start()
            load = open_loop(one.url, asks, SHARE * capacity, 60 * minutes, rng)
        finally:
            over.set()
            os.sched_setaffinity(0, cores)
            if looking.is_alive():
                looking.join()
    times, sizes = np.array(memory).T
    half = times >= times.max() / 2
    slope = float(np.polyfit(times[half], sizes[half], 1)[0]) * 3600
    good = load.ms(99) <= P99_MS and load.counts().keys() == {200} and slope <= GROWTH_MB
    figure = (
        f"{minutes:g} minutes at {SHARE * capacity:,.0f}/s: {load.format()}; memory "
        f"{sizes[0]:.0f} MB at first, {sizes[-1]:.0f} MB at last, {slope:+.1f} MB an hour"
    )
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, LIMIT)


def _requests(service: Running, users: list[str], items: list[str]) -> Iterator[bytes]:
    """Customers by chance, some far more often than others."""
    rng = np.random.default_rng(1)
    run = os.urandom(4).hex()
    for number in count():
        user = users[int(len(users) * rng.random() ** 2)]
        if number % OF_EVENTS:
            yield question("/v1/recommend", service.key, {"user_id": user})
        else:
            item = items[int(rng.integers(0, len(items)))]
            sent = track(user, "view", item, f"{run}-{number}")
            yield question("/v1/track", service.key, sent)


def _look(service: Running, memory: list[tuple[float, float]], over: threading.Event) -> None:
    began = time.monotonic()
    while not over.wait(1.0):
        memory.append((time.monotonic() - began, resident_mb(service)))
