"""The network's heads: for each kind of goal its raw outputs, their loss, answer and skill.

Nothing else in the network or the training loop asks which kind a goal is; ARCHITECTURE.md says
what else a new kind needs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Final, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from propense.evaluation.metrics.calibration import fit_calibrator
from propense.evaluation.metrics.propensity import log_loss
from propense.evaluation.metrics.value import tweedie_deviance
from propense.models.shape import NetworkShape
from propense.schemas import Doubles, GoalPlan

MAX_LOG_VALUE: Final = 20.0
_LEAST_DEVIATION: Final = 0.1
_DEVIATION_RANGE: Final = 2
_TINY: Final = 1e-7

Outputs = Sequence[Float[Tensor, "rows members"]]
"""A head's raw outputs, `n_outputs` of them."""


class GoalHead(ABC):
    """How a network answers the goals of one kind."""

    kind: ClassVar[str]
    """As in `GoalPlan.kind`."""
    n_outputs: ClassVar[int]
    """Raw numbers that the network computes for each row and member."""
    parity_slack: ClassVar[float] = 1.0
    """How many times the usual difference between torch and ONNX is allowed."""

    @abstractmethod
    def loss(
        self, outputs: Outputs, truth: Float[Tensor, "rows 1"]
    ) -> Float[Tensor, "rows members"]:
        """Negative log likelihood of each row's label."""

    @abstractmethod
    def expect(self, outputs: Outputs) -> Float[Tensor, "rows members"]:
        """The number that is answered: a probability or an expected value."""

    @abstractmethod
    def constant(self, labels: Float[Tensor, " rows"]) -> list[float]:
        """The outputs of the best constant answer to these labels (float64, none missing).

        The network's biases start there.
        """

    @abstractmethod
    def skill(self, y: Doubles, answer: Doubles) -> float:
        """1 - loss / loss of the best constant answer, (n,) labels and answers of validation.

        Early stopping compares passes by it: 0 for a network that knows nothing, at most 1.
        """


@final
class BinaryHead(GoalHead):
    """The logit of the probability that the goal is reached; log loss."""

    kind = "binary"
    n_outputs = 1

    def loss(
        self, outputs: Outputs, truth: Float[Tensor, "rows 1"]
    ) -> Float[Tensor, "rows members"]:
        return _log_loss(outputs[0], _happened(outputs[0], truth))

    def expect(self, outputs: Outputs) -> Float[Tensor, "rows members"]:
        return torch.sigmoid(outputs[0])

    def constant(self, labels: Float[Tensor, " rows"]) -> list[float]:
        return [_logit_of_rate(labels)]

    def skill(self, y: Doubles, answer: Doubles) -> float:
        """By log loss, after calibration: what counts is the answer as it would be served, not how
        over-confident the network has become.
        """
        calibrated = fit_calibrator(answer, y).apply(answer)
        return _skill(log_loss(y, calibrated), log_loss(y, np.full_like(y, y.mean())))


@final
class ValueHead(GoalHead):
    """Zero-inflated log-normal value (Wang et al. 2019).

    Outputs: the logit of the probability that the value is above 0, the mean of the value's
    logarithm, and its standard deviation before `bound_deviation`.
    """

    kind = "value"
    n_outputs = 3
    parity_slack = 10.0
    """Expected values are exponentials of sums in float32, which costs them a digit."""

    def loss(
        self, outputs: Outputs, truth: Float[Tensor, "rows 1"]
    ) -> Float[Tensor, "rows members"]:
        happened = _happened(outputs[0], truth)
        loss = _log_loss(outputs[0], happened)
        mean, deviation = outputs[1], bound_deviation(outputs[2])
        log_value = torch.where(truth > 0, truth, torch.ones_like(truth)).log()
        error = (log_value - mean) / deviation
        amount = error.square() / 2 + deviation.log() + math.log(2 * math.pi) / 2
        out: Tensor = loss + happened * amount
        return out

    def expect(self, outputs: Outputs) -> Float[Tensor, "rows members"]:
        p = torch.sigmoid(outputs[0])
        mean, deviation = outputs[1], bound_deviation(outputs[2])
        out: Tensor = p * torch.exp((mean + deviation.square() / 2).clamp(max=MAX_LOG_VALUE))
        return out

    def constant(self, labels: Float[Tensor, " rows"]) -> list[float]:
        positive = labels[labels > 0]
        logs = positive.log() if len(positive) > 1 else torch.zeros(2, dtype=torch.float64)
        share = (float(logs.std()) - _LEAST_DEVIATION) / _DEVIATION_RANGE
        share = min(max(share, 0.01), 0.99)
        return [_logit_of_rate(labels), float(logs.mean()), math.log(share / (1 - share))]

    def skill(self, y: Doubles, answer: Doubles) -> float:
        """By Tweedie deviance of power 1.5; a negative value counts as 0."""
        mean, paid = np.full_like(y, max(y.mean(), _TINY)), np.maximum(y, 0)
        return _skill(tweedie_deviance(paid, answer), tweedie_deviance(paid, mean))


HEADS: Final[dict[str, GoalHead]] = {head.kind: head for head in (BinaryHead(), ValueHead())}
"""By `GoalPlan.kind`."""


def head_of(goal: GoalPlan) -> GoalHead:
    """The head that answers this goal."""
    return HEADS[goal.kind]


def count_outputs(goals: Iterable[GoalPlan]) -> int:
    """Raw outputs of all goals together."""
    return sum(head_of(goal).n_outputs for goal in goals)


def outputs_of_goals(
    raw: Float[Tensor, "rows members outputs"], shape: NetworkShape
) -> Iterator[tuple[GoalHead, Outputs]]:
    """Each goal's head and its outputs, in the order of the shape's goals."""
    first = 0
    for goal in shape.goals:
        head = head_of(goal)
        yield head, [raw[..., first + number] for number in range(head.n_outputs)]
        first += head.n_outputs


def expect_goals(
    raw: Float[Tensor, "rows members outputs"], shape: NetworkShape
) -> Float[Tensor, "rows goals"]:
    """The answer to each goal: the mean of the members' answers."""
    answers = [head.expect(outputs).mean(dim=1) for head, outputs in outputs_of_goals(raw, shape)]
    return torch.stack(answers, dim=1)


def bound_deviation(raw: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Standard deviation of the log value, 0.1 to 2.1: no single row can blow up the mean."""
    return _LEAST_DEVIATION + _DEVIATION_RANGE * torch.sigmoid(raw)


def _happened(
    output: Float[Tensor, "rows members"], truth: Float[Tensor, "rows 1"]
) -> Float[Tensor, "rows members"]:
    return (truth > 0).to(output.dtype).expand(-1, output.shape[1])


def _log_loss(
    logit: Float[Tensor, "rows members"], happened: Float[Tensor, "rows members"]
) -> Float[Tensor, "rows members"]:
    return functional.binary_cross_entropy_with_logits(logit, happened, reduction="none")


def _skill(loss: float, constant: float) -> float:
    return float(1 - loss / max(constant, _TINY))


def _logit_of_rate(labels: Float[Tensor, " rows"]) -> float:
    """Logit of the share of labels above 0, half a positive and half a negative added."""
    rate = min(max((int((labels > 0).sum()) + 0.5) / (len(labels) + 1), 1e-6), 1 - 1e-6)
    return math.log(rate / (1 - rate))
