"""What one pass over all events shows: how many there are, when, and which source logs what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.columns import ACTION, EVENT_TIME, SOURCE
from propense.errors import SplitError
from propense.schemas import Ints
from propense.tables.splitting.silences import DayCounts, merge_days
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

SURVEYED = (EVENT_TIME, ACTION, SOURCE)


@dataclass(frozen=True)
class Survey:
    """Counts, times and actions of all events."""

    n_events: int
    span: tuple[int, int] | None
    """Seconds of the first and the last event; None without times."""
    actions: tuple[str, ...]
    days: dict[str, DayCounts]
    """Source -> its events by day; empty without times."""
    carriers: dict[str, dict[str, int]]
    """Action -> source -> events."""

    @property
    def timed(self) -> bool:
        return self.span is not None


def take_survey(tables: Iterable[Any]) -> Survey:
    """The survey of events in several Arrow tables of SURVEYED.

    Raises SplitError where only some events have times.
    """
    n_events, n_timed = 0, 0
    times: list[tuple[int, int]] = []
    days: dict[str, list[DayCounts]] = {}
    carriers: dict[str, Counter[str]] = {}
    for events in tables:
        n_events += events.num_rows
        n_timed += events.num_rows - events[EVENT_TIME].null_count
        sources, source = _coded(events[SOURCE])
        actions, action = _coded(events[ACTION])
        both, n_both = np.unique(action * len(sources) + source, return_counts=True)
        for code, n in zip(both.tolist(), n_both.tolist(), strict=True):
            one = carriers.setdefault(actions[code // len(sources)], Counter())
            one[sources[code % len(sources)]] += n
        micros = events[EVENT_TIME].cast(pa.int64())
        ends = pc.min_max(micros).as_py()
        if ends["min"] is None or micros.null_count:
            continue
        times.append((ends["min"], ends["max"]))
        day = micros.to_numpy() // MICROS_PER_DAY
        each, n_each = np.unique(day * len(sources) + source, return_counts=True)
        for number, name in enumerate(sources):
            chosen = each % len(sources) == number
            days.setdefault(name, []).append(
                DayCounts(each[chosen] // len(sources), n_each[chosen])
            )
    if 0 < n_timed < n_events:
        raise SplitError(
            f"{n_events - n_timed:,} of {n_events:,} events have no event_time; map "
            f"event_time in every source, or in none to learn from their order alone"
        )
    span = None
    if times:
        span = (
            min(first for first, _ in times) // MICROS_PER_SECOND,
            max(last for _, last in times) // MICROS_PER_SECOND,
        )
    carriers.pop("", None)
    merged = {name: merge_days(logs) for name, logs in sorted(days.items())}
    merged = {name: log for name, log in merged.items() if log.n}
    return Survey(
        n_events, span, tuple(sorted(carriers)), merged,
        {action: dict(one) for action, one in carriers.items()},
    )  # fmt: skip


def _coded(column: Any) -> tuple[list[str], Ints]:
    """The distinct words, "" for null, and each row's index among them."""
    coded = pc.fill_null(column, "").dictionary_encode().combine_chunks()
    if isinstance(coded, pa.ChunkedArray):  # no rows
        return [""], np.zeros(0, dtype=np.int64)
    words = coded.dictionary.to_pylist() or [""]
    return words, coded.indices.to_numpy().astype(np.int64)
