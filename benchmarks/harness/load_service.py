"""Helpers of loads on a running service: customers, messages, the service's processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.harness.live_service import Running

OPEN_LIMITS = (
    "--set", "serve.limits.key_per_second=1e9", "--set", "serve.limits.address_per_second=1e9",
    "--set", "serve.limits.new_customers_per_hour=1000000000",
    "--set", "serve.limits.events_per_day=1000000000",
)  # fmt: skip
"""Options of `propense serve`: one key and one address send all that the machine takes."""
PATIENT = (
    "--set", "serve.limits.wait_ms=1e6", "--set", "serve.limits.standing_wait_ms=1e6",
)  # fmt: skip
"""Many questions at once are answered one after the other, not turned away."""
IMPORT_LINES = 20_000


def line_of(user_id: str, event: dict[str, Any]) -> str:
    """A plain event of `/v1/import` from one of a shard's."""
    event_time = event["event_time"].replace(tzinfo=UTC).isoformat()
    line = {"user_id": user_id, "action": event["action"], "event_time": event_time}
    for name in ("item_id", "count", "source"):
        if event.get(name) is not None:
            line[name] = event[name]
    if event.get("value") is not None:
        line["value"] = event["value"] / 1e6
    return json.dumps(line, ensure_ascii=False)


def customers_of_shards(parts: Path, n: int, most_events: int) -> Iterator[tuple[str, list[str]]]:
    """`n` customers with events from a run's parts/shards: their last `most_events`, as lines.

    Raises RuntimeError where there are fewer.
    """
    n_read = 0
    for shard in sorted((parts / "shards").glob("*.parquet")):
        for row in pq.read_table(shard).to_pylist():
            if len(row["events"]) < 2:
                continue
            if n_read == n:
                return
            n_read += 1
            events = row["events"][-most_events:]
            yield row["user_id"], [line_of(row["user_id"], event) for event in events]
    if n_read < n:
        raise RuntimeError(f"{parts} has {n_read:,} customers with events; {n:,} were asked for")


def invented_customers(
    items: Sequence[str], n: int, n_events: int, rng: np.random.Generator, name: str = "made"
) -> Iterator[tuple[str, list[str]]]:
    """Customers who view items by chance, one a minute, in the days before now."""
    began = datetime.now(UTC) - timedelta(days=2)
    for number in range(n):
        user_id = f"{name}-{number}"
        chosen = rng.integers(0, len(items), n_events).tolist()
        yield user_id, [
            line_of(
                user_id,
                {"action": "view", "item_id": items[item],
                 "event_time": began + timedelta(minutes=minute)},
            )
            for minute, item in enumerate(chosen)
        ]  # fmt: skip


def import_customers(service: Running, customers: Iterator[tuple[str, list[str]]]) -> list[str]:
    """Send everything through /v1/import, in parts; the ids. Raises RuntimeError on a refusal."""
    ids: list[str] = []
    lines: list[str] = []
    for user_id, own in customers:
        ids.append(user_id)
        lines += own
        if len(lines) >= IMPORT_LINES:
            _import(service, lines)
            lines = []
    if lines:
        _import(service, lines)
    return ids


def _import(service: Running, lines: list[str]) -> None:
    status, answered = post(
        service, "/v1/import", "\n".join(lines).encode(), "application/x-ndjson"
    )
    if status != 200 or answered["kept"] + answered["repeated"] != len(lines):
        raise RuntimeError(f"an import of {len(lines):,} lines: {status} {answered}")


def post(service: Running, path: str, body: bytes, content_type: str) -> tuple[int, Any]:
    """Status and JSON answer of a body that is sent as it is."""
    message = urllib.request.Request(
        service.url + path,
        data=body,
        headers={"authorization": f"Bearer {service.key}", "content-type": content_type},
    )
    try:
        with urllib.request.urlopen(message, timeout=600) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def items_of(folder: Path) -> list[str]:
    """Ids of the catalogue of the bundle that serves."""
    history = json.loads((folder / "shelf" / "current.json").read_bytes())["history"]
    table = pq.read_table(folder / "shelf" / history[-1]["version"] / "catalogue.parquet")
    return [item for item in table["item_id"].to_pylist() if item is not None]


def track(user_id: str, action: str, item_id: str, message_id: str) -> dict[str, Any]:
    """A message of an SDK about one item, now."""
    return {
        "type": "track", "userId": user_id, "event": action, "messageId": message_id,
        "properties": {"item_id": item_id},
    }  # fmt: skip


def copy_of(folder: Path, target: Path, added: str = "") -> Path:
    """A folder of its own with the settings, `added` to them, and the shelf of another."""
    target.mkdir(parents=True)
    shutil.copytree(folder / "shelf", target / "shelf")
    (target / "propense.toml").write_text((folder / "propense.toml").read_text() + added)
    return target


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def processes(service: Running) -> list[int]:
    """Ids of the service's processes that answer: its workers where there are some, else itself."""
    own = service.process.pid
    children = [pid for pid in _children(own) if b"spawn_main" in _command(pid)]
    return children or [own]


def resident_mb(service: Running) -> float:
    """Resident memory of all processes of the service."""
    return sum(_resident(pid) for pid in {service.process.pid, *processes(service)})


def kill(service: Running) -> None:
    """kill -9 of the whole service."""
    os.killpg(service.process.pid, signal.SIGKILL)
    service.process.wait()
    while _group(service.process.pid):
        time.sleep(0.005)


def serving_process(service: Running, local_port: int) -> int | None:
    """Which process holds the connection that comes from a port of this side."""
    wanted = f":{int(service.url.rpartition(':')[2]):04X}", f":{local_port:04X}"
    inode = None
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted[0]) and fields[2].endswith(wanted[1]):
            inode = fields[9]
    for pid in processes(service):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(handle) == f"socket:[{inode}]":
                    return pid
            except OSError:
                continue
    return None


def wait_for_workers(service: Running, n: int, seconds: float = 60) -> None:
    """Until `n` processes have answered. Raises RuntimeError where they do not."""
    answered: set[int | None] = set()
    target = ("127.0.0.1", int(service.url.rpartition(":")[2]))
    ends = time.monotonic() + seconds
    while len(answered - {None}) < n:
        if time.monotonic() > ends:
            raise RuntimeError(f"{len(answered)} of {n} processes have answered in {seconds} s")
        with socket.create_connection(target, timeout=seconds) as one:
            one.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            one.recv(1_000)
            answered.add(serving_process(service, one.getsockname()[1]))


def _children(pid: int) -> list[int]:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in words]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1e3
    return 0.0


def _group(leader: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == leader and fields[0] != "Z":
                members.append(int(entry.name))
    return members
