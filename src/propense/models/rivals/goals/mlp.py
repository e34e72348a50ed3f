"""The textbook's network: two hidden layers of 64, Adam, early stopping, averaged members.

Value goals: one output for P(value > 0) and one for the mean logarithm of the value where
there is one; the factor that turns the latter into a mean value makes the train total right.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from propense.models.rivals.goals.inputs import Inputs, read_inputs
from propense.models.rivals.goals.onnx_nodes import Graph
from propense.models.rivals.goals.problem import Fitted, Problem, log_range, smear
from propense.models.rivals.tuning import draw_log_uniform
from propense.schemas import Doubles, Floats, Ints

HIDDEN = 64
MAX_EPOCHS = 100
PATIENCE = 5
Weights = list[Tensor]


def fit_mlp(problem: Problem) -> Fitted:
    """`members` networks with the best of `trials` settings, from different starts."""
    rng = problem.rng(7)
    n_rows = len(problem.y)
    drawn = [_draw(rng, trial, n_rows) for trial in range(max(1, problem.setup.trials))]
    scored: list[tuple[float, int, dict[str, Any]]] = []
    for trial, settings in sorted(enumerate(drawn), key=lambda pair: pair[1]["design"]):
        inputs = read_inputs(problem, settings["design"])
        member = _train(problem, inputs, settings, problem.search_rows, 0)
        scored.append((member.loss, trial, settings))
    settings = min(scored)[2]
    inputs = read_inputs(problem, settings["design"])
    rows = np.arange(len(problem.y))
    members = [
        _train(problem, inputs, settings, rows, number)
        for number in range(max(1, problem.setup.members))
    ]

    def answer(matrix: Floats) -> Doubles:
        alike = inputs.apply(matrix)
        out: Doubles = np.mean([member.answer(alike) for member in members], axis=0)
        return out

    graph = Graph(problem.matrix("train", inputs.design).shape[1])
    x = inputs.put(graph)
    graph_bytes = graph.finish(graph.mean([member.put(graph, x) for member in members]))
    epochs = ", ".join(str(member.epochs) for member in members)
    return Fitted(
        inputs.design, graph_bytes, answer, settings, len(drawn),
        problem.loss(answer(problem.matrix("validation", inputs.design))), len(members),
        remarks=(f"epochs of the members: {epochs}",),
    )  # fmt: skip


def _draw(rng: np.random.Generator, trial: int, n_rows: int) -> dict[str, Any]:
    """Settings of one trial; batches grow with the rows, so that an epoch is some 500 steps."""
    smallest = max(128, 1 << int(np.log2(max(n_rows / 512, 1)) + 0.5))
    rate, decay = draw_log_uniform(rng, 3e-4, 5e-3), draw_log_uniform(rng, 1e-6, 1e-2)
    batch, linear = int(rng.choice([1, 4, 16])) * smallest, bool(rng.random() < 0.5)
    if trial == 0:
        rate, decay, batch, linear = 1e-3, 1e-4, 2 * smallest, False
    design = "linear" if linear else "plain"
    return {"learning_rate": rate, "weight_decay": decay, "batch_size": batch, "design": design}


@dataclass(frozen=True)
class _Member:
    """One trained network."""

    weights: Weights
    low: float
    high: float
    factor: float
    binary: bool
    loss: float
    epochs: int

    def answer(self, alike: Floats) -> Doubles:
        with torch.inference_mode():
            out = _forward(self.weights, torch.from_numpy(alike)).double()
            p = torch.sigmoid(out[:, 0])
            if not self.binary:
                p = p * torch.exp(out[:, 1].clamp(self.low, self.high)) * self.factor
        return p.numpy()

    def put(self, graph: Graph, x: str) -> str:
        """The answer as a part of a graph."""
        arrays = [weight.numpy() for weight in self.weights]
        for layer in range(0, len(arrays) - 2, 2):
            x = graph.apply("Relu", graph.linear(x, arrays[layer], arrays[layer + 1]))
        last, bias = arrays[-2], arrays[-1]
        p = graph.sigmoid(graph.linear(x, last[:, :1], bias[:1]), is_factor=not self.binary)
        if self.binary:
            return p
        logs = graph.held(graph.linear(x, last[:, 1:], bias[1:]), self.low, self.high)
        return graph.apply("Mul", p, graph.scaled(graph.apply("Exp", logs), self.factor))


def _train(
    problem: Problem, inputs: Inputs, settings: dict[str, Any], rows: Ints, member: int
) -> _Member:
    """Adam until validation has not improved for PATIENCE epochs; the best weights are kept."""
    chance = torch.Generator().manual_seed(problem.setup.seed * 1000 + member)
    matrix = problem.matrix("train", inputs.design)
    x = torch.from_numpy(inputs.apply(matrix if len(rows) == len(matrix) else matrix[rows]))
    y = torch.from_numpy(problem.y[rows].astype(np.float32))
    validation = inputs.apply(problem.matrix("validation", inputs.design))
    low, high = (0.0, 0.0) if problem.binary else log_range(problem.y)
    centre = 0.0 if problem.binary else float(np.log(problem.y[problem.y > 0]).mean())
    weights = _start(x.shape[1], problem, centre, chance)
    adam = torch.optim.AdamW(
        weights, lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    size, best, wait = settings["batch_size"], (np.inf, 0, [w.detach().clone() for w in weights]), 0
    for epoch in range(1, MAX_EPOCHS + 1):
        order = torch.randperm(len(y), generator=chance)
        for first in range(0, len(order), size):
            batch = order[first : first + size]
            loss = _loss(_forward(weights, x[batch]), y[batch], problem.binary)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
        copied = [w.detach().clone() for w in weights]
        factor = _factor(problem, copied, x, y, (low, high))
        candidate = _Member(copied, low, high, factor, problem.binary, 0.0, epoch)
        measured = problem.loss(candidate.answer(validation))
        if measured < best[0]:
            best, wait = (measured, epoch, copied), 0
        else:
            wait += 1
            if wait >= PATIENCE:
                break
    measured, epochs, copied = best
    factor = _factor(problem, copied, x, y, (low, high))
    return _Member(copied, low, high, factor, problem.binary, measured, epochs)


def _start(width: int, problem: Problem, centre: float, chance: torch.Generator) -> Weights:
    """He's start, the last layer at the mean label."""
    sizes = (width, HIDDEN, HIDDEN, 1 if problem.binary else 2)
    weights: Weights = []
    for before, after in pairwise(sizes):
        weights.append(torch.randn(before, after, generator=chance) * (2 / before) ** 0.5)
        weights.append(torch.zeros(after))
    weights[-2] *= 0.1
    rate = float(np.clip(problem.positive.mean(), 1e-4, 1 - 1e-4))
    weights[-1][0] = np.log(rate / (1 - rate))
    if not problem.binary:
        weights[-1][1] = centre
    return [weight.requires_grad_() for weight in weights]


def _forward(weights: Weights, x: Tensor) -> Tensor:
    for layer in range(0, len(weights) - 2, 2):
        x = functional.relu(torch.addmm(weights[layer + 1], x, weights[layer]))
    return torch.addmm(weights[-1], x, weights[-2])


def _loss(out: Tensor, y: Tensor, binary: bool) -> Tensor:
    paid = (y > 0).float()
    loss = functional.binary_cross_entropy_with_logits(out[:, 0], paid)
    if not binary:
        gap = (out[:, 1] - torch.log(torch.where(y > 0, y, torch.ones_like(y)))) * paid
        loss = loss + (gap**2).mean()
    return loss


def _factor(
    problem: Problem, weights: Weights, x: Tensor, y: Tensor, limits: tuple[float, float]
) -> float:
    if problem.binary:
        return 1.0
    paid = y > 0
    with torch.inference_mode():
        logs = _forward(weights, x[paid])[:, 1].clamp(*limits)
    return smear(y[paid].double().numpy(), logs.double().numpy())
