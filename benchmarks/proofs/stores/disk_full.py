"""A disk that fills under a SQLite history: an error that says so, and on it goes afterwards."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.proof import Proof, measure
from propense.errors import StoreError
from propense.history.opening import open_store
from propense.history.records import CustomerUpdate, LiveEvent
from propense.history.store import Store, StoreOptions

KIND = "safety"
CLAIM = "a full disk under live history: a clear error, nothing half done, on without a restart"
SIZE_MB = 12
MORE_MB = 60
GROUP = 500
MOST_GROUPS = 400


def prove() -> Proof:
    """A small file system in memory, filled by the store itself and by a file beside it."""
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder)
        mounted = measure("mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", disk)
        if mounted.code:
            return Proof(CLAIM, KIND, "skip", f"needs the right to mount: {mounted.tail}")
        try:
            results = [_fill(disk / durable, disk, durable) for durable in ("process", "power")]
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=False)
    good = all(passed for passed, _ in results)
    figure = "; ".join(text for _, text in results)
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, "0 lost, 0 half done")


def _fill(folder: Path, disk: Path, durable: str) -> tuple[bool, str]:
    measure("mount", "-o", f"remount,size={SIZE_MB}m", disk)
    options = StoreOptions(durable=durable, suppression_hash=str.encode, remember_seconds=9_000)
    store = open_store("sqlite", folder, options)
    with contextlib.closing(store):
        n_groups, message = 0, ""
        while n_groups < MOST_GROUPS and not message:
            message = _append(store, n_groups)
            n_groups += not message
        clear = "full" in message or "space" in message or "I/O" in message
        whole = _held(store, n_groups) and store.versions([f"user-{n_groups * GROUP}"]) == [0]
        refused = sum(bool(_append(store, n_groups)) for _ in range(3))
        time.sleep(1.5)  # The background thread meets the full disk too.
        whole = whole and _held(store, n_groups)
        measure("mount", "-o", f"remount,size={MORE_MB}m", disk)
        again = _append(store, n_groups)
        after = not again and _held(store, n_groups + 1)
    with contextlib.closing(sqlite3.connect(folder / "history.db")) as con:
        sound = con.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    good = n_groups > 0 and clear and whole and refused == 3 and after and sound
    return good, (
        f"{durable}: full after {n_groups} groups of {GROUP} "
        f"({message.partition(': ')[2][:90]!r}), "
        f"all of them {'there' if whole else 'NOT there'} and nothing of the next; with room again "
        f"{'it goes on' if after else 'it does NOT go on: ' + again}, "
        f"integrity_check {'ok' if sound else 'NOT ok'}"
    )


def _append(store: Store, number: int) -> str:
    """The text of the error; empty where there was none."""
    updates = []
    for n in range(number * GROUP, (number + 1) * GROUP):
        event = LiveEvent(1_700_000_000_000_000 + n, "view", f"item-{n}")
        updates.append(
            CustomerUpdate(message_id=f"m-{n}", user_id=f"user-{n}", received=event.event_time,
                 events=(event,), traits={"n": n})
        )  # fmt: skip
    try:
        store.append(updates)
    except StoreError as error:
        return str(error)
    return ""


def _held(store: Store, groups: int) -> bool:
    """Whether exactly so many groups are there, each with its event."""
    if store.n_customers() != groups * GROUP:
        return False
    for n in range(0, groups * GROUP, 97):
        customer = store.read(f"user-{n}")
        if customer is None or [event.item_id for event in customer.events] != [f"item-{n}"]:
            return False
    return True
