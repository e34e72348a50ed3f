"""What the network's goals are asked to make small."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from propense.models.network.customer import bound_deviation
from propense.models.shape import NetworkShape


def goal_losses(
    raw: Float[Tensor, "rows members outputs"],
    y: Float[Tensor, "rows goals"],
    shape: NetworkShape,
) -> Float[Tensor, "rows goals"]:
    """Negative log likelihood of each row and goal, the members' mean; 0 where y is nan.

    Binary goals: log loss. Value goals: zero-inflated log-normal.
    """
    columns, place = [], 0
    for number, goal in enumerate(shape.goals):
        known = ~torch.isnan(y[:, number])
        truth = torch.where(known, y[:, number], torch.zeros_like(y[:, number]))[:, None]
        happened = (truth > 0).to(raw.dtype).expand(-1, raw.shape[1])
        loss = functional.binary_cross_entropy_with_logits(
            raw[..., place], happened, reduction="none"
        )
        if goal.kind == "value":
            mean, deviation = raw[..., place + 1], bound_deviation(raw[..., place + 2])
            log_value = torch.where(truth > 0, truth, torch.ones_like(truth)).log()
            error = (log_value - mean) / deviation
            amount = error.square() / 2 + deviation.log() + math.log(2 * math.pi) / 2
            loss = loss + happened * amount
        columns.append(loss.mean(dim=1) * known)
        place += 3 if goal.kind == "value" else 1
    return torch.stack(columns, dim=1)


def mean_known(
    losses: Float[Tensor, "rows goals"], y: Float[Tensor, "rows goals"]
) -> Float[Tensor, " goals"]:
    """Mean loss of each goal over the rows where it is known; 0 where none is."""
    return losses.sum(dim=0) / (~torch.isnan(y)).sum(dim=0).clamp(min=1)


def constant_outputs(y: Float[Tensor, "rows goals"], shape: NetworkShape) -> list[float]:
    """The outputs of the best constant answer: where the heads start, and what skill is against.

    Binary: the logit of the base rate. Value: that of a purchase, mean and deviation of its log.
    """
    outputs: list[float] = []
    for number, goal in enumerate(shape.goals):
        known = y[:, number][~torch.isnan(y[:, number])].double()
        positive = known[known > 0]
        rate = min(max((len(positive) + 0.5) / (len(known) + 1), 1e-6), 1 - 1e-6)
        outputs.append(math.log(rate / (1 - rate)))
        if goal.kind == "value":
            logs = positive.log() if len(positive) > 1 else torch.zeros(2, dtype=torch.float64)
            share = min(max((float(logs.std()) - 0.1) / 2, 0.01), 0.99)
            outputs += [float(logs.mean()), math.log(share / (1 - share))]
    return outputs
