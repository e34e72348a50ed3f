"""Realistic dirt, added beside the true rows and counted.

Every dirty row is an extra row (or, for spelling, a changed value): the true rows stay
unchanged, so that exactly these must remain after cleaning. Retired courses are the
exception: those rows are real views of items that are no longer in the catalogue.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense.schemas import Ints
from propense.worlds.education.calendar import DAY_SECONDS, START_SECONDS

APP_RATES: Final = {
    "exact_duplicate": 0.004, "retry": 0.003, "missing_user": 0.003, "unreadable_time": 0.001,
    "future": 0.0005, "retired_item": 0.001, "broken_line": 0.0003,
}  # fmt: skip
WEB_RATES: Final = {
    "exact_duplicate": 0.004, "missing_user": 0.004, "unreadable_time": 0.001, "future": 0.0005,
    "retired_item": 0.001, "broken_line": 0.0003,
}  # fmt: skip
ORDER_RATES: Final = {
    "exact_duplicate": 0.004, "missing_user": 0.003, "unreadable_time": 0.001, "future": 0.0005,
    "impossible_value": 0.001,
}  # fmt: skip
IMPOSSIBLE_PAYMENTS: Final = 0.01
"""Share of payments that are logged a second time with a negative or absurd amount."""
BOT_EVENTS: Final = 1200
MAX_EVENTS_PER_DAY: Final = 1000
"""The limit in the settings of the world: more than any customer has, fewer than any bot."""
RETRY_WITHIN_MS: Final = 900
LARGEST_VALUE: Final = 20_000.0
ABSURD: Final = 99_999_999


@dataclass
class DirtCount:
    """Rows by source and kind."""

    rows: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, source: str, kind: str, n: int) -> None:
        self.rows.setdefault(source, Counter())[kind] += int(n)

    def plain(self) -> dict[str, dict[str, int]]:
        """source -> kind -> rows; "clean" are the true rows, "written" all."""
        plain: dict[str, dict[str, int]] = {}
        for source, counts in sorted(self.rows.items()):
            plain[source] = dict(sorted(counts.items()))
        return plain


@dataclass(frozen=True)
class Extra:
    """True rows that are written a second time, with the kind of dirt."""

    row: Ints
    kind: np.ndarray
    """Name of the kind of each extra row."""

    def of(self, kind: str) -> np.ndarray:
        chosen: np.ndarray = self.kind == kind
        return chosen


def draw_extra(
    rng: np.random.Generator, n: int, rates: dict[str, float], payments: Ints | None = None
) -> Extra:
    """Rows to corrupt, each true row at most once; at least one of every kind if there are rows."""
    counts = {kind: max(1, round(rate * n)) for kind, rate in rates.items()} if n else {}
    row = rng.permutation(n)[: sum(counts.values())]
    kind = np.repeat(np.array(list(counts), dtype=object), list(counts.values()))[: len(row)]
    if payments is not None and len(payments):
        paid = rng.choice(
            payments, max(1, round(IMPOSSIBLE_PAYMENTS * len(payments))), replace=False
        )
        row = np.concatenate([row, paid])
        kind = np.concatenate([kind, np.full(len(paid), "impossible_value", dtype=object)])
    return Extra(row, kind)


def count_extra(count: DirtCount, source: str, n_true: int, extra: Extra) -> None:
    """Count the extra rows of one file."""
    kinds, n = np.unique(extra.kind.astype(str), return_counts=True)
    for kind, rows in zip(kinds.tolist(), n.tolist(), strict=True):
        count.add(source, kind, rows)
    count.add(source, "clean", n_true)
    count.add(source, "written", n_true + len(extra.row))


def future_shift(rng: np.random.Generator, n: int) -> Ints:
    """Seconds to add: eight to seventy years."""
    return rng.integers(8 * 365, 70 * 365, n) * DAY_SECONDS


def bot_day(rng: np.random.Generator, days: int) -> tuple[Ints, int]:
    """Milliseconds since 1970 of one bot's events, all on one day, and that day."""
    day = int(rng.integers(days // 2, days))
    begin = (START_SECONDS + day * DAY_SECONDS) * 1000
    steps = rng.integers(2000, 9000, BOT_EVENTS)
    local_morning = 60_000
    return begin + local_morning + np.cumsum(steps), day


def misspell(
    rng: np.random.Generator, words: pa.StringArray, share: float
) -> tuple[pa.StringArray, int]:
    """Some values in upper case, lower case or with stray blanks; and how many differ."""
    style = rng.integers(0, 3, len(words))
    spoilt = pc.choose(
        pa.array(style), pc.utf8_upper(words), pc.utf8_lower(words),
        pc.binary_join_element_wise(" ", words, "  ", ""),
    )  # fmt: skip
    chosen = pa.array(rng.random(len(words)) < share)
    mixed = pc.if_else(chosen, spoilt, words)
    return mixed, int(pc.sum(pc.fill_null(pc.not_equal(mixed, words), False)).as_py() or 0)
