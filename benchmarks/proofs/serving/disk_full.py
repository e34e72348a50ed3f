"""The disk of live data fills while the service takes events in."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.live_service import Running, bundle_folder, new_key, serving
from benchmarks.harness.load_service import OPEN_LIMITS, kill, track
from benchmarks.harness.loading import closed_loop, question
from benchmarks.proof import Proof, measure

KIND = "safety"
CLAIM = (
    "a full disk: events get 503, questions their answers; later nothing acknowledged is missing"
)
SIZE_MB = 120
"""Size of the file system; more than the service wants free before it reports ready."""
LEFT = (300_000, 40_000, 0)
"""Bytes that a filler leaves free, round after round."""
BATCH = 50
MOST_BATCHES = 2_000
RECOVERS = 5.0
"""Seconds."""
LIMIT = f"503 with Retry-After, no other failure, none lost, well again in {RECOVERS:g} s"


@dataclass
class Seen:
    """Acknowledged events, and faults."""

    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    n: int = 0


def prove() -> Proof:
    """Rounds of filling and making room, the last one with a kill while the disk is full."""
    with tempfile.TemporaryDirectory() as disk:
        mounted = measure("mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", disk)
        if mounted.code:
            return Proof(CLAIM, KIND, "skip", f"needs the right to mount: {mounted.tail}")
        try:
            with bundle_folder() as folder:
                return _prove(folder, Path(disk))
        finally:
            subprocess.run(["umount", "-l", disk], check=False)


def _prove(folder: Path, disk: Path) -> Proof:
    seen = Seen()
    data, filler = disk / "live", disk / "filler"
    with (folder / "propense.toml").open("a") as settings:
        settings.write(f'\n[serve]\ndata = "{data}"\n')
    key = new_key(folder)
    with serving(folder, *OPEN_LIMITS, key=key) as service:
        for number, left in enumerate(LEFT):
            _send(service, seen, 4)
            _fill(filler, disk, left)
            before = seen.refused
            _send(service, seen, MOST_BATCHES, until_refused=True)
            if seen.refused == before:
                seen.faults.append(f"with {left:,} bytes left nothing was refused")
            _look(service, seen, is_full=True)
            if number == len(LEFT) - 1:
                kill(service)
                filler.unlink()
            else:
                filler.unlink()
                _recover(service, seen)
    with serving(folder, *OPEN_LIMITS, key=key) as service:
        _recover(service, seen)
        lost = _lost(service, seen)
    with contextlib.closing(sqlite3.connect(data / "history.db")) as con:
        whole = con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    n = sum(map(len, seen.acknowledged.values()))
    figure = (
        f"{n:,} events acknowledged, {seen.refused} batches refused with 503, {lost} lost, well "
        f"again in {seen.slowest:.1f} s at most, integrity {'ok' if whole else 'broken'}"
    )
    good = whole and not lost and not seen.faults and seen.slowest <= RECOVERS
    text = "; ".join([figure, *seen.faults[:4]])
    return Proof(CLAIM, KIND, "pass" if good else "fail", text, LIMIT)


def _fill(filler: Path, disk: Path, left: int) -> None:
    """Take all room but so many bytes."""
    with filler.open("ab") as stream:
        while (free := _free(disk) - left) > 0:
            try:
                stream.write(bytes(min(free, 1 << 20)))
                stream.flush()
            except OSError:
                break


def _free(disk: Path) -> int:
    usage = os.statvfs(disk)
    return usage.f_bavail * usage.f_frsize


def _send(service: Running, seen: Seen, batches: int, until_refused: bool = False) -> None:
    refused = 0
    for _ in range(batches):
        user = f"full-{seen.n % 20}"
        names = [f"{seen.n}-{at}" for at in range(BATCH)]
        seen.n += 1
        messages = [track(user, "view", name, name) for name in names]
        status, answered = service.ask("POST", "/v1/batch", {"batch": messages})
        if status == 200 and answered["kept"] == BATCH:
            seen.acknowledged.setdefault(user, set()).update(names)
        elif status == 503:
            refused += 1
            if "disk" not in str(answered):
                seen.faults.append(f"the refusal does not speak of the disk: {answered}")
        else:
            seen.faults.append(f"an event is answered with {status}: {answered}")
        if until_refused and refused >= 5:
            break
    seen.refused += refused


def _look(service: Running, seen: Seen, is_full: bool) -> None:
    """Questions, health and metrics while nothing can be written."""
    for user in ("full-0", "nobody"):
        status, answer = service.ask("POST", "/v1/recommend", {"user_id": user})
        if status != 200 or not answer["items"]:
            seen.faults.append(f"a question is answered with {status}: {answer}")
    if is_full:
        asks = [question("/v1/track", service.key, track("other", "view", "x" * 200, f"x{n}"))
                for n in range(20)]  # fmt: skip
        load = closed_loop(service.url, iter(asks), 1, 60)
        if load.n_retry_after != load.counts().get(503, 0) or not load.counts().keys() <= {
            200,
            503,
        }:
            seen.faults.append(f"{load.n_retry_after} with Retry-After of {load.counts()}")
    status, health = service.ask("GET", "/health/ready")
    if (status == 503) != is_full:
        seen.faults.append(f"readiness is {status}: {health}")
    if service.process.poll() is not None:
        seen.faults.append("the service has ended")


def _recover(service: Running, seen: Seen) -> None:
    """Until an event is taken in and the service says that it is ready."""
    began = time.monotonic()
    answered: Any = None
    while time.monotonic() < began + 30:
        status, answered = service.ask(
            "POST", "/v1/track", track("again", "view", "again", "again")
        )
        if status == 200 and service.ask("GET", "/health/ready")[0] == 200:
            seen.slowest = max(seen.slowest, time.monotonic() - began)
            _look(service, seen, is_full=False)
            return
        time.sleep(0.1)
    seen.slowest = float("inf")
    seen.faults.append(f"with room again: {answered}, {service.ask('GET', '/health/ready')}")


def _lost(service: Running, seen: Seen) -> int:
    lost = 0
    for user, names in seen.acknowledged.items():
        status, answered = service.ask("GET", f"/v1/users/{user}")
        held = [event["item_id"] for event in answered["events"]] if status == 200 else []
        lost += len(names - set(held))
        if len(held) != len(set(held)):
            seen.faults.append(f"{user} has an event twice")
    return lost
