"""The next-item loss: a softmax over candidates, in blocks that stay in the processor's cache."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_CELLS = 1 << 19
"""Scores held at once: 2 MB of float32."""


def next_item_loss(
    wanted: Float[Tensor, "pairs dim"],
    target: Int[Tensor, " pairs"],
    vectors: Float[Tensor, "items dim"],
    candidates: Int[Tensor, " candidates"] | None = None,
    weight: Float[Tensor, " pairs"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the target among it and the candidates, times each pair's weight.

    `target` and `candidates` index `vectors`; no candidate may occur twice. Without
    candidates all vectors are (full softmax). A candidate that is a pair's own target counts
    once, as the target. Uniformly drawn candidates need no logQ correction (Bengio & Senecal
    2008).

    The gradients are computed in the same loop over the blocks as the loss, so the matrix of all
    scores never exists (as in cut cross-entropy; Wijmans et al. 2024).
    """
    if candidates is None:
        candidates = torch.arange(len(vectors), device=vectors.device)
    # Its sums run over thousands of scores, so never in less than float32.
    exact = torch.promote_types(torch.promote_types(wanted.dtype, vectors.dtype), torch.float32)
    with torch.autocast(wanted.device.type, enabled=False):
        loss = _CandidateSoftmax.apply(  # type: ignore[no-untyped-call]
            wanted.to(exact), target, vectors.to(exact), candidates, weight
        )
    return cast("Tensor", loss)


class _CandidateSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        wanted: Tensor,
        target: Tensor,
        vectors: Tensor,
        candidates: Tensor,
        weight: Tensor | None,
    ) -> Tensor:
        position_of = torch.full((len(vectors),), -1, dtype=torch.long, device=vectors.device)
        position_of[candidates] = torch.arange(len(candidates), device=vectors.device)
        own_position = position_of[target]
        offered = vectors[candidates]
        hit = vectors[target]
        positive = (wanted * hit).sum(dim=1)
        n_pairs = len(wanted)
        pull_wanted = torch.empty_like(wanted)
        pull_offered = torch.zeros_like(offered)
        pull_positive = torch.empty_like(positive)
        total = positive.new_zeros(())
        rows = max(1, BLOCK_CELLS // max(len(candidates), 1))
        for first in range(0, n_pairs, rows):
            block = slice(first, min(first + rows, n_pairs))
            among = own_position[block]
            scores = wanted[block] @ offered.T
            clash = (among >= 0).nonzero()[:, 0]
            scores[clash, among[clash]] = float("-inf")
            likely = positive[block]
            top = torch.maximum(scores.amax(dim=1), likely)
            mass = scores.sub_(top[:, None]).exp_()
            own_mass = (likely - top).exp_()
            total_mass = mass.sum(dim=1).add_(own_mass)
            loss = total_mass.log() + top - likely
            mass.div_(total_mass[:, None])
            pull = own_mass / total_mass - 1
            if weight is not None:
                loss, pull = loss * weight[block], pull * weight[block]
                mass.mul_(weight[block, None])
            total += loss.sum()
            pull_wanted[block] = mass @ offered
            pull_offered.addmm_(mass.T, wanted[block])
            pull_positive[block] = pull
        pull_wanted.addcmul_(pull_positive[:, None], hit)
        pull_vectors = torch.zeros_like(vectors)
        pull_vectors[candidates] = pull_offered
        pull_vectors.index_add_(0, target, pull_positive[:, None] * wanted)
        ctx.save_for_backward(pull_wanted, pull_vectors)
        ctx.n_pairs = max(n_pairs, 1)
        mean: Tensor = total / ctx.n_pairs
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, None, Tensor, None, None]:
        pull_wanted, pull_vectors = ctx.saved_tensors
        share = pull / ctx.n_pairs
        return pull_wanted * share, None, pull_vectors * share, None, None
