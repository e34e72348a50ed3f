"""Writing processes are killed, and the power is cut: nothing acknowledged is lost.

Kills: two processes write to one SQLite history and both get kill -9 at a random moment. Power:
the file system (ext4 in a file) is shut down without its journal being flushed, as in xfstests
(EXT4_IOC_SHUTDOWN), so that all that was written but not synced is gone when it is mounted
again; the same with `durable = "process"` shows that the cut does take something away. What is
acknowledged after the cut began does not count: no machine says anything then, but this one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.proof import Proof, measure
from propense.errors import StoreError
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.store import Store, StoreOptions

KIND = "safety"
CLAIM = "no acknowledged event is lost by kill -9, nor with durable = power by a cut of the power"
KILLS = 200
CUTS = 40
CONTROLS = 10
WRITERS = 2
_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSH = 2
_MOST_SECONDS = 0.15


def prove() -> Proof:
    """Kills first, then cuts where a file system may be mounted."""
    rng = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        n_acknowledged, lost, sound = _rounds(root / "kills", "process", KILLS, rng)
        good = lost == 0 and sound and n_acknowledged > 0
        kills = f"{KILLS} kills of {WRITERS} writers"
        lines = [f"{kills}: {n_acknowledged} updates acknowledged, {lost} lost"]
        with _disk(root) as disk:
            if disk is None:
                lines.append("no right to mount: the power was not cut")
            else:
                n_acknowledged, lost, whole = _rounds(disk / "power", "power", CUTS, rng, disk)
                good, sound = good and lost == 0 and n_acknowledged > 0, sound and whole
                lines.append(
                    f"{CUTS} cuts of the power: {n_acknowledged} acknowledged, {lost} lost"
                )
                n_acknowledged, lost, whole = _rounds(
                    disk / "process", "process", CONTROLS, rng, disk
                )
                # Otherwise the cut cuts nothing, and says nothing about "power".
                good, sound = good and lost > 0, sound and whole
                lines.append(
                    f"{CONTROLS} cuts with durable = process: {n_acknowledged} acknowledged, "
                    f"{lost} lost"
                )
        lines.append(f"integrity_check after each: {'ok' if sound else 'NOT ok'}")
    return Proof(CLAIM, KIND, "pass" if good and sound else "fail", "; ".join(lines), "0 lost")


def _rounds(
    folder: Path, durable: str, n: int, rng: random.Random, disk: Path | None = None
) -> tuple[int, int, bool]:
    """(updates acknowledged, how many of them are missing afterwards, every file sound)."""
    n_acknowledged = lost = 0
    sound = True
    for number in range(n):
        acknowledged = _one(folder, durable, number, rng, disk)
        with contextlib.closing(_opened(folder, durable)) as store:
            for user_id, items in acknowledged.items():
                customer = store.read(user_id)
                held = [] if customer is None else [event.item_id for event in customer.events]
                assert len(held) == len(set(held)), "an event is there twice"
                n_acknowledged += len(items)
                lost += len(set(items) - set(held))
        with contextlib.closing(sqlite3.connect(folder / "history.db")) as con:
            sound = sound and con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return n_acknowledged, lost, sound


def _one(
    folder: Path, durable: str, number: int, rng: random.Random, disk: Path | None
) -> dict[str, list[str]]:
    """Let processes write until they are killed; the updates that they acknowledged."""
    context = multiprocessing.get_context("fork")
    pipes, children = [], []
    for writer in range(WRITERS):
        source, sink = os.pipe()
        seed = rng.getrandbits(32)
        child = context.Process(
            target=_write, args=(folder, durable, f"{number}-{writer}", seed, sink)
        )
        child.start()
        os.close(sink)
        pipes.append(source)
        children.append(child)
    first = [os.read(pipe, 1) for pipe in pipes]
    time.sleep(rng.random() * _MOST_SECONDS)
    cut = None
    if disk is not None:
        cut = time.monotonic()
        handle = os.open(disk, os.O_RDONLY)
        fcntl.ioctl(handle, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
        os.close(handle)
    for child in children:
        if child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)
        child.join()
    acknowledged: dict[str, list[str]] = {}
    for byte, pipe in zip(first, pipes, strict=True):
        with open(pipe, "rb") as stream:
            text = (byte + stream.read()).decode()
        for line in text.split("\n")[:-1]:
            time_written, written = json.loads(line)
            if cut is None or time_written < cut:
                for user_id, item in written:
                    acknowledged.setdefault(user_id, []).append(item)
    if disk is not None:
        subprocess.run(["umount", str(disk)], check=True)
        subprocess.run(["mount", str(_device(disk)), str(disk)], check=True)
    return acknowledged


def _write(folder: Path, durable: str, name: str, seed: int, pipe: int) -> None:
    """Append groups for ever, and report each once it is acknowledged."""
    rng = random.Random(seed)
    store = _opened(folder, durable)
    n = 0
    while True:
        group = []
        for _ in range(rng.randrange(1, 40)):
            n += 1
            event = LiveEvent(1_700_000_000_000_000 + n, "view", f"item-{n}")
            group.append(
                CustomerUpdate(message_id=f"{name}-{n}", user_id=f"{name}-{rng.randrange(9)}",
                     received=event.event_time, events=(event,), traits={"n": n})
            )  # fmt: skip
        try:
            outcomes = store.append(group)
        except StoreError:
            signal.pause()  # The disk went; the kill comes.
            return
        written = [
            (update.user_id, update.events[0].item_id)
            for update, outcome in zip(group, outcomes, strict=True)
            if outcome == "kept"
        ]
        os.write(pipe, (json.dumps((time.monotonic(), written)) + "\n").encode())


def _opened(folder: Path, durable: str) -> Store:
    options = StoreOptions(durable=durable, suppression_hash=str.encode, remember_seconds=86_400)
    return open_store("sqlite", folder, options)


def _device(disk: Path) -> Path:
    return disk.with_name("image")


@contextlib.contextmanager
def _disk(root: Path) -> Iterator[Path | None]:
    """A mounted ext4 in a file; None where that may not be."""
    disk = root / "disk"
    disk.mkdir()
    image = _device(disk)
    with image.open("wb") as stream:
        stream.truncate(256_000_000)
    made = measure("mkfs.ext4", "-q", "-F", image)
    if made.code or measure("mount", image, disk).code:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
