"""A decision tree: depth, leaf size and split rule chosen on validation. One member."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from propense.models.rivals.goal_rival import Design
from propense.models.rivals.goals.onnx_nodes import Forest, Graph, floor_float32
from propense.models.rivals.goals.problem import Fitted, Problem
from propense.models.rivals.tuning import draw_log_uniform
from propense.schemas import Doubles, Floats

PRIOR_ROWS = 2.0
"""A leaf's answer is pulled to the mean label as if by this many more rows."""


def fit_tree(problem: Problem) -> Fitted:
    """The best of `trials` trees; the first is a plain one of depth 6."""
    rng = problem.rng(2)
    rows = problem.search_rows
    scored: list[tuple[float, int, dict[str, Any]]] = []
    for trial in range(max(1, problem.setup.trials)):
        settings = _draw(rng, trial, problem)
        design: Design = settings["design"]
        tree = _Tree(problem, settings, rows)
        loss = problem.loss(tree.answer(problem.matrix("validation", design)))
        scored.append((loss, trial, settings))
    settings = min(scored)[2]
    tree = _Tree(problem, settings, np.arange(len(problem.y)))
    design = settings["design"]
    graph = Graph(problem.matrix("train", design).shape[1])
    return Fitted(
        design, graph.finish(graph.forest("x", tree.forest())), tree.answer, settings, len(scored),
        problem.loss(tree.answer(problem.matrix("validation", design))), tolerance=1e-4,
    )  # fmt: skip


def _draw(rng: np.random.Generator, trial: int, problem: Problem) -> dict[str, Any]:
    depth, leaf = int(rng.integers(3, 15)), draw_log_uniform(rng, 5.0, 300.0)
    one_hot, rule = rng.random() < 0.5, int(rng.integers(0, 2))
    if trial == 0:
        depth, leaf, one_hot, rule = 6, 25, False, 0
    rules = ("gini", "entropy") if problem.binary else ("squared_error", "poisson")
    return {
        "max_depth": depth,
        "min_samples_leaf": round(leaf),
        "criterion": rules[rule],
        "design": "plain" if one_hot and problem.train.categorical.shape[1] else "trees",
    }


class _Tree:
    """A fitted tree and the answer of each node."""

    def __init__(self, problem: Problem, settings: dict[str, Any], rows: Any) -> None:
        matrix, y = problem.matrix("train", settings["design"])[rows], problem.y[rows]
        how = {name: value for name, value in settings.items() if name != "design"}
        kind = DecisionTreeClassifier if problem.binary else DecisionTreeRegressor
        self.model = kind(random_state=problem.setup.seed, **how).fit(matrix, y)
        mean = float(y.mean())
        leaf_of_row = self.model.apply(matrix)
        n_nodes = self.model.tree_.node_count
        total, count = (
            np.bincount(leaf_of_row, y, n_nodes),
            np.bincount(leaf_of_row, minlength=n_nodes),
        )
        self.value = (total + PRIOR_ROWS * mean) / (count + PRIOR_ROWS)

    def answer(self, matrix: Floats) -> Doubles:
        out: Doubles = self.value[self.model.apply(matrix)]
        return out

    def forest(self) -> Forest:
        """The tree as arrays."""
        tree = self.model.tree_
        n_nodes = tree.node_count
        leaf = tree.children_left < 0
        threshold = np.where(leaf, 0.0, tree.threshold)
        return Forest(
            tree=np.zeros(n_nodes, np.int64),
            node=np.arange(n_nodes),
            feature=np.where(leaf, -1, tree.feature).astype(np.int64),
            threshold=floor_float32(threshold),
            missing_left=tree.missing_go_to_left.astype(bool),
            left=tree.children_left.astype(np.int64),
            right=tree.children_right.astype(np.int64),
            value=self.value,
        )
