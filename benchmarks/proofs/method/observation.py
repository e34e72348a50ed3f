"""Stray events prolong no log, and logs without strays keep their ends, on drawn logs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.proof import Proof
from propense.schemas import Doubles
from propense.tables.splitting.silences import DayCounts, Silences, find_silences

KIND = "quality"
CLAIM = (
    "late and early strays are seen as such or asked about, and steady, weekly, monthly and "
    "seasonal logs of 300 events and more keep their first and last event"
)
LOGS = 2000
"""Of each kind: with and without strays."""
SPAN = 360
MISSED = 0.005
"""Share of logs with strays that can go unseen; of logs without, none can lose an end."""


def _weekly(rng: np.random.Generator, n: int) -> Doubles:
    return 7.0 * rng.integers(0, SPAN // 7, n) + rng.random(n)


def _monthly(rng: np.random.Generator, n: int) -> Doubles:
    return 30.0 * rng.integers(0, SPAN // 30, n) + rng.random(n)


def _seasonal(rng: np.random.Generator, n: int) -> Doubles:
    times = SPAN * rng.random(6 * n)
    return times[rng.random(6 * n) < 0.55 + 0.4 * np.cos(2 * np.pi * times / SPAN)][:n]


def _workdays(rng: np.random.Generator, n: int) -> Doubles:
    times = SPAN * rng.random(2 * n)
    return times[times % 7 < 5][:n]


LOGS_OF: dict[str, Callable[[np.random.Generator, int], Doubles]] = {
    "steady": lambda rng, n: SPAN * rng.random(n),
    "workdays": _workdays,
    "weekly": _weekly,
    "monthly": _monthly,
    "seasonal": _seasonal,
}
STRAYS_OF: dict[str, Callable[[np.random.Generator], Doubles]] = {
    "one": lambda rng: SPAN + rng.uniform(90, 400, 1),
    "three": lambda rng: SPAN + rng.uniform(90, 400, 3),
    "one customer's": lambda rng: SPAN + 100 + rng.random(3),
    "early": lambda rng: -rng.uniform(120, 3000, 1),
}


def prove() -> Proof:
    """Draw logs of all kinds; seeds name those that are wrong."""
    lost, unseen = [], []
    for seed in range(LOGS):
        rng = np.random.default_rng(seed)
        rhythm = list(LOGS_OF)[seed % len(LOGS_OF)]
        times = LOGS_OF[rhythm](rng, int(np.exp(rng.uniform(np.log(300), np.log(20_000)))))
        silences = _silences_of(times)
        if silences.before is not None or silences.after is not None:
            lost.append(f"{rhythm} {seed}")
        kind = list(STRAYS_OF)[seed // len(LOGS_OF) % len(STRAYS_OF)]
        if not _is_seen(_silences_of(np.append(times, STRAYS_OF[kind](rng))), kind):
            unseen.append(f"{rhythm} {kind} {seed}")
    wrong = bool(lost) or len(unseen) > MISSED * LOGS
    figure = f"{len(unseen)} of {LOGS:,} with strays unseen, {len(lost)} without lost an end"
    names = ", ".join([*lost, *unseen][:5])
    return Proof(
        CLAIM, KIND, "fail" if wrong else "pass", figure + (f" ({names})" if names else ""),
        f"at most {MISSED:.1%} unseen, none lost",
    )  # fmt: skip


def _silences_of(times: Doubles) -> Silences:
    days, counts = np.unique(np.floor(times).astype(np.int64), return_counts=True)
    return find_silences(DayCounts(days, counts), int(days[0]), int(days[-1]))


def _is_seen(silences: Silences, kind: str) -> bool:
    if kind == "early":
        return silences.before is not None
    return silences.after is not None or any(gap.last >= SPAN for gap in silences.gaps)
