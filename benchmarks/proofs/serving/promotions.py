"""Bundles are promoted under load, and nobody notices but by the answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.live_service import Running, bundle_folder, serving
from benchmarks.harness.load_service import (
    OPEN_LIMITS,
    PATIENT,
    import_customers,
    invented_customers,
    items_of,
    wait_for_workers,
)
from benchmarks.harness.loading import closed_loop, question
from benchmarks.proof import BIN, Proof
from propense.inference.artifact.manifest import write_manifest

KIND = "safety"
CLAIM = (
    "1,000 promotions under load: no request fails, every answer is whole of the bundle it names"
)
PROMOTIONS = 1_000
BY_COMMAND = 25
"""Every such one is made by `propense shelf promote`."""
CUSTOMERS, BATCH, CONNECTIONS = 200, 5, 8
SETTLED_SECONDS = 3.0
BUNDLES = ("v0001", "v0002")
CLOSE = 1e-6
"""Customers scored alone and in a batch differ by rounding."""
LIMIT = "0 failed, 0 mixed, 0 late"
WORDS = (*PATIENT, *OPEN_LIMITS)


@dataclass
class Seen:
    """The questions, and the answer that each bundle has to give."""

    users: list[str]
    expected: dict[tuple[str, str], Any] = field(default_factory=dict)
    """(bundle, customer) -> items with scores."""
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    promoted: threading.Event = field(default_factory=threading.Event)


def prove(promotions: int = PROMOTIONS) -> Proof:
    """Two bundles in turn: half of it with one process, half with two."""
    lines, good = [], True
    with bundle_folder() as folder:
        _second_bundle(folder / "shelf")
        for workers in (1, 2):
            with serving(folder, *WORDS, "--workers", str(workers)) as service:
                wait_for_workers(service, workers)
                seen = _prepare(service, items_of(folder))
                different = sum(
                    not _same(seen.expected[BUNDLES[0], user], seen.expected[BUNDLES[1], user])
                    for user in seen.users
                )
                _load(service, seen, promotions // 2, workers)
            counts = seen.counts
            lines.append(
                f"{workers} processes: {counts['promoted']} promotions, {counts['by command']} of "
                f"them by command, {counts['answers']:,} answers, {counts['failed']} failed, "
                f"{counts['mixed']} mixed, {counts['late']} late, {different} of {CUSTOMERS} "
                f"customers answered otherwise by the other bundle"
            )
            good = good and not (counts["failed"] or counts["mixed"] or counts["late"])
            good = good and counts["promoted"] == promotions // 2 and counts["answers"] > 0
            good = good and all(counts[bundle] for bundle in BUNDLES)
            # Otherwise a mixed answer would look like a whole one.
            good = good and different > CUSTOMERS // 2
            lines += seen.faults[:3]
    return Proof(CLAIM, KIND, "pass" if good else "fail", "; ".join(lines), LIMIT)


def _second_bundle(shelf: Path) -> None:
    """A copy of the first whose network makes the lists and believes the counts more, so that it
    answers otherwise."""
    copy = shelf / BUNDLES[1]
    shutil.copytree(shelf / BUNDLES[0], copy)
    info = json.loads((copy / "bundle.json").read_bytes())
    info["gate"] = [0.1, 1.5, 0.0]
    # A rival may make the lists of the first.
    info["item_champion"] = "network"
    shutil.rmtree(copy / "item_rival", ignore_errors=True)
    (copy / "bundle.json").write_text(json.dumps(info))
    write_manifest(copy, BUNDLES[1], "2026-01-01T00:00:00Z")


def _prepare(service: Running, items: list[str]) -> Seen:
    """Customers, and what each bundle answers while nothing happens."""
    rng = np.random.default_rng(0)
    users = import_customers(service, invented_customers(items, CUSTOMERS, 12, rng))
    seen = Seen(users)
    for bundle in BUNDLES:
        _promote(service, bundle)
        since = time.monotonic()
        while time.monotonic() - since < SETTLED_SECONDS:
            # With two processes the other one follows within a moment, later on a busy machine.
            _, answer = service.ask("POST", "/v1/recommend", {"user_id": users[0]})
            if answer["bundle"] != bundle:
                since = time.monotonic()
        for user in users:
            _, answer = service.ask("POST", "/v1/recommend", {"user_id": user})
            assert answer["bundle"] == bundle
            seen.expected[bundle, user] = answer["items"]
    return seen


def _promote(service: Running, bundle: str) -> int:
    promotion = {"version": bundle, "reason": "a proof"}
    return service.ask("POST", "/v1/bundles/promote", promotion)[0]


def _load(service: Running, seen: Seen, promotions: int, workers: int) -> None:
    asked: list[list[str]] = []

    def requests() -> Any:
        for number in count():
            if seen.promoted.is_set():
                return
            user = seen.users[number % CUSTOMERS]
            if number % 10:
                asked.append([user])
                yield question("/v1/recommend", service.key, {"user_id": user})
            else:
                some = [seen.users[(number + step) % CUSTOMERS] for step in range(BATCH)]
                asked.append(some)
                batch = {"batch": [{"user_id": one} for one in some]}
                yield question("/v1/recommend/batch", service.key, batch)

    def check(number: int, status: int, body: bytes) -> None:
        if status != 200:
            seen.counts["failed"] += 1
            seen.faults.append(f"{status} {body[:200]!r}")
            return
        answer = json.loads(body)
        answers = answer.get("answers", [answer])
        seen.counts["answers"] += 1
        seen.counts[answers[0]["bundle"]] += 1
        same = len({one["bundle"] for one in answers}) == 1
        right = all(
            _same(one["items"], seen.expected[one["bundle"], user])
            for one, user in zip(answers, asked[number], strict=True)
        )
        if not (same and right):
            seen.counts["mixed"] += 1
            seen.faults.append(f"mixed: {body[:200]!r}")

    promoting = threading.Thread(
        target=_promote_alternately, args=(service, seen, promotions, workers)
    )
    promoting.start()
    try:
        done = closed_loop(service.url, requests(), CONNECTIONS, 7_200, check)
    finally:
        seen.promoted.set()
        promoting.join()
    seen.counts["failed"] += done.counts().get(0, 0)


def _same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Whether two lists are the same; neighbours whose scores are equal may change places."""
    if len(one) != len(other):
        return False
    scores = {item["item_id"]: item["score"] for item in other}
    return all(
        abs(item["score"] - twin["score"]) < CLOSE
        and abs(item["score"] - scores.get(item["item_id"], twin["score"])) < CLOSE
        and (item["item_id"] in scores or abs(item["score"] - other[-1]["score"]) < CLOSE)
        for item, twin in zip(one, other, strict=True)
    )


def _promote_alternately(service: Running, seen: Seen, promotions: int, workers: int) -> None:
    """Promote; where one process answers, the very next answer is of the new bundle."""
    try:
        for number in range(promotions):
            bundle = BUNDLES[number % 2]
            if number % BY_COMMAND == BY_COMMAND - 1:
                words = ["shelf", "promote", bundle, "--reason", "a proof", "--settings",
                         str(service.folder / "propense.toml")]  # fmt: skip
                done = subprocess.run([BIN / "propense", *words], capture_output=True, text=True)
                good = done.returncode == 0
                seen.counts["by command"] += good
            else:
                good = _promote(service, bundle) == 200
                _, answer = service.ask("POST", "/v1/recommend", {"user_id": seen.users[0]})
                seen.counts["late"] += workers == 1 and answer["bundle"] != bundle
            seen.counts["promoted" if good else "failed"] += 1
    finally:
        seen.promoted.set()
