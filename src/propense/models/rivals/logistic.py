"""Logistic regression on the piecewise-linear encoding; for values in two stages.

Value goals: P(value > 0) by logistic regression times the expected value where there is
one, by ridge regression of its logarithm; the factor that turns the mean logarithm into a
mean value makes the train total right.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from propense.evaluation.calibration import sigmoid
from propense.models.rivals.graphs import Graph
from propense.models.rivals.problem import CERTAIN, Fitted, Problem, in_blocks, log_range, smear
from propense.schemas import Doubles, Floats

MAX_ITERATIONS = 500
_BLOCK = 4096
WEAKEST, STRONGEST = 10.0, 1e-4
"""Ends of the grid of C, the inverse of the penalty."""
SMALL = 20_000
"""On fewer rows one worse trial may be chance: the search bears two."""


def fit_logistic(problem: Problem) -> Fitted:
    """C chosen on validation, from a grid of `trials` values."""
    first = _choose_classifier(problem if problem.binary else problem.as_binary())
    if problem.binary:
        return first.fitted(problem)
    return _fit_two_stages(problem, first)


@dataclass(frozen=True)
class _Classifier:
    """A logistic regression, the trials that led to it, and whether it was cut short."""

    weights: Floats
    bias: float
    c: float
    trials: int
    stopped: bool

    @staticmethod
    def of(model: Any, c: float, stopped: bool) -> _Classifier:
        weights = model.coef_[0].astype(np.float32)
        return _Classifier(weights, float(model.intercept_[0]), c, 0, stopped)

    def p(self, matrix: Floats) -> Doubles:
        """(n,) in double precision, which the graph is held to."""

        def p(rows: Floats) -> Doubles:
            return sigmoid(rows.astype(np.float64) @ self.weights.astype(np.float64) + self.bias)

        return in_blocks(p, matrix)

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
    if problem.y.all():
        # Only of values, where everybody has one: the first of two stages is certain.
        return _Classifier(np.zeros(matrix.shape[1], np.float32), CERTAIN, 0.0, 0, False)
    rows = problem.search_rows
    n_trials = problem.setup.trials
    grid = np.geomspace(STRONGEST, WEAKEST, n_trials) if n_trials > 1 else np.array([0.1])
    # From the strongest penalty on, each fit starts where the last one ended. Past the best,
    # weaker ones would only be slower and worse still.
    bears = 2 if len(rows) < SMALL else 1
    model = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True)
    searched = matrix[rows] if len(rows) < len(matrix) else matrix
    best, losses, kept = 0, list[float](), None
    for trial, c in enumerate(grid):
        model.set_params(C=float(c))
        stopped = _fit(model, searched, problem.y[rows])
        candidate = _Classifier.of(model, float(c), stopped)
        losses.append(problem.loss(candidate.p(validation)))
        if kept is None or losses[trial] < losses[best]:
            best, kept = trial, candidate
        elif trial - best >= bears:
            break
    if kept is None or len(rows) < len(matrix):
        c = float(grid[best])
        model.set_params(C=c)
        kept = _Classifier.of(model, c, _fit(model, matrix, problem.y))
    return replace(kept, trials=len(losses))


def _fit(model: Any, matrix: Floats, y: Doubles) -> bool:
    """Fit; whether the optimiser stopped before it had converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(matrix, y)
    return any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


@dataclass(frozen=True)
class _Amount:
    """The expected value where there is one: exp of a straight line, within what was seen."""

    weights: Floats
    bias: float
    low: float
    high: float
    factor: float = 1.0

    def logs(self, matrix: Floats) -> Doubles:
        def line(rows: Floats) -> Doubles:
            out: Doubles = rows.astype(np.float64) @ self.weights.astype(np.float64) + self.bias
            return np.clip(out, self.low, self.high)

        return in_blocks(line, matrix)

    def expected(self, matrix: Floats) -> Doubles:
        out: Doubles = np.exp(self.logs(matrix)) * self.factor
        return out

    def put(self, graph: Graph, x: str = "x") -> str:
        line = graph.linear(x, self.weights[:, None], np.array([self.bias]))
        return graph.scaled(graph.apply("Exp", graph.held(line, self.low, self.high)), self.factor)


def _fit_two_stages(problem: Problem, first: _Classifier) -> Fitted:
    matrix, validation = (problem.matrix(part, "linear") for part in ("train", "validation"))
    paid = matrix[problem.y > 0]
    y = problem.y[problem.y > 0]
    p = first.p(validation)
    ridge = _Ridge(paid, np.log(y))
    penalties = np.geomspace(3000, 0.3, max(1, problem.setup.trials))
    found: list[tuple[float, int, _Amount]] = []
    for trial, penalty in enumerate(penalties):
        amount = _Amount(*ridge.solve(float(penalty)), *log_range(y))
        amount = replace(amount, factor=smear(y, amount.logs(paid)))
        found.append((problem.loss(p * amount.expected(validation)), trial, amount))
    loss, trial, amount = min(found, key=lambda one: one[:2])

    def answer(matrix: Floats) -> Doubles:
        return first.p(matrix) * amount.expected(matrix)

    graph = Graph(matrix.shape[1])
    settings = {"C": first.c, "ridge_penalty": float(penalties[trial]), "stages": 2}
    return Fitted(
        "linear", graph.finish(graph.apply("Mul", first.put(graph), amount.put(graph))), answer,
        settings, first.trials + len(penalties), loss, remarks=first.remarks,
    )  # fmt: skip


class _Ridge:
    """Ridge regression with a free intercept, for many penalties from one pass over the rows."""

    def __init__(self, matrix: Floats, y: Doubles) -> None:
        n_columns = matrix.shape[1]
        self.mean, self.y_mean = matrix.mean(axis=0, dtype=np.float64), float(y.mean())
        self.gram, self.moment = np.zeros((n_columns, n_columns)), np.zeros(n_columns)
        for first in range(0, len(matrix), _BLOCK):
            rows = matrix[first : first + _BLOCK] - self.mean
            self.gram += rows.T @ rows
            self.moment += rows.T @ (y[first : first + _BLOCK] - self.y_mean)

    def solve(self, penalty: float) -> tuple[Floats, float]:
        """Weights and intercept."""
        identity = np.eye(len(self.gram))
        weights = np.linalg.solve(self.gram + penalty * identity, self.moment)
        return weights.astype(np.float32), self.y_mean - float(weights @ self.mean)
