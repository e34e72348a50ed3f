"""Parts of unlike length read in one go are read as each alone, and so are some places alone."""

from __future__ import annotations

import pytest
import torch

from propense.models.network.layers import relate
from propense.models.network.sequence import Part, SequencePart
from propense.models.shape import NetworkShape

WHOLE = ("action", "source", "hour", "weekday")
NUMBERS = ("gap", "value", "valued", "count")


def draw_part(n: int, length: int, queries: int, dim: int) -> Part:
    events = {name: torch.randint(0, 3, (n, length)) for name in WHOLE}
    events |= {name: torch.randn(n, length) for name in NUMBERS}
    events["time"] = torch.rand(n, length).cumsum(dim=1)
    asked = torch.randint(0, length + 1, (n, queries))
    return Part(torch.randn(n, length, dim), events, asked, torch.rand(n, queries) + length)


def make_network(timed: bool, n_layers: int = 2) -> SequencePart:
    torch.manual_seed(0)
    shape = NetworkShape(
        dim=16, n_layers=n_layers, n_attention_heads=2, max_length=32, n_items=9, n_actions=3,
        n_sources=3, timed=timed,
    )  # fmt: skip
    return SequencePart(shape).eval()


@pytest.mark.parametrize("timed", [True, False])
def test_parts_together_are_read_as_each_alone(timed):
    network = make_network(timed)
    sizes = ((1, 9, 2), (4, 3, 1), (2, 0, 1), (3, 5, 0))
    parts = [draw_part(n, length, queries, 16) for n, length, queries in sizes]
    for together, part in zip(network(parts), parts, strict=True):
        [alone] = network([part])
        for own, other in zip(together, alone, strict=True):
            assert own.shape == other.shape
            torch.testing.assert_close(own, other)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize("timed", [True, False])
def test_states_at_some_positions_are_those_of_all(timed, n_layers):
    network = make_network(timed, n_layers)
    for n, length, queries in ((1, 9, 2), (4, 3, 1), (2, 0, 3), (3, 5, 0)):
        part = draw_part(n, length, queries, 16)
        whole = torch.cat(network([part])[0], dim=1)
        positions = torch.randint(0, length + queries, (n, 4))
        expected = whole.gather(1, positions[..., None].expand(-1, -1, 16))
        torch.testing.assert_close(network.at(part, positions), expected)


def plain_relation(part: Part, timed: bool) -> torch.Tensor:
    """Pair by pair, as the docstring says it."""
    time = torch.cat([part.events["time"], part.query_time], dim=1)
    n, length = part.events["time"].shape
    total = time.shape[1]
    out = torch.zeros(n, total, total, dtype=torch.int)
    for row in range(n):
        for reader in range(total):
            position = int(part.query_length[row, reader - length]) if reader >= length else reader
            for read in range(total):
                before = read < min(position, length) if reader >= length else read <= reader
                if (read < length and before) or read == reader:
                    back = torch.tensor(0 if read == reader else position - read)
                    days = time[row, reader] - time[row, read] if timed else None
                    out[row, reader, read] = relate(torch.tensor(True), back, days)
    return out


@pytest.mark.parametrize("timed", [True, False])
def test_relations_are_those_of_a_loop_over_pairs(timed):
    network = make_network(timed)
    for n, length, queries in ((2, 7, 2), (1, 0, 2), (3, 5, 0)):
        part = draw_part(n, length, queries, 16)
        result = network._relate(part)
        assert result.tolist() == plain_relation(part, timed).tolist()
