"""Fitting the encoder: what is learned, and from which rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from propense import columns
from propense.encoding.aggregates import AggregateSpec
from propense.encoding.arrow import as_seconds, as_words
from propense.encoding.design import fit_bins
from propense.encoding.encoder import Encoder, Lexicon
from propense.encoding.event_log import EventLog
from propense.encoding.history import index_log
from propense.encoding.items import fit_content
from propense.encoding.profiles import Profiles, encode_profiles, fit_profiles
from propense.encoding.targets import UserParts, train_end
from propense.encoding.vocabulary import Vocabulary, count_words, fit_vocabulary
from propense.errors import SettingsError, nearest
from propense.schemas import (
    FIRST_KNOWN,
    NO_TIME,
    TRAIN,
    AsOfRows,
    Histories,
    Ints,
    SplitPlan,
)
from propense.settings import Settings, seconds

MAX_FIT_ROWS: Final = 200_000
"""Train rows the bins are fitted on, drawn by chance; quantiles need no more."""


@dataclass(frozen=True)
class Prepared:
    """What the split stage left, in memory: users and rows in the log's user order."""

    log: EventLog
    users: Any
    """Arrow table, one row a user of the log, in its order."""
    items: Any | None
    rows: AsOfRows
    plan: SplitPlan
    user_part: UserParts | None
    """None for splits that do not deal users."""


def fit(prepared: Prepared, settings: Settings) -> tuple[Encoder, Histories, Profiles]:
    """The encoder of the train part, and the arrays it makes of everything."""
    log = prepared.log
    ends = _ends(prepared)
    in_train = np.arange(len(log.time)) < np.repeat(ends, np.diff(log.offsets))
    actions = fit_vocabulary(log.action.count(in_train))
    sources = fit_vocabulary(log.source.count(in_train))
    items, n_seen = _fit_items(prepared, in_train, settings)
    in_catalogue = _seen_rows(prepared.items, items, n_seen)
    users = prepared.users.filter(_train_users(prepared, ends, settings))
    everyone = np.ones(users.num_rows, bool)
    left_out = prepared.plan.left_out
    profile = fit_profiles(users, everyone, settings, left_out, alone=not len(log.time))
    lexicon = Lexicon(
        actions=actions,
        sources=sources,
        items=items,
        n_seen=n_seen,
        timed=log.timed,
        profile=profile,
        content=fit_content(prepared.items, in_catalogue, settings),
        aggregate=_fit_aggregates(settings, prepared, in_train, actions, sources),
        positive=_positive(settings, actions, set(log.action.words)),
        repeat=settings.recommend.repeat if settings.recommend is not None else False,
        value_scale=_value_scale(log.value[in_train]),
    )
    profiles = encode_profiles(prepared.users, profile)
    if lexicon.aggregate.until is None:
        lexicon = _date_timeless(lexicon, profiles)
    histories = index_log(log, lexicon)
    blank = Encoder.of(lexicon, (), np.zeros(0, np.float32))
    return _fit_scales(blank, histories, profiles, prepared.rows), histories, profiles


def _ends(prepared: Prepared) -> Ints:
    """Where train ends for each user; needs no vocabulary."""
    return train_end(_bare(prepared.log), prepared.plan, prepared.user_part)


def _bare(log: EventLog) -> Histories:
    return index_log(log, _NO_WORDS)


class _NoWords:
    """Indexes every word as unseen: for what needs only times."""

    actions = sources = items = Vocabulary()
    timed = True


_NO_WORDS: Final = _NoWords()


def _fit_items(
    prepared: Prepared, in_train: np.ndarray, settings: Settings
) -> tuple[Vocabulary, int]:
    """Items of train events by frequency, then those only the catalogue knows, by name.

    Items rarer than min_item_events have no index of their own, unless the catalogue can
    say what they are: then they stand among the catalogue's.
    """
    counts = prepared.log.item.count(in_train)
    seen = fit_vocabulary(counts, settings.features.min_item_events)
    n_seen = seen.size
    if prepared.items is None:
        return seen, n_seen
    seen_words = set(seen.words)
    listed = count_words(prepared.items[columns.ITEM_ID])
    return Vocabulary((*seen.words, *sorted(set(listed) - seen_words))), n_seen


def _seen_rows(items: Any | None, vocabulary: Vocabulary, n_seen: int) -> np.ndarray:
    """(n_rows,) rows of the items table that occur in train."""
    if items is None:
        return np.zeros(0, bool)
    index = vocabulary.index(items[columns.ITEM_ID])
    return (index >= FIRST_KNOWN) & (index < n_seen)


def _train_users(prepared: Prepared, ends: Ints, settings: Settings) -> Any:
    """Mask of the users whose profiles are learned from: those with train rows or events."""
    n_users = len(prepared.log.user_ids)
    if prepared.user_part is not None:
        return pa.array(prepared.user_part == TRAIN)
    chosen = ends > prepared.log.offsets[:-1]
    chosen[prepared.rows.user[prepared.rows.part == TRAIN]] = True
    valid_from = settings.users.valid_from if settings.users is not None else None
    cut = prepared.plan.validation_from
    if valid_from is not None and cut is not None and valid_from in prepared.users.column_names:
        since = as_seconds(prepared.users[valid_from])
        chosen &= (since == NO_TIME) | (since < cut)
    return pa.array(chosen if chosen.any() else np.ones(n_users, bool))


def _fit_aggregates(
    settings: Settings,
    prepared: Prepared,
    in_train: np.ndarray,
    actions: Vocabulary,
    sources: Vocabulary,
) -> AggregateSpec:
    log, plan = prepared.log, prepared.plan
    most = settings.features.max_actions
    windows = sorted(settings.features.windows, key=seconds) if log.timed else []
    # One word alone would repeat the totals.
    acts = actions.words[:most] if len(actions.words) > 1 else ()
    origins = sources.words[:most] if len(sources.words) > 1 else ()
    return AggregateSpec(
        timed=log.timed,
        has_events=len(log.time) > 0,
        actions=tuple(range(FIRST_KNOWN, FIRST_KNOWN + len(acts))),
        action_names=acts,
        sources=tuple(range(FIRST_KNOWN, FIRST_KNOWN + len(origins))),
        source_names=origins,
        windows=tuple(seconds(window) for window in windows),
        window_names=tuple(windows),
        time_zone=settings.time_zone,
        valued=bool(np.isfinite(log.value[in_train]).any()),
        itemed=bool((log.item.codes[in_train] >= 0).any()),
        weighted=bool((log.count[in_train] != 1).any()),
        until=None if plan.end is None else plan.end + 1,
    )


def _positive(settings: Settings, actions: Vocabulary, logged: set[str]) -> tuple[int, ...]:
    """Indices of the positive actions; all known ones where none are named."""
    named = settings.recommend.positive if settings.recommend is not None else ()
    for action in named:
        if action not in logged:
            raise SettingsError(
                f"[recommend] positive names the action {action!r}, which no event has; "
                f"{nearest(action, logged)}"
            )
    if not named:
        return tuple(range(FIRST_KNOWN, actions.size))
    return tuple(sorted({int(i) for i in actions.index(list(named)) if i >= FIRST_KNOWN}))


def _value_scale(value: np.ndarray) -> float:
    finite = value[np.isfinite(value)].astype(np.float64)
    deviation = float(np.std(np.sign(finite) * np.log1p(np.abs(finite)))) if len(finite) else 0.0
    return deviation if deviation > 0 else 1.0


def _date_timeless(lexicon: Lexicon, profiles: Profiles) -> Lexicon:
    """Data without events in time: days are counted to the latest time of any profile."""
    times = profiles.times[profiles.times != NO_TIME]
    aggregate = msgspec.structs.replace(
        lexicon.aggregate, until=int(times.max()) if len(times) else 0
    )
    return msgspec.structs.replace(lexicon, aggregate=aggregate)


def _fit_scales(
    encoder: Encoder, histories: Histories, profiles: Profiles, rows: AsOfRows
) -> Encoder:
    """Bins and medians of the train rows' features."""
    train = np.flatnonzero(rows.part == TRAIN)
    if len(train) > MAX_FIT_ROWS:
        # By chance: every n-th row could always be the same moment of a customer.
        train = np.random.default_rng(0).choice(train, MAX_FIT_ROWS, replace=False)
    features = encoder.features(histories, profiles, rows.user[train], rows.as_of[train])
    medians = []
    for column in features.numeric.T:
        finite = column[np.isfinite(column)]
        medians.append(float(np.median(finite)) if len(finite) else 0.0)
    return msgspec.structs.replace(
        encoder, bins=fit_bins(features.numeric), medians=np.array(medians, np.float32)
    )


def order_users(users: Any, user_ids: Any) -> Any:
    """Rows of the users table in the order of `user_ids`; absent users have nulls."""
    wanted = pa.array(user_ids, pa.string())
    index = pc.index_in(wanted, value_set=as_words(users[columns.USER_ID]))
    ordered = users.take(index)
    return ordered.set_column(ordered.column_names.index(columns.USER_ID), columns.USER_ID, wanted)
