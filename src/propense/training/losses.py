"""The loss that training minimises for the network's goals."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from propense.models.network.heads import head_of, outputs_of_goals
from propense.models.shape import NetworkShape


def goal_losses(
    raw: Float[Tensor, "rows members outputs"],
    y: Float[Tensor, "rows goals"],
    shape: NetworkShape,
) -> Float[Tensor, "rows goals"]:
    """Negative log likelihood of each row and goal, the members' mean; 0 where y is nan."""
    columns = []
    for number, (head, outputs) in enumerate(outputs_of_goals(raw, shape)):
        labelled = ~torch.isnan(y[:, number])
        truth = torch.where(labelled, y[:, number], torch.zeros_like(y[:, number]))[:, None]
        columns.append(head.loss(outputs, truth).mean(dim=1) * labelled)
    return torch.stack(columns, dim=1)


def mean_labelled(
    losses: Float[Tensor, "rows goals"], y: Float[Tensor, "rows goals"]
) -> Float[Tensor, " goals"]:
    """Mean loss of each goal over the rows where it is known; 0 where none is."""
    return losses.sum(dim=0) / (~torch.isnan(y)).sum(dim=0).clamp(min=1)


def constant_outputs(y: Float[Tensor, "rows goals"], shape: NetworkShape) -> list[float]:
    """The outputs of the best constant answer: the biases that the heads start with."""
    outputs: list[float] = []
    for number, goal in enumerate(shape.goals):
        labels = y[:, number][~torch.isnan(y[:, number])].double()
        outputs += head_of(goal).constant(labels)
    return outputs
