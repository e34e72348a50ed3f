"""The tabular part beside its plain twin: one look-up a column, one network after the other."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from propense.models.network.tabular import TabularPart, WordTables, order_words, width_of_words
from propense.models.shape import NetworkShape
from propense.schemas import GoalPlan

CARDINALITIES = (40, 3, 4, 400, 5, 3)
SHAPE = NetworkShape(
    dim=0, n_layers=0, n_attention_heads=0, max_length=0, n_items=0, n_actions=0, n_sources=0,
    timed=False, n_numeric=2, n_bins=3, cardinalities=CARDINALITIES, hidden=8, members=3,
    goals=(GoalPlan("pay", "binary", 60), GoalPlan("spend", "value", 60)), table_dropout=0.0,
)  # fmt: skip


def rows(n: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    numeric = rng.normal(size=(n, 2)).astype(np.float32)
    numeric[0, 1] = np.nan
    words = np.stack([rng.integers(0, size, n) for size in CARDINALITIES], axis=1)
    return torch.from_numpy(numeric), torch.from_numpy(words)


def make(shape: NetworkShape) -> TabularPart:
    torch.manual_seed(0)
    part = TabularPart(shape)
    part.numbers.edges.copy_(torch.tensor([[-2.0, -0.5, 0.5, 2.0], [-1.0, 0.0, 1.0, 3.0]]))
    for parameter in part.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return part


def test_columns_of_one_width_are_looked_up_at_once_as_one_by_one():
    tables = WordTables(CARDINALITIES, packed=1)
    _, words = rows()
    plain = [tables[column](words[:, column]) for column in order_words(CARDINALITIES)]
    assert torch.equal(torch.cat(tables(words), dim=2)[:, 0], torch.cat(plain, dim=1))
    widths = [width_of_words(CARDINALITIES[column]) for column in order_words(CARDINALITIES)]
    assert widths == sorted(widths) and len(tables(words)) == len(set(widths)) < len(words[0])


def test_untrained_words_have_a_vector_of_zeros():
    for table in WordTables(CARDINALITIES, packed=2):
        assert not table.weight[:2].any() and table.weight[2:].any(dim=1).all()


@pytest.mark.parametrize("packed", [2, 4])
def test_packed_ensembles_answer_as_each_alone(packed):
    together = make(msgspec.structs.replace(SHAPE, packed=packed))
    numeric, words = rows()
    answers = together(numeric, words, None)
    assert answers.shape == (7, packed * SHAPE.members, 4)
    for number in range(packed):
        alone = make(SHAPE)
        own = {
            name: part_of(name, tensor, number, packed)
            for name, tensor in together.state_dict().items()
        }
        alone.load_state_dict(own)
        own = slice(number * SHAPE.members, (number + 1) * SHAPE.members)
        assert torch.allclose(alone(numeric, words, None), answers[:, own], atol=1e-5)


def part_of(name: str, tensor: torch.Tensor, number: int, packed: int) -> torch.Tensor:
    """Of a packed parameter what belongs to one of the ensembles."""
    if name in ("numbers.edges", "out_bias"):
        return tensor
    if name.startswith(("words.", "numbers.")):
        return tensor.chunk(packed, dim=-1)[number]
    return tensor.chunk(packed, dim=0)[number]


def test_packed_ensembles_train_independently():
    """What one is taught leaves the others where they were."""
    together = make(msgspec.structs.replace(SHAPE, packed=2))
    numeric, words = rows()
    together(numeric, words, None)[:, : SHAPE.members].sum().backward()
    for name, parameter in together.named_parameters():
        if name != "out_bias":
            assert not part_of(name, parameter.grad, 1, 2).any(), name
            assert part_of(name, parameter.grad, 0, 2).any(), name
