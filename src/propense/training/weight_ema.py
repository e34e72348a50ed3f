"""The running average of a network's weights, which is validated, stored and served.

The last step's weights are one noisy draw around the optimum that training approaches; their
average over the latest pass is nearer to it (Polyak & Juditsky 1992) and allows a constant
learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def average_weights(network: nn.Module, steps_a_pass: int) -> AveragedModel:
    """An average of `network` that forgets over about one pass, and faster in the beginning.

    Worked example: the first update is copied, the one after n others weighs
    max(1 / steps_a_pass, 9 / (10 + n)).
    """
    least = 1 / max(steps_a_pass, 1)

    def update(
        averages: Sequence[Tensor], currents: Sequence[Tensor], updates: Tensor | int
    ) -> None:
        weight = max(least, 9 / (10 + float(updates)))
        torch._foreach_lerp_(list(averages), list(currents), weight)

    return AveragedModel(network, multi_avg_fn=update)
