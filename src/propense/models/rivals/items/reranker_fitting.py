"""Fits the reranker by LightGBM on label windows at the end of train."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from propense.models.counts.decayed import DecayedCounts
from propense.models.counts.own_items import Mask
from propense.models.counts.recent_items import Whole, ragged_ranges, row_offsets
from propense.models.counts.transitions import CountSettings, fit_counts
from propense.models.rivals.items.item_rival import EVERYTHING, ItemSetup
from propense.models.rivals.items.reranker_features import (
    Evidence,
    candidates_of,
    features_of,
)
from propense.schemas import FIRST_KNOWN, Doubles, Floats, Histories, Ints

N_WINDOWS: Final = 10
WINDOW_SHARE: Final = 0.06
"""Of train's time, within these days:"""
LEAST_DAYS, MOST_DAYS = 3, 45
MOST_ROWS: Final = 20_000
"""Drawn from all windows."""
ROUNDS: Final = 200
N_NEGATIVES: Final = 60
"""Items of a row that were not taken; drawn."""
_BLOCK_CELLS: Final = 1 << 22
_DAY: Final = 86_400


class Examples(NamedTuple):
    """Rows of candidates, as LightGBM reads them."""

    features: Floats
    label: Ints
    group: Ints
    """Candidates of each row."""


class Rows(NamedTuple):
    """Moments in which customers took something."""

    user: Ints
    end: Ints
    """Absolute index of the moment's first event."""
    item_offsets: Ints
    items: Ints


def evidence_of(
    histories: Histories,
    ends: Whole,
    n_items: int,
    setup: ItemSetup,
    popular: DecayedCounts,
    first: Ints,
    weight: Doubles | None,
) -> Evidence:
    """Of the events before `ends` (n_users,); `popular` tells each time what was known then."""
    success = setup.success(histories)
    settings = CountSettings(repeat=setup.repeat)
    follows = fit_counts(histories, ends, n_items, settings, success, weight)
    return Evidence(popular, follows, first, success)


def first_successes(histories: Histories, n_items: int, success: Mask | None) -> Ints:
    """(n_items,) when each item was first taken, in seconds; -1 never."""
    counted = histories.item >= FIRST_KNOWN
    if success is not None:
        counted = counted & success[histories.action]
    first = np.full(n_items, EVERYTHING)
    np.minimum.at(first, histories.item[counted], histories.time[counted])
    return np.where(first == EVERYTHING, -1, first)


def draw_examples(
    histories: Histories,
    train_end: Whole,
    n_items: int,
    setup: ItemSetup,
    popular: DecayedCounts,
    first: Ints,
    weight: Doubles | None,
) -> Examples:
    """Candidates of moments in the last windows of train, each judged by what came before its
    window, or, of the customer and of popularity, before the moment."""
    rng = np.random.default_rng([setup.seed, 7])
    user = np.repeat(np.arange(histories.n_users), np.diff(histories.offsets))
    in_train = np.arange(histories.n_events) < train_end[user]
    time = histories.time
    begin, stop = int(time[in_train].min()), int(time[in_train].max()) + 1
    length = int(np.clip(WINDOW_SHARE * (stop - begin), LEAST_DAYS * _DAY, MOST_DAYS * _DAY))
    parts = []
    for window in range(N_WINDOWS):
        high = stop - window * length
        low = high - length
        before = np.bincount(user[in_train & (time < low)], minlength=histories.n_users)
        ends = histories.offsets[:-1] + before
        rows = _rows(histories, in_train & (time >= low) & (time < high), user, setup, rng)
        if not len(rows.user) or not before.any():
            continue
        try:
            evidence = evidence_of(histories, ends, n_items, setup, popular, first, weight)
        except ValueError:
            continue
        parts += _examples(evidence, histories, rows, setup, rng)
    if not parts:
        nothing = np.zeros(0, np.int64)
        return Examples(np.zeros((0, 0), np.float32), nothing, nothing)
    return Examples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def boost(examples: Examples, num_leaves: int, seed: int) -> Any:
    """The LambdaMART booster (Burges 2010)."""
    import lightgbm

    options = {
        "objective": "lambdarank", "lambdarank_truncation_level": 20, "learning_rate": 0.06,
        "num_leaves": num_leaves, "min_data_in_leaf": 50, "feature_fraction": 0.8,
        "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0, "seed": seed,
        "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(examples.features, examples.label, group=examples.group)
    return lightgbm.train(options, data, ROUNDS)


def _rows(
    histories: Histories, inside: Mask, user: Ints, setup: ItemSetup, rng: np.random.Generator
) -> Rows:
    """Moments with a success among the events `inside` (n_events,), at most three a customer."""
    success = setup.success(histories)
    counted = inside & (histories.item >= FIRST_KNOWN)
    if success is not None:
        counted &= success[histories.action]
    head = np.ones(histories.n_events, bool)
    head[1:] = (user[1:] != user[:-1]) | (np.diff(histories.time) != 0)
    start = np.maximum.accumulate(np.where(head, np.arange(histories.n_events), 0))
    event = np.flatnonzero(counted)
    ends, row = np.unique(start[event], return_inverse=True)
    order = rng.permutation(len(ends))
    owner = user[ends[order]]
    by_user = np.argsort(owner, kind="stable")
    position = np.arange(len(owner)) - np.searchsorted(owner[by_user], owner[by_user])
    chosen = np.sort(order[by_user[position < 3]])
    if len(chosen) > MOST_ROWS // N_WINDOWS:
        chosen = np.sort(rng.choice(chosen, MOST_ROWS // N_WINDOWS, replace=False))
    sizes = np.bincount(row, minlength=len(ends))
    offsets = row_offsets(sizes)
    items = histories.item[event].astype(np.int64)[np.argsort(row, kind="stable")]
    picked = ragged_ranges(offsets[:-1][chosen], sizes[chosen])
    return Rows(user[ends[chosen]], ends[chosen], row_offsets(sizes[chosen]), items[picked])


def _examples(
    evidence: Evidence, histories: Histories, rows: Rows, setup: ItemSetup, rng: np.random.Generator
) -> list[Examples]:
    n_items, parts = evidence.n_items, []
    size = max(1, _BLOCK_CELLS // n_items)
    for low in range(0, len(rows.user), size):
        block = slice(low, low + size)
        user, end = rows.user[block], rows.end[block]
        as_of = histories.time[end]
        candidates = candidates_of(evidence, histories, user, end, as_of)
        offsets = rows.item_offsets[low : low + len(user) + 1]
        target = np.repeat(np.arange(len(user)), np.diff(offsets)) * n_items
        target += rows.items[offsets[0] : offsets[-1]]
        key = candidates.row * n_items + candidates.item
        is_target = np.isin(key, target)
        stays = np.ones(len(key), bool)
        if not setup.repeat:
            own = candidates.own.key[candidates.own.n_successes > 0]
            stays &= ~np.isin(key, own)
        label = is_target & stays
        n_negative = np.bincount(candidates.row[stays & ~label], minlength=len(user))
        share = N_NEGATIVES / np.maximum(n_negative, 1)
        stays &= label | (rng.random(len(key)) < share[candidates.row])
        has_target = np.bincount(candidates.row[label], minlength=len(user)) > 0
        stays &= has_target[candidates.row]
        features = features_of(evidence, histories, user, end, as_of, candidates)[stays]
        group = np.bincount(candidates.row[stays], minlength=len(user))
        parts.append(Examples(features, label[stays].astype(np.int64), group[group > 0]))
    return parts
