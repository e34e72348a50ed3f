"""Load over HTTP/1.1 from one core: what was offered, what came back, how long it took.

Open loop: requests are due at moments drawn beforehand, and an answer's time runs from the moment
its request was due, so that a service that stalls is charged for all who would have come
meanwhile. Closed loop: so many connections, each with one request at a time.

    python benchmarks/loading.py http://127.0.0.1:8080/health/live --connections 32
    python benchmarks/loading.py http://127.0.0.1:8080/health/live --rate 5000
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import shutil
import socket
import subprocess
import tempfile
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

LOST = 0
"""Status of a request whose connection ended before the answer, or that was never answered."""
GRACE = 10.0
"""Seconds that answers may take after the last request."""
PATIENCE = 10.0
"""Seconds in which a connection has to be made."""
PERCENTILES = (50.0, 90.0, 99.0, 99.9)

Check = Callable[[int, int, bytes], None]
"""Number of the request, status, body: for what has to be looked at besides the time."""


class Answer(NamedTuple):
    """What a script hears of its request."""

    status: int
    """Of HTTP, or LOST."""
    body: bytes


Script = Generator[tuple[int, bytes], Answer, None]
"""Asks one request after the other and hears each answer before the next. What it yields is a
request and which of its own connections, counted from 0, takes it."""


@dataclass(frozen=True)
class Load:
    """What became of every request, in the order of their answers."""

    seconds: float
    """From the first request to the last answer."""
    statuses: np.ndarray
    """(n,) of HTTP, or LOST."""
    latencies: np.ndarray
    """(n,) seconds; since it was due in open loop, since it was sent in closed loop."""
    told_when: int
    """Of the answers 429 and 503, those with Retry-After."""
    lag: float
    """p99 of the seconds between due and sent where a connection was free: of the generator
    itself. 0 in closed loop."""

    def counts(self) -> dict[int, int]:
        """Status -> answers."""
        return dict(sorted(Counter(self.statuses.tolist()).items()))

    def rate(self, status: int = 200) -> float:
        """Answers of that status a second."""
        return float((self.statuses == status).sum() / self.seconds)

    def ms(self, percentile: float, status: int = 200) -> float:
        """A percentile of the milliseconds of answers of that status; nan where there is none."""
        some = self.latencies[self.statuses == status]
        return float(np.percentile(some, percentile) * 1e3) if len(some) else float("nan")

    def tell(self, status: int = 200) -> str:
        """One line."""
        times = ", ".join(f"p{p:g} {self.ms(p, status):.2f}" for p in PERCENTILES)
        return f"{self.rate(status):,.0f}/s, {times} ms, statuses {self.counts()}"

    def record(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "rate": round(self.rate(), 1),
            **{f"p{p:g}_ms": round(self.ms(p), 3) for p in PERCENTILES},
            "statuses": self.counts(), "seconds": round(self.seconds, 2),
            "lag_ms": round(self.lag * 1e3, 3),
        }  # fmt: skip


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
        run = _Run(url, check)
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
        run = _Run(url, check)
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
    return Load(load.seconds, load.statuses, load.latencies, load.told_when, lag)


def converse(
    url: str, scripts: Sequence[Script], seconds: float,
    ports: dict[tuple[int, int], int] | None = None,
) -> Load:  # fmt: skip
    """Let scripts talk side by side until each has ended, or the time is over.

    `ports` is filled: number of the script and its connection -> local port.
    """
    with _calm():
        run = _Run(url, None)
        lines: dict[tuple[int, int], _Line] = {}

        def ask(script: int, wish: tuple[int, bytes]) -> None:
            line = lines.get((script, wish[0]))
            if line is None:
                line = lines[script, wish[0]] = run.connect()
                if ports is not None:
                    ports[script, wish[0]] = line.socket.getsockname()[1]
            run.send(line, script, wish[1], time.perf_counter())

        began = time.perf_counter()
        left = 0
        for number, script in enumerate(scripts):
            wish = next(script, None)
            if wish is not None:
                ask(number, wish)
                left += 1
        ends = began + seconds
        while left and time.perf_counter() < ends + GRACE:
            for line in run.answered(0.1):
                number = line.answered
                try:
                    wish = scripts[number].send(Answer(line.status, line.body))
                except StopIteration:
                    left -= 1
                    continue
                if time.perf_counter() < ends:
                    ask(number, wish)
                else:
                    left -= 1
        for script in scripts:
            script.close()
        return run.load(began)


class _Line:
    """One connection: what it waits for, and what came last."""

    __slots__ = ("answered", "body", "buffer", "due", "number", "socket", "status")

    def __init__(self, made: socket.socket) -> None:
        self.socket = made
        self.buffer = b""
        self.number = -1
        """Of the request that is not answered yet; -1 where there is none."""
        self.due = 0.0
        self.answered = -1
        """Number of the request that was answered last, with this status and body."""
        self.status = LOST
        self.body = b""


class _Run:
    """The connections of one load, and the record of its answers."""

    def __init__(self, url: str, check: Check | None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self._place = (parts.hostname, parts.port)
        self._check = check
        self._poll = select.epoll()
        self.open: dict[int, _Line] = {}
        self._statuses = array("H")
        self._latencies = array("d")
        self._told_when = 0
        self._last = time.perf_counter()

    def connect(self) -> _Line:
        """One more connection. Raises OSError where none can be made for a while."""
        line = _Line(self._connected())
        self._add(line)
        return line

    def _connected(self) -> socket.socket:
        ends = time.perf_counter() + PATIENCE
        while True:
            try:
                made = socket.create_connection(self._place, timeout=PATIENCE)
                break
            except OSError:
                if time.perf_counter() > ends:
                    raise
                time.sleep(0.02)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _add(self, line: _Line) -> None:
        self.open[line.socket.fileno()] = line
        self._poll.register(line.socket.fileno(), select.EPOLLIN)

    def close(self, line: _Line) -> None:
        """Let go of a connection."""
        del self.open[line.socket.fileno()]
        self._poll.unregister(line.socket.fileno())
        line.socket.close()

    def send(self, line: _Line, number: int, one: bytes, due: float) -> None:
        """Ask."""
        line.number, line.due = number, due
        try:
            line.socket.sendall(one)
        except OSError:
            # The end of the connection is read next, and then counted.
            return

    def answered(self, seconds: float) -> list[_Line]:
        """Connections that are free now, since their answer came or was lost with them; a lost
        one is made anew."""
        free = []
        for fd, _ in self._poll.poll(seconds):
            line = self.open[fd]
            try:
                data = line.socket.recv(262_144)
            except OSError:
                data = b""
            if data:
                if line.buffer:
                    data = line.buffer + data
                if self._take(line, data):
                    free.append(line)
                continue
            self.close(line)
            if line.number >= 0:
                self.record(LOST, time.perf_counter() - line.due)
                line.answered, line.status, line.body = line.number, LOST, b""
                free.append(line)
            line.number, line.buffer = -1, b""
            line.socket = self._connected()
            self._add(line)
        return free

    def _take(self, line: _Line, data: bytes) -> bool:
        """Whether the answer is whole; then it is recorded."""
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            at = data.find(b"content-length: ", 0, end)
            total = end + 4 + (int(data[at + 16 : data.find(b"\r", at)]) if at >= 0 else 0)
            if len(data) >= total:
                now = time.perf_counter()
                status = int(data[9:12])
                self.record(status, now - line.due)
                self._last = now
                if status in (429, 503) and data.find(b"retry-after: ", 0, end) >= 0:
                    self._told_when += 1
                line.answered, line.number = line.number, -1
                line.status, line.body = status, data[end + 4 : total]
                line.buffer = data[total:]
                if self._check is not None:
                    self._check(line.answered, status, line.body)
                return True
        line.buffer = data
        return False

    def record(self, status: int, seconds: float) -> None:
        """Write one answer down."""
        self._statuses.append(status)
        self._latencies.append(seconds)

    def load(self, began: float) -> Load:
        """Close everything; requests without an answer are lost."""
        for line in list(self.open.values()):
            if line.number >= 0:
                self.record(LOST, time.perf_counter() - line.due)
            self.close(line)
        self._poll.close()
        return Load(
            max(self._last - began, 1e-9), np.array(self._statuses), np.array(self._latencies),
            self._told_when, 0.0,
        )  # fmt: skip


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


WRK = """
local lines = {}
for line in io.lines("%(bodies)s") do lines[#lines + 1] = line end
local at = 0
request = function()
  at = at %% #lines + 1
  return wrk.format("POST", nil, {["content-type"] = "application/json",
    ["authorization"] = "Bearer %(key)s"}, lines[at])
end
done = function(summary, latency, requests)
  io.write(string.format('{"seconds": %%f, "requests": %%d, "refused": %%d, "lost": %%d, '
    .. '"p50": %%f, "p90": %%f, "p99": %%f, "p99.9": %%f}\\n',
    summary.duration / 1e6, summary.requests, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
    latency:percentile(99.9) / 1e3))
end
"""
"""Every answer that is no 2xx or 3xx counts as refused."""


@dataclass(frozen=True)
class Wrk:
    """What wrk counted: https://github.com/wg/wrk."""

    rate: float
    """Good answers a second."""
    ms: dict[str, float]
    """Percentile -> milliseconds."""
    refused: int
    lost: int


def has_wrk() -> bool:
    """Whether wrk is installed: apt-get install wrk."""
    return shutil.which("wrk") is not None


def run_wrk(
    url: str, path: str, key: str, messages: Sequence[Any], connections: int, seconds: float
) -> Wrk:
    """POST the messages in turn from one thread of wrk, which takes less of a core than Python.

    Raises RuntimeError where wrk is missing or fails.
    """
    if not has_wrk():
        raise RuntimeError("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as place:
        bodies, script = Path(place) / "bodies", Path(place) / "post.lua"
        lines = [json.dumps(message, separators=(",", ":")) for message in messages]
        bodies.write_text("\n".join(lines) + "\n")
        script.write_text(WRK % {"bodies": bodies, "key": key})
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s",
             "-s", str(script), url + path],
            capture_output=True, text=True,
        )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1:] or [""]
    if done.returncode or not last[0].startswith("{"):
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stdout}{done.stderr}"[-800:])
    said = json.loads(last[0])
    good = said["requests"] - said["refused"]
    ms = {name: said[name] for name in ("p50", "p90", "p99", "p99.9")}
    return Wrk(good / said["seconds"], ms, said["refused"], said["lost"])


def main() -> None:
    """Load a URL and say what came back."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--key", default="")
    parser.add_argument("--body", help="JSON; then it is a POST")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, help="requests a second: open loop")
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    parts = urlsplit(asked.url)
    body = None if asked.body is None else asked.body.encode()
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    one = request("GET" if body is None else "POST", path, asked.key, body)
    base = f"{parts.scheme}://{parts.netloc}"
    if asked.rate is None:
        load = closed_loop(base, cycle([one]), asked.connections, asked.seconds)
    else:
        rng = np.random.default_rng(0)
        load = open_loop(base, cycle([one]), asked.rate, asked.seconds, rng, asked.connections)
    print(load.tell() + f"; the generator's own lag p99 {load.lag * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
