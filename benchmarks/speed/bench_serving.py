"""Latencies, rates and memory of the live service; beside it a plain service of the same
network (peers/plain_service.py). The service has core 0, the load core 1.

    python -m benchmarks.speed.bench_serving    a platform of 20,000 users is made first
    python -m benchmarks.speed.bench_serving --folder FOLDER   a finished run of the education world
    python -m benchmarks.speed.bench_serving --seconds 2 --customers 2000 --many 5000 --no-peer

Keys, rules, metrics and the log of decisions are on; nobody is turned away. Latencies are those of
the client, over loopback. Written to build/bench/serving.json and serving.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.live_service import Running, new_key, serving
from benchmarks.harness.load_service import (
    OPEN_LIMITS,
    PATIENT,
    copy_of,
    customers_of_shards,
    import_customers,
    items_of,
    resident_mb,
)
from benchmarks.harness.loading import Script, closed_loop, converse, open_loop, question
from benchmarks.harness.result_tables import format_machine, machine, markdown, write_json
from benchmarks.harness.wrk import has_wrk, run_wrk
from benchmarks.proof import BIN, ROOT, measure
from benchmarks.speed.serving_sides import (
    SCENARIO,
    Side,
    ask_for,
    core_of_service,
    listed,
    own_side,
    peer_serving,
    start_seconds,
)

OUT = ROOT / "build" / "bench"
USERS = 20_000
"""Customers of the platform that is made where no folder is given."""
EVENTS, FEW_EVENTS = 50, 5
"""Events of a customer who is asked about, and of one who only fills the memory."""
CONNECTIONS, BATCH = 32, 100
WARM = 200
"""Customers who are asked about again and again."""
OPEN_SHARE = 0.7
CLIENT = 1
"""Core of the load."""


@dataclass(frozen=True)
class Line:
    """One measurement."""

    name: str
    value: float
    unit: str
    target: float | None = None
    """At most this, of milliseconds, seconds and MB; at least this, of rates."""
    peer: float | None = None
    detail: str = ""

    @property
    def is_rate(self) -> bool:
        return self.unit.endswith("/s")

    @property
    def met(self) -> bool | None:
        """Whether the mark is reached; None where there is none."""
        if self.target is None:
            return None
        return self.value >= self.target if self.is_rate else self.value <= self.target

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer."""
        if not self.peer or not self.value:
            return None
        return self.value / self.peer if self.is_rate else self.peer / self.value


def main() -> None:
    """Measure, write, print."""
    chosen = arguments()
    folder = chosen.folder or make_run()
    of = {**machine(), "cores of the service": 1, "cores of the load": 1}
    pin(CLIENT)
    with tempfile.TemporaryDirectory(dir=chosen.work) as work:
        lines = measure_all(folder, Path(work), chosen)
    write_json(OUT / "serving.json", {"machine": of, "lines": [as_json(line) for line in lines]})
    (OUT / "serving.md").write_text(page(lines, of), encoding="utf-8")
    print((OUT / "serving.md").read_text())


def arguments() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="with propense.toml, runs/ and shelf/")
    parser.add_argument("--work", help="folder for live data during the run")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--many", type=int, default=100_000, help="customers to fill memory with")
    parser.add_argument("--no-peer", action="store_true")
    return parser.parse_args()


def make_run() -> Path:
    """An education platform with a network of size base, trained shortly; kept."""
    work = OUT / "work" / "serving"
    if not (work / "shelf" / "current.json").exists():
        shutil.rmtree(work, ignore_errors=True)
        words = ["--users", str(USERS), "--folder", str(work), "--no-open", "--quiet"]
        made = measure(BIN / "propense", "demo", *words)
        if made.code:
            raise RuntimeError(f"propense demo ended with {made.code}: {made.tail}")
        shutil.rmtree(work / "shelf")
        size = ["--set", "model.size=base", "--set", "train.max_minutes=2"]
        made = measure(BIN / "propense", "run", "--quiet", *size, cwd=work)
        if made.code:
            raise RuntimeError(f"propense run ended with {made.code}: {made.tail}")
    return work


def pin(core: int) -> None:
    """Keep this process, and what it starts, to one core where there are two."""
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {core})


def measure_all(folder: Path, work: Path, chosen: argparse.Namespace) -> list[Line]:
    """Every line; the peer's numbers beside them."""
    own = copy_of(folder, work / "own", SCENARIO)
    parts = folder / "runs" / "main" / "parts"
    key = new_key(own)
    first_customers = list(customers_of_shards(parts, chosen.customers, EVENTS))
    items = items_of(own)
    lines = []
    with serving(own, *OPEN_LIMITS, *PATIENT, key=key, core=core_of_service()) as service:
        lines.append(Line("memory after the start", resident_mb(service), "MB", 250))
        began = time.perf_counter()
        ids = import_customers(service, iter(first_customers))
        n_events = sum(len(events) for _, events in first_customers)
        rate = n_events / (time.perf_counter() - began)
        lines.append(Line("import, lines", rate, "events/s"))
    lines.append(Line("start to first answer", start_seconds(own, key, ids[0]), "s", 2))
    with serving(own, *OPEN_LIMITS, *PATIENT, key=key, core=core_of_service()) as service:
        side = own_side(service)
        answers = {user: listed(side, user) for user in ids[:20]}
        lines += traffic(side, ids, items, chosen.seconds, with_targets=True)
        lines.append(Line("memory after this traffic", resident_mb(service), "MB", 250))
        lines.append(fill_memory(service, parts, ids, chosen))
    if chosen.no_peer:
        return lines
    with peer_serving(folder, work, first_customers) as (side, seconds, memory):
        same = sum(listed(side, user) == answer for user, answer in answers.items())
        theirs = {line.name: line for line in traffic(side, ids, items, chosen.seconds)}
        theirs["start to first answer"] = Line("", seconds, "s")
        theirs["memory after this traffic"] = Line("", memory(), "MB")
    print(f"the peer answers {same} of {len(answers)} customers with the same list")
    return [
        Line(**{**asdict(line), "peer": theirs[line.name].value}) if line.name in theirs else line
        for line in lines
    ]


def traffic(
    side: Side, ids: Sequence[str], items: Sequence[str], seconds: float, with_targets: bool = False
) -> list[Line]:
    """Questions and events, at one connection and at many."""
    rng = np.random.default_rng(0)
    targets: dict[str, float] = {}
    if with_targets:
        targets = {"p50": 0.5, "p99": 2.0, "cold": 3_000, "warm": 9_000, "events": 20_000}
    warm = list(ids[:WARM])
    lines = []
    rates = {}
    # Cold: more customers in turn than memory holds, and others in each measurement, so that each
    # is read and scored again.
    for kind, groups in (("cold", [ids[n::3] for n in range(3)]), ("warm", [warm] * 3)):
        asks = [cycle([ask_for(side, user) for user in users]) for users in groups]
        if kind == "warm":
            closed_loop(side.url, iter([ask_for(side, user) for user in warm]), 1, 60)
        alone = closed_loop(side.url, asks[0], 1, seconds)
        for name in ("p50", "p99"):
            lines.append(
                Line(f"recommend {kind}, 1 connection, {name}", alone.ms(float(name[1:])), "ms",
                     targets.get(name), detail=alone.format() if name == "p50" else "")
            )  # fmt: skip
        rates[kind], detail = most(side, list(groups[1]), seconds)
        lines.append(
            Line(f"recommend {kind}, {CONNECTIONS} connections", rates[kind], "answers/s",
                 targets.get(kind), detail=detail)
        )  # fmt: skip
        rate = OPEN_SHARE * rates[kind]
        load = open_loop(side.url, asks[2], rate, seconds, rng)
        for percentile in (50.0, 99.0):
            lines.append(
                Line(f"recommend {kind}, open loop at {OPEN_SHARE:.0%}, p{percentile:g}",
                     load.ms(percentile), "ms",
                     detail=f"{load.format()}; the generator's own lag p99 {load.lag * 1e3:.2f} ms"
                     if percentile == 50 else "")
            )  # fmt: skip
    if side.predict is not None:
        asks = cycle([question(side.predict, side.key, {"user_id": user}) for user in ids])
        load = closed_loop(side.url, asks, 1, seconds)
        lines.append(Line("predict, 1 connection, p50", load.ms(50), "ms", detail=load.format()))
        load = closed_loop(side.url, asks, CONNECTIONS, seconds)
        lines.append(
            Line(
                f"predict, {CONNECTIONS} connections",
                load.rate(),
                "answers/s",
                detail=load.format(),
            )
        )
    lines += events(side, ids, items, seconds, targets.get("events"))
    return lines


def events(
    side: Side, ids: Sequence[str], items: Sequence[str], seconds: float, target: float | None
) -> list[Line]:
    """Events in batches, one by one, and each followed by a question about its customer."""
    names = count()
    run = os.urandom(4).hex()

    def message() -> Any:
        number = next(names)
        user, item = ids[number % len(ids)], items[number * 7 % len(items)]
        return side.message(user, item, f"{run}-{number}")

    def batches() -> Iterator[bytes]:
        while True:
            sent = side.pack([message() for _ in range(BATCH)])
            yield question(side.batch, side.key, sent)

    def singles() -> Iterator[bytes]:
        while True:
            yield question(side.event, side.key, message())

    def turnarounds(first: int, times: list[float]) -> Script:
        number = first
        while True:
            user = ids[number % len(ids)]
            began = time.perf_counter()
            sent = side.message(user, items[number * 7 % len(items)], f"{run}-pair-{number}")
            yield 0, question(side.event, side.key, sent)
            yield 0, ask_for(side, user)
            times.append(time.perf_counter() - began)
            number += CONNECTIONS

    load = closed_loop(side.url, batches(), 4, seconds)
    lines = [Line(f"events in batches of {BATCH}", load.rate() * BATCH, "events/s", target,
                  detail=load.format())]  # fmt: skip
    load = closed_loop(side.url, singles(), CONNECTIONS, seconds)
    lines.append(Line(f"events one by one, {CONNECTIONS} connections", load.rate(), "events/s",
                      detail=load.format()))  # fmt: skip
    for lanes in (1, CONNECTIONS):
        times: list[float] = []
        load = converse(side.url, [turnarounds(first, times) for first in range(lanes)], seconds)
        lines.append(
            Line(f"event then recommend, {lanes} side by side", len(times) / load.seconds,
                 "pairs/s", detail=f"a pair p50 {np.percentile(times, 50) * 1e3:.2f}, p99 "
                 f"{np.percentile(times, 99) * 1e3:.2f} ms; statuses {load.counts()}")
        )  # fmt: skip
    return lines


def most(side: Side, users: Sequence[str], seconds: float) -> tuple[float, str]:
    """Answers a second in closed loop, by wrk where it is there."""
    messages = [{"user_id": user, "scenario": "home"} for user in users]
    if has_wrk():
        done = run_wrk(side.url, side.recommend, side.key, messages, CONNECTIONS, seconds)
        times = ", ".join(f"{name} {ms:.2f}" for name, ms in done.ms.items())
        return done.rate, f"wrk: {times} ms; refused {done.refused}, lost {done.lost}"
    asks = cycle([question(side.recommend, side.key, message) for message in messages])
    load = closed_loop(side.url, asks, CONNECTIONS, seconds)
    return load.rate(), f"no wrk here, so loading.py: {load.format()}"


def fill_memory(
    service: Running, parts: Path, ids: Sequence[str], chosen: argparse.Namespace
) -> Line:
    """Memory once many more customers have come in and each was asked about."""
    more = chosen.many - len(ids)
    imported: list[str] = []
    if more > 0:
        others = customers_of_shards(parts, chosen.many, FEW_EVENTS)
        first_customers = set(ids)
        imported = import_customers(
            service, (one for one in others if one[0] not in first_customers)
        )
    side = own_side(service)
    # One after the other, so that none is turned away.
    load = closed_loop(side.url, (ask_for(side, user) for user in imported), 1, 600)
    name = f"memory after {len(ids) + len(imported):,} customers"
    return Line(name, resident_mb(service), "MB", 250, detail=load.format())


def as_json(line: Line) -> dict[str, Any]:
    """For JSON."""
    return {**asdict(line), "met": line.met, "ratio": line.ratio}


def page(lines: Sequence[Line], of: dict[str, Any]) -> str:
    """The table, then what else was seen of each line."""
    rows = [
        [
            line.name, _number(line.value), line.unit, _target(line), _number(line.peer),
            "" if line.ratio is None else f"{line.ratio:.1f}",
        ]
        for line in lines
    ]  # fmt: skip
    head = ["", "propense", "unit", "mark", "plain service", "times better"]
    seen = [f"- {line.name}: {line.detail}" for line in lines if line.detail]
    return "\n".join(
        ["# The live service", "", format_machine(of), "", markdown(head, rows), "", *seen, ""]
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _target(line: Line) -> str:
    if line.target is None:
        return ""
    sign = ">=" if line.is_rate else "<="
    return f"{sign} {line.target:,g}: {'met' if line.met else 'missed'}"


if __name__ == "__main__":
    main()
