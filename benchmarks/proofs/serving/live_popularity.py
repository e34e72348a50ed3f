"""What is popular goes on while the service runs, alike in every process."""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from benchmarks.harness.live_service import Running, serving
from benchmarks.harness.load_service import (
    OPEN_LIMITS,
    PATIENT,
    serving_process,
    track,
    wait_for_workers,
)
from benchmarks.harness.loading import Script, converse, question, request
from benchmarks.proof import BIN, Proof
from propense.history.opening import open_store
from propense.history.store import StoreOptions
from propense.runtime.followed_counts import GRACE_SECONDS, StepRecord
from propense.runtime.popularity import KIND as RECORDS

KIND = "truth"
CLAIM = "an item that is taken now leads within a step, in every process at the same time"
STEP: Final = 20
"""Seconds of `[recommend] popularity_step`."""
N_EVENTS: Final = 100_000
BATCH: Final = 100
N_ITEMS, N_CUSTOMERS, DAYS = 200, 1_500, 60
RISING, PUSHED = "i199", "i198"
"""Nobody took them before: 200 customers take the first once, ten the second 1,000 times each."""
N_RISING: Final = 200
N_OTHERS: Final = 60
"""Customers who take all other items; so each of these counts 60 at most."""
LIMIT = (
    "0 answers of two processes differ within a step; 0 older than a step; the rising item in the "
    "first tenth after one step; 10,000 events of ten customers count as ten"
)
SETTINGS = f"""
name = "Waves"
sources.app = {{ events = "app.csv", action = "take" }}
items = {{ path = "items.csv", features = ["kind"] }}
split.by = "time"
recommend = {{ repeat = false, popularity_step = "{STEP}s" }}
model = {{ size = "small", ensemble = 1 }}
train = {{ max_epochs = 2, threads = 1 }}
rivals = {{ items = ["popularity"], trials = 1 }}
evaluate.resamples = 20
pack.refresh = false
serve.workers = 2
"""


class Asked(NamedTuple):
    """An answer on what is popular."""

    began: float
    ended: float
    items: bytes
    rank: int
    """Of the rising item, from 0."""


def prove(n_events: int = N_EVENTS) -> Proof:
    """Two askers put the same question to both processes while customers take items."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "waves"
        folder.mkdir()
        _write_waves(folder)
        done = subprocess.run(
            [str(BIN / "propense"), "run", "--settings", str(folder / "propense.toml"), "--quiet"],
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            return Proof(CLAIM, KIND, "fail", done.stderr[-300:], LIMIT)
        asked: list[tuple[Asked, Asked]] = []
        sent: Counter[str] = Counter()
        lifted: list[float] = []
        with serving(folder, "--workers", "2", *PATIENT, *OPEN_LIMITS) as service:
            wait_for_workers(service, 2)
            ports: dict[tuple[int, int], int] = {}
            scripts = [
                _asker(service, ports, asked),
                _sender(service, n_events, sent, lifted),
            ]
            load = converse(service.url, scripts, 1_200, ports)
        pushed = _counted(folder)
    return _judged(asked, sent, lifted, pushed, load.counts())


def _judged(
    asked: list[tuple[Asked, Asked]], sent: Counter[str], lifted: list[float],
    pushed: int, counts: str,
) -> Proof:  # fmt: skip
    grace = min(GRACE_SECONDS, STEP // 4)

    def step_of(at: float) -> int:
        return int((at - grace) // STEP)

    same = [
        pair for pair in asked
        if step_of(min(one.began for one in pair)) == step_of(max(one.ended for one in pair))
    ]  # fmt: skip
    differ = sum(one.items != other.items for one, other in same)
    # From the second step on after the last of them was acknowledged, every list has them.
    due = ((lifted[0] // STEP) + 1) * STEP + grace if lifted else float("inf")
    late = [one for pair in asked for one in pair if one.began >= due + 1]
    low = sum(one.rank >= N_ITEMS // 10 for one in late)
    steps = len({step_of(one.began) for pair in asked for one in pair})
    figure = (
        f"{differ} of {len(same):,} pairs of answers differ, over {steps} steps of {STEP} s; "
        f"{low} of {len(late):,} answers after a step without the rising item in the first tenth; "
        f"10,000 events of ten customers count as {pushed}; {sent['events']:,} events; {counts}"
    )
    good = (
        not differ and not low and pushed == 10 and len(late) > 100 and steps >= 3
        and len(same) > 1_000 and sent["events"] >= N_EVENTS
    )  # fmt: skip
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, LIMIT)


def _write_waves(folder: Path) -> None:
    """Each day other items are in fashion; the log ends an hour ago."""
    rng = np.random.default_rng(0)
    end = time.time() - 3_600
    rows = []
    for customer in range(N_CUSTOMERS):
        for day in np.sort(rng.choice(DAYS, 12, replace=False)):
            item = (int(day) * 3 + int(rng.integers(0, 12))) % (N_ITEMS - 2)
            at = end - (DAYS - int(day)) * 86_400 + float(rng.random() * 86_400)
            rows.append((f"c{customer}", f"i{item}", datetime.fromtimestamp(at, UTC).isoformat()))
    with (folder / "app.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("user_id", "item_id", "event_time"))
        writer.writerows(rows)
    kinds = "".join(f"i{item},{'abc'[item % 3]}\n" for item in range(N_ITEMS))
    (folder / "items.csv").write_text(f"item_id,kind\n{kinds}")
    (folder / "propense.toml").write_text(SETTINGS)


def _asker(
    service: Running, ports: dict[tuple[int, int], int], asked: list[tuple[Asked, Asked]]
) -> Script:
    """Asks both processes in turn, until the rising item has been there for two steps."""
    held: list[int | None] = []
    for one in range(32):
        yield one, request("GET", "/health/live")
        held.append(serving_process(service, ports[0, one]))
        if None not in held and len(set(held)) > 1:
            break
    ends = time.time() + 5 * STEP
    while time.time() < ends:
        pair = []
        for line in (0, len(held) - 1):
            began = time.time()
            answer = yield line, request("GET", f"/v1/popular?k={N_ITEMS}", service.key)
            items = json.loads(answer.body)["items"] if answer.status == 200 else []
            names = [item["item_id"] for item in items]
            rank = names.index(RISING) if RISING in names else N_ITEMS
            pair.append(Asked(began, time.time(), json.dumps(items).encode(), rank))
        asked.append((pair[0], pair[1]))


def _sender(service: Running, n_events: int, sent: Counter[str], lifted: list[float]) -> Script:
    """What customers take: ten of them one item for ever, 200 the rising one, all others any."""
    rng = np.random.default_rng(1)
    messages = [(f"c{n % 10}", PUSHED) for n in range(10_000)]
    messages += [(f"new{n}", RISING) for n in range(N_RISING)]
    messages += [
        (f"c{rng.integers(N_OTHERS)}", f"i{rng.integers(N_ITEMS - 2)}")
        for _ in range(max(n_events - len(messages), 0))
    ]
    for first in range(0, len(messages), BATCH):
        batch = [
            track(user, "take", item, f"m{first + number}")
            for number, (user, item) in enumerate(messages[first : first + BATCH])
        ]
        answer = yield 0, question("/v1/batch", service.key, {"batch": batch})
        if answer.status == 200:
            sent["events"] += json.loads(answer.body)["kept"]
        if first + BATCH >= 10_000 + N_RISING and not lifted:
            lifted.append(time.time())


def _counted(folder: Path) -> int:
    """As how many the customers who pushed an item were counted."""
    options = StoreOptions(durable="service", suppression_hash=str.encode, remember_seconds=86_400)
    store = open_store("sqlite", folder / "live", options)
    try:
        records = [
            msgspec.json.decode(record.value, type=StepRecord)
            for record in store.controls.read(RECORDS).records
        ]
    finally:
        store.close()
    return sum(
        n for record in records
        for item, n in zip(record.items, record.customers, strict=True) if item == PUSHED
    )  # fmt: skip
