"""Four hundred connections that send nothing, half a header, or a body byte by byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from urllib.parse import urlsplit

import numpy as np

from benchmarks.harness.live_service import bundle_folder, serving
from benchmarks.harness.load_service import OPEN_LIMITS, PATIENT
from benchmarks.harness.loading import closed_loop, open_loop, question, request
from benchmarks.proof import Proof

KIND = "safety"
CLAIM = "four hundred silent, half and dripping connections make nobody else wait"
CONNECTIONS = 400
RATE = 100.0
LINES = 8
"""Connections of those who ask."""
SECONDS = 20.0
TIMES = 2.0
LEAST_MS = 2.0
"""p99 of an idle service is taken as at least this: below it the machine's own noise decides."""
LIMIT = f"all questions and health checks answered; p99 <= {TIMES:g} x idle p99"
DRIPPING = (
    b"POST /v1/track HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.7\r\n"
    b"content-length: 100000\r\n\r\n"
)
BEGINNINGS = (b"", b"POST /v1/recommend HTTP/1.1\r\nhost: a\r\nx: ", DRIPPING)
"""What an attacker sends first; then a byte a second, but nothing on the silent ones."""


def prove(seconds: float = SECONDS, connections: int = CONNECTIONS) -> Proof:
    """Questions and health checks on an idle service, then on one under attack."""
    rng = np.random.default_rng(0)
    with bundle_folder() as folder, serving(folder, *OPEN_LIMITS, *PATIENT) as one:
        ask = question("/v1/predict", one.key, {"user_id": "nobody"})
        asks = cycle([ask, ask, ask, request("GET", "/health/live")])
        closed_loop(one.url, asks, 4, 2.0)
        idle = open_loop(one.url, asks, RATE, seconds, rng, LINES)
        with attack(one.url, connections) as opened:
            time.sleep(1.0)
            under = open_loop(one.url, asks, RATE, seconds, rng, LINES)
            n_opened = len(opened)
    limit = TIMES * max(idle.ms(99), LEAST_MS)
    good = under.counts().keys() == {200} and under.ms(99) <= limit
    figure = (
        f"idle {idle.format()}; beside {connections} hostile connections ({n_opened:,} opened "
        f"one after another, as they were closed) {under.format()}"
    )
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, LIMIT)


@contextmanager
def attack(url: str, n: int) -> Iterator[list[float]]:
    """Hold `n` hostile connections open, another for each that is closed; the list has the time of
    each."""
    opened: list[float] = []
    is_over = threading.Event()
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 80)

    def run() -> None:
        sockets: list[tuple[socket.socket, bytes]] = []
        number = 0
        while not is_over.wait(0.01 if len(sockets) < n else 1.0):
            if len(sockets) < n:
                begins = BEGINNINGS[number % len(BEGINNINGS)]
                number += 1
                made = socket.create_connection(address, timeout=5)
                made.sendall(begins)
                made.setblocking(False)
                sockets.append((made, begins))
                opened.append(time.monotonic())
                if len(sockets) < n:
                    continue
            sockets = [one for one in sockets if is_open(*one)]
        for made, _ in sockets:
            made.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield opened
    finally:
        is_over.set()
        thread.join()


def is_open(made: socket.socket, begins: bytes) -> bool:
    """Whether the service still holds the connection; one that is not silent sends a byte."""
    with suppress(BlockingIOError):
        try:
            if begins:
                made.send(b"1")
            if made.recv(4_096):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        made.close()
    return False
