"""The customers of a run come along into the live store.

Speed: a generated log of three million events. Kills: `propense history load` gets kill -9 at
random moments. Answers and training: the small demo, its scores, and its next run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness.live_service import Running, serving
from benchmarks.harness.small_runs import run_small
from benchmarks.proof import BIN, Proof, measure
from tests.support.live_servers import started_postgres, started_redis

KIND = "speed"
CLAIM = (
    "3 million events of 100,000 customers are loaded into SQLite in 30 s, PostgreSQL in 60 s and "
    "Redis in 90 s; kill -9 in the middle loses and repeats nothing; answers equal scores; the "
    "next training is the same with and without"
)
EVENTS, CUSTOMERS = 3_000_000, 100_000
LIMITS = {"SQLite": 30.0, "PostgreSQL": 60.0, "Redis": 90.0}
KILLS = 5
COMPARED = 1_000
DEMO_USERS = 1_100
CLOSE = 1e-5
"""Of a probability; of an amount, relative to it where it is above 1."""
LIVE = '\n[sources.live]\nevents = "live"\n'


def prove(events: int = EVENTS, customers: int = CUSTOMERS) -> Proof:
    """Speed and kills on the generated log, then answers, latency and training on the demo."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        log = root / "log"
        make_log(log, events, customers)
        good, lines = _times(log, events)
        whole, line = _kills(log, events)
        good, lines = good and whole, [*lines, line]
        run_small(root, DEMO_USERS)
        for part in (_answers, _training):
            fine, line = part(root / "demo", log)
            good, lines = good and fine, [*lines, line]
    return Proof(CLAIM, KIND, "pass" if good else "fail", "; ".join(lines), "as claimed")


def make_log(folder: Path, n_events: int, n_customers: int) -> None:
    """Clean tables as the clean stage leaves them, with event ids and aliases."""
    clean = folder / "runs/main/clean"
    rng = np.random.default_rng(1)
    user = rng.integers(0, n_customers, n_events)
    user[:n_customers] = np.arange(n_customers)
    time_of = np.datetime64("2024-01-01", "us") + rng.integers(
        0, 365 * 86_400 * 10**6, n_events
    ).astype("timedelta64[us]")
    ids = pa.array([f"user-{number:07}" for number in range(n_customers)])
    items = pa.array([f"item-{number}" for number in range(5_000)])
    actions = pa.array(["view", "cart", "pay"])
    events = {
        "user_id": ids.take(pa.array(user)),
        "item_id": items.take(pa.array(rng.integers(0, len(items), n_events))),
        "action": actions.take(pa.array(rng.integers(0, 3, n_events))),
        "event_time": pa.array(time_of),
        "value": pa.array(rng.integers(0, 10**8, n_events), mask=rng.random(n_events) < 0.7),
        "count": pa.array(np.ones(n_events)),
        "event_id": pa.array([f"e{number}" for number in range(n_events)]),
        "source": pa.array(["web"] * n_events),
        "order": pa.nulls(n_events, pa.int64()),
    }
    aliases = [f"anon-{number}" for number in range(n_customers // 5)]
    tables = {
        "events": events,
        "users.parquet": {"user_id": ids, "age": pa.array(rng.integers(18, 80, n_customers))},
        "identities.parquet": {"user_id": ids.slice(0, len(aliases)), "alias": pa.array(aliases)},
    }
    for name, columns in tables.items():
        (clean / name).mkdir(parents=True)
        pq.write_table(pa.table(columns), clean / name / "part-0.parquet", compression="zstd")
    (clean / "done.json").write_text('{"inputs_hash": "generated", "seconds": 1}')
    (folder / "propense.toml").write_text(
        '[sources.web]\nevents = "web.csv"\n[users]\npath = "users.csv"\n'
    )


def _times(log: Path, n_events: int) -> tuple[bool, list[str]]:
    lines, good = [], True
    for name, start in (
        ("SQLite", None), ("PostgreSQL", started_postgres), ("Redis", started_redis),
    ):  # fmt: skip
        for server in [None] if start is None else start():
            if start is not None and server is None:
                lines.append(f"{name}: not installed")
                continue
            store = "sqlite" if server is None else server.url
            shutil.rmtree(log / "live", ignore_errors=True)
            loaded = load(log, "--set", f"serve.store={store}")
            good = good and loaded["seconds"] <= LIMITS[name] and loaded["events"] == n_events
            lines.append(f"{name} {loaded['seconds']:.1f} s")
    return good, lines


def _kills(log: Path, n_events: int) -> tuple[bool, str]:
    """Kill at random moments, finish, and compare every customer with the tables."""
    shutil.rmtree(log / "live", ignore_errors=True)
    rng = random.Random(3)
    killed = 0
    longest = 8.0
    for _ in range(KILLS):
        child = subprocess.Popen(
            _command(log, "history", "load"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            child.wait(3.0 + rng.random() * longest)
        except subprocess.TimeoutExpired:
            os.kill(child.pid, signal.SIGKILL)
            killed += 1
        child.wait()
    load(log)
    again = load(log, "--force")
    good = (again["changed"], again["removed"], again["events"]) == (0, 0, n_events)
    return good and killed > 0, f"{killed} kills: {again['changed']} customers differ afterwards"


def _answers(demo: Path, log: Path) -> tuple[bool, str]:
    """The service's answers and the scores; and how long answers take while a log is loaded."""
    scores = demo / "scores.parquet"
    done = measure(*_command(demo, "score", "--out", str(scores)))
    if done.code:
        return False, f"propense score failed: {done.tail}"
    rows = pq.read_table(scores).to_pylist()[:COMPARED]
    with serving(demo, load_history=True) as service:
        ends = time.monotonic() + 60
        while not json.loads(measure(*_command(demo, "history", "load", "--json")).output or "{}"):
            assert time.monotonic() < ends
        time.sleep(1)
        worst = max(_difference(service, row) for row in rows)
        quiet = _latency(service, rows, 5.0)
        # The demo's settings name profile columns that the log does not have.
        other = demo / "runs/other"
        shutil.copytree(log / "runs/main", other, ignore=shutil.ignore_patterns("users.parquet"))
        words = ["--run", "runs/other"]
        child = subprocess.Popen(
            _command(demo, "history", "load", *words, "--quiet"), stdout=subprocess.DEVNULL
        )
        busy = _latency(service, rows, 120.0, child)
        child.wait()
    line = (
        f"{len(rows)} customers: at most {worst:.1e} from their scores; p99 of a question "
        f"{quiet:.1f} ms, while loading {busy:.1f} ms"
    )
    return worst <= CLOSE, line


def _difference(service: Running, row: dict[str, Any]) -> float:
    question = {"user_id": row["user_id"], "as_of": row["as_of"].isoformat()}
    status, answer = service.ask("POST", "/v1/predict", question)
    if status != 200:
        return float("inf")
    worst = 0.0
    for goal, one in answer["goals"].items():
        name = f"p_{goal}" if f"p_{goal}" in row else f"expected_{goal}"
        value = one.get("probability", one.get("expected"))
        worst = max(worst, abs(value - row[name]) / max(1.0, abs(row[name])))
    return worst


def _latency(
    service: Running, rows: list[dict[str, Any]], seconds: float, child: Any = None
) -> float:
    """The 99th percentile in milliseconds, until the time is over or the child ends."""
    waits = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and (child is None or child.poll() is None):
        row = rows[len(waits) % len(rows)]
        began = time.perf_counter()
        service.ask("POST", "/v1/predict", {"user_id": row["user_id"]})
        waits.append(time.perf_counter() - began)
    return float(np.quantile(waits, 0.99)) * 1e3


def _training(demo: Path, log: Path) -> tuple[bool, str]:
    """Account and labels of the next run, with and without the load."""
    made = []
    for name in ("with", "without"):
        folder = demo.parent / name / "demo"
        shutil.copytree(demo, folder, ignore=shutil.ignore_patterns("live", "shelf"))
        settings = folder / "propense.toml"
        settings.write_text(settings.read_text() + LIVE)
        if name == "with":
            load(folder)
        _send(folder)
        done = measure(*_command(folder, "run", "--until", "split", "--quiet"))
        if done.code:
            return False, f"the run {name} the load failed: {done.tail}"
        run = folder / "runs/main"
        made.append(
            [(run / "clean/account.json").read_bytes().replace(f"/{name}/".encode(), b"/")]
            + [_rows(run / path) for path in ("parts/labels.parquet", "clean/events")]
        )
    same = made[0] == made[1]
    return same, f"account, events and labels of the next run: {'equal' if same else 'DIFFERENT'}"


def _send(folder: Path) -> None:
    """Live events of customers of the run and of others, written by the same code each time."""
    code = (
        "import sys; from pathlib import Path; from propense.history.opening import open_store\n"
        "from propense.history.records import CustomerUpdate as U, LiveEvent as E\n"
        "from propense.history.store import StoreOptions\n"
        "o = StoreOptions(durable='process', suppression_hash=str.encode, remember_seconds=9999)\n"
        "store = open_store('sqlite', Path(sys.argv[1]), o); t = 1_750_000_000_000_000\n"
        "ids = [f'u{n:07}' for n in range(1, 60)] + ['guest-7']\n"
        "store.append([U(message_id=f'm{n}', user_id=one, received=t, events=(\n"
        "    E(t + n * 10**6, 'view', 'C0003'),)) for n, one in enumerate(ids)]); store.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(folder / "live")], check=True)


def _rows(path: Path) -> list[Any]:
    return sorted(map(str, pq.read_table(path).to_pylist()))


def load(folder: Path, *words: str) -> dict[str, Any]:
    """What `propense history load` did. Raises RuntimeError where it fails."""
    done = measure(*_command(folder, "history", "load", "--json", "--quiet", *words))
    if done.code:
        raise RuntimeError(f"propense history load: {done.tail}")
    loaded: dict[str, Any] = json.loads(done.output[done.output.index("{") :])
    return loaded


def _command(folder: Path, *words: str) -> list[str]:
    return [str(BIN / "propense"), *words, "--settings", str(folder / "propense.toml")]
