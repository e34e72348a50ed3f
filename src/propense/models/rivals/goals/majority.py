"""The base rate, or the mean: what any other model must beat."""

from __future__ import annotations

import numpy as np

from propense.models.rivals.goals.onnx_nodes import constant_graph
from propense.models.rivals.goals.problem import Fitted, Problem
from propense.schemas import Doubles, Floats


def fit_majority(problem: Problem) -> Fitted:
    """The same answer for everyone: the mean label of train."""
    value = float(problem.y.mean())

    def answer(matrix: Floats) -> Doubles:
        return np.full(len(matrix), value)

    loss = problem.loss(np.full(len(problem.y_validation), value))
    return Fitted("none", constant_graph(value), answer, {"mean": value}, 0, loss)
