"""Load over HTTP/1.1 from one core: what was offered, what came back, how long it took.

Open loop: requests are due at times drawn in advance, and the latency of an answer counts from the
time its request was due, so that a stall is charged for every request that was due meanwhile.
Closed loop: a number of connections, each with one request at a time.

    python benchmarks/harness/loading.py http://127.0.0.1:8080/health/live --connections 32
    python benchmarks/harness/loading.py http://127.0.0.1:8080/health/live --rate 5000
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from array import array
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from benchmarks.harness.connections import LOST, Check, Connections, Line, Load

GRACE = 10.0
"""Seconds that answers may take after the last request."""


class Answer(NamedTuple):
    """The answer to a request of a script."""

    status: int
    """HTTP status, or LOST."""
    body: bytes


Script = Generator[tuple[int, bytes], Answer, None]
"""Asks one request after the other and hears each answer before the next. What it yields is a
request and which of its own connections, counted from 0, takes it."""


def request(method: str, path: str, key: str = "", body: bytes | None = None) -> bytes:
    """A request as it is sent; a body is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost"]
    if key:
        lines.append(f"authorization: Bearer {key}")
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def question(path: str, key: str, message: Any) -> bytes:
    """A POST of a message as JSON."""
    return request("POST", path, key, json.dumps(message, separators=(",", ":")).encode())


def closed_loop(
    url: str, requests: Iterator[bytes], connections: int, seconds: float,
    check: Check | None = None,
) -> Load:  # fmt: skip
    """`connections` ask one after the other until the time is over, or there are no more
    requests."""
    with _calm():
        run = Connections(url, check)
        began = time.perf_counter()
        ends = began + seconds
        for number in range(connections):
            first = next(requests, None)
            if first is None:
                break
            run.send(run.connect(), number, first, time.perf_counter())
        number = connections
        while run.open and time.perf_counter() < ends + GRACE:
            for line in run.answered(0.1):
                now = time.perf_counter()
                after = next(requests, None) if now < ends else None
                if after is None:
                    run.close(line)
                else:
                    run.send(line, number, after, now)
                    number += 1
        return run.load(began)


def open_loop(
    url: str, requests: Iterator[bytes], rate: float, seconds: float,
    rng: np.random.Generator | None = None, connections: int = 256, check: Check | None = None,
) -> Load:  # fmt: skip
    """`rate` requests a second are due: at even distances, or as by chance (Poisson) with `rng`.

    Where every connection waits for an answer, the next request goes out as soon as one is free.
    """
    n = max(1, round(rate * seconds))
    gaps = np.full(n, 1 / rate) if rng is None else rng.exponential(1 / rate, n)
    offsets = np.cumsum(gaps).tolist()
    waiting: deque[tuple[int, bytes, float]] = deque()
    lags = array("d")
    with _calm():
        run = Connections(url, check)
        idle = [run.connect() for _ in range(connections)]
        began = time.perf_counter()
        sent = done = 0
        while done < n:
            now = time.perf_counter()
            while sent < n and began + offsets[sent] <= now:
                one, due = next(requests), began + offsets[sent]
                if idle:
                    lags.append(now - due)
                    run.send(idle.pop(), sent, one, due)
                else:
                    waiting.append((sent, one, due))
                sent += 1
                now = time.perf_counter()
            until = began + offsets[sent] - now if sent < n else 0.05
            # The clock of epoll is coarse: sleep short of the moment, then spin up to it.
            for line in run.answered(until - 0.001 if until > 0.002 else 0.0):
                done += 1
                if waiting:
                    run.send(line, *waiting.popleft())
                else:
                    idle.append(line)
            if sent == n and time.perf_counter() > began + offsets[-1] + GRACE:
                break
        for _ in waiting:
            run.record(LOST, GRACE)
        load = run.load(began)
    lag = float(np.percentile(np.array(lags), 99)) if lags else 0.0
    return Load(load.seconds, load.statuses, load.latencies, load.n_retry_after, lag)


def converse(
    url: str, scripts: Sequence[Script], seconds: float,
    ports: dict[tuple[int, int], int] | None = None,
) -> Load:  # fmt: skip
    """Let scripts talk side by side until each has ended, or the time is over.

    `ports` is filled: number of the script and its connection -> local port.
    """
    with _calm():
        run = Connections(url, None)
        lines: dict[tuple[int, int], Line] = {}

        def ask(script: int, order: tuple[int, bytes]) -> None:
            line = lines.get((script, order[0]))
            if line is None:
                line = lines[script, order[0]] = run.connect()
                if ports is not None:
                    ports[script, order[0]] = line.socket.getsockname()[1]
            run.send(line, script, order[1], time.perf_counter())

        began = time.perf_counter()
        left = 0
        for number, script in enumerate(scripts):
            order = next(script, None)
            if order is not None:
                ask(number, order)
                left += 1
        ends = began + seconds
        while left and time.perf_counter() < ends + GRACE:
            for line in run.answered(0.1):
                number = line.answered
                try:
                    order = scripts[number].send(Answer(line.status, line.body))
                except StopIteration:
                    left -= 1
                    continue
                if time.perf_counter() < ends:
                    ask(number, order)
                else:
                    left -= 1
        for script in scripts:
            script.close()
        return run.load(began)


@contextmanager
def _calm() -> Iterator[None]:
    """No garbage is looked for while times are taken."""
    was = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def main() -> None:
    """Load a URL and print the outcome."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--key", default="")
    parser.add_argument("--body", help="JSON; then it is a POST")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, help="requests a second: open loop")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    parts = urlsplit(options.url)
    body = None if options.body is None else options.body.encode()
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    one = request("GET" if body is None else "POST", path, options.key, body)
    base = f"{parts.scheme}://{parts.netloc}"
    if options.rate is None:
        load = closed_loop(base, cycle([one]), options.connections, options.seconds)
    else:
        rng = np.random.default_rng(0)
        load = open_loop(
            base, cycle([one]), options.rate, options.seconds, rng, options.connections
        )
    print(load.format() + f"; the generator's own lag p99 {load.lag * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
