"""The live service of this clone and of another, side by side and in turn: is it slower now?

    python -m benchmarks.speed.bench_versions OTHER_CLONE FOLDER --rounds 9
    python -m benchmarks.speed.bench_versions OTHER_CLONE FOLDER --set serve.durable=service

FOLDER has propense.toml and a shelf with a bundle that both can open. Both services run all the
time on core 0, the load on core 1; each second of load on the one is followed by a second on the
other, so that a busy machine slows both. Rates, and processor time of the service for a request,
are medians of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness.load_service import OPEN_LIMITS, PATIENT, items_of, track
from benchmarks.harness.loading import closed_loop, question
from benchmarks.proof import ROOT

CLIENT = 1
"""Core of the load; the services have core 0."""
CUSTOMERS = 500
_TICKS = os.sysconf("SC_CLK_TCK")
_SERVE = """
import json, sys
from pathlib import Path
from benchmarks.harness.live_service import serving
with serving(Path(sys.argv[1]), *sys.argv[2:], core=0) as one:
    print(json.dumps([one.url, one.key, one.process.pid]), flush=True)
    sys.stdin.readline()
"""


class Side(NamedTuple):
    """One of the two services."""

    url: str
    key: str
    pid: int

    def seconds(self) -> float:
        """Processor time so far."""
        cells = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(cells[11]) + int(cells[12])) / _TICKS


class Second(NamedTuple):
    """A second of load."""

    rate: float
    seconds: float
    """Of the processor, a request."""


def main() -> None:
    """Measure in turn, then print a line for each kind of request."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("other", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT})
    words = [word for pair in chosen.set for word in ("--set", pair)]
    seen: dict[tuple[str, int], list[Second]] = defaultdict(list)
    with ExitStack() as stack:
        clones = (chosen.other, ROOT)
        sides = [stack.enter_context(served(one, chosen.folder, words)) for one in clones]
        kinds = requests_of(items_of(chosen.folder))
        for number in range(chosen.rounds):
            for name, (make, connections) in kinds.items():
                for which in (0, 1) if number % 2 else (1, 0):
                    side = sides[which]
                    before = side.seconds()
                    load = closed_loop(side.url, make(side, f"{number}-{which}"), connections, 1.0)
                    n = max(1, load.counts().get(200, 0))
                    seen[name, which].append(Second(n, (side.seconds() - before) / n))
    for name in kinds:
        print(line(name, seen[name, 0], seen[name, 1]))


def line(name: str, other: list[Second], own: list[Second]) -> str:
    """Both rates, and the ratios."""
    rates = [b.rate / a.rate for a, b in zip(other, own, strict=True)]
    times = [b.seconds / a.seconds for a, b in zip(other, own, strict=True) if a.seconds]
    return (
        f"{name:<32}{statistics.median(one.rate for one in other):>8,.0f}/s -> "
        f"{statistics.median(one.rate for one in own):>8,.0f}/s, rate x "
        f"{statistics.median(rates):.2f} ({min(rates):.2f} to {max(rates):.2f}), "
        f"processor time x {statistics.median(times):.2f}"
    )


Requests = Callable[[Side, str], Iterator[Any]]


def requests_of(items: list[str]) -> dict[str, tuple[Requests, int]]:
    """Name -> what is sent, over how many connections."""

    def events(side: Side, tag: str) -> Iterator[Any]:
        for n in count():
            body = track(f"u{n % CUSTOMERS}", "view", items[n % len(items)], f"{tag}-{n}")
            yield question("/v1/track", side.key, body)

    def ask(path: str) -> Requests:
        def make(side: Side, tag: str) -> Iterator[Any]:
            return (question(path, side.key, {"user_id": f"u{n % CUSTOMERS}"}) for n in count())

        return make

    return {
        "events, 32 connections": (events, 32), "events, 1 connection": (events, 1),
        "recommend, 32 connections": (ask("/v1/recommend"), 32),
        "recommend, 1 connection": (ask("/v1/recommend"), 1),
        "predict, 32 connections": (ask("/v1/predict"), 32),
    }  # fmt: skip


@contextmanager
def served(clone: Path, folder: Path, words: list[str]) -> Iterator[Side]:
    """The service of a clone, on a copy of the folder."""
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work) / "service"
        copy.mkdir()
        shutil.copy(folder / "propense.toml", copy)
        shutil.copytree(folder / "shelf", copy / "shelf")
        path = os.pathsep.join([str(clone / "src"), str(clone)])
        with subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(copy), *PATIENT, *OPEN_LIMITS, *words], cwd=clone,
            env={**os.environ, "PYTHONPATH": path}, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            yield Side(*json.loads(child.stdout.readline()))
            child.communicate("\n")


if __name__ == "__main__":
    main()
