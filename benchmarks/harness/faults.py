"""Faults that are brought upon a running service, and what it says meanwhile."""

from __future__ import annotations

import os
import random
import resource
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.live_service import Running

FAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
)
PAGE = 4_096


@dataclass(frozen=True)
class Look:
    """What a service answers at one moment."""

    ready: bool
    answers: bool
    events: bool
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    question: str
    """Status of a question, and "degraded" where the answer says so."""
    event: int
    """Status of an event."""

    def __str__(self) -> str:
        state = "ready" if self.ready else f"not ready ({'; '.join(self.reasons)[:90]})"
        warned = f", warns: {'; '.join(self.warnings)[:80]}" if self.warnings else ""
        return f"{state}, question {self.question}, event {self.event}{warned}"


def look(service: Running, user: str = "known-0", send: bool = True) -> Look:
    """Ask about a customer, send an event unless told otherwise, and ask about readiness."""
    status, answer = service.ask("POST", "/v1/recommend", {"user_id": user})
    degraded = " degraded" if status == 200 and answer.get("degraded") else ""
    event = 0
    if send:
        event, _ = service.ask("POST", "/v1/track", message("looked", f"look-{time.time_ns()}"))
    _, health = service.ask("GET", "/health/ready")
    return Look(
        health["ready"], health["answers"], health["events"], tuple(health.get("reasons", [])),
        tuple(health.get("warnings", [])), f"{status}{degraded}", event,
    )  # fmt: skip


def message(user: str, message_id: str, item: str = "x") -> dict[str, Any]:
    """An event."""
    return {
        "type": "track", "userId": user, "event": "view", "messageId": message_id,
        "properties": {"item_id": item},
    }  # fmt: skip


def is_ready(service: Running) -> bool:
    """Whether it says so."""
    try:
        return service.ask("GET", "/health/ready")[0] == 200
    except OSError:
        return False


def until_ready(service: Running, seconds: float = 60.0) -> float:
    """Seconds until it says so, nobody sending events; infinity where it does not."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        if is_ready(service):
            return time.monotonic() - began
        time.sleep(0.1)
    return float("inf")


@contextmanager
def full_disk(disk: Path) -> Iterator[None]:
    """While this lasts, the file system has no room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def no_files(service: Running, spare: int = 12) -> Iterator[None]:
    """While this lasts, the service can open next to no further file or connection."""
    pid = service.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    n_open = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (n_open + spare, before[1]))
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    try:
        with ExitStack() as stack:
            for _ in range(2 * spare):
                one = stack.enter_context(closing(socket.socket()))
                one.settimeout(2)
                try:
                    one.connect((host, int(port)))
                except OSError:
                    break
            yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def damage(file: Path, every: int = 6) -> None:
    """Overwrite every so many pages of a SQLite file with chance, its write-ahead file emptied."""
    with closing(sqlite3.connect(file)) as con:
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    content = bytearray(file.read_bytes())
    rng = random.Random(1)
    for page in range(every, len(content) // PAGE, every):
        content[page * PAGE : (page + 1) * PAGE] = rng.randbytes(PAGE)
    file.write_bytes(content)


def faketime_library() -> str | None:
    """The library that shifts a process's clock, where it is installed (Debian: libfaketime)."""
    return next((name for name in FAKETIME if Path(name).exists()), None)


@contextmanager
def movable_clock(file: Path) -> Iterator[None]:
    """Services that start meanwhile have the clock of now and the shift that `file` holds; the
    monotonic clock is the true one."""
    library = faketime_library()
    assert library is not None
    values = {
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_XRESET": "1",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in values}
    os.environ |= values
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """A file system of its own at `folder`; False where there is no right to mount one."""
    folder.mkdir()
    options = f"size={megabytes}m"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        check=False, capture_output=True,
    )  # fmt: skip
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", str(folder)], check=False)
