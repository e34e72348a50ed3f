"""Support vector machines with a radial kernel, calibrated by Platt's sigmoid on validation.

Exact up to EXACT_ROWS rows; above, the same kernel through N_LANDMARKS landmarks (Nystroem)
and a linear machine on all rows. Value goals in two stages: P(value > 0) times the expected
value where there is one, by support vector regression of its logarithm.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import SVC, SVR, LinearSVC

from propense.evaluation.metrics.calibration import sigmoid
from propense.models.rivals.goals.inputs import Inputs, read_inputs
from propense.models.rivals.goals.onnx_nodes import Graph
from propense.models.rivals.goals.problem import (
    CERTAIN,
    Fitted,
    Problem,
    draw_rows,
    in_blocks,
    log_range,
    smear,
)
from propense.models.rivals.tuning import draw_log_uniform
from propense.schemas import Doubles, Floats, Ints

EXACT_ROWS = 10_000
"""With more, landmarks are better on validation and several times quicker (LOG.md)."""
N_LANDMARKS = 512
TUNING_ROWS = 3_000
"""Settings are searched on at most this many rows: the cost grows with their square."""
MAX_LINEAR_WIDTH = 300
"""The piecewise-linear encoding is tried where it has at most this many columns."""
_CACHE_MB = 500
_BLOCK = 1024


@dataclass(frozen=True)
class Machine:
    """A weighted sum of kernels to landmarks, and a bias."""

    landmarks: Floats
    weights: Doubles
    bias: float
    gamma: float

    def score(self, matrix: Floats) -> Doubles:
        """(n,) in double precision."""

        def score(rows: Floats) -> Doubles:
            return kernel(rows, self.landmarks, self.gamma) @ self.weights + self.bias

        return in_blocks(score, matrix)

    def put(self, graph: Graph, x: str) -> str:
        """The score as a part of a graph."""
        return graph.kernel(x, self.landmarks, self.gamma, self.weights, self.bias)


@dataclass(frozen=True)
class Calibrated:
    """P = sigmoid(slope * score + bias)."""

    machine: Machine
    slope: float
    bias: float

    def p(self, alike: Floats) -> Doubles:
        return sigmoid(self.slope * self.machine.score(alike) + self.bias)

    def put(self, graph: Graph, x: str, is_factor: bool) -> str:
        score = graph.scaled(self.machine.put(graph, x), self.slope, self.bias)
        return graph.sigmoid(score, is_factor)


def fit_svm(problem: Problem) -> Fitted:
    """C, width of the kernel, class weights and inputs by random search on validation."""
    asked = problem if problem.binary else problem.as_binary()
    rng = problem.rng(4)
    rows = draw_rows(asked.y > 0, TUNING_ROWS, rng)
    drawn = [_draw(rng, trial, problem) for trial in range(max(1, problem.setup.trials))]
    scored: list[tuple[float, int, dict[str, Any]]] = []
    for trial, settings in sorted(enumerate(drawn), key=lambda pair: pair[1]["design"]):
        inputs = read_inputs(problem, settings["design"])
        candidate = _fit_classifier(asked, inputs, settings, rows)
        p = candidate.p(inputs.apply(asked.matrix("validation", inputs.design)))
        scored.append((asked.loss(p), trial, settings))
    settings = min(scored)[2]
    inputs = read_inputs(problem, settings["design"])
    everything = np.arange(len(problem.y))
    classifier = _fit_classifier(asked, inputs, settings, everything)
    remarks = [f"settings chosen on {len(rows)} of {len(everything)} rows"] * (
        len(rows) < len(everything)
    )
    if len(everything) > EXACT_ROWS:
        remarks.append(f"kernel approximated by {N_LANDMARKS} landmarks (Nystroem)")
    if problem.binary:
        return _finish(problem, inputs, classifier, None, settings, (len(drawn), tuple(remarks)))
    amount = _Amount(problem, inputs, settings)
    return _finish(problem, inputs, classifier, amount, settings, (len(drawn), tuple(remarks)))


def _draw(rng: np.random.Generator, trial: int, problem: Problem) -> dict[str, Any]:
    c, width = draw_log_uniform(rng, 0.05, 50.0), draw_log_uniform(rng, 0.05, 3.0)
    balanced, linear = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    if trial == 0:
        c, width, balanced, linear = 1.0, 1.0, False, False
    n_linear = sum(len(edges) for edges in problem.all_bins)
    n_linear += sum(min(64, size) for size in problem.train.cardinalities)
    design = "linear" if linear and n_linear <= MAX_LINEAR_WIDTH else "plain"
    return {"C": c, "gamma_scale": width, "balanced": balanced, "design": design}


def _fit_classifier(
    problem: Problem, inputs: Inputs, settings: dict[str, Any], rows: Ints
) -> Calibrated:
    matrix = inputs.apply(problem.matrix("train", inputs.design)[rows])
    y = problem.y[rows]
    if y.all():
        # Only of values, where everybody has one: the first of two stages is certain.
        nothing = Machine(matrix[:1], np.zeros(1), 0.0, 1.0)
        return Calibrated(nothing, 0.0, CERTAIN)
    gamma = settings["gamma_scale"] / _spread(matrix)
    weight = "balanced" if settings["balanced"] else None
    if len(rows) <= EXACT_ROWS:
        model = SVC(C=settings["C"], gamma=gamma, class_weight=weight, cache_size=_CACHE_MB).fit(
            matrix, y
        )
        machine = Machine(
            matrix[model.support_],
            model.dual_coef_[0],
            float(model.intercept_[0]),
            gamma,
        )
    else:
        landmarks, basis = _landmarks(matrix, gamma, problem.rng(5))
        with warnings.catch_warnings():
            # Stopping early is no failure: Platt's sigmoid and validation score the result.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LinearSVC(C=settings["C"], class_weight=weight, dual=False, max_iter=300).fit(
                _features(matrix, landmarks, gamma, basis), y
            )
        machine = Machine(
            landmarks,
            basis @ model.coef_[0],
            float(model.intercept_[0]),
            gamma,
        )
    return _calibrate(problem, inputs, machine, matrix, y)


def _calibrate(
    problem: Problem, inputs: Inputs, machine: Machine, matrix: Floats, y: Doubles
) -> Calibrated:
    """Platt's sigmoid on validation, or on train where validation has one class only."""
    y_validation = problem.y_validation
    if 0 < y_validation.sum() < len(y_validation):
        matrix, y = inputs.apply(problem.matrix("validation", inputs.design)), y_validation
    model = LogisticRegression(C=1e3).fit(machine.score(matrix)[:, None], y)
    return Calibrated(machine, float(model.coef_[0, 0]), float(model.intercept_[0]))


class _Amount:
    """The expected value where there is one."""

    def __init__(self, problem: Problem, inputs: Inputs, settings: dict[str, Any]) -> None:
        paid = np.flatnonzero(problem.y > 0)
        matrix = inputs.apply(problem.matrix("train", inputs.design)[paid])
        logs = np.log(problem.y[paid])
        self.low, self.high = log_range(problem.y)
        gamma = settings["gamma_scale"] / _spread(matrix)
        if len(paid) <= EXACT_ROWS:
            margin = 0.1 * float(logs.std())
            model = SVR(C=settings["C"], gamma=gamma, epsilon=margin, cache_size=_CACHE_MB).fit(
                matrix, logs
            )
            self.machine = Machine(
                matrix[model.support_], model.dual_coef_[0],
                float(model.intercept_[0]), gamma,
            )  # fmt: skip
        else:
            landmarks, basis = _landmarks(matrix, gamma, problem.rng(6))
            ridge = Ridge(alpha=1 / settings["C"]).fit(
                _features(matrix, landmarks, gamma, basis), logs
            )
            weights = basis @ ridge.coef_
            self.machine = Machine(landmarks, weights, float(ridge.intercept_), gamma)
        self.factor = smear(problem.y[paid], self._logs(matrix))

    def _logs(self, alike: Floats) -> Doubles:
        return np.clip(self.machine.score(alike), self.low, self.high)

    def expected(self, alike: Floats) -> Doubles:
        out: Doubles = np.exp(self._logs(alike)) * self.factor
        return out

    def put(self, graph: Graph, x: str) -> str:
        logs = graph.held(self.machine.put(graph, x), self.low, self.high)
        return graph.scaled(graph.apply("Exp", logs), self.factor)


def _finish(
    problem: Problem, inputs: Inputs, classifier: Calibrated, amount: _Amount | None,
    settings: dict[str, Any], account: tuple[int, tuple[str, ...]],
) -> Fitted:  # fmt: skip
    def answer(matrix: Floats) -> Doubles:
        alike = inputs.apply(matrix)
        p = classifier.p(alike)
        return p if amount is None else p * amount.expected(alike)

    graph = Graph(problem.matrix("train", inputs.design).shape[1])
    x = inputs.put(graph)
    out = classifier.put(graph, x, is_factor=amount is not None)
    if amount is not None:
        out = graph.apply("Mul", out, amount.put(graph, x))
    trials, remarks = account
    loss = problem.loss(answer(problem.matrix("validation", inputs.design)))
    return Fitted(inputs.design, graph.finish(out), answer, settings, trials, loss, remarks=remarks)


def kernel(matrix: Floats, landmarks: Floats, gamma: float) -> Doubles:
    """exp(-gamma |row - landmark|^2), (n, n_landmarks)."""
    rows, centres = matrix.astype(np.float64), landmarks.astype(np.float64)
    distance = (rows**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * rows @ centres.T
    out: Doubles = np.exp(-gamma * np.maximum(distance, 0))
    return out


def _spread(matrix: Floats) -> float:
    """Twice the total variance, the mean squared distance of two rows; 1 where all are alike."""
    spread = 2 * float(matrix.astype(np.float64).var(axis=0).sum())
    return spread if spread > 0 else 1.0


def _landmarks(matrix: Floats, gamma: float, rng: np.random.Generator) -> tuple[Floats, Doubles]:
    """Rows drawn by chance, and the basis that makes their kernels orthonormal features."""
    chosen = matrix[np.sort(rng.choice(len(matrix), N_LANDMARKS, replace=False))]
    values, vectors = np.linalg.eigh(kernel(chosen, chosen, gamma))
    large = values > 1e-4 * values[-1]
    return chosen, vectors[:, large] / np.sqrt(values[large])


def _features(matrix: Floats, landmarks: Floats, gamma: float, basis: Doubles) -> Floats:
    blocks = [
        (kernel(matrix[first : first + _BLOCK], landmarks, gamma) @ basis).astype(np.float32)
        for first in range(0, len(matrix), _BLOCK)
    ]
    return np.concatenate(blocks)
