"""Attention that knows how far back and how long ago, and the block around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from propense.models.dropout import Dropout

N_DISTANCES = 32
N_AGES = 24
_EXACT = 16
_FARTHEST = 512
GAIN = 4.0
"""Biases are few numbers that must move far: they learn this much faster than weights."""
_MINUTES_PER_DAY = 1440.0

Size = int | torch.SymInt
"""Of a dimension; a symbol while a graph is exported."""


def bucket_distance(distance: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Places back -> bucket: exact below 16, then logarithmic up to 512."""
    places = torch.arange(_FARTHEST + 1, device=distance.device)
    far = (places.clamp(min=_EXACT).float() / _EXACT).log2()
    far = _EXACT + (far * (N_DISTANCES - _EXACT - 1) / 5).long()
    buckets = torch.where(places < _EXACT, places, far.clamp(max=N_DISTANCES - 1)).int()
    return functional.embedding(distance.clamp(0, _FARTHEST), buckets[:, None]).squeeze(-1)


def bucket_age(days: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Days ago -> bucket: powers of two of minutes."""
    minutes = days.clamp(min=0) * _MINUTES_PER_DAY
    return (1 + minutes).log2().int().clamp(max=N_AGES - 1)


def relate(
    allowed: Bool[Tensor, "*shape"],
    distance: Int[Tensor, "*shape"],
    days: Float[Tensor, "*shape"] | None,
) -> Int[Tensor, "*shape"]:
    """Row of the bias table of each pair: by distance and, where there are times, age.

    Row 0 is "may not read".
    """
    bucket = bucket_distance(distance)
    row = bucket if days is None else bucket * N_AGES + bucket_age(days)
    return (row + 1) * allowed


class _Biases(torch.autograd.Function):
    """A look-up of few numbers by many indices; its gradient is a weighted histogram."""

    @staticmethod
    def forward(
        ctx: Any, table: Float[Tensor, "heads rows"], relation: Int[Tensor, "*shape"]
    ) -> Float[Tensor, "heads ..."]:
        flat = relation.flatten()
        ctx.save_for_backward(flat)
        ctx.n_rows = table.shape[1]
        return torch.stack([head.index_select(0, flat) for head in table]).view(
            len(table), *relation.shape
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, None]:
        (flat,) = ctx.saved_tensors
        heads = [torch.bincount(flat, head.flatten(), ctx.n_rows) for head in pull]
        return torch.stack(heads).to(pull.dtype), None


def join(parts: Sequence[Tensor]) -> Tensor:
    """One after the other along the first dimension."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def cut(whole: Tensor, sizes: Sequence[Size]) -> Sequence[Tensor]:
    """The reverse of `join`."""
    return [whole] if len(sizes) == 1 else whole.split(list(sizes))


class RelativeAttention(nn.Module):
    """Multi-head attention with learned biases for distance and age."""

    def __init__(self, dim: int, n_heads: int, timed: bool) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.scale = (dim // n_heads) ** -0.5
        self.project = nn.Linear(dim, 3 * dim, bias=False)
        self.combine = nn.Linear(dim, dim, bias=False)
        self.distance = nn.Parameter(_near_first(n_heads) / GAIN)
        self.age = nn.Parameter(torch.zeros(n_heads, N_AGES)) if timed else None

    def forward(
        self, tokens: Float[Tensor, "cells dim"], relations: Sequence[Tensor]
    ) -> Float[Tensor, "cells dim"]:
        """The tokens of all parts in a row; `relations` (batch, length, length) of each part."""
        table = self._table()
        sizes = [relation.shape[0] * relation.shape[1] for relation in relations]
        mixed = [
            self._mix(own, relation, table)
            for own, relation in zip(cut(self.project(tokens), sizes), relations, strict=True)
        ]
        combined: Tensor = self.combine(join(mixed))
        return combined

    def at(
        self,
        tokens: Float[Tensor, "cells dim"],
        own: Float[Tensor, "batch asked dim"],
        relation: Int[Tensor, "batch asked length"],
    ) -> Float[Tensor, "batch asked dim"]:
        """As `forward`, of one part and for some of its tokens alone: `own`, which read all."""
        dim = tokens.shape[-1]
        asking, read = self.project.weight.split([dim, 2 * dim])
        batch, length = relation.shape[0], relation.shape[2]
        projected = functional.linear(tokens, read).unflatten(0, (batch, length))
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).permute(2, 0, 1, 3)
            for part in (functional.linear(own, asking), *projected.chunk(2, dim=-1))
        )
        biases = self._biases(self._table(), relation)
        scores = torch.matmul(query * self.scale, key.transpose(-1, -2)) + biases
        mixed = scores.softmax(dim=-1) @ value
        combined: Tensor = self.combine(mixed.permute(1, 2, 0, 3).flatten(-2))
        return combined

    def _mix(
        self,
        projected: Float[Tensor, "cells three_dim"],
        relation: Int[Tensor, "batch length length"],
        table: Float[Tensor, "heads rows"],
    ) -> Float[Tensor, "cells dim"]:
        # Heads come first: each reads its biases as one block.
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).permute(2, 0, 1, 3)
            for part in projected.unflatten(0, relation.shape[:2]).chunk(3, dim=-1)
        )
        biases = self._biases(table, relation)
        scores = torch.matmul(query * self.scale, key.transpose(-1, -2)) + biases
        mixed: Tensor = scores.softmax(dim=-1) @ value
        return mixed.permute(1, 2, 0, 3).flatten(-2).flatten(0, 1)

    def _table(self) -> Float[Tensor, "heads rows"]:
        table = self.distance * GAIN
        if self.age is not None:
            table = (table[:, :, None] + self.age[:, None] * GAIN).flatten(1)
        never = table.new_full((self.n_heads, 1), float("-inf"))
        return torch.cat([never, table], dim=1)

    def _biases(
        self, table: Float[Tensor, "heads rows"], relation: Int[Tensor, "batch asked length"]
    ) -> Float[Tensor, "heads batch asked length"]:
        if not torch.compiler.is_exporting():
            return cast("Tensor", _Biases.apply(table, relation))  # type: ignore[no-untyped-call]
        return functional.embedding(relation, table.T).permute(3, 0, 1, 2)


def _near_first(n_heads: int) -> Float[Tensor, "heads distances"]:
    """Where biases start: the first head looks near, each next one four times as far.

    A linear penalty on distance (ALiBi; Press et al. 2022); training bends it as it likes.
    """
    bucket = torch.arange(N_DISTANCES).float()
    far = _EXACT * 2 ** ((bucket - _EXACT) * 5 / (N_DISTANCES - _EXACT - 1))
    places = torch.where(bucket < _EXACT, bucket, far)
    slopes = 4.0 ** -torch.arange(1, n_heads + 1).float() * 2
    return -slopes[:, None] * places


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
        self.dropout = Dropout(dropout)

    def forward(
        self, tokens: Float[Tensor, "cells dim"], relations: Sequence[Tensor]
    ) -> Float[Tensor, "cells dim"]:
        """As of RelativeAttention."""
        return self._feed(tokens, self.attention(self.norm_attention(tokens), relations))

    def at(
        self,
        tokens: Float[Tensor, "cells dim"],
        relation: Int[Tensor, "batch length length"],
        places: Int[Tensor, "batch asked"],
    ) -> Float[Tensor, "batch asked dim"]:
        """As `forward`, of one part, at some places of each sequence alone."""
        batch, length = relation.shape[0], relation.shape[2]
        across = places[..., None]
        normed = self.norm_attention(tokens)
        own, asking = (
            each.unflatten(0, (batch, length)).gather(1, across.expand(-1, -1, each.shape[-1]))
            for each in (tokens, normed)
        )
        reads = relation.gather(1, across.expand(-1, -1, length))
        return self._feed(own, self.attention.at(normed, asking, reads))

    def _feed(
        self, tokens: Float[Tensor, "*shape dim"], attended: Float[Tensor, "*shape dim"]
    ) -> Float[Tensor, "*shape dim"]:
        tokens = tokens + self.dropout(attended)
        gate, content = self.expand(self.norm_forward(tokens)).chunk(2, dim=-1)
        out: Tensor = tokens + self.dropout(self.contract(functional.silu(gate) * content))
        return out
