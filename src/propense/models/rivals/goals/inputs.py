"""How a rival that needs columns of one scale reads a row."""

from __future__ import annotations

from dataclasses import dataclass

from propense.models.rivals.goal_rival import Design
from propense.models.rivals.goals.onnx_nodes import Graph, Standardiser, fit_standardiser
from propense.models.rivals.goals.problem import Problem
from propense.schemas import Floats


@dataclass(frozen=True)
class Inputs:
    """The design, made alike where it holds plain numbers."""

    design: Design
    standardiser: Standardiser | None

    def apply(self, matrix: Floats) -> Floats:
        return matrix if self.standardiser is None else self.standardiser.apply(matrix)

    def put(self, graph: Graph) -> str:
        return "x" if self.standardiser is None else graph.standardised("x", self.standardiser)


def read_inputs(problem: Problem, design: Design) -> Inputs:
    """How a rival of this design reads a row."""
    if design == "linear":
        return Inputs("linear", None)
    matrix = problem.matrix("train", "plain")
    return Inputs("plain", fit_standardiser(matrix, problem.train.numeric.shape[1]))
