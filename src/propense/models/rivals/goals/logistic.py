"""Logistic regression on standardised numbers or their piecewise-linear encoding.

Both are fitted, and the better on validation is the rival: the encoding follows curves, and the
numbers alone, a few columns, are learned from few rows.

Value goals: P(value > 0) by logistic regression times the expected value where there is
one, by ridge regression of its logarithm; the factor that turns the mean logarithm into a
mean value makes the train total right.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from propense.evaluation.metrics.calibration import sigmoid
from propense.models.rivals.goal_rival import Design
from propense.models.rivals.goals.inputs import Inputs, read_inputs
from propense.models.rivals.goals.onnx_nodes import Graph
from propense.models.rivals.goals.problem import (
    CERTAIN,
    Fitted,
    Problem,
    in_blocks,
    log_range,
    smear,
)
from propense.schemas import Doubles, Floats

MAX_ITERATIONS = 500
_BLOCK = 4096
START: Final[dict[Design, float]] = {"plain": 1.0, "linear": 0.01}
"""The designs, the simpler first, which is taken where both are as good; and the first C, the
inverse of the penalty, that is tried: one that suits few columns, or many."""


def fit_logistic(problem: Problem) -> Fitted:
    """For either design, C chosen on validation by a walk of `trials` steps."""
    fits = [_fit_design(problem, read_inputs(problem, design)) for design in START]
    best = min(fits, key=lambda fit: fit.loss)
    return replace(best, trials=sum(fit.trials for fit in fits))


def _fit_design(problem: Problem, inputs: Inputs) -> Fitted:
    asked = problem if problem.binary else problem.as_binary()
    first = _choose_classifier(asked, inputs)
    return (
        first.fitted(asked, inputs) if problem.binary else _fit_two_stages(problem, inputs, first)
    )


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

    def put(self, graph: Graph, x: str, is_factor: bool = False) -> str:
        """P as a part of a graph; `is_factor` where an amount multiplies it."""
        logit = graph.linear(x, self.weights[:, None], np.array([self.bias]))
        return graph.sigmoid(logit, is_factor)

    @property
    def remarks(self) -> tuple[str, ...]:
        remark = f"the optimiser stopped at {MAX_ITERATIONS} iterations"
        return (remark,) if self.stopped else ()

    def fitted(self, problem: Problem, inputs: Inputs) -> Fitted:
        matrix = problem.matrix("validation", inputs.design)

        def answer(matrix: Floats) -> Doubles:
            return self.p(inputs.apply(matrix))

        graph = Graph(matrix.shape[1])
        return Fitted(
            inputs.design, graph.finish(self.put(graph, inputs.put(graph))), answer,
            {"C": self.c, "design": inputs.design}, self.trials, problem.loss(answer(matrix)),
            remarks=self.remarks,
        )  # fmt: skip


def _choose_classifier(problem: Problem, inputs: Inputs) -> _Classifier:
    matrix = inputs.apply(problem.matrix("train", inputs.design))
    validation = inputs.apply(problem.matrix("validation", inputs.design))
    if problem.y.all():
        # Only of values, where everybody has one: the first of two stages is certain.
        return _Classifier(np.zeros(matrix.shape[1], np.float32), CERTAIN, 0.0, 0, False)
    rows = problem.search_rows
    searched = matrix[rows] if len(rows) < len(matrix) else matrix
    model = LogisticRegression(max_iter=MAX_ITERATIONS, warm_start=True)
    tried_c: dict[float, tuple[float, _Classifier]] = {}
    for _ in range(max(1, problem.setup.trials)):
        losses = {tried: loss for tried, (loss, _) in tried_c.items()}
        c = _next_c(losses, START[inputs.design])
        model.set_params(C=c)
        stopped = _fit(model, searched, problem.y[rows])
        candidate = _Classifier.of(model, c, stopped)
        tried_c[c] = problem.loss(candidate.p(validation)), candidate
    best = min(tried_c, key=lambda c: (tried_c[c][0], c))
    chosen = tried_c[best][1]
    if len(rows) < len(matrix):
        model.set_params(C=best)
        chosen = _Classifier.of(model, best, _fit(model, matrix, problem.y))
    return replace(chosen, trials=len(tried_c))


def _next_c(losses: dict[float, float], start: float = 0.01) -> float:
    """Where to try next: down from the start in tens while it helps, else up, then between.

    Down is first, since a strong penalty is found quickly and a weak one slowly.

    >>> _next_c({}), _next_c({0.01: 0.5}), _next_c({0.01: 0.5, 0.001: 0.6})
    (0.01, 0.001, 0.1)
    >>> round(_next_c({0.01: 0.5, 0.001: 0.6, 0.1: 0.7}), 4)
    0.0316
    """
    if not losses:
        return start
    ordered = sorted(losses)
    best = min(ordered, key=lambda c: (losses[c], c))
    if best == ordered[0]:
        return float(f"{best / 10:.12g}")
    if best == ordered[-1]:
        return float(f"{best * 10:.12g}")
    position = ordered.index(best)
    gaps = [
        (ordered[position] / ordered[position - 1], position - 1),
        (ordered[position + 1] / best, position),
    ]
    left = max(gaps, key=lambda gap: (gap[0], gap[1]))[1]
    return float(np.sqrt(ordered[left] * ordered[left + 1]))


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

    def put(self, graph: Graph, x: str) -> str:
        line = graph.linear(x, self.weights[:, None], np.array([self.bias]))
        return graph.scaled(graph.apply("Exp", graph.held(line, self.low, self.high)), self.factor)


def _fit_two_stages(problem: Problem, inputs: Inputs, first: _Classifier) -> Fitted:
    matrix = problem.matrix("train", inputs.design)
    validation = inputs.apply(problem.matrix("validation", inputs.design))
    paid = inputs.apply(matrix[problem.y > 0])
    y = problem.y[problem.y > 0]
    p = first.p(validation)
    ridge = _Ridge(paid, np.log(y))
    penalties = np.geomspace(3000, 0.3, max(1, problem.setup.trials))
    scored: list[tuple[float, int, _Amount]] = []
    for trial, penalty in enumerate(penalties):
        amount = _Amount(*ridge.solve(float(penalty)), *log_range(y))
        amount = replace(amount, factor=smear(y, amount.logs(paid)))
        scored.append((problem.loss(p * amount.expected(validation)), trial, amount))
    loss, trial, amount = min(scored, key=lambda one: one[:2])

    def answer(matrix: Floats) -> Doubles:
        alike = inputs.apply(matrix)
        return first.p(alike) * amount.expected(alike)

    graph = Graph(matrix.shape[1])
    x = inputs.put(graph)
    product = graph.apply("Mul", first.put(graph, x, is_factor=True), amount.put(graph, x))
    settings = {
        "C": first.c, "design": inputs.design, "ridge_penalty": float(penalties[trial]), "stages": 2
    }  # fmt: skip
    return Fitted(
        inputs.design, graph.finish(product), answer, settings, first.trials + len(penalties), loss,
        remarks=first.remarks,
    )  # fmt: skip


class _Ridge:
    """Ridge regression with a free intercept, for many penalties from one pass over the rows."""

    def __init__(self, matrix: Floats, y: Doubles) -> None:
        n_columns = matrix.shape[1]
        self.mean, self.y_mean = matrix.mean(axis=0, dtype=np.float64), float(y.mean())
        self.gram, self.cross = np.zeros((n_columns, n_columns)), np.zeros(n_columns)
        for first in range(0, len(matrix), _BLOCK):
            rows = matrix[first : first + _BLOCK] - self.mean
            self.gram += rows.T @ rows
            self.cross += rows.T @ (y[first : first + _BLOCK] - self.y_mean)

    def solve(self, penalty: float) -> tuple[Floats, float]:
        """Weights and intercept."""
        identity = np.eye(len(self.gram))
        weights = np.linalg.solve(self.gram + penalty * identity, self.cross)
        return weights.astype(np.float32), self.y_mean - float(weights @ self.mean)
