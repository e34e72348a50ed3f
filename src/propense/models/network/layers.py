"""Attention with biases for distance and age, and the transformer block around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from propense.models.network.dropout import Dropout

N_DISTANCES = 32
N_AGES = 24
_EXACT = 16
_FARTHEST = 512
GAIN = 4.0
"""Biases are few numbers that must move far: they learn this much faster than weights."""
_MINUTES_PER_DAY = 1440.0

Size = int | torch.SymInt
"""Size of a dimension; a symbol while a graph is exported."""


def index_type() -> torch.dtype:
    """Type of the bias table's row indices: int in training, long in a graph, as gather needs."""
    return torch.long if torch.compiler.is_exporting() else torch.int


def bucket_distance(distance: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Positions back -> bucket: exact below 16, then logarithmic up to 512."""
    positions = torch.arange(_FARTHEST + 1, device=distance.device)
    far = (positions.clamp(min=_EXACT).float() / _EXACT).log2()
    far = _EXACT + (far * (N_DISTANCES - _EXACT - 1) / 5).long()
    buckets = torch.where(positions < _EXACT, positions, far.clamp(max=N_DISTANCES - 1)).to(
        index_type()
    )
    return functional.embedding(distance.clamp(0, _FARTHEST), buckets[:, None]).squeeze(-1)


def bucket_age(
    days: Float[Tensor, "*shape"], allowed: Tensor | None = None
) -> Int[Tensor, "*shape"]:
    """Days ago -> bucket: powers of two of minutes; 0 where `allowed` is."""
    minutes = days.clamp(min=0) * _MINUTES_PER_DAY
    age = (1 + minutes).log2().clamp(max=N_AGES - 1)
    return (age if allowed is None else age * allowed).to(index_type())


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


def relate_events(length: int, timed: bool) -> Int[Tensor, "length length"]:
    """The result of `relate` for events 0..length-1 that happened at one time.

    Each reads itself and those before it:

    >>> relate_events(3, timed=False).tolist()
    [[1, 0, 0], [2, 1, 0], [3, 2, 1]]
    """
    position = torch.arange(length)
    back = position[:, None] - position[None, :]
    return relate(back >= 0, back, torch.zeros(length, length) if timed else None)


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


def project_parts(
    tokens: Float[Tensor, "*shape dim"], weight: Float[Tensor, "all dim"], n_parts: int
) -> Sequence[Tensor]:
    """The equal parts of a projection: one product in training, and one each in a graph, where
    cutting is copying."""
    if torch.compiler.is_exporting():
        return [functional.linear(tokens, part) for part in weight.chunk(n_parts)]
    return functional.linear(tokens, weight).chunk(n_parts, dim=-1)


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
        parts = zip(*(cut(each, sizes) for each in self._project(tokens)), strict=True)
        mixed = [
            self._mix([each.unflatten(0, relation.shape[:2]) for each in own], relation, table)
            for own, relation in zip(parts, relations, strict=True)
        ]
        combined: Tensor = self.combine(join([each.flatten(0, 1) for each in mixed]))
        return combined

    def whole(
        self,
        tokens: Float[Tensor, "batch length dim"],
        relation: Int[Tensor, "batch length length"],
    ) -> Float[Tensor, "batch length dim"]:
        """As `forward`, of one part."""
        combined: Tensor = self.combine(self._mix(self._project(tokens), relation, self._table()))
        return combined

    def at(
        self,
        tokens: Float[Tensor, "batch length dim"],
        own: Float[Tensor, "batch asked dim"],
        relation: Int[Tensor, "batch asked length"],
    ) -> Float[Tensor, "batch asked dim"]:
        """As `whole`, for some of the tokens alone: `own`, which read all."""
        # A query is mapped into the space of tokens, and its mixture of tokens back out of it, so
        # that the tokens need neither keys nor values of their own.
        asking, to_key, to_value = (
            part.unflatten(0, (self.n_heads, -1)) for part in self.project.weight.chunk(3)
        )
        out = self.combine.weight.unflatten(1, (self.n_heads, -1)).transpose(0, 1)
        carry_in = (to_key.transpose(1, 2) @ (asking * self.scale)).flatten(0, 1)
        carry_out = (out @ to_value).transpose(0, 1).flatten(1)
        batch, _, dim = tokens.shape
        sought = functional.linear(own, carry_in).reshape(batch, -1, dim)
        biases = self._biases(self._table(), relation, heads_at=2)
        scores = sought @ tokens.transpose(1, 2) + biases.flatten(1, 2)
        mixed = scores.softmax(dim=-1) @ tokens
        return functional.linear(mixed.reshape(batch, -1, self.n_heads * dim), carry_out)

    def _project(self, tokens: Float[Tensor, "*shape dim"]) -> Sequence[Tensor]:
        """Queries, already scaled, keys and values; each as wide as the tokens."""
        asking, read = self.project.weight.tensor_split([tokens.shape[-1]])
        return project_parts(tokens, torch.cat([asking * self.scale, read]), 3)

    def _mix(
        self,
        projected: Sequence[Tensor],
        relation: Int[Tensor, "batch length length"],
        table: Float[Tensor, "heads rows"],
    ) -> Float[Tensor, "batch length dim"]:
        """`projected` are (batch, length, dim) each."""
        if torch.compiler.is_exporting():
            query, key, value = projected
            exported: Tensor = torch.onnx.ops.attention(
                query, key, value, self._biases(table, relation, heads_at=1), scale=1.0,
                q_num_heads=self.n_heads, kv_num_heads=self.n_heads,
            )[0]  # fmt: skip
            return exported
        # Heads come first: each reads its biases as one block.
        query, key, value = (
            part.unflatten(-1, (self.n_heads, -1)).permute(2, 0, 1, 3) for part in projected
        )
        scores = query @ key.transpose(-1, -2) + self._biases(table, relation, heads_at=0)
        mixed: Tensor = scores.softmax(dim=-1) @ value
        return mixed.permute(1, 2, 0, 3).flatten(-2)

    def _table(self) -> Float[Tensor, "heads rows"]:
        table = self.distance * GAIN
        if self.age is not None:
            table = (table[:, :, None] + self.age[:, None] * GAIN).flatten(1)
        never = table.new_full((self.n_heads, 1), float("-inf"))
        return torch.cat([never, table], dim=1)

    def _biases(
        self,
        table: Float[Tensor, "heads rows"],
        relation: Int[Tensor, "batch asked length"],
        heads_at: int,
    ) -> Tensor:
        """(batch, asked, length) with a dimension for the heads at `heads_at`."""
        if not torch.compiler.is_exporting():
            biases: Tensor = _Biases.apply(table, relation)  # type: ignore[no-untyped-call]
            return biases.movedim(0, heads_at)
        across = torch.arange(self.n_heads).view(-1, *[1] * (3 - heads_at))
        rows = relation.unsqueeze(heads_at) + across * table.shape[1]
        return table.flatten().gather(0, rows.flatten()).view(rows.shape)


def _near_first(n_heads: int) -> Float[Tensor, "heads distances"]:
    """Where biases start: the first head looks near, each next one four times as far.

    A linear penalty on distance (ALiBi; Press et al. 2022); training bends it as it likes.
    """
    bucket = torch.arange(N_DISTANCES).float()
    far = _EXACT * 2 ** ((bucket - _EXACT) * 5 / (N_DISTANCES - _EXACT - 1))
    positions = torch.where(bucket < _EXACT, bucket, far)
    slopes = 4.0 ** -torch.arange(1, n_heads + 1).float() * 2
    return -slopes[:, None] * positions


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
        """As in RelativeAttention."""
        return self._feed(tokens, self.attention(self.norm_attention(tokens), relations))

    def whole(
        self,
        tokens: Float[Tensor, "batch length dim"],
        relation: Int[Tensor, "batch length length"],
    ) -> Float[Tensor, "batch length dim"]:
        """As in RelativeAttention."""
        return self._feed(tokens, self.attention.whole(self.norm_attention(tokens), relation))

    def at(
        self,
        tokens: Float[Tensor, "batch length dim"],
        relation: Int[Tensor, "batch length length"],
        positions: Int[Tensor, "batch asked"],
    ) -> Float[Tensor, "batch asked dim"]:
        """As `whole`, at some positions of each sequence alone."""
        across = positions[..., None]
        own = tokens.gather(1, across.expand(-1, -1, tokens.shape[-1]))
        reads = relation.gather(1, across.expand(-1, -1, relation.shape[-1]))
        read, asking = self.norm_attention(tokens), self.norm_attention(own)
        return self._feed(own, self.attention.at(read, asking, reads))

    def _feed(
        self, tokens: Float[Tensor, "*shape dim"], attended: Float[Tensor, "*shape dim"]
    ) -> Float[Tensor, "*shape dim"]:
        tokens = tokens + self.dropout(attended)
        gate, content = project_parts(self.norm_forward(tokens), self.expand.weight, 2)
        out: Tensor = tokens + self.dropout(self.contract(functional.silu(gate) * content))
        return out
