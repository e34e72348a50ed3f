"""One customer in microseconds: the results of scorer and ranker without building batches.

For a single customer the batched code spends most of its time on grouping, padding and ragged
ranges of one row. Tests check that both give the same numbers.
"""

from __future__ import annotations

import numpy as np

from propense.encoding.batches import SECONDS_PER_DAY, EventClock
from propense.inference.bundle import Bundle
from propense.inference.scoring.gate import COUNTS, FADING, MONTH, NETWORK, OWN, WEEK
from propense.inference.scoring.ranking import Ranker, log_of
from propense.inference.scoring.scorer import Scorer
from propense.models.counts.own_items import own_opinions
from propense.models.counts.transitions import TransitionCounts
from propense.models.shape import ItemHead
from propense.schemas import FIRST_KNOWN, Floats, Histories, Ints

_ONE = np.zeros(1, np.int32)


def score_one(
    bundle: Bundle,
    histories: Histories,
    clock: EventClock,
    end: int,
    as_of: int | None,
    heads: tuple[ItemHead, ...] | None = None,
) -> Floats:
    """`Bundle.item_scores` of the only customer of `histories`, (n_items,)."""
    ranker, counts = bundle.ranker, None if bundle.ranker is None else bundle.ranker.counts
    asked = None if as_of is None else np.array([as_of])
    if ranker is None or bundle.item_rival is not None or end == 0 or not histories.n_users == 1:
        scores: Floats = bundle.item_scores(histories, clock, _ONE, np.array([end]), asked, heads)[
            0
        ]
        return scores
    weighted = ranker.heads if heads is None else heads
    network = _network(ranker, weighted, *seek_one(bundle.scorer, histories, clock, end))
    gate = ranker.gate
    if gate is None or not isinstance(counts, TransitionCounts):
        return network
    powers = gate.powers[int(ranker.groups_of(histories, _ONE, np.array([end]), asked)[0])]
    logits = np.float32(powers[NETWORK]) * log_of(network)
    if powers[COUNTS] > 0:
        counted = count_one(counts, histories, end)
        unmet, n_rankable = ranker.unmet
        counted[unmet] = 1 / n_rankable
        logits += np.float32(powers[COUNTS]) * log_of(counted)
    if powers[OWN] > 0:
        own = own_opinions(histories, _ONE, np.array([end]), ranker.prior)[0]
        logits += np.float32(powers[OWN]) * log_of(own)
    if as_of is not None and asked is not None:
        if powers[FADING] > 0:
            step = ranker.step_of(asked)
            own = own_opinions(histories, _ONE, np.array([end]), ranker.prior, step)[0]
            logits += np.float32(powers[FADING]) * log_of(own)
        if powers[MONTH] > 0 or powers[WEEK] > 0:
            month, week = ranker.popular_logs_now(as_of)
            logits += np.float32(powers[MONTH]) * month
            logits += np.float32(powers[WEEK]) * week
    logits -= logits.max()
    np.exp(logits, out=logits)
    logits /= logits.sum()
    return logits


def seek_one(
    scorer: Scorer, histories: Histories, clock: EventClock, end: int
) -> tuple[Floats, Floats]:
    """`Scorer.seek_items` of a customer with events: (heads, width), (heads,)."""
    begin = max(0, end - scorer.shape.max_length)
    window = slice(begin, end)
    value = histories.value[window]
    valued = np.isfinite(value)
    value = np.where(valued, value, np.float32(0))
    if histories.timed:
        days = ((histories.time[window] - histories.time[begin]) / SECONDS_PER_DAY).astype(
            np.float32
        )
    else:
        days = np.zeros(end - begin, np.float32)
    inputs = {
        "item_vectors": scorer.item_vectors[histories.item[window]],
        "action": histories.action[window].astype(np.int64),
        "source": histories.source[window].astype(np.int64),
        "hour": clock.hour[window],
        "weekday": clock.weekday[window],
        "gap": clock.gap[window],
        "value": np.sign(value) * np.log1p(np.abs(value)),
        "valued": valued.astype(np.float32),
        "count": np.log1p(np.maximum(histories.count[window], np.float32(0))),
        "time": days,
        "query_length": np.array([end - begin]),
    }
    wanted, heads = scorer.graphs.next_item({name: array[None] for name, array in inputs.items()})
    logits = np.exp(heads[0, 0] - heads[0, 0].max())
    return wanted[0, 0], logits / logits.sum()


def count_one(counts: TransitionCounts, histories: Histories, end: int) -> Floats:
    """`TransitionCounts.opinions` of the only customer of `histories`, (n_items,)."""
    sources = recent_items(counts, histories, end)
    items = np.array([item for item, _ in sources], np.int64)
    weights = np.array([weight for _, weight in sources], np.float64) * counts.divided[items]
    total = float(weights @ counts.row_mass[items])
    unlisted = (
        max(total - float(weights @ counts.stored_mass[items]), 0.0) + counts.settings.smoothing
    )
    out = _add_rows(counts, items, weights.astype(np.float32))
    out += (unlisted * counts.popularity).astype(np.float32)
    out /= np.float32(total + counts.settings.smoothing)
    return out


def _add_rows(counts: TransitionCounts, items: Ints, weights: Floats) -> Floats:
    """The weighted sum of the rows of `items`, (n_items,)."""
    if counts.table is not None:
        summed: Floats = weights @ counts.table[items]
        return summed
    out = np.zeros(counts.n_items, np.float32)
    for item, weight in zip(items.tolist(), weights, strict=True):
        begin, stop = counts.offsets[item], counts.offsets[item + 1]
        out[counts.successor[begin:stop]] += weight * counts.mass[begin:stop]
    return out


def recent_items(
    counts: TransitionCounts, histories: Histories, end: int
) -> list[tuple[int, float]]:
    """(item, weight) of the events of the last positions, weighted as by `RecentItems.recent`."""
    settings = counts.settings
    item, time = histories.item[:end], histories.time[:end]
    named = item >= FIRST_KNOWN
    items: list[int] = item[named].tolist()
    times: list[int] = time[named].tolist()
    out: list[tuple[int, float]] = []
    stop, left = len(items), settings.max_sources
    for lag in range(1, settings.n_lags + 1):
        if stop == 0 or left <= 0:
            break
        start = _position_start(items, times, stop)
        weight = lag**-settings.fade / (stop - start)
        read = min(stop - start, left)
        out += [(each, weight) for each in items[stop - read : stop]]
        left -= read
        stop = start
    return out


def _position_start(items: list[int], times: list[int], stop: int) -> int:
    """The first event of the position whose last event is the one before `stop`.

    A moment that begins with the only item of the moment before has the same position.
    """
    start = _moment_start(times, stop)
    while start > 0:
        before = _moment_start(times, start)
        uniform = items[start]
        if any(each != uniform for each in items[before:start]):
            break
        start = before
    return start


def _moment_start(times: list[int], stop: int) -> int:
    start = stop - 1
    while start > 0 and times[start - 1] == times[stop - 1]:
        start -= 1
    return start


def _network(ranker: Ranker, heads: tuple[ItemHead, ...], wanted: Floats, share: Floats) -> Floats:
    """`Ranker.network_probabilities` of one row."""
    weights = np.array([head.weight for head in heads], np.float32)
    belief = share * weights
    belief /= max(float(belief.sum()), 1e-12)
    chosen = np.flatnonzero(weights > 0)
    logits = wanted[chosen] @ ranker.vectors_across
    logits += ranker.shut
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    out: Floats = (belief[chosen] / logits.sum(axis=1)) @ logits
    return out
