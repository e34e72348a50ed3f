"""How much the counts are believed beside the network: learned on validation."""

from __future__ import annotations

import numpy as np

from propense.encoding.batches import EventClock, chunks
from propense.inference.ranking import BLOCK, Gate, Ranker
from propense.inference.scorer import Scorer
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Targets

_STEPS = 300
_RATE = 0.3
_TINY = 1e-12


def fit_gate(
    scorer: Scorer, ranker: Ranker, histories: Histories, clock: EventClock, targets: Targets
) -> Gate:
    """The gate that makes the validation targets most likely under the mixture.

    `ranker` holds the counts and any gate. Both opinions are of data that neither has
    seen, so neither is flattered.
    """
    network, counted, evidence = _likelihoods(scorer, ranker, histories, clock, targets)
    known = np.log1p(evidence)
    bias, slope = 0.0, 0.0
    moment = np.zeros(2)
    # Two numbers and a concave-enough likelihood: plain ascent with averaged squares.
    for _ in range(_STEPS):
        weight = 1 / (1 + np.exp(-np.clip(bias + slope * known, -30, 30)))
        mixture = (1 - weight) * network + weight * counted + _TINY
        pull = (counted - network) / mixture * weight * (1 - weight)
        gradient = np.array([pull.mean(), (pull * known).mean()])
        moment = 0.9 * moment + 0.1 * gradient**2
        step = _RATE * gradient / (np.sqrt(moment) + 1e-8)
        bias, slope = float(bias + step[0] * 0.3), float(slope + step[1] * 0.1)
    return Gate(bias, slope)


def _likelihoods(
    scorer: Scorer, ranker: Ranker, histories: Histories, clock: EventClock, targets: Targets
) -> tuple[Doubles, Doubles, Doubles]:
    """P(relevant item) by the network and by the counts, and the evidence, one row an item."""
    assert ranker.counts is not None
    wanted, share = scorer.seek_items(histories, clock, targets.user, targets.end)
    heard = targets.end > histories.offsets[:-1][targets.user]
    network, counted, evidence = [], [], []
    for rows in chunks(len(targets), BLOCK):
        block = targets.take(np.arange(len(targets))[rows])
        row = np.repeat(np.arange(len(block)), np.diff(block.item_offsets))
        item = block.items
        kept = item >= FIRST_KNOWN
        row, item = row[kept], item[kept]
        mine = ranker.network_probabilities(wanted[rows], share[rows], heard[rows])
        theirs, mass = ranker.counts.opinions(histories, block.user, block.end)
        network.append(mine[row, item])
        counted.append(theirs[row, item])
        evidence.append(mass[row])
    return _join(network), _join(counted), _join(evidence)


def _join(parts: list[Floats]) -> Doubles:
    return np.concatenate(parts).astype(np.float64)
