"""An acknowledged event is in the next answer, also of another process."""

from __future__ import annotations

import json
from collections import Counter

from benchmarks.harness.live_service import Running, bundle_folder, serving
from benchmarks.harness.load_service import (
    OPEN_LIMITS,
    PATIENT,
    items_of,
    serving_process,
    track,
    wait_for_workers,
)
from benchmarks.harness.loading import Script, converse, question, request
from benchmarks.proof import Proof

KIND = "truth"
CLAIM = "an event that was acknowledged is in the next answer, over any connection and process"
N_PAIRS = 100_000
LANES, CONNECTIONS = 16, 32
"""So many are opened at most until one leads to another process: who is less busy takes it."""
STEPS = 20
"""Purchases of one customer; each is of what the list before it offered first."""
K = 50
LIMIT = "0 stale, a quarter at least between two processes"


def prove(n_pairs: int = N_PAIRS) -> Proof:
    """Customers buy what is offered first, and ask again over another connection: what they own
    is not offered again. In a stale answer it would be the first item."""
    seen: Counter[str] = Counter()
    words = ["--workers", "2", *PATIENT, *OPEN_LIMITS]
    with bundle_folder() as folder, serving(folder, *words) as service:
        wait_for_workers(service, 2)
        ports: dict[tuple[int, int], int] = {}
        first = items_of(folder)[0]
        scripts = [_lane(service, number, first, n_pairs // LANES, seen, ports)
                   for number in range(LANES)]  # fmt: skip
        load = converse(service.url, scripts, 7_200, ports)
    n = seen["pairs"]
    figure = (
        f"{seen['stale']} stale of {n:,} pairs, {seen['crossed']:,} of them between two processes; "
        f"{load.counts()}"
    )
    good = not seen["stale"] and not seen["failed"] and 4 * seen["crossed"] >= n >= n_pairs // 2
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, LIMIT)


def _lane(
    service: Running, number: int, first: str, n_pairs: int, seen: Counter[str],
    ports: dict[tuple[int, int], int],
) -> Script:  # fmt: skip
    """One customer after the other, over two connections that lead to different processes, if
    those are found."""
    held: list[int | None] = []
    for one in range(CONNECTIONS):
        yield one, request("GET", "/health/live")
        held.append(serving_process(service, ports[number, one]))
        if None not in held and len(set(held)) > 1:
            break
    other = len(held) - 1
    crossed = None not in held and len(set(held)) > 1
    done = customer = 0
    while done < n_pairs:
        user = f"fresh-{number}-{customer}"
        # Each process sends as often as it asks.
        send, ask = (0, other) if customer % 2 else (other, 0)
        listed: list[str] = []
        for step in range(STEPS + 1):
            action, item = ("pay", listed[0]) if step else ("view", first)
            message = track(user, action, item, f"{user}-{step}")
            answer = yield send, question("/v1/track", service.key, message)
            if answer.status != 200 or json.loads(answer.body)["kept"] != 1:
                seen["failed"] += 1
                return
            asked = {"user_id": user, "k": K}
            answer = yield ask, question("/v1/recommend", service.key, asked)
            if answer.status != 200:
                seen["failed"] += 1
                return
            listed = [one["item_id"] for one in json.loads(answer.body)["items"]]
            if step:
                done += 1
                seen["pairs"] += 1
                seen["stale"] += item in listed
                seen["crossed"] += crossed
            if not listed:
                break
        customer += 1
