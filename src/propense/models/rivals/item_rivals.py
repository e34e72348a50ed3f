"""Fitting the item rivals by name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from propense.errors import SettingsError, TrainError, nearest
from propense.models.counts.decayed import count_by_step
from propense.models.counts.recent_items import Whole
from propense.models.counts.transitions import CountSettings, fit_counts
from propense.models.rivals.items import (
    ease,
    frequency,
    item_knn,
    markov,
    popular_now,
    popularity,
    reranker,
)
from propense.models.rivals.items.item_rival import (
    ItemRival,
    ItemSetup,
    check_ends,
    draw_targets,
    interactions,
    score_ranking,
    success_counts,
)
from propense.models.rivals.items.reranker_features import NAMES
from propense.models.rivals.items.reranker_fitting import (
    boost,
    draw_examples,
    evidence_of,
    first_successes,
)
from propense.models.rivals.notes import RivalNotes
from propense.models.rivals.tuning import climb
from propense.schemas import Doubles, Histories, Targets

Options = dict[str, tuple[Any, ...]]
Make = Callable[[dict[str, Any]], ItemRival]

ITEM_RIVALS = ("popularity", "popular_now", "frequency", "markov", "item_knn", "ease", "reranker")


def fit_item_rival(
    name: str,
    histories: Histories,
    train_end: Whole,
    n_items: int,
    setup: ItemSetup,
    validation: Targets | None = None,
    weight: Doubles | None = None,
) -> ItemRival:
    """Fit the rival `name` on the events before `train_end` (n_users,), absolute, exclusive.

    With `validation` its settings are chosen by ndcg on those rows, within `setup.trials`
    tries; without, they are the defaults. Validation and later events are never counted, but by
    "popular_now", which counts each event for the lists that are asked for later.
    `weight` (n_users,) is how much each user's events count, default 1.
    Raises SettingsError on an unknown name, TrainError if train holds no success.
    """
    if name not in _PREPARE:
        raise SettingsError(f"unknown item rival {name!r}; {nearest(name, _PREPARE)}")
    check_ends(histories, train_end)
    begun = time.perf_counter()
    n_events = int((train_end - histories.offsets[:-1]).sum())
    if not success_counts(histories, train_end, n_items, setup.success(histories)).any():
        raise TrainError(
            f"{name}: none of the {n_events} train events is a success with a known item; "
            "check [recommend] positive and [split]"
        )
    make, options, remarks = _PREPARE[name](histories, train_end, n_items, setup, weight)
    if validation is None or not len(validation):
        settings = {key: values[0] for key, values in options.items()}
        rival, score, tried = make(settings), None, 0
        remarks = (*remarks, "no validation rows: settings are the defaults")
    else:
        rng = np.random.default_rng(setup.seed)
        rows = draw_targets(validation, setup.max_targets, rng)

        def attempt(settings: dict[str, Any]) -> tuple[Doubles, ItemRival]:
            candidate = make(settings)
            return score_ranking(candidate, histories, rows, setup), candidate

        tuned = climb(options, attempt, setup.trials)
        settings, score, rival, tried = tuned.settings, tuned.score, tuned.model, tuned.trials
        if len(rows) < len(validation):
            remarks = (*remarks, f"settings chosen on {len(rows)} of {len(validation)} rows")
    notes = RivalNotes(
        rows=n_events, rows_available=n_events, trials=tried, settings=settings, score=score,
        measure=f"ndcg@{setup.k}", seconds=time.perf_counter() - begun, remarks=remarks,
        peak_bytes=rival.notes.peak_bytes,
    )  # fmt: skip
    return replace(rival, notes=notes)


def _prepare_popularity(
    histories: Histories, train_end: Whole, n_items: int, setup: ItemSetup, weight: Doubles | None
) -> tuple[Make, Options, tuple[str, ...]]:
    success = setup.success(histories)

    def make(settings: dict[str, Any]) -> ItemRival:
        half_life = float(settings["half_life_days"])
        counted = popularity.count_popularity(
            histories, train_end, n_items, success, half_life, weight
        )
        return popularity.Popularity(n_items, RivalNotes(), half_life, counted)

    options = popularity.OPTIONS if histories.timed else {"half_life_days": (0.0,)}
    return make, options, ()


def _prepare_popular_now(
    histories: Histories, train_end: Whole, n_items: int, setup: ItemSetup, weight: Doubles | None
) -> tuple[Make, Options, tuple[str, ...]]:
    success = setup.success(histories)
    counts = count_by_step(
        histories, histories.offsets[1:], n_items, success, weight, setup.popularity_step
    )

    def make(settings: dict[str, Any]) -> ItemRival:
        half_life = float(settings["half_life_days"])
        return popular_now.PopularNow(n_items, RivalNotes(), half_life, counts)

    return make, popular_now.OPTIONS, ()


def _prepare_frequency(
    histories: Histories, train_end: Whole, n_items: int, setup: ItemSetup, weight: Doubles | None
) -> tuple[Make, Options, tuple[str, ...]]:
    counted = success_counts(histories, train_end, n_items, setup.success(histories), weight)

    def make(settings: dict[str, Any]) -> ItemRival:
        return frequency.Frequency(n_items, RivalNotes(), counted)

    return make, {}, ()


def _prepare_markov(
    histories: Histories, train_end: Whole, n_items: int, setup: ItemSetup, weight: Doubles | None
) -> tuple[Make, Options, tuple[str, ...]]:
    success = setup.success(histories)

    def make(settings: dict[str, Any]) -> ItemRival:
        chosen = CountSettings(repeat=setup.repeat, **settings)
        counts = fit_counts(histories, train_end, n_items, chosen, success, weight)
        return markov.Markov(n_items, RivalNotes(), counts)

    options = dict(markov.OPTIONS)
    if not markov.has_sets(histories):
        options["together"] = (0.0,)
    return make, options, ()


def _prepare_item_knn(
    histories: Histories, train_end: Whole, n_items: int, setup: ItemSetup, weight: Doubles | None
) -> tuple[Make, Options, tuple[str, ...]]:
    success = setup.success(histories)
    interacted = interactions(histories, train_end, n_items, None, weight)
    liked = interactions(histories, train_end, n_items, success, weight)
    counted = success_counts(histories, train_end, n_items, success, weight)
    near = _Remembered(partial(item_knn.find_neighbours, interacted, liked))

    def make(settings: dict[str, Any]) -> ItemRival:
        neighbours = near(settings["n_neighbours"], settings["shrink"])
        return item_knn.ItemKnn(n_items, RivalNotes(), neighbours, counted, settings["fade"])

    return make, item_knn.OPTIONS, ()


def _prepare_ease(
    histories: Histories, train_end: Whole, n_items: int, setup: ItemSetup, weight: Doubles | None
) -> tuple[Make, Options, tuple[str, ...]]:
    interacted = interactions(histories, train_end, n_items, None, weight)
    counted = success_counts(histories, train_end, n_items, setup.success(histories), weight)
    any_action = success_counts(histories, train_end, n_items, None, weight)
    items = ease.choose_items(any_action, setup.max_items_ease)
    solved = _Remembered(partial(ease.solve, interacted, items))
    notes = RivalNotes(peak_bytes=2 * 4 * len(items) ** 2)

    def make(settings: dict[str, Any]) -> ItemRival:
        weights = solved(settings["penalty"])
        return ease.Ease(n_items, notes, items, weights, counted, settings["fade"])

    n_interacted = int((any_action > 0).sum())
    remarks: tuple[str, ...] = ()
    if n_interacted > len(items):
        remarks = (
            f"weights for the {len(items)} most popular of {n_interacted} items (max_items_ease)",
            "the other items are ordered by popularity",
        )
    return make, ease.OPTIONS, remarks


def _prepare_reranker(
    histories: Histories, train_end: Whole, n_items: int, setup: ItemSetup, weight: Doubles | None
) -> tuple[Make, Options, tuple[str, ...]]:
    # LightGBM and onnx are loaded to fit it, not to read it.
    from propense.models.rivals.goals.boosting import read_forest
    from propense.models.rivals.goals.onnx_nodes import Forest, Graph

    success = setup.success(histories)
    popular = count_by_step(
        histories, histories.offsets[1:], n_items, success, weight, setup.popularity_step
    )
    basis = popular, first_successes(histories, n_items, success), weight
    evidence = evidence_of(histories, train_end, n_items, setup, *basis)
    examples = draw_examples(histories, train_end, n_items, setup, *basis)

    def make(settings: dict[str, Any]) -> ItemRival:
        booster = boost(examples, settings["num_leaves"], setup.seed)
        graph = Graph(len(NAMES))
        forest = graph.finish(graph.forest("x", read_forest(booster.model_to_string())))
        return reranker.Reranker(n_items, RivalNotes(), evidence, forest)

    def unlearned(settings: dict[str, Any]) -> ItemRival:
        graph = Graph(len(NAMES))
        one = np.zeros(1, np.int64)
        leaf = Forest(one, one, one - 1, np.zeros(1, np.float32), one > 0, one, one, np.zeros(1))
        forest = graph.finish(graph.forest("x", leaf))
        return reranker.Reranker(n_items, RivalNotes(), evidence, forest)

    if not len(examples.group):
        return unlearned, {}, ("train has no moment to learn from: candidates by popularity",)
    n_rows = len(examples.group)
    return make, reranker.OPTIONS, (f"trees learn from {n_rows} moments of train",)


class _Remembered:
    """A function that keeps its last answer, so that a setting it does not read is free."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._asked: tuple[Any, ...] | None = None
        self._answer: Any = None

    def __call__(self, *asked: Any) -> Any:
        if asked != self._asked:
            self._answer = None
            self._answer = self._make(*asked)
            self._asked = asked
        return self._answer


_PREPARE: dict[str, Callable[..., tuple[Make, Options, tuple[str, ...]]]] = {
    "popularity": _prepare_popularity,
    "popular_now": _prepare_popular_now,
    "frequency": _prepare_frequency,
    "markov": _prepare_markov,
    "item_knn": _prepare_item_knn,
    "ease": _prepare_ease,
    "reranker": _prepare_reranker,
}
