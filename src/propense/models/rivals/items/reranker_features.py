"""Candidates of each row, and what the reranker's trees see of them. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from propense.models.counts.decayed import HALF_LIVES, DecayedCounts
from propense.models.counts.own_items import FADING_SECONDS, Mask
from propense.models.counts.recent_items import Whole, ragged_ranges
from propense.models.counts.transitions import TransitionCounts
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Ints

N_OWN: Final = 60
"""Of the customer's own items, the latest."""
N_SUCCESSORS: Final = 60
N_POPULAR: Final = 20
"""Of each half-life."""
NAMES: Final = (
    "own_successes", "own_events", "days_since_success", "days_since_event", "own_share",
    "own_fading", "own_fading_fast", "events_since", "days_between", "gaps_since",
    *(f"popular_{days:g}d" for days in HALF_LIVES), "trend", "age_days", "follows",
    "follows_by_popularity", "n_events", "days_since_any", "n_items", "repeats", "day_share",
)  # fmt: skip
"""The features, in the order of the columns."""
_DAY: Final = 86_400
_FAST_SECONDS: Final = 14 * _DAY


@dataclass(frozen=True)
class Evidence:
    """What candidates are candidates by and judged by."""

    popular: DecayedCounts
    follows: TransitionCounts
    first: Ints
    """(n_items,) when each item was first taken, in seconds; -1 never."""
    success: Mask | None
    """(n_actions,) the actions that count as success; None: all."""

    @property
    def n_items(self) -> int:
        return self.follows.n_items

    def step_of(self, as_of: Whole) -> Ints:
        """(n,) the beginning of the step of each time, in seconds: so is the service asked, whose
        lists change from step to step."""
        return np.asarray(as_of, np.int64) // self.popular.step * self.popular.step


class Candidates(NamedTuple):
    """Pairs of a row and an item, by row."""

    row: Ints
    item: Ints
    counts: Floats
    """(n_half_lives, n, n_items) what is popular as of each row."""
    follows: Floats
    """(n, n_items) P(item) after the latest items."""
    own: OwnPairs


class OwnPairs(NamedTuple):
    """The distinct items of each row's history, by row and item."""

    key: Ints
    """row * n_items + item, increasing."""
    n_events: Doubles
    n_successes: Doubles
    fading: Doubles
    fading_fast: Doubles
    first: Ints
    """Absolute index of the first success, -1 without any;"""
    last: Ints
    """of the last success, likewise;"""
    latest: Ints
    """of the last event."""


def candidates_of(
    evidence: Evidence, histories: Histories, user: Whole, end: Whole, as_of: Whole
) -> Candidates:
    """The candidates of each row: events before `end` (absolute, exclusive), at `as_of` seconds."""
    n, n_items = len(user), evidence.n_items
    as_of = evidence.step_of(as_of)
    follows = evidence.follows.opinions(histories, user, end)
    steps, at = np.unique(as_of, return_inverse=True)
    counts = evidence.popular.at(steps)[:, at]
    own = _own_pairs(evidence, histories, user, end, as_of)
    chosen = np.zeros((n, n_items), bool)
    for scores, most in ((follows, N_SUCCESSORS), *((span, N_POPULAR) for span in counts)):
        if n_items > most:
            best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
            np.put_along_axis(chosen, best, True, axis=1)
        else:
            chosen[:] = True
    row = own.key // n_items
    # Of each row the items with the latest events.
    order = np.lexsort((-own.latest, row))
    position = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    late = order[position < N_OWN]
    chosen[row[late], own.key[late] % n_items] = True
    chosen[:, :FIRST_KNOWN] = False
    rows, items = np.nonzero(chosen)
    return Candidates(rows, items, counts, follows, own)


def features_of(
    evidence: Evidence,
    histories: Histories,
    user: Whole,
    end: Whole,
    as_of: Whole,
    candidates: Candidates,
) -> Floats:
    """(n_candidates, n_features) in the order of `NAMES`; nan where there is nothing to know."""
    n_items, row, item = evidence.n_items, candidates.row, candidates.item
    begin = histories.offsets[:-1][user]
    now = evidence.step_of(as_of)
    time, own = histories.time, candidates.own
    columns: dict[str, np.ndarray] = {}
    key = row * n_items + item
    index = np.minimum(np.searchsorted(own.key, key), max(len(own.key) - 1, 0))
    has = own.key[index] == key if len(own.key) else np.zeros(len(key), bool)

    def of_own(values: np.ndarray, absent: float) -> Doubles:
        out = np.full(len(key), absent)
        out[has] = values[index[has]]
        return out

    def days_since(event: np.ndarray) -> Doubles:
        seen = event >= 0
        out = np.full(len(event), np.nan)
        out[seen] = np.maximum(now[row[seen]] - time[event[seen].astype(np.int64)], 0) / _DAY
        return out

    n_events = (end - begin).astype(np.float64)
    n_own = np.bincount(own.key // n_items, minlength=len(user)).astype(np.float64)
    successes = of_own(own.n_successes, 0.0)
    columns["own_successes"] = successes
    columns["own_events"] = of_own(own.n_events, 0.0)
    last, first = of_own(own.last, -1.0), of_own(own.first, -1.0)
    latest = of_own(own.latest, -1.0)
    columns["days_since_success"] = days_since(last)
    columns["days_since_event"] = days_since(latest)
    total = np.bincount(own.key // n_items, own.n_successes, len(user))
    columns["own_share"] = successes / np.maximum(total[row], 1)
    columns["own_fading"] = of_own(own.fading, 0.0)
    columns["own_fading_fast"] = of_own(own.fading_fast, 0.0)
    columns["events_since"] = np.where(latest >= 0, np.log1p(end[row] - latest), np.nan)
    between = np.where(successes > 1, days_since(first) - days_since(last), np.nan)
    between = between / np.maximum(successes - 1, 1)
    columns["days_between"] = between
    columns["gaps_since"] = days_since(last) / np.maximum(between, 0.04)
    spans = candidates.counts[:, row, item].astype(np.float64)
    for number, days in enumerate(HALF_LIVES):
        columns[f"popular_{days:g}d"] = np.log1p(spans[number])
    columns["trend"] = np.log((spans[1] / 7 + 0.1) / (spans[2] / 30 + 0.1))
    met = evidence.first[item]
    age = now[row] - met
    columns["age_days"] = np.where((met >= 0) & (age > 0), age / _DAY, np.nan)
    follows = np.log(np.maximum(candidates.follows[row, item], 1e-12))
    columns["follows"] = follows
    share = np.log(np.maximum(evidence.follows.popularity[item], 1e-12))
    columns["follows_by_popularity"] = follows - share
    columns["n_events"] = np.log1p(n_events)[row]
    some = n_events > 0
    since = np.full(len(user), np.nan)
    since[some] = np.maximum(now[some] - time[np.asarray(end)[some] - 1], 0) / _DAY
    columns["days_since_any"] = since[row]
    columns["n_items"] = np.log1p(n_own)[row]
    columns["repeats"] = (1 - n_own / np.maximum(n_events, 1))[row]
    day = candidates.counts[0].sum(axis=1)
    columns["day_share"] = spans[0] / np.maximum(day[row], 1e-9)
    features: Floats = np.stack([columns[name] for name in NAMES], axis=1).astype(np.float32)
    return features


def _own_pairs(
    evidence: Evidence, histories: Histories, user: Whole, end: Whole, as_of: Whole
) -> OwnPairs:
    begin = histories.offsets[:-1][user]
    length = np.maximum(end - begin, 0)
    event = ragged_ranges(begin, length)
    row = np.repeat(np.arange(len(user)), length)
    item = histories.item[event].astype(np.int64)
    named = (item >= FIRST_KNOWN) & (item < evidence.n_items)
    event, row, item = event[named], row[named], item[named]
    key, pair = np.unique(row * evidence.n_items + item, return_inverse=True)
    success = np.ones(len(event), bool)
    if evidence.success is not None:
        success = evidence.success[histories.action[event]]
    age = np.maximum(np.asarray(as_of, np.int64)[row] - histories.time[event], 0)
    n = len(key)
    first, last, latest = (np.full(n, -1, np.int64) for _ in range(3))
    # Events go up, so of those of one pair the last one assigned stays.
    latest[pair] = event
    last[pair[success]] = event[success]
    first[pair[success][::-1]] = event[success][::-1]
    half, fast = (0.5 ** (age / seconds) for seconds in (FADING_SECONDS, _FAST_SECONDS))

    def total(weight: np.ndarray) -> Doubles:
        return np.bincount(pair, weight, n).astype(np.float64)

    return OwnPairs(
        key, total(np.ones(len(event))), total(success), total(success * half),
        total(success * fast), first, last, latest,
    )  # fmt: skip
