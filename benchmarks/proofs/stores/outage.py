"""Redis or PostgreSQL under the service dies and comes back."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from benchmarks.harness.live_service import Running, bundle_folder, serving
from benchmarks.harness.load_service import OPEN_LIMITS, PATIENT, track
from benchmarks.proof import Proof
from tests.support import live_servers

KIND = "safety"
CLAIM = (
    "Redis or PostgreSQL dies under the service: answers go on and say degraded, events get 503, "
    "all is well 5 s after it is back, and nothing acknowledged is lost"
)
ROUNDS = 10
CUSTOMERS, BATCH = 20, 5
UP, DOWN = 2.0, 3.0
"""Seconds between outages, and of one."""
SETTLE = 1.0
"""Seconds after which an outage must have been noticed."""
RECOVERS = 5.0
LONGEST = 5.0
"""Seconds of an answer."""
LIMIT = f"no failed answer, none over {LONGEST:g} s, well in {RECOVERS:g} s, 0 lost, 0 twice"


@dataclass
class Seen:
    """What the senders and readers observed."""

    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    events: Counter[int] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    down_since: float | None = None
    degraded_down: int = 0
    last_acknowledged: float = 0.0
    last_whole: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)


def prove(rounds: int = ROUNDS) -> Proof:
    """Each server that is installed."""
    lines: list[str] = []
    good, missing = True, []
    for name, started, durable in (
        ("Redis", live_servers.started_redis, "process"),
        # A PostgreSQL that crashes loses the last moments of what it did not write through.
        ("PostgreSQL", live_servers.started_postgres, "power"),
    ):
        with _running(started) as server:
            if server is None:
                missing.append(f"{name} is not installed")
                continue
            fine, figure = _outages(server, durable, rounds)
        lines.append(f"{name}: {figure}")
        good = good and fine
    if not lines:
        return Proof(CLAIM, KIND, "skip", "; ".join(missing))
    return Proof(CLAIM, KIND, "pass" if good else "fail", "; ".join(lines + missing), LIMIT)


@contextmanager
def _running(started: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """The server of one of live_servers' generators, removed at the end."""
    each = started()
    try:
        yield next(each)
    finally:
        next(each, None)


def _outages(server: Any, durable: str, rounds: int) -> tuple[bool, str]:
    seen = Seen()
    words = ["--set", f"serve.store={server.url}", "--set", f"serve.durable={durable}"]
    words += PATIENT
    recoveries = []
    with bundle_folder() as folder, serving(folder, *words, *OPEN_LIMITS) as service:
        for user in range(CUSTOMERS):
            _send(service, seen, f"out-{user}", "first")
            service.ask("POST", "/v1/recommend", {"user_id": f"out-{user}"})
        threads = [threading.Thread(target=one, args=(service, seen)) for one in (_sender, _asker)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(rounds):
                time.sleep(UP)
                server.crash()
                seen.down_since = time.monotonic()
                time.sleep(DOWN)
                seen.down_since = None
                server.start()
                recoveries.append(_recovered(seen))
        finally:
            seen.over.set()
            for thread in threads:
                thread.join()
        lost, twice = _compare(service, seen)
    slow = max(recoveries)
    figure = (
        f"{rounds} outages, {sum(map(len, seen.acknowledged.values())):,} events acknowledged, "
        f"{lost} lost, {twice} twice, statuses of events {dict(seen.events)}, answers "
        f"{dict(seen.answers)}, {seen.degraded_down} of them while it was down, the slowest "
        f"{seen.slowest:.1f} s; well again in {slow:.1f} s"
    )
    good = not (lost or twice or seen.faults) and slow <= RECOVERS and seen.slowest <= LONGEST
    good = good and seen.degraded_down > 0 and seen.events[503] > 0 and seen.events[200] > 0
    return good, "; ".join([figure, *sorted(set(seen.faults))[:4]])


def _recovered(seen: Seen) -> float:
    """Seconds until an event is kept again and an answer is whole."""
    began = time.monotonic()
    while time.monotonic() < began + 60:
        if min(seen.last_acknowledged, seen.last_whole) > began:
            return max(seen.last_acknowledged, seen.last_whole) - began
        time.sleep(0.02)
    return float("inf")


def _sender(service: Running, seen: Seen) -> None:
    for number in count():
        if seen.over.is_set():
            return
        _send(service, seen, f"out-{number % CUSTOMERS}", f"{number}")
        time.sleep(0.01)


def _send(service: Running, seen: Seen, user: str, name: str) -> None:
    names = [f"{name}-{at}" for at in range(BATCH)]
    batch = {"batch": [track(user, "view", one, f"{user}-{one}") for one in names]}
    status, answered, headers = _ask(service, "/v1/batch", batch)
    seen.events[status] += 1
    if status == 200 and answered["kept"] == BATCH:
        seen.acknowledged.setdefault(user, set()).update(names)
        seen.last_acknowledged = time.monotonic()
    elif status != 503 or "retry-after" not in headers:
        seen.faults.append(f"an event is answered with {status}: {answered}")


def _asker(service: Running, seen: Seen) -> None:
    """Customers who are in memory, and some of whom nothing is held."""
    for number in count():
        if seen.over.is_set():
            return
        user = f"out-{number % CUSTOMERS}" if number % 4 else f"stranger-{number}"
        since, began = seen.down_since, time.monotonic()
        status, answer, _ = _ask(service, "/v1/recommend", {"user_id": user})
        seen.slowest = max(seen.slowest, time.monotonic() - began)
        if status != 200 or not answer["items"]:
            seen.faults.append(f"a question is answered with {status}: {answer}")
            continue
        degraded = answer.get("degraded", False)
        seen.answers["degraded" if degraded else "whole"] += 1
        if not degraded:
            seen.last_whole = time.monotonic()
        if since is not None and since == seen.down_since:
            seen.degraded_down += degraded
            if not degraded and began > since + SETTLE:
                seen.faults.append("an answer during the outage does not say that it is degraded")
        time.sleep(0.01)


def _ask(service: Running, path: str, message: Any) -> tuple[int, Any, Any]:
    asked = urllib.request.Request(
        service.url + path, data=json.dumps(message).encode(),
        headers={"authorization": f"Bearer {service.key}", "content-type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null"), error.headers


def _compare(service: Running, seen: Seen) -> tuple[int, int]:
    lost = twice = 0
    for user, names in seen.acknowledged.items():
        status, answered = service.ask("GET", f"/v1/users/{user}")
        held = [event["item_id"] for event in answered["events"]] if status == 200 else []
        lost += len(names - set(held))
        twice += len(held) - len(set(held))
    return lost, twice
