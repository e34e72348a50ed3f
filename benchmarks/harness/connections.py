"""The connections of a load over HTTP/1.1, and the record of what came back."""

from __future__ import annotations

import select
import socket
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

LOST = 0
"""Status of a request whose connection ended before the answer, or that was never answered."""
PATIENCE = 10.0
"""Seconds in which a connection has to be made."""
PERCENTILES = (50.0, 90.0, 99.0, 99.9)

Check = Callable[[int, int, bytes], None]
"""Number of the request, status, body: for what has to be looked at besides the time."""


@dataclass(frozen=True)
class Load:
    """The outcome of every request, in the order of the answers."""

    seconds: float
    """From the first request to the last answer."""
    statuses: np.ndarray
    """(n,) of HTTP, or LOST."""
    latencies: np.ndarray
    """(n,) seconds; since it was due in open loop, since it was sent in closed loop."""
    n_retry_after: int
    """Number of answers 429 and 503 that had Retry-After."""
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

    def format(self, status: int = 200) -> str:
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


class Line:
    """One connection: what it waits for, and what came last."""

    __slots__ = ("answered", "body", "buffer", "due", "number", "socket", "status")

    def __init__(self, made: socket.socket) -> None:
        self.socket = made
        self.buffer = b""
        self.number = -1
        """The request that is not answered yet; -1 where there is none."""
        self.due = 0.0
        self.answered = -1
        """Number of the request that was answered last, with this status and body."""
        self.status = LOST
        self.body = b""


class Connections:
    """The connections of one load, and the record of its answers."""

    def __init__(self, url: str, check: Check | None) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self._address = (parts.hostname, parts.port)
        self._check = check
        self._poll = select.epoll()
        self.open: dict[int, Line] = {}
        self._statuses = array("H")
        self._latencies = array("d")
        self._n_retry_after = 0
        self._last = time.perf_counter()

    def connect(self) -> Line:
        """One more connection. Raises OSError where none can be made for a while."""
        line = Line(self._connected())
        self._add(line)
        return line

    def _connected(self) -> socket.socket:
        ends = time.perf_counter() + PATIENCE
        while True:
            try:
                made = socket.create_connection(self._address, timeout=PATIENCE)
                break
            except OSError:
                if time.perf_counter() > ends:
                    raise
                time.sleep(0.02)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _add(self, line: Line) -> None:
        self.open[line.socket.fileno()] = line
        self._poll.register(line.socket.fileno(), select.EPOLLIN)

    def close(self, line: Line) -> None:
        """Let go of a connection."""
        del self.open[line.socket.fileno()]
        self._poll.unregister(line.socket.fileno())
        line.socket.close()

    def send(self, line: Line, number: int, one: bytes, due: float) -> None:
        """Ask."""
        line.number, line.due = number, due
        try:
            line.socket.sendall(one)
        except OSError:
            # The end of the connection is read next, and then counted.
            return

    def answered(self, seconds: float) -> list[Line]:
        """Connections that are free now, because the answer arrived or the connection was lost; a
        lost one is opened again."""
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

    def _take(self, line: Line, data: bytes) -> bool:
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
                    self._n_retry_after += 1
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
            self._n_retry_after, 0.0,
        )  # fmt: skip
