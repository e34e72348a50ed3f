"""The blocked softmax beside its plain twin."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from propense.training import sampled_softmax
from propense.training.sampled_softmax import next_item_loss


def plain(wanted, target, vectors, candidates, weight=None):
    """Every score of every pair at once."""
    positive = (wanted * vectors[target]).sum(dim=1, keepdim=True)
    others = wanted @ vectors[candidates].T
    others = others.masked_fill(target[:, None] == candidates[None, :], float("-inf"))
    scores = torch.cat([positive, others], dim=1)
    first = torch.zeros(len(target), dtype=torch.long)
    losses = functional.cross_entropy(scores, first, reduction="none")
    return (losses if weight is None else losses * weight).mean()


@given(
    n_pairs=st.integers(1, 40),
    n_items=st.integers(2, 30),
    n_candidates=st.integers(1, 30),
    block=st.integers(1, 200),
    seed=st.integers(0, 2**31 - 1),
    loud=st.sampled_from([0.1, 1.0, 60.0]),
    weighted=st.booleans(),
)
def test_loss_and_gradients_are_those_of_the_plain_form(
    n_pairs, n_items, n_candidates, block, seed, loud, weighted
):
    random = torch.Generator().manual_seed(seed)
    wanted = torch.randn(n_pairs, 5, generator=random, dtype=torch.double) * loud
    vectors = torch.randn(n_items, 5, generator=random, dtype=torch.double)
    target = torch.randint(n_items, (n_pairs,), generator=random)
    candidates = torch.randperm(n_items, generator=random)[:n_candidates]
    weight = torch.rand(n_pairs, generator=random, dtype=torch.double) if weighted else None
    loss_value = []
    for loss in (plain, next_item_loss):
        a, b = wanted.clone().requires_grad_(), vectors.clone().requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sampled_softmax, "BLOCK_CELLS", block)
            value = loss(a, target, b, candidates, weight)
        (value * 3).backward()
        loss_value.append((value.detach(), a.grad, b.grad))
    for one, other in zip(*loss_value, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_without_candidates_every_item_is_one():
    wanted, vectors = torch.randn(7, 4), torch.randn(9, 4)
    target = torch.tensor([0, 8, 3, 3, 1, 2, 5])
    expected = functional.cross_entropy(wanted @ vectors.T, target)
    torch.testing.assert_close(next_item_loss(wanted, target, vectors), expected)
