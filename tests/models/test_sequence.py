"""Parts of unlike length read in one go are read as each alone."""

from __future__ import annotations

import pytest
import torch

from propense.models.sequence import Part, SequencePart
from propense.models.shape import NetworkShape

WHOLE = ("action", "source", "hour", "weekday")
NUMBERS = ("gap", "value", "valued", "count")


def draw_part(n: int, length: int, queries: int, dim: int) -> Part:
    events = {name: torch.randint(0, 3, (n, length)) for name in WHOLE}
    events |= {name: torch.randn(n, length) for name in NUMBERS}
    events["time"] = torch.rand(n, length).cumsum(dim=1)
    asked = torch.randint(0, length + 1, (n, queries))
    return Part(torch.randn(n, length, dim), events, asked, torch.rand(n, queries) + length)


@pytest.mark.parametrize("timed", [True, False])
def test_parts_together_are_read_as_each_alone(timed):
    torch.manual_seed(0)
    shape = NetworkShape(
        dim=16, n_layers=2, n_attention_heads=2, max_length=32, n_items=9, n_actions=3,
        n_sources=3, timed=timed,
    )  # fmt: skip
    network = SequencePart(shape).eval()
    sizes = ((1, 9, 2), (4, 3, 1), (2, 0, 1), (3, 5, 0))
    parts = [draw_part(n, length, queries, 16) for n, length, queries in sizes]
    for together, part in zip(network(parts), parts, strict=True):
        [alone] = network([part])
        for mine, other in zip(together, alone, strict=True):
            assert mine.shape == other.shape
            torch.testing.assert_close(mine, other)
