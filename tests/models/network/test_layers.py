"""Fast forms of the network's small parts beside their plain twins."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from propense.models.network import layers, tabular
from propense.models.network.dropout import Dropout
from propense.models.network.layers import (
    N_AGES,
    RelativeAttention,
    bucket_age,
    bucket_distance,
    relate,
)


def plain_biases(table, relation):
    """The look-up as PyTorch has it."""
    return functional.embedding(relation, table.T).permute(3, 0, 1, 2)


@given(st.integers(0, 2**31 - 1), st.integers(1, 4), st.integers(1, 9))
def test_biases_and_their_gradient_are_those_of_the_plain_look_up(seed, n_heads, length):
    random = torch.Generator().manual_seed(seed)
    table = torch.randn(n_heads, 13, generator=random)
    relation = torch.randint(13, (3, length, length), generator=random, dtype=torch.int32)
    pull = torch.randn(n_heads, 3, length, length, generator=random)
    result = []
    for look_up in (plain_biases, layers._Biases.apply):
        leaf = table.clone().requires_grad_()
        out = look_up(leaf, relation)
        out.backward(pull)
        result.append((out.detach(), leaf.grad))
    for one, other in zip(*result, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_row_of_the_bias_table_by_distance_and_age():
    distance = torch.tensor([[0, 3, -2]])
    days = torch.tensor([[0.0, 1.0, 2.0]])
    allowed = torch.tensor([[True, True, False]])
    a_day = int(bucket_age(torch.tensor(1.0)))
    assert a_day == 10  # 1,441 minutes lie in [2 ** 10, 2 ** 11)
    assert relate(allowed, distance, days).tolist() == [[1, 3 * N_AGES + a_day + 1, 0]]
    assert relate(allowed, distance, None).tolist() == [[1, 4, 0]]


def test_buckets_are_exact_near_and_grow_far():
    distance = torch.arange(600)
    bucket = bucket_distance(distance)
    assert bucket[:16].tolist() == list(range(16))
    assert (bucket.diff() >= 0).all() and int(bucket.max()) == 31


def test_what_may_not_be_read_changes_nothing():
    torch.manual_seed(0)
    attention = RelativeAttention(8, 2, timed=False).eval()
    tokens = torch.randn(4, 8)
    allowed = torch.ones(1, 4, 4, dtype=torch.bool).tril()
    back = torch.arange(4)[:, None] - torch.arange(4)[None, :]
    relation = relate(allowed, back[None].int(), None)
    before = attention(tokens, [relation])
    tokens[3] = 100.0
    torch.testing.assert_close(attention(tokens, [relation])[:3], before[:3])


@pytest.mark.parametrize("shared", [None, 1])
def test_dropout_keeps_the_mean_and_shares_masks_where_asked(shared):
    torch.manual_seed(0)
    dropout = Dropout(0.3, shared=shared)
    hidden = torch.ones(400, 6, 50)
    out = dropout(hidden)
    dropped = (out == 0).float().mean()
    assert dropped == pytest.approx(77 / 256, abs=0.02)
    assert out.mean() == pytest.approx(1.0, abs=0.03)
    same = (out == out[:, :1]).all()
    assert bool(same) is (shared == 1)
    assert torch.equal(dropout.eval()(hidden), hidden)
    assert torch.equal(Dropout(0.0)(hidden), hidden)


def test_bins_by_search_are_those_by_comparison():
    inner = torch.tensor([[0.0, 1.0, 1.0, 2.0], [-1.0, 0.0, 5.0, 9.0]])
    value = torch.tensor([[-1.0, 5.0], [0.0, -1.0], [1.0, 0.5], [9.0, 9.0]])
    compared = (value[..., None] >= inner).sum(dim=-1)
    assert torch.equal(tabular._bin_of(value, inner), compared)
