"""The running average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from propense.training.weight_ema import average_weights


@pytest.mark.parametrize("steps_a_pass", [5, 200])
def test_the_average_is_the_weighted_mean_it_says(steps_a_pass):
    network = nn.Linear(1, 1, bias=False)
    average = average_weights(network, steps_a_pass)
    expected = None
    for number in range(30):
        with torch.no_grad():
            network.weight.fill_(float(number**2))
        average.update_parameters(network)
        value = float(number**2)
        weight = max(1 / steps_a_pass, 9 / (10 + number))
        expected = value if expected is None else expected + weight * (value - expected)
        assert float(average.module.weight.detach()) == pytest.approx(expected, rel=1e-5)
