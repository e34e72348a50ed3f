"""kill -9 of the whole service while events come in: nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import sqlite3
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from benchmarks.harness.live_service import Running, bundle_folder, new_key, serving
from benchmarks.harness.load_service import OPEN_LIMITS, kill, track
from benchmarks.proof import Proof

KIND = "safety"
CLAIM = "200 times kill -9 while events come in over HTTP: every acknowledged one is held, once"
KILLS = 200
TWO_EVERY = 5
"""Every such time two processes serve."""
SENDERS, BATCH, CUSTOMERS = 4, 10, 20
LONGEST = 1.0
"""Seconds after which the service is killed at the latest."""
LIMIT = "0 lost, 0 twice, the file whole"

Items = dict[str, set[str]]
"""Customer -> items of their events; each event has one of its own."""


def prove(kills: int = KILLS) -> Proof:
    """Start, send from several connections, kill at random, start again, look."""
    rng = np.random.default_rng(0)
    sent: Items = defaultdict(set)
    acknowledged: Items = defaultdict(set)
    lost, twice, unknown, whole = 0, 0, 0, True
    with bundle_folder() as folder:
        key = new_key(folder)
        for number in range(kills + 1):
            words = ["--workers", "2" if number % TWO_EVERY == TWO_EVERY - 1 else "1"]
            with serving(folder, *words, *OPEN_LIMITS, key=key) as service:
                touched = [f"k{number - 1}-{one}" for one in range(CUSTOMERS)] if number else []
                if number == kills:
                    touched = sorted(acknowledged)
                for user in touched:
                    held = _held(service, user)
                    lost += len(acknowledged[user] - set(held))
                    twice += len(held) - len(set(held))
                    unknown += len(set(held) - sent[user])
                if number < kills:
                    _send_and_kill(service, number, float(rng.uniform(0.05, LONGEST)), sent,
                                   acknowledged)  # fmt: skip
            whole = whole and _is_whole(folder / "live" / "history.db")
    n = sum(map(len, acknowledged.values()))
    figure = (
        f"{kills} kills, {n:,} events acknowledged of {sum(map(len, sent.values())):,} sent: "
        f"{lost} lost, {twice} twice, {unknown} that nobody sent; integrity "
        f"{'ok after each' if whole else 'broken'}"
    )
    good = not (lost or twice or unknown) and whole and n > kills
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, LIMIT)


def _send_and_kill(
    service: Running, number: int, after: float, sent: Items, acknowledged: Items
) -> None:
    """Several senders until the service is gone. The time runs from the first acknowledgement."""
    heard = threading.Event()

    def send(sender: int) -> None:
        con = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=30)
        headers = {"authorization": f"Bearer {service.key}", "content-type": "application/json"}
        step = 0
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(con):
            while True:
                batch = []
                for at in range(BATCH):
                    user = f"k{number}-{(step * BATCH + at) % CUSTOMERS}"
                    item = f"{number}-{sender}-{step}-{at}"
                    sent[user].add(item)
                    batch.append((user, item))
                messages = [track(user, "view", item, item) for user, item in batch]
                body = json.dumps({"batch": messages})
                con.request("POST", "/v1/batch", body, headers)
                answer = con.getresponse()
                answered = json.loads(answer.read())
                if answer.status == 200 and answered["kept"] == BATCH:
                    for user, item in batch:
                        acknowledged[user].add(item)
                    heard.set()
                step += 1

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(SENDERS)]
    for one in senders:
        one.start()
    heard.wait(60)
    time.sleep(after)
    kill(service)
    for one in senders:
        one.join()


def _held(service: Running, user: str) -> list[str]:
    status, answered = service.ask("GET", f"/v1/users/{user}")
    return [event["item_id"] for event in answered["events"]] if status == 200 else []


def _is_whole(file: Path) -> bool:
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as con:
        rows: list[Any] = con.execute("PRAGMA integrity_check").fetchall()
    return rows == [("ok",)]
