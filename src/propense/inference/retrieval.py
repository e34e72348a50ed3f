"""Candidate retrieval for very large catalogues: a few hundred items, scored as if all were.

Candidates are the items whose vectors are nearest to what the customer looks for, the items that
usually follow the customer's recent ones, the customer's own items, and the most popular. The
scores of all others are bounded, so that a list can tell whether it is exact.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from propense.encoding.batches import EventClock
from propense.inference.bundle import Bundle
from propense.inference.scoring.candidates import Candidates
from propense.inference.scoring.gate import COUNTS, FADING, MONTH, NETWORK, OWN, WEEK
from propense.inference.scoring.index import EXACT_UP_TO, ItemIndex
from propense.inference.scoring.ranking import LOG_LEAST, Ranker
from propense.inference.single import recent_items, seek_one
from propense.models.counts.own_items import FADING_SECONDS
from propense.models.counts.transitions import TransitionCounts
from propense.models.shape import ItemHead
from propense.models.top_k import best_indices
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Ids

NEAREST: Final = 400
"""Items that the index returns for each head."""
POPULAR: Final = 200
_SAMPLE: Final = 16_384
"""Items from which the mass of all other items is estimated."""
_SEED: Final = 0
_ONE: Final = np.zeros(1, np.int32)


class _Trend(NamedTuple):
    """What is popular within one step."""

    step: int
    logs: tuple[Floats, Floats]
    """Logarithms of what is popular for about a month and a week, (n_items,) each."""
    items: Ids
    """The most popular items of both spans."""
    most_of_others: tuple[float, float]
    """The highest logarithm of any other item."""


class Retriever:
    """Retrieves candidates and scores them. Apart from what is popular now it does not change."""

    def __init__(self, bundle: Bundle, cache: Path | None = None) -> None:
        """Builds the index: some seconds for a million items, see `ItemIndex.build`."""
        assert bundle.ranker is not None
        self._bundle = bundle
        self._ranker: Ranker = bundle.ranker
        self._index = ItemIndex.build(self._ranker.item_vectors, self._ranker.rankable, cache)
        self._rows = np.flatnonzero(self._ranker.rankable)
        rng = np.random.default_rng(_SEED)
        size = min(_SAMPLE, len(self._rows))
        self._sample = np.sort(rng.choice(self._rows, size, replace=False))
        self._sampled = np.ascontiguousarray(self._ranker.item_vectors[self._sample])
        popularity = np.where(self._ranker.rankable, self._ranker.popularity, -np.inf)
        self._popular = best_indices(popularity.astype(np.float32), POPULAR)
        self._others = np.setdiff1d(self._rows, self._popular)
        self._trend: _Trend | None = None

    def retrieve(
        self,
        histories: Histories,
        clock: EventClock,
        end: int,
        as_of: int | None,
        heads: tuple[ItemHead, ...] | None = None,
        nearest: int = NEAREST,
    ) -> Candidates:
        """Candidates for the only customer of `histories`, who has events, at a time in seconds.

        Their scores are those of the whole catalogue up to one factor, except that the mass of
        all other items is estimated. `nearest` items are retrieved for each head.
        """
        ranker = self._ranker
        weighted = ranker.heads if heads is None else heads
        wanted, share = seek_one(self._bundle.scorer, histories, clock, end)
        weights = np.array([head.weight for head in weighted], np.float32)
        chosen = np.flatnonzero(weights > 0)
        belief = share * weights
        belief /= max(float(belief.sum()), 1e-12)
        wanted, belief = wanted[chosen], belief[chosen]
        nearest_items, products = self._index.search(wanted, nearest)
        gate = ranker.gate
        powers = None
        if gate is not None:
            asked = None if as_of is None else np.array([as_of])
            group = ranker.groups_of(histories, _ONE, np.array([end]), asked)
            powers = gate.powers[int(group[0])]
        trend = None
        if powers is not None and as_of is not None and powers[MONTH] + powers[WEEK] > 0:
            trend = self._trend_at(as_of)
        items = self._together(nearest_items, trend, histories, end)
        logits = wanted @ ranker.item_vectors[items].T
        masses = self._masses(wanted, items, logits)
        network = belief @ np.exp(logits - masses[:, None])
        # No other item is nearer than the last one that the index returned, for any head.
        least = np.where(np.isfinite(products[:, -1]), products[:, -1], -np.inf)
        outside = float(belief @ np.exp(least - masses))
        counts = ranker.counts
        if powers is None or not isinstance(counts, TransitionCounts):
            return Candidates(items, network.astype(np.float32), outside)
        counted, unlisted = self._counted(counts, histories, end, items)
        log_scores = powers[NETWORK] * _log(network) + powers[COUNTS] * _log(counted)
        floor = powers[NETWORK] * _log(outside) + powers[COUNTS] * _log(unlisted)
        if powers[OWN] > 0:
            own, others = self._own(histories, end, items, None)
            log_scores += powers[OWN] * _log(own)
            floor += powers[OWN] * _log(others)
        if powers[FADING] > 0 and as_of is not None:
            own, others = self._own(histories, end, items, as_of)
            log_scores += powers[FADING] * _log(own)
            floor += powers[FADING] * _log(others)
        if trend is not None:
            for power, logs, most in zip(
                (powers[MONTH], powers[WEEK]), trend.logs, trend.most_of_others, strict=True
            ):
                log_scores += power * logs[items]
                floor += power * most
        top = float(log_scores.max())
        scores = np.exp(log_scores - top)
        total = scores.sum()
        return Candidates(
            items, (scores / total).astype(np.float32), float(np.exp(floor - top) / total)
        )

    def forget(self) -> None:
        """Drop what is held of what is popular."""
        self._trend = None

    def _trend_at(self, as_of: int) -> _Trend:
        """What is popular within the step of a time."""
        step = int(self._ranker.step_of(np.array([as_of]))[0])
        held = self._trend
        if held is None or held.step != step:
            logs = self._ranker.popular_logs_now(as_of)
            month, week = (best_indices(one + self._ranker.shut, POPULAR) for one in logs)
            # Some item can be listed, and those beyond are no more popular than the last.
            most = float(logs[0][month[-1]]), float(logs[1][week[-1]])
            held = self._trend = _Trend(step, logs, np.concatenate([month, week]), most)
        return held

    def _together(
        self, nearest_items: Ids, trend: _Trend | None, histories: Histories, end: int
    ) -> Ids:
        counts = self._ranker.counts
        parts: list[np.ndarray] = [nearest_items.ravel(), self._popular, histories.item[:end]]
        if trend is not None:
            parts.append(trend.items)
        if isinstance(counts, TransitionCounts):
            for item in {item for item, _ in recent_items(counts, histories, end)}:
                parts.append(counts.successor[counts.offsets[item] : counts.offsets[item + 1]])
        items: Ids = np.unique(np.concatenate(parts)).astype(np.int32)
        items = items[items >= FIRST_KNOWN]
        rankable: Ids = items[self._ranker.rankable[items]]
        return rankable

    def _masses(self, wanted: Floats, items: Ids, logits: Floats) -> Doubles:
        """(heads,) logarithm of the sum of exp over the whole catalogue."""
        unlisted_sample = ~np.isin(self._sample, items, assume_unique=True)
        others = wanted @ self._sampled[unlisted_sample].T
        each = max(len(self._rows) - len(items), 0) / max(int(unlisted_sample.sum()), 1)
        top = np.maximum(logits.max(axis=1), others.max(axis=1, initial=-np.inf))
        near = np.exp(logits - top[:, None], dtype=np.float64).sum(axis=1)
        far = np.exp(others - top[:, None], dtype=np.float64).sum(axis=1)
        out: Doubles = top + np.log(near + each * far)
        return out

    def _counted(
        self, counts: TransitionCounts, histories: Histories, end: int, items: Ids
    ) -> tuple[Doubles, float]:
        """The counts' probability of `items`, and the highest of any other item."""
        out = np.zeros(len(items))
        total = stored = 0.0
        for item, weight in recent_items(counts, histories, end):
            weight_of_item = weight * counts.divided[item]
            row = slice(counts.offsets[item], counts.offsets[item + 1])
            position = np.searchsorted(items, counts.successor[row])
            position[position == len(items)] = 0
            met = items[position] == counts.successor[row]
            out[position[met]] += weight_of_item * counts.mass[row][met]
            total += weight_of_item * float(counts.row_mass[item])
            stored += weight_of_item * float(counts.stored_mass[item])
        unlisted = max(total - stored, 0.0) + counts.settings.smoothing
        whole = total + counts.settings.smoothing
        out = (out + unlisted * counts.popularity[items]) / whole
        unmet, n_rankable = self._ranker.unmet
        out[np.isin(items, unmet, assume_unique=True)] = 1 / n_rankable
        most = float(counts.popularity[self._others].max(initial=0.0))
        others = unlisted * most / whole
        return out, max(others, 1 / n_rankable) if len(unmet) else others

    def _own(
        self, histories: Histories, end: int, items: Ids, as_of: int | None
    ) -> tuple[Doubles, float]:
        """The own frequencies' probability of `items`, and the highest of any other item; they
        fade until then."""
        own_items = histories.item[:end]
        named = own_items >= FIRST_KNOWN
        own_items, weight = own_items[named], np.ones(int(named.sum()))
        if as_of is not None:
            step = self._ranker.step_of(np.array([as_of]))
            age = np.maximum(step - histories.time[:end][named], 0)
            weight = 0.5 ** (age / FADING_SECONDS)
        distinct, row = np.unique(own_items, return_inverse=True)
        times = np.bincount(row, weight, len(distinct))
        prior = self._ranker.prior
        out = prior[items].astype(np.float64)
        position = np.searchsorted(items, distinct)
        position[position == len(items)] = 0
        met = items[position] == distinct
        out[position[met]] += times[met]
        whole = weight.sum() + 1.0
        return out / whole, float(prior[self._others].max(initial=0.0)) / whole


def needs_retrieval(bundle: Bundle) -> bool:
    """Whether the catalogue is too large to be scored whole for every request."""
    ranker = bundle.ranker
    if ranker is None or bundle.item_rival is not None:
        return False
    return int(ranker.rankable.sum()) > EXACT_UP_TO


def _log(opinion: Doubles | Floats | float) -> Doubles:
    """Logarithm, at least LOG_LEAST, as for the whole catalogue."""
    out: Doubles = np.maximum(np.log(np.maximum(opinion, np.exp(LOG_LEAST))), LOG_LEAST)
    return out
