"""The loop closes: what happens live is in the next training, through kills and the gate."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.proof import BIN, Proof
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.store import StoreOptions
from propense.times import MICROS_PER_SECOND
from propense.worlds.education.education import generate_education

KIND = "safety"
CLAIM = "live events are in the next bundle; turns survive kill -9 and end cleanly with SIGTERM"
PATIENCE = 900.0
QUICK = """
[sources.live]
events = "live"

[model]
size = "small"
ensemble = 1

[train]
max_epochs = 4
threads = 1
checkpoint_seconds = 0.2

[rivals]
goals = ["majority", "tree"]
items = ["popularity", "markov"]
trials = 1

[evaluate]
resamples = 50
"""


class Failed(AssertionError):
    """A step did not do what it should."""


def prove() -> Proof:
    """Turns of a small world: first bundle, nothing new, live events, a kill, a signal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate_education(folder, n_users=300, days=196)
        prepare(folder)
        try:
            figure = "; ".join(run_cycles(folder))
        except Failed as error:
            return Proof(CLAIM, KIND, "fail", str(error), "every step as claimed")
    return Proof(CLAIM, KIND, "pass", figure, "every step as claimed")


def run_cycles(folder: Path) -> Iterator[str]:
    """Each step's figure; raises Failed."""
    run = folder / "runs" / "main"
    with started(folder) as loop:
        cycle = wait_for(folder, loop, lambda cycle: bool(cycle["made"]))
        hold(cycle["outcome"] in ("promoted", "refused"), f"the first cycle ended {cycle}")
        yield f"first bundle {cycle['outcome']}"
        cycle = wait_for(folder, loop, lambda cycle: cycle["outcome"] == "unchanged")
        hold(not cycle["made"], "stages were made of nothing new")
        append(folder, 1)
        busy = wait_until(lambda: is_begun(run, "clean") or cycles(folder)[-1] != cycle)
        hold(busy, "live events did not begin a run")
        second = subprocess.run(
            [BIN / "propense", "run", "--quiet"], cwd=folder, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        hold(second.returncode == 2 and "another run (process" in second.stderr,
             f"a second run was not refused: {second.stderr[-200:]}")  # fmt: skip
        number = cycle["turn"]
        cycle = wait_for(folder, loop, lambda cycle: cycle["turn"] > number and bool(cycle["made"]))
        hold("clean" in cycle["made"], f"live events were not cleaned: {cycle}")
        hold(count_live(run) == 20, f"{count_live(run)} of 20 live events are split")
        transferred = json.loads((run / "training" / "customer_model.json").read_bytes())[
            "transferred"
        ]
        hold(transferred is not None, "the second training began cold")
        yield f"20 live events trained on, {transferred['share']:.0%} of weights taken over"
        append(folder, 2)
        hold(wait_until(lambda: has_checkpoint(run)), "no checkpoint came")
        loop.kill()
        loop.wait()
    append(folder, 3)
    with started(folder) as loop:
        number = cycles(folder)[-1]["turn"]
        cycle = wait_for(folder, loop, lambda cycle: cycle["turn"] > number)
        hold(cycle["made"] == ["train", "rivals", "evaluate", "pack"],
             f"after kill -9 it did not go on where it was: {cycle}")  # fmt: skip
        hold(count_live(run) == 40, "it went on with other data")
        yield "after kill -9 in training the same cycle was finished"
        number = cycle["turn"]
        hold(wait_until(lambda: has_checkpoint(run)), "what came meanwhile began no run")
        loop.send_signal(signal.SIGTERM)
        code = loop.wait(timeout=PATIENCE)
        last = cycles(folder)[-1]
        hold(code == 0 and last["outcome"] == "stopped" and last["turn"] > number,
             f"SIGTERM ended with {code} and {last}")  # fmt: skip
        yield "SIGTERM in training ended with 0 and was logged"
    with started(folder) as loop:
        cycle = wait_for(folder, loop, lambda cycle: cycle["turn"] > last["turn"])
        hold(cycle["made"] == ["train", "rivals", "evaluate", "pack"] and count_live(run) == 60,
             f"after SIGTERM it did not go on where it was: {cycle}")  # fmt: skip
        loop.send_signal(signal.SIGTERM)
        hold(loop.wait(timeout=60) == 0, "SIGTERM between two cycles was no clean end")
    yield f"{len(list((folder / 'shelf').glob('v*')))} bundles in {cycle['cycle']} cycles"


def prepare(folder: Path) -> None:
    """The world's settings, but quick."""
    file = folder / "propense.toml"
    remaining, section = [], ""
    for line in file.read_text("utf-8").splitlines():
        section = line if line.startswith("[") else section
        if section.strip("[]") not in ("model", "train", "rivals", "evaluate"):
            remaining.append(line)
    file.write_text("\n".join(remaining) + QUICK, "utf-8")


@contextlib.contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`propense run --every` in the folder; killed at the end if it still lives."""
    words = [BIN / "propense", "run", "--every", "1s", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / "loop.log").open("ab") as log:
        loop = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log, env=environment)
        try:
            yield loop
        finally:
            if loop.poll() is None:
                loop.kill()
            loop.wait()


def append(folder: Path, number: int) -> None:
    """Twenty live events of a known customer."""
    items = pq.read_table(folder / "items.parquet")
    word = str(items[items.column_names[0]][0].as_py())
    user = (folder / "users.csv").read_text("latin-1").splitlines()[1].split(",")[0].strip('"')
    began = last_event_time(folder) - 3600 * MICROS_PER_SECOND * (10 - number)
    updates = [
        CustomerUpdate(
            message_id=f"live-{number}-{n}", user_id=user, received=began,
            events=(LiveEvent(began + n * MICROS_PER_SECOND * 60, "view", word, source="proof"),),
        )
        for n in range(20)
    ]  # fmt: skip
    options = StoreOptions(durable="process", suppression_hash=str.encode, remember_seconds=86_400)
    store = open_store("sqlite", folder / "live", options)
    with contextlib.closing(store):
        store.append(updates)


def last_event_time(folder: Path) -> int:
    """Microseconds of the last event of the company's own logs."""
    plan = json.loads((folder / "runs" / "main" / "parts" / "split.json").read_bytes())
    return int(plan["end"]) * MICROS_PER_SECOND


def count_live(run: Path) -> int:
    """The service's events among those that are trained on. Read from what `split` made: the next
    turn may have begun to clean."""
    shards = pq.read_table(run / "parts" / "shards", columns=["events"])["events"]
    sources = pc.struct_field(pc.list_flatten(shards), "source")
    return int(pc.sum(pc.equal(sources, "proof")).as_py() or 0)


def is_begun(run: Path, stage: str) -> bool:
    """Whether the stage is at work."""
    folder = {"train": "training"}.get(stage, stage)
    return (run / f"{stage}.begun").exists() and not (run / folder / "done.json").exists()


def has_checkpoint(run: Path) -> bool:
    """Whether a training is at work and has something to go on from."""
    there = (run / "training" / "network-0" / "checkpoint.safetensors").exists()
    return (
        there and is_begun(run, "train") and not (run / "training" / "customer_model.json").exists()
    )


def cycles(folder: Path) -> list[dict[str, Any]]:
    """The cycles logged so far."""
    file = folder / "runs" / "main" / "cycles.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [json.loads(line) for line in lines]


def wait_for(folder: Path, loop: subprocess.Popen[bytes], wanted: Any) -> dict[str, Any]:
    """The first turn of the kind."""
    matching: list[dict[str, Any]] = []

    def there() -> bool:
        hold(loop.poll() is None, f"the loop ended: {tail(folder)}")
        logged = cycles(folder)
        failed = [cycle for cycle in logged if cycle["outcome"] == "failed"]
        hold(not failed, f"a turn failed: {failed[-1:]}")
        matching[:] = [cycle for cycle in logged if wanted(cycle)]
        return bool(matching)

    hold(wait_until(there), f"no such turn within {PATIENCE:.0f} s: {tail(folder)}")
    return matching[0]


def wait_until(there: Any) -> bool:
    """Whether it came to be."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if there():
            return True
        time.sleep(0.02)
    return False


def tail(folder: Path) -> str:
    """The last words of the log."""
    return (folder / "loop.log").read_text("utf-8", "replace")[-500:]


def hold(good: bool, otherwise: str) -> None:
    if not good:
        raise Failed(otherwise)


if __name__ == "__main__":
    print(prove(), file=sys.stdout)
