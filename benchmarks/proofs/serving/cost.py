"""What bytes from outside cost: every parser on hostile input of growing size."""

from __future__ import annotations

import gc
import logging
import math
import random
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.harness.hostile_bytes import FAMILIES, LARGEST, Family
from benchmarks.proof import Proof
from propense.errors import PropenseError
from propense.web.problems import Problem

KIND = "safety"
CLAIM = "hostile bytes cost no more than their number, and next to nothing before a key is known"
DOUBLINGS = 6
"""From a 64th of the largest body to the whole."""
STEEPEST = 1.1
KEYLESS_MS, KEYLESS_MB = 20.0, 10.0
NOISE_MS = 0.05
"""What is faster than this has no slope."""
FUZZ_SECONDS = 120.0
FUZZED = 1.5
"""A body of the fuzzer costs at most so many times the dearest family at its largest, on the same
machine in the same run."""
LIMIT = (
    f"slope <= {STEEPEST:g} in every family from 8 kB to 512 kB; without a key "
    f"<= {KEYLESS_MS:g} ms and <= {KEYLESS_MB:g} MB; fuzzed: "
    f"only described errors, none above {FUZZED:g} times the dearest family"
)


class Cost(NamedTuple):
    """What a family cost."""

    name: str
    ms: list[float]
    """At each size; processor time of this thread, the least of some."""
    megabytes: float
    slope: float
    keyless: bool


def prove(fuzz_seconds: float = FUZZ_SECONDS) -> Proof:
    """Measure every family, then fuzz."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    costs = [measure(name, family) for name, family in FAMILIES.items()]
    steep = [cost for cost in costs if cost.slope > STEEPEST]
    dear = [
        cost for cost in costs
        if cost.keyless and (max(cost.ms) > KEYLESS_MS or cost.megabytes > KEYLESS_MB)
    ]  # fmt: skip
    n_bodies, slowest, broken = fuzz(fuzz_seconds)
    for cost in costs:
        print(f"{cost.name:<28}{cost.slope:>6.2f}{max(cost.ms):>9.2f} ms{cost.megabytes:>8.2f} MB")
    keyless = [cost for cost in costs if cost.keyless]
    worst = max(costs, key=lambda cost: max(cost.ms))
    figure = (
        f"{len(costs)} families: steepest {max(cost.slope for cost in costs):.2f}; without a key "
        f"at most {max(max(cost.ms) for cost in keyless):.1f} ms, "
        f"{max(cost.megabytes for cost in keyless):.1f} MB; with one at most "
        f"{max(worst.ms):.0f} ms ({worst.name}), "
        f"{max(cost.megabytes for cost in costs):.0f} MB; {n_bodies:,} fuzzed bodies, "
        f"the slowest {slowest:.0f} ms"
    )
    bad = [cost.name for cost in (*steep, *dear)] + broken
    if slowest > FUZZED * max(worst.ms):
        bad.append("a fuzzed body")
    if bad:
        figure += f"; failed: {', '.join(bad[:9])}"
    return Proof(CLAIM, KIND, "fail" if bad else "pass", figure, LIMIT)


def measure(name: str, family: Family) -> Cost:
    """Time at each size, memory at the largest, and how steeply the time grows."""
    sizes = [LARGEST >> shift for shift in range(DOUBLINGS, -1, -1)]
    bodies = [family.make(size) for size in sizes]
    ms = [min(timed(family.parse, body) for _ in range(7)) for body in bodies]
    tracemalloc.start()
    quietly(family.parse, bodies[-1])
    megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return Cost(name, ms, megabytes, slope_of(ms), family.keyless)


def slope_of(ms: list[float]) -> float:
    """The slope of time over size on logarithmic scales, by least squares."""
    points = [(step, math.log2(one)) for step, one in enumerate(ms) if one > NOISE_MS]
    if len(points) < 3:
        return 0.0
    x, y = (sum(column) / len(points) for column in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def timed(parse: Callable[[Any], Any], body: Any) -> float:
    """Milliseconds of this thread."""
    gc.collect()
    gc.disable()
    began = time.thread_time()
    quietly(parse, body)
    ms = (time.thread_time() - began) * 1e3
    gc.enable()
    return ms


def quietly(parse: Callable[[Any], Any], body: Any) -> None:
    """Parse; a described refusal is an answer too."""
    try:
        parse(body)
    except (PropenseError, Problem, ValueError):
        pass


def fuzz(seconds: float, seed: int = 0) -> tuple[int, float, list[str]]:
    """Bodies mutated from the families, for so many seconds: how many there were, milliseconds of
    the slowest, and the families that raised what is no described refusal."""
    rng = random.Random(seed)
    seeds = {
        name: one for name, family in FAMILIES.items()
        if isinstance(one := family.make(4_000), bytes)
    }  # fmt: skip
    n_bodies, slowest, broken = 0, 0.0, set()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        name = rng.choice(list(seeds))
        body = mutate(seeds[name], rng, list(seeds.values()))
        try:
            slowest = max(slowest, timed(FAMILIES[name].parse, body))
        except Exception as error:
            broken.add(f"{name} ({type(error).__name__})")
        n_bodies += 1
    return n_bodies, slowest, sorted(broken)


_TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b":", b",", b"\\u0000", b"\\ud800", b"\0", b"\xff", b"\n",
    b"\r\n", b"-", b"1e999", b"null", b'"batch":', b'"writeKey":', b"\x1f\x8b",
)  # fmt: skip


def mutate(body: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A body changed in a few places: pieces cut, repeated, exchanged, tokens put in."""
    out = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        start = rng.randrange(len(out) + 1)
        end = min(len(out), start + rng.choice((1, 2, 8, 64, 512)))
        kind = rng.randrange(5)
        if kind == 0:
            del out[start:end]
        elif kind == 1:
            out[start:start] = out[start:end] * rng.choice((1, 2, 64, 512))
        elif kind == 2:
            out[start:end] = rng.choice(_TOKENS) * rng.choice((1, 2, 512))
        elif kind == 3:
            out[start:end] = rng.randbytes(end - start)
        else:
            other = rng.choice(others)
            first = rng.randrange(len(other))
            out[start:end] = other[first : first + 512]
        del out[LARGEST:]
    return bytes(out)
