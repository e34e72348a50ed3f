"""Computes a bundle's reference profile while it is packed."""

from __future__ import annotations

from typing import Final

import numpy as np

from propense.encoding.batches import EventClock
from propense.encoding.dataset import Dataset
from propense.encoding.targets import owner_of
from propense.inference.artifact.reference_profile import (
    ANY,
    Bounds,
    Histogram,
    ItemShares,
    Range,
    ReferenceProfile,
    make_histogram,
    make_range,
    make_shares,
    micro_range,
)
from propense.inference.bundle import Bundle
from propense.schemas import (
    FIRST_KNOWN,
    NO_TIME,
    TEST,
    TRAIN,
    UNSEEN,
    VALIDATION,
    Doubles,
    Histories,
    Ids,
    Ints,
)

MAX_ROWS: Final = 5_000
"""Rows for features, answers and lists, evenly spaced: deciles need no more."""
MOST_ITEMS: Final = 100
AT_ONCE: Final = 2_000


def make_reference_profile(dataset: Dataset, bundle: Bundle) -> ReferenceProfile:
    """The profile that live inputs and answers will be compared to.

    `bundle` should be opened with the evaluated network: it has not seen the validation rows it
    answers here, as the serving one will not have seen tomorrow's. The same
    data and bundle give the same profile.
    """
    histories, encoder = dataset.histories, dataset.encoder
    part = event_parts(dataset)
    typical, late = (part == TRAIN) | (part == VALIDATION), part == VALIDATION
    user, as_of, end = _rows_asked(dataset, part)
    features = encoder.features(histories, dataset.profiles, user, as_of)
    words = features.categorical.T
    items = histories.item[late & (histories.item >= UNSEEN)]
    goals, item_shares = _answers(dataset, bundle, user, as_of, end)
    return ReferenceProfile(
        n_events=int(typical.sum()),
        actions=_shares(histories.action[typical], encoder.actions.words),
        sources=_shares(histories.source[typical], encoder.sources.words),
        values=make_histogram(squash(histories.value[typical])),
        unseen_items=float(f"{np.mean(items == UNSEEN):.6g}") if len(items) else 0.0,
        n_item_events=len(items),
        n_rows=len(user),
        lengths=make_histogram(end - histories.offsets[:-1][user]),
        numeric={
            name: make_histogram(column)
            for name, column in zip(features.numeric_names, features.numeric.T, strict=True)
        },
        categorical={
            name: make_shares((str(i), n) for i, n in enumerate(np.bincount(column).tolist()))
            for name, column in zip(features.categorical_names, words, strict=True)
        },
        goals=goals,
        item_shares=item_shares,
        bounds=make_bounds(dataset, typical),
    )


def event_parts(dataset: Dataset) -> np.ndarray:
    """(n_events,) the part each event belongs to."""
    histories, plan = dataset.histories, dataset.plan
    event = np.arange(histories.n_events)
    owner = owner_of(histories)
    if dataset.user_part is not None and plan.by in ("user", "group"):
        return dataset.user_part[owner]
    part = np.full(histories.n_events, VALIDATION, np.int8)
    part[event < dataset.train_end[owner]] = TRAIN
    if plan.by == "leave_one_out":
        last = event == histories.offsets[1:][owner] - 1
        part[last & (part == VALIDATION)] = TEST
    elif plan.test_from is not None:
        part[histories.time >= plan.test_from] = TEST
    return part


def make_bounds(dataset: Dataset, typical: np.ndarray) -> Bounds:
    """Bounds that leave the whole log as it is; `learned` (n_events,) are typical events."""
    histories = dataset.histories
    values: dict[str, Range] = {}
    counts: dict[str, Range] = {}
    for number in np.unique(histories.action).tolist():
        of = histories.action == number
        # An action that train lacks has the bounds of all actions.
        if number >= FIRST_KNOWN:
            word = dataset.encoder.actions.word(number)
            _add(values, word, histories.value[of], histories.value[of & typical])
            _add(counts, word, histories.count[of], histories.count[of & typical])
    _add(values, ANY, histories.value, histories.value[typical])
    _add(counts, ANY, histories.count, histories.count[typical])
    numeric = dataset.profiles.numeric
    n_numbers = len(dataset.encoder.profile.of_kind("numeric"))
    return Bounds(
        values={word: micro_range(span) for word, span in values.items()},
        counts=counts,
        numbers=tuple(
            make_range(column, column) if number < n_numbers else None
            for number, column in enumerate(numeric.T)
        ),
    )


def squash(value: np.ndarray) -> Doubles:
    """sign(v) log1p |v|: values of all sizes on one scale."""
    value = value.astype(np.float64)
    squashed: Doubles = np.copysign(np.log1p(np.abs(value)), value)
    return squashed


def _add(ranges: dict[str, Range], word: str, everything: np.ndarray, typical: np.ndarray) -> None:
    made = make_range(everything, typical)
    if made is not None:
        ranges[word] = made


def _shares(index: np.ndarray, words: tuple[str, ...]) -> dict[str, float]:
    counts = np.bincount(index[index >= FIRST_KNOWN] - FIRST_KNOWN, minlength=len(words))
    return make_shares(zip(words, counts.tolist(), strict=True))


def _rows_asked(dataset: Dataset, part: np.ndarray) -> tuple[Ids, Ints, Ints]:
    """(user, as_of, end) just after events of validation, or of train if that has none; where there
    are no events, validation's rows. `end` is the absolute event index, exclusive."""
    histories, rows = dataset.histories, dataset.rows
    for wanted in (VALIDATION, TRAIN):
        event = _spread(np.flatnonzero(part == wanted))
        if len(event):
            user = owner_of(histories)[event].astype(np.int32)
            if not histories.timed:
                last = histories.offsets[1:][user]
                return user, np.full(len(user), NO_TIME), last
            as_of = histories.time[event] + 1
            return user, as_of, _end_of_time(histories, event, user)
    for wanted in (VALIDATION, TRAIN):
        chosen = _spread(np.flatnonzero(rows.part == wanted))
        if len(chosen):
            user = rows.user[chosen]
            return user, rows.as_of[chosen], histories.offsets[:-1][user]
    nothing = np.zeros(0, np.int64)
    return nothing.astype(np.int32), nothing, nothing


def _end_of_time(histories: Histories, event: Ints, user: Ids) -> Ints:
    """End (exclusive) of the events that share a time with those at `event`."""
    end, stop = event + 1, histories.offsets[1:][user]
    while True:
        more = end < stop
        more[more] = histories.time[end[more]] == histories.time[event[more]]
        if not more.any():
            return end
        end = end + more


def _spread(indices: Ints) -> Ints:
    """At most MOST_LISTS, evenly spaced."""
    if len(indices) <= MAX_ROWS:
        return indices
    return indices[np.linspace(0, len(indices) - 1, MAX_ROWS).astype(np.int64)]


def _answers(
    dataset: Dataset, bundle: Bundle, user: Ids, as_of: Ints, end: Ints
) -> tuple[dict[str, Histogram], ItemShares]:
    """Distributions of the bundle's answers and lists on these rows."""
    clock = dataset.clock()
    scores, lists = [], []
    for begin in range(0, len(user), AT_ONCE):
        some = slice(begin, begin + AT_ONCE)
        if bundle.info.goals:
            scores.append(
                bundle.predict(dataset.histories, clock, dataset.profiles, user[some], as_of[some])
            )
        if bundle.ranker is not None:
            lists.append(_lists(dataset, bundle, clock, user[some], end[some], as_of[some]))
    made = {}
    for number, serving in enumerate(bundle.info.goals):
        column = np.concatenate([each[:, number] for each in scores]) if scores else np.zeros(0)
        made[serving.goal.name] = make_histogram(column)
    shown = np.concatenate(lists) if lists else np.zeros((0, 1), np.int32)
    return made, share_of_lists(shown, bundle.encoder.items.words)


def _lists(
    dataset: Dataset, bundle: Bundle, clock: EventClock, user: Ids, end: Ints, as_of: Ints
) -> Ids:
    asked = as_of if dataset.histories.timed else None
    return bundle.recommend(dataset.histories, clock, user, end, asked, bundle.info.k)[0]


def share_of_lists(ranked: Ids, words: tuple[str, ...]) -> ItemShares:
    """How lists (n, k) of item indices spread over items."""
    shown = ranked[ranked >= FIRST_KNOWN]
    if not len(shown):
        return ItemShares(n_lists=len(ranked))
    counts = np.bincount(shown - FIRST_KNOWN, minlength=len(words))
    order = np.argsort(-counts, kind="stable")[:MOST_ITEMS]
    most = counts[order]
    one, ten, hundred = (float(f"{most[:n].sum() / len(shown):.6g}") for n in (1, 10, 100))
    return ItemShares(
        n_lists=len(ranked),
        top=(one, ten, hundred),
        items={
            words[i]: float(f"{n / len(ranked):.6g}")
            for i, n in zip(order.tolist(), most.tolist(), strict=True)
            if n
        },
    )
