"""Logistic regression on the piecewise-linear encoding; for values in two stages.

Value goals: P(value > 0) by logistic regression times the expected value where there is
one, by ridge regression of its logarithm; the factor that turns the mean logarithm into a
mean value makes the train total right.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from propense.evaluation.calibration import sigmoid
from propense.models.rivals.graphs import Graph
from propense.models.rivals.problem import Fitted, Problem, log_range, smear
from propense.schemas import Doubles, Floats

MAX_ITERATIONS = 500
WEAKEST, STRONGEST = 30.0, 1e-3
"""Ends of the grid of C, the inverse of the penalty."""


def fit_logistic(problem: Problem) -> Fitted:
    """C chosen on validation, from a grid of `trials` values."""
    first = _choose_classifier(problem if problem.binary else problem.as_binary())
    if problem.binary:
        return first.fitted(problem)
    return _fit_two_stages(problem, first)


class _Classifier:
    """A logistic regression with the C that was best."""

    def __init__(self, model: Any, c: float, trials: int, stopped: bool) -> None:
        self.weights = model.coef_[0].astype(np.float32)
        self.bias = float(model.intercept_[0])
        self.c, self.trials, self.stopped = c, trials, stopped

    def p(self, matrix: Floats) -> Doubles:
        """(n,) in double precision, which the graph is held to."""
        return sigmoid(matrix @ self.weights.astype(np.float64) + self.bias)

    def put(self, graph: Graph, x: str = "x") -> str:
        """P as a part of a graph."""
        weights = self.weights[:, None]
        return graph.apply("Sigmoid", graph.linear(x, weights, np.array([self.bias])))

    @property
    def remarks(self) -> tuple[str, ...]:
        said = f"the optimiser stopped at {MAX_ITERATIONS} iterations"
        return (said,) if self.stopped else ()

    def fitted(self, problem: Problem) -> Fitted:
        graph = Graph(len(self.weights))
        return Fitted(
            "linear", graph.finish(self.put(graph)), self.p, {"C": self.c}, self.trials,
            problem.loss(self.p(problem.matrix("validation", "linear"))), remarks=self.remarks,
        )  # fmt: skip


def _choose_classifier(problem: Problem) -> _Classifier:
    matrix, validation = (problem.matrix(part, "linear") for part in ("train", "validation"))
    rows = problem.search_rows
    grid = (
        np.geomspace(STRONGEST, WEAKEST, problem.setup.trials)
        if problem.setup.trials > 1
        else [0.1]
    )
    # From the strongest penalty on, each fit starts where the last one ended.
    model = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True, tol=1e-5)
    found: list[tuple[float, float]] = []
    stopped = False
    for c in grid:
        model.set_params(C=float(c))
        stopped = _fit(model, matrix[rows], problem.y[rows])
        candidate = _Classifier(model, float(c), len(grid), stopped)
        found.append((problem.loss(candidate.p(validation)), float(c)))
    _, best = min(found)
    if len(rows) < len(matrix) or best != found[-1][1]:
        model.set_params(C=best)
        stopped = _fit(model, matrix, problem.y)
    return _Classifier(model, best, len(grid), stopped)


def _fit(model: Any, matrix: Floats, y: Doubles) -> bool:
    """Fit; whether the optimiser stopped before it had converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(matrix, y)
    return any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def _fit_two_stages(problem: Problem, first: _Classifier) -> Fitted:
    matrix, validation = (problem.matrix(part, "linear") for part in ("train", "validation"))
    paid = problem.y > 0
    logs, (low, high) = np.log(problem.y[paid]), log_range(problem.y)
    best: tuple[float, float, Any, float] | None = None
    for penalty in np.geomspace(0.3, 3000, max(1, problem.setup.trials)):
        model = Ridge(alpha=float(penalty), solver="cholesky").fit(
            matrix[paid].astype(np.float64), logs
        )
        factor = smear(problem.y[paid], np.clip(model.predict(matrix[paid]), low, high))
        amount = np.exp(np.clip(model.predict(validation), low, high)) * factor
        loss = problem.loss(first.p(validation) * amount)
        if best is None or loss < best[0]:
            best = loss, float(penalty), model, factor
    assert best is not None
    loss, penalty, model, factor = best

    def answer(matrix: Floats) -> Doubles:
        logs = matrix.astype(np.float64) @ model.coef_ + model.intercept_
        out: Doubles = first.p(matrix) * np.exp(np.clip(logs, low, high)) * factor
        return out

    graph = Graph(matrix.shape[1])
    mean = graph.held(
        graph.linear("x", model.coef_[:, None], np.array([model.intercept_])), low, high
    )
    amount = graph.scaled(graph.apply("Exp", mean), factor)
    settings = {"C": first.c, "ridge_penalty": penalty, "stages": 2}
    return Fitted(
        "linear", graph.finish(graph.apply("Mul", first.put(graph), amount)), answer, settings,
        2 * max(1, problem.setup.trials), loss, remarks=first.remarks,
    )  # fmt: skip
