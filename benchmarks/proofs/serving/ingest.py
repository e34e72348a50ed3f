"""Messages a second that one core decodes and turns into customer updates."""

from __future__ import annotations

import json
import time
from typing import Any

from benchmarks.proof import ROOT, Proof
from propense.ingest.mapping import Mapper
from propense.ingest.segment import decode
from propense.ingest.updates import make_updates
from propense.settings import EventMapping, Limits, Serve

KIND = "speed"
CLAIM = "ingest decodes, checks and maps 50,000 messages a second on one core, in batches of 100"
LEAST = 50_000
BATCH = 100
ROUNDS, REPEATS = 10, 20
SERVE = Serve(events={"Course Paid": EventMapping(action="pay", item=("properties.course_id",))})


def prove() -> Proof:
    """Best of ten rounds, by processor time, of messages as three libraries send them."""
    sent = json.loads((ROOT / "tests" / "ingest" / "sent.json").read_text())
    reached = {}
    for library in ("python", "node", "browser batches"):
        (request,) = sent[library]
        messages = json.loads(request["body"])["batch"]
        reached[library] = rate(messages), len(json.dumps(messages)) // len(messages)
    figure = ", ".join(f"{name} {n:,.0f}/s ({size} B each)" for name, (n, size) in reached.items())
    good = min(n for n, _ in reached.values()) >= LEAST
    return Proof(CLAIM, KIND, "pass" if good else "fail", figure, f">= {LEAST:,}/s")


def rate(messages: list[dict[str, Any]]) -> float:
    """Messages a second: the given ones in turn, each with an id of its own."""
    batch = [
        messages[i % len(messages)] | {"messageId": f"message-{i}", "userId": f"user-{i}"}
        for i in range(BATCH)
    ]
    sent_at = "2026-03-01T08:00:00.000Z"
    body = json.dumps({"batch": batch, "sentAt": sent_at, "writeKey": "key"}).encode()
    mapper, limits, received = Mapper(SERVE, ("pay",)), Limits(), 1_900_000_000_000_000
    best = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REPEATS):
            updates, refusals = make_updates(decode(body, "batch", limits), mapper, received, "web")
        took = time.process_time() - began
        if len(updates) != BATCH or refusals:
            raise RuntimeError(
                f"{len(updates)} updates of {BATCH} messages; refused: {refusals[:3]}"
            )
        best = max(best, BATCH * REPEATS / took)
    return best
