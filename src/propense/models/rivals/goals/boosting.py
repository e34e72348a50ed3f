"""Gradient boosting by LightGBM: random search, early stopping, averaged bags.

Value goals: Tweedie boosting, its power among the settings, scaled to the total of
validation, since boosting that stops early falls short of it. Words are vocabulary indices
in order of frequency, or one-hot, whichever scores better on validation.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import lightgbm
import numpy as np

from propense.models.rivals.goal_rival import Design
from propense.models.rivals.goals.onnx_nodes import Forest, Graph, floor_float32
from propense.models.rivals.goals.problem import Fitted, Problem
from propense.models.rivals.tuning import draw_log_uniform
from propense.schemas import Doubles, Floats, Ints

MAX_ROUNDS = 2000
PATIENCE = 50
ENOUGH = 50
"""Validation rows above 0 that suffice to estimate a total."""
_DEFAULT_LEFT, _MISSING_IS_NAN = 2, 8
"""Bits of LightGBM's decision_type."""


def fit_boosting(problem: Problem) -> Fitted:
    """`members` boosters with the best of `trials` settings, on different bags of rows."""
    rng = problem.rng(3)
    scored: list[tuple[float, int, dict[str, Any]]] = []
    drawn = [_draw(rng, trial, problem) for trial in range(max(1, problem.setup.trials))]
    # One design after the other, so that each matrix is made, and binned, once.
    by_design = sorted(enumerate(drawn), key=lambda pair: pair[1]["design"])
    for name, same in groupby(by_design, key=lambda pair: pair[1]["design"]):
        binned = _bin(problem, name, problem.search_rows)
        for trial, settings in same:
            booster = _boost(problem, settings, binned, problem.setup.seed)
            answer = _answer(booster, problem.matrix("validation", name))
            scored.append((problem.loss(answer * _factor(problem, answer)), trial, settings))
    settings = min(scored)[2]
    design: Design = settings["design"]
    binned = _bin(problem, design, np.arange(len(problem.y)))
    boosters = [
        _boost(problem, settings, binned, problem.setup.seed + member)
        for member in range(max(1, problem.setup.members))
    ]

    answers = [_answer(booster, problem.matrix("validation", design)) for booster in boosters]
    factor = _factor(problem, np.mean(answers, axis=0))

    def answer_all(matrix: Floats) -> Doubles:
        out: Doubles = np.mean([_answer(booster, matrix) for booster in boosters], axis=0)
        return out * factor

    graph = Graph(problem.matrix("train", design).shape[1])
    link = "Sigmoid" if problem.binary else "Exp"
    members = [
        graph.apply(link, graph.forest("x", read_forest(_text_of(booster)))) for booster in boosters
    ]
    rounds = ", ".join(str(booster.best_iteration) for booster in boosters)
    whole = graph.finish(graph.scaled(graph.mean(members), factor))
    return Fitted(
        design, whole, answer_all, settings, len(drawn),
        problem.loss(answer_all(problem.matrix("validation", design))), len(boosters), 1e-4,
        (f"rounds of the members: {rounds}",),
    )  # fmt: skip


def _draw(rng: np.random.Generator, trial: int, problem: Problem) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "learning_rate": draw_log_uniform(rng, 0.02, 0.12),
        "num_leaves": round(draw_log_uniform(rng, 4.0, 96.0)),
        "min_data_in_leaf": round(draw_log_uniform(rng, 5.0, 150.0)),
        "feature_fraction": float(rng.uniform(0.4, 1.0)),
        "bagging_fraction": float(rng.uniform(0.5, 0.95)),
        "lambda_l2": draw_log_uniform(rng, 1e-2, 30.0),
    }
    power, one_hot = float(rng.uniform(1.1, 1.8)), rng.random() < 0.5
    if trial == 0:
        power, one_hot = 1.5, False
        settings = {
            "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 20,
            "feature_fraction": 0.8, "bagging_fraction": 0.8, "lambda_l2": 1.0,
        }  # fmt: skip
    if not problem.binary:
        settings["tweedie_variance_power"] = power
    has_words = problem.train.categorical.shape[1] > 0
    settings["design"] = "plain" if one_hot and has_words else "trees"
    return settings


def _bin(problem: Problem, design: Design, rows: Ints) -> tuple[Any, Any]:
    """Train rows and validation as LightGBM reads them; many boosters can share them, since their
    bins depend on neither seed nor settings."""
    matrix = problem.matrix("train", design)
    if len(rows) < len(matrix):
        matrix = matrix[rows]
    train = lightgbm.Dataset(matrix, problem.y[rows], params={"verbosity": -1})
    validation = lightgbm.Dataset(
        problem.matrix("validation", design), problem.y_validation, reference=train
    )
    return train, validation


def _boost(problem: Problem, settings: dict[str, Any], binned: tuple[Any, Any], seed: int) -> Any:
    objective, metric = ("binary", "binary_logloss") if problem.binary else ("tweedie", "tweedie")
    options = {name: value for name, value in settings.items() if name != "design"} | {
        "objective": objective, "metric": metric, "bagging_freq": 1, "seed": seed,
        "deterministic": True, "force_row_wise": True, "num_threads": problem.setup.threads,
        "feature_pre_filter": False, "verbosity": -1,
    }  # fmt: skip
    train, validation = binned
    stopping = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(options, train, MAX_ROUNDS, valid_sets=[validation], callbacks=[stopping])


def _factor(problem: Problem, answer: Doubles) -> float:
    """Factor that scales the answers to validation's total; 1 where too few rows are above 0."""
    y = problem.y_validation
    if problem.binary or (y > 0).sum() < ENOUGH:
        return 1.0
    return float(y.sum() / answer.sum())


def _answer(booster: Any, matrix: Floats) -> Doubles:
    out: Doubles = booster.predict(matrix, num_iteration=booster.best_iteration)
    return out


def _text_of(booster: Any) -> str:
    text: str = booster.model_to_string(num_iteration=booster.best_iteration)
    return text


def read_forest(text: str) -> Forest:
    """The trees of a LightGBM model in its own text format.

    Where train had no missing value of a feature, LightGBM reads one as 0.
    """
    trees = [_read_tree(block, number) for number, block in enumerate(text.split("\nTree=")[1:])]

    def join(name: str) -> Any:
        return np.concatenate([getattr(tree, name) for tree in trees])

    return Forest(
        tree=join("tree"), node=join("node"), feature=join("feature"),
        threshold=join("threshold"), missing_left=join("missing_left"), left=join("left"),
        right=join("right"), value=join("value"),
    )  # fmt: skip


def _read_tree(block: str, number: int) -> Forest:
    lines = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    n_leaves = int(lines["num_leaves"])
    n_splits = n_leaves - 1

    leaf_value = np.array(lines["leaf_value"].split(), np.float64)
    threshold, decision = _read(lines, "threshold"), _read(lines, "decision_type").astype(int)
    is_left = np.where(
        decision & 12 == _MISSING_IS_NAN, decision & _DEFAULT_LEFT != 0, threshold >= 0
    )
    # A negative child is a leaf: -1 the first, -2 the second. Leaves are numbered after splits.
    left, right = (
        np.where(child < 0, n_splits - 1 - child, child)
        for child in (_read(lines, "left_child"), _read(lines, "right_child"))
    )
    nothing = np.zeros(n_leaves, np.int64)
    return Forest(
        tree=np.full(n_splits + n_leaves, number),
        node=np.arange(n_splits + n_leaves),
        feature=np.append(_read(lines, "split_feature"), nothing - 1).astype(np.int64),
        threshold=floor_float32(np.append(threshold, nothing)),
        missing_left=np.append(is_left, nothing).astype(bool),
        left=np.append(left, nothing).astype(np.int64),
        right=np.append(right, nothing).astype(np.int64),
        value=np.append(np.zeros(n_splits), leaf_value),
    )


def _read(lines: dict[str, str], name: str) -> Doubles:
    """Numbers of one line, one a split."""
    n_splits = int(lines["num_leaves"]) - 1
    return np.array(lines.get(name, "").split()[:n_splits], np.float64)
