"""The tabular part: profile and aggregates through an ensemble of sharing networks.

Piecewise-linear numbers (Gorishniy et al. 2022) and members that share weights and differ
by sign vectors (BatchEnsemble; Wen et al. 2020; TabM, Gorishniy et al. 2024). Departs from
TabM in that the first layer is computed once and its output, not its input, is scaled per
member: the wide first product is not repeated for every member.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from propense.models.dropout import Dropout
from propense.models.shape import NetworkShape


class PiecewiseLinear(nn.Module):
    """Numbers to vectors: each number's place in its bins, then a linear map of its own.

    The encoding fills every bin below the number, its own in part and none above it, so its
    product with the weights is a running sum up to the bin and a share of the bin's row:
    two look-ups a number, instead of a product over all bins.
    """

    edges: Tensor

    def __init__(self, n_numeric: int, n_bins: int, width: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.zeros(n_numeric, n_bins + 1))
        bound = 1 / math.sqrt(n_bins + 1)
        self.weight = nn.Parameter(torch.empty(n_numeric, n_bins, width))
        self.missing = nn.Parameter(torch.empty(n_numeric, width))
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.missing, -bound, bound)
        self.bias = nn.Parameter(torch.zeros(n_numeric, width))

    def forward(self, numeric: Float[Tensor, "rows n"]) -> Float[Tensor, "rows n width"]:
        missing = torch.isnan(numeric)
        value = torch.where(missing, torch.zeros_like(numeric), numeric)
        n_bins = self.weight.shape[1]
        first = torch.arange(len(self.weight), device=numeric.device) * n_bins
        place = _bin_of(value, self.edges[:, 1:-1].contiguous()) + first
        low, high = self.edges[:, :-1].reshape(-1, 1), self.edges[:, 1:].reshape(-1, 1)
        low, high = (functional.embedding(place, edge).squeeze(-1) for edge in (low, high))
        share = ((value - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        # A bin without width is a step: below it nothing, from it on all.
        share = torch.where(high - low > 1e-12, share, (value >= high).to(value.dtype))
        below = self.weight.cumsum(dim=1) - self.weight
        known = functional.embedding(place, below.flatten(0, 1)) + share[
            ..., None
        ] * functional.embedding(place, self.weight.flatten(0, 1))
        return torch.where(missing[..., None], self.missing, known) + self.bias


def _bin_of(
    value: Float[Tensor, "rows n"], inner: Float[Tensor, "n inner"]
) -> Int[Tensor, "rows n"]:
    """How many inner edges lie at or below each number."""
    if torch.compiler.is_exporting():
        return (value[..., None] >= inner).sum(dim=-1)
    return torch.searchsorted(inner, value.T.contiguous(), right=True).T


def _word_table(n_words: int, width: int) -> nn.Embedding:
    table = nn.Embedding(n_words, width)
    nn.init.normal_(table.weight, std=0.3)
    return table


class MemberLinear(nn.Module):
    """One weight matrix for all members, with sign vectors of each on both sides."""

    def __init__(self, n_in: int, n_out: int, members: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out, bias=False)
        self.scale_in = nn.Parameter(_signs(members, n_in))
        self.scale_out = nn.Parameter(_signs(members, n_out))
        self.bias = nn.Parameter(torch.zeros(members, n_out))

    def forward(
        self, hidden: Float[Tensor, "rows members n_in"]
    ) -> Float[Tensor, "rows members n_out"]:
        out: Tensor = self.linear(hidden * self.scale_in) * self.scale_out + self.bias
        return out


def width_of_numbers(n_numeric: int) -> int:
    """Width of one number's vector, where there are so many numbers."""
    return 16 if n_numeric <= 40 else 8


def width_of_words(n_words: int) -> int:
    """Width of a word's vector, in a column of so many words."""
    return min(16, 2 + math.ceil(math.sqrt(n_words)))


class TabularPart(nn.Module):
    """Features of a row, and the sequence's state of the moment, to each goal's numbers.

    Output (rows, members, n_outputs): one logit a binary goal; (logit of a purchase, mean
    and log deviation of its logarithm) a value goal.
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.n_outputs = sum(3 if goal.kind == "value" else 1 for goal in shape.goals)
        width = width_of_numbers(shape.n_numeric)
        self.numbers = (
            PiecewiseLinear(shape.n_numeric, shape.n_bins, width) if shape.n_numeric else None
        )
        sizes = [width_of_words(size) for size in shape.cardinalities]
        self.words = nn.ModuleList(
            _word_table(cardinality, size)
            for cardinality, size in zip(shape.cardinalities, sizes, strict=True)
        )
        state = shape.dim if shape.has_sequence else 0
        n_in = shape.n_numeric * width + sum(sizes) + state
        self.first = nn.Linear(max(n_in, 1), shape.hidden, bias=False)
        self.first_scale = nn.Parameter(_signs(shape.members, shape.hidden))
        self.first_bias = nn.Parameter(torch.zeros(shape.members, shape.hidden))
        self.second = MemberLinear(shape.hidden, shape.hidden, shape.members)
        self.out = nn.Parameter(torch.zeros(shape.members, shape.hidden, self.n_outputs))
        bound = 1 / math.sqrt(shape.hidden)
        nn.init.uniform_(self.out, -bound, bound)
        self.out_bias = nn.Parameter(torch.zeros(self.n_outputs))
        # One mask for all members of a row: their sign vectors keep them apart.
        self.dropout = Dropout(shape.table_dropout, shared=1)

    def forward(
        self,
        numeric: Float[Tensor, "rows n_numeric"],
        categorical: Int[Tensor, "rows n_categorical"],
        state: Float[Tensor, "rows dim"] | None,
    ) -> Float[Tensor, "rows members outputs"]:
        parts = [table(categorical[:, place]) for place, table in enumerate(self.words)]
        if self.numbers is not None:
            parts.append(self.numbers(numeric).flatten(1))
        if state is not None:
            parts.append(state)
        if not parts:
            parts.append(numeric.new_ones(len(numeric), 1))
        hidden = self.first(self.dropout(torch.cat(parts, dim=1)[:, None])[:, 0])
        hidden = functional.relu(hidden[:, None] * self.first_scale + self.first_bias)
        hidden = functional.relu(self.second(self.dropout(hidden)))
        return torch.einsum("rmh,mho->rmo", self.dropout(hidden), self.out) + self.out_bias


def _signs(members: int, size: int) -> Tensor:
    """Random signs: members start different, and equally far apart."""
    return torch.randint(0, 2, (members, size)).float() * 2 - 1
