"""Attention that knows how far back and how long ago, and the block around it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

N_DISTANCES = 32
N_AGES = 24
_EXACT = 16
_FARTHEST = 512
GAIN = 4.0
"""Biases are few numbers that must move far: they learn this much faster than weights."""
_MINUTES_PER_DAY = 1440.0


def bucket_distance(distance: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Places back -> bucket: exact below 16, then logarithmic up to 512."""
    places = torch.arange(_FARTHEST + 1, device=distance.device)
    far = (places.clamp(min=_EXACT).float() / _EXACT).log2()
    far = _EXACT + (far * (N_DISTANCES - _EXACT - 1) / 5).long()
    buckets = torch.where(places < _EXACT, places, far.clamp(max=N_DISTANCES - 1))
    return buckets[distance.clamp(0, _FARTHEST)]


def bucket_age(days: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Days ago -> bucket: powers of two of minutes."""
    minutes = days.clamp(min=0) * _MINUTES_PER_DAY
    return (1 + minutes).log2().long().clamp(max=N_AGES - 1)


def relate(
    distance: Int[Tensor, "*shape"], days: Float[Tensor, "*shape"] | None
) -> Int[Tensor, "*shape"]:
    """One number for a distance and, where there are times, an age: row of the bias table."""
    bucket = bucket_distance(distance)
    return bucket if days is None else bucket * N_AGES + bucket_age(days)


class RelativeAttention(nn.Module):
    """Multi-head attention with learned biases for distance and age; the caller masks."""

    def __init__(self, dim: int, n_heads: int, timed: bool) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.scale = (dim // n_heads) ** -0.5
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.combine = nn.Linear(dim, dim, bias=False)
        self.distance = nn.Parameter(_near_first(n_heads) / GAIN)
        self.age = nn.Parameter(torch.zeros(N_AGES, n_heads)) if timed else None

    def forward(
        self,
        tokens: Float[Tensor, "batch length dim"],
        allowed: Bool[Tensor, "batch length length"],
        relation: Int[Tensor, "batch length length"],
    ) -> Float[Tensor, "batch length dim"]:
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in self.project(tokens).chunk(3, dim=-1)
        )
        table = self.distance * GAIN
        if self.age is not None:
            table = (table[:, None] + self.age * GAIN).flatten(0, 1)
        bias = functional.embedding(relation, table)
        bias = bias.masked_fill(~allowed[..., None], float("-inf")).permute(0, 3, 1, 2)
        scores = query @ key.transpose(-1, -2) * self.scale + bias
        mixed = scores.softmax(dim=-1) @ value
        combined: Tensor = self.combine(mixed.transpose(1, 2).flatten(-2))
        return combined


def _near_first(n_heads: int) -> Float[Tensor, "distances heads"]:
    """Where biases start: the first head looks near, each next one four times as far.

    A linear penalty on distance (ALiBi; Press et al. 2022); training bends it as it likes.
    """
    bucket = torch.arange(N_DISTANCES).float()
    far = _EXACT * 2 ** ((bucket - _EXACT) * 5 / (N_DISTANCES - _EXACT - 1))
    places = torch.where(bucket < _EXACT, bucket, far)
    slopes = 4.0 ** -torch.arange(1, n_heads + 1).float() * 2
    return -places[:, None] * slopes


class Block(nn.Module):
    """Pre-norm attention, then a gated feed-forward (SwiGLU; Shazeer 2020)."""

    def __init__(self, dim: int, n_heads: int, timed: bool, dropout: float) -> None:
        super().__init__()
        hidden = 2 * dim
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = RelativeAttention(dim, n_heads, timed)
        self.norm_forward = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * hidden, bias=False)
        self.contract = nn.Linear(hidden, dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        tokens: Float[Tensor, "batch length dim"],
        allowed: Bool[Tensor, "batch length length"],
        relation: Int[Tensor, "batch length length"],
    ) -> Float[Tensor, "batch length dim"]:
        attended = self.attention(self.norm_attention(tokens), allowed, relation)
        tokens = tokens + self.dropout(attended)
        gate, content = self.expand(self.norm_forward(tokens)).chunk(2, dim=-1)
        out: Tensor = tokens + self.dropout(self.contract(functional.silu(gate) * content))
        return out
