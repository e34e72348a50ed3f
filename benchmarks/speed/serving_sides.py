"""The two sides of bench_serving.py: propense, and a plain service of the same network."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness.live_service import Running
from benchmarks.harness.load_service import copy_of, free_port, track
from benchmarks.harness.loading import closed_loop, question
from benchmarks.peers import environments
from benchmarks.proof import BIN, ROOT

SCENARIO = """
[serve.scenarios.home]
k = 10
never = { level = ["expert"] }
at_most = { category = 3 }
boosts = { level = { beginner = 1.2 } }
"""
SERVER = 0
"""Core of the service."""


class Side(NamedTuple):
    """A service that is measured, and how it is called."""

    url: str
    key: str
    recommend: str
    event: str
    batch: str
    predict: str | None
    message: Callable[[str, str, str], Any]
    """(customer, item, message id) -> what is sent to `event`."""
    pack: Callable[[list[Any]], Any]
    """Messages -> what is sent to `batch`."""


def core_of_service() -> int | None:
    """None where there is but one core, which both then share."""
    return SERVER if (os.cpu_count() or 1) > 1 else None


def own_side(service: Running) -> Side:
    """How propense is asked."""
    return Side(
        service.url, service.key, "/v1/recommend", "/v1/track", "/v1/batch", "/v1/predict",
        lambda user, item, name: track(user, "view", item, name),
        lambda messages: {"batch": messages},
    )  # fmt: skip


def ask_for(side: Side, user: str) -> bytes:
    """A question by the rules of the scenario."""
    return question(side.recommend, side.key, {"user_id": user, "scenario": "home"})


def listed(side: Side, user: str) -> list[str]:
    """The items of one answer."""
    heard: list[bytes] = []
    load = closed_loop(
        side.url, iter([ask_for(side, user)]), 1, 60, lambda _number, _status, b: heard.append(b)
    )
    if load.counts() != {200: 1}:
        raise RuntimeError(f"{side.url}{side.recommend} answers {load.counts()}: {heard}")
    return [item["item_id"] for item in json.loads(heard[0])["items"]]


def start_seconds(folder: Path, key: str, user: str, times: int = 3) -> float:
    """Median seconds from the start of the process to a good answer."""
    took = []
    for _ in range(times):
        port = free_port()
        settings = str(folder / "propense.toml")
        words = [str(BIN / "propense"), "serve", "--settings", settings, "--port", str(port)]
        took.append(_first_answer(words, port, question("/v1/recommend", key, {"user_id": user})))
    return float(np.median(took))


def _first_answer(words: list[str], port: int, ask: bytes) -> float:
    began = time.perf_counter()
    with started(words):
        while time.perf_counter() < began + 120:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
                    one.sendall(ask)
                    if one.recv(100).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter() - began
            except OSError:
                time.sleep(0.005)
    raise RuntimeError(f"{' '.join(words)} did not answer")


@contextmanager
def started(words: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process on the core of the service, ended afterwards."""
    core = core_of_service()
    pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
    process = subprocess.Popen(
        [*pinned, *words], stdout=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def peer_serving(
    folder: Path, root: Path, customers: list[tuple[str, list[str]]]
) -> Iterator[tuple[Side, float, Callable[[], float]]]:
    """The plain service with the same customers: how it is asked, how long it took to answer,
    and its resident memory."""
    database, key, port = root / "plain.db", "plain-key", free_port()
    with sqlite3.connect(database) as con:
        con.execute(
            "CREATE TABLE events (message_id TEXT PRIMARY KEY, user_id TEXT, event_time INTEGER,"
            " action TEXT, item_id TEXT, value INTEGER, count REAL, source TEXT)"
        )
        con.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _rows(customers))
    con.close()
    run = copy_of(folder, root / "plain", SCENARIO)
    (run / "runs").symlink_to((folder / "runs").resolve())
    words = [
        str(environments.interpreter("plain")), str(ROOT / "benchmarks/peers/plain_service.py"),
        str(run), str(database), str(port), key,
    ]  # fmt: skip
    # Of the peer's environment come FastAPI and what it needs, of propense's all else.
    path = os.pathsep.join([str(ROOT / "src"), *(p for p in sys.path if "site-packages" in p)])
    message = {"user_id": customers[0][0], "scenario": "home"}
    began = time.perf_counter()
    with started(words, PYTHONPATH=path, OMP_NUM_THREADS="1") as process:
        side = Side(
            f"http://127.0.0.1:{port}", key, "/recommend", "/event", "/events", None,
            lambda user, item, name: {
                "message_id": name, "user_id": user, "action": "view", "item_id": item,
            },
            lambda messages: messages,
        )  # fmt: skip
        ask = question(side.recommend, key, message)
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"the peer ended with {process.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
                    one.sendall(ask)
                    if one.recv(100).startswith(b"HTTP/1.1 200"):
                        break
            except OSError:
                time.sleep(0.01)
        yield side, time.perf_counter() - began, lambda: _resident(process.pid)


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _rows(customers: list[tuple[str, list[str]]]) -> Iterator[tuple[Any, ...]]:
    number = 0
    for user, lines in customers:
        for line in lines:
            event = json.loads(line)
            micros = np.datetime64(event["event_time"].removesuffix("+00:00"), "us").astype(int)
            value = event.get("value")
            yield (
                str(number), user, int(micros), event["action"], event.get("item_id"),
                None if value is None else round(value * 1e6), event.get("count"),
                event.get("source"),
            )  # fmt: skip
            number += 1
