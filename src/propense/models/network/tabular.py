"""The tabular part: profile and aggregates through an ensemble of sharing networks.

Piecewise-linear numbers (Gorishniy et al. 2022) and members that share weights and differ
by sign vectors (BatchEnsemble; Wen et al. 2020; TabM, Gorishniy et al. 2024). Departs from
TabM in that the first layer is computed once and its output, not its input, is scaled per
member: the wide first product is not repeated for every member.

Several such ensembles can be packed in one part (Packed-Ensembles; Laurent et al. 2023). They
share their steps and the last bias: a step of a small table takes about twice as long for four.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from propense.models.network.dropout import Dropout
from propense.models.network.heads import count_outputs
from propense.models.shape import NetworkShape
from propense.schemas import FIRST_KNOWN


class PiecewiseLinear(nn.Module):
    """Numbers to vectors: each number's position in its bins, then a linear map of its own.

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
        column = _bin_of(value, self.edges[:, 1:-1].contiguous()) + first
        low, high = self.edges[:, :-1].reshape(-1, 1), self.edges[:, 1:].reshape(-1, 1)
        low, high = (functional.embedding(column, edge).squeeze(-1) for edge in (low, high))
        share = ((value - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        # A bin without width is a step: below it nothing, from it on all.
        share = torch.where(high - low > 1e-12, share, (value >= high).to(value.dtype))
        below = self.weight.cumsum(dim=1) - self.weight
        encoded = functional.embedding(column, below.flatten(0, 1)) + share[
            ..., None
        ] * functional.embedding(column, self.weight.flatten(0, 1))
        return torch.where(missing[..., None], self.missing, encoded) + self.bias


def _bin_of(
    value: Float[Tensor, "rows n"], inner: Float[Tensor, "n inner"]
) -> Int[Tensor, "rows n"]:
    """How many inner edges are at or below each number."""
    if torch.compiler.is_exporting():
        return (value[..., None] >= inner).sum(dim=-1)
    return torch.searchsorted(inner, value.T.contiguous(), right=True).T


class WordTables(nn.ModuleList):
    """A table of words for each column; columns of one width are looked up at once."""

    def __init__(self, cardinalities: Sequence[int], packed: int) -> None:
        widths = [width_of_words(size) for size in cardinalities]
        super().__init__(
            _word_table(size, packed * width)
            for size, width in zip(cardinalities, widths, strict=True)
        )
        self.packed = packed
        self.alike = [
            [column for column, own in enumerate(widths) if own == width]
            for width in sorted(set(widths))
        ]
        for number, columns in enumerate(self.alike):
            starts = np.cumsum([0, *(cardinalities[column] for column in columns)])[:-1]
            self.register_buffer(f"columns_{number}", torch.tensor(columns), persistent=False)
            self.register_buffer(f"starts_{number}", torch.from_numpy(starts), persistent=False)

    def forward(self, words: Int[Tensor, "rows columns"]) -> list[Float[Tensor, "rows packed _"]]:
        """Vectors side by side, in the order of `order_words`."""
        vectors_by_width = []
        for number, columns in enumerate(self.alike):
            table = torch.cat([self.get_parameter(f"{column}.weight") for column in columns])
            index = words.index_select(1, self.get_buffer(f"columns_{number}"))
            vectors = functional.embedding(index + self.get_buffer(f"starts_{number}"), table)
            vectors_by_width.append(pack(vectors, self.packed))
        return vectors_by_width


def _word_table(n_words: int, width: int) -> nn.Embedding:
    table = nn.Embedding(n_words, width)
    nn.init.normal_(table.weight, std=0.3)
    with torch.no_grad():
        # None and unseen may never occur in train: an untrained vector must not contribute.
        table.weight[:FIRST_KNOWN] = 0
    return table


def pack(vectors: Float[Tensor, "rows columns all"], packed: int) -> Float[Tensor, "rows packed _"]:
    """Every column's vector to each of the packed ensembles its own part of it."""
    out: Tensor = vectors.unflatten(2, (packed, -1)).transpose(1, 2).flatten(2)
    return out


class PackedLinear(nn.Module):
    """One weight matrix for each packed ensemble, all of whose members share it."""

    def __init__(self, n_in: int, n_out: int, packed: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(torch.empty(packed, n_in, n_out).uniform_(-bound, bound))

    def forward(
        self, hidden: Float[Tensor, "rows packed *members n_in"]
    ) -> Float[Tensor, "rows packed *members n_out"]:
        if len(self.weight) == 1:
            alone: Tensor = hidden @ self.weight[0]
            return alone
        return torch.einsum("rp...i,pio->rp...o", hidden, self.weight)


def width_of_numbers(n_numeric: int) -> int:
    """Width of one number's vector, where there are so many numbers."""
    return 16 if n_numeric <= 40 else 8


def width_of_words(n_words: int) -> int:
    """Width of a word's vector, in a column of so many words."""
    return min(16, 2 + math.ceil(math.sqrt(n_words)))


def order_words(cardinalities: Sequence[int]) -> list[int]:
    """The columns of words in the order of their vectors: the narrow first."""
    return sorted(range(len(cardinalities)), key=lambda at: width_of_words(cardinalities[at]))


class TabularPart(nn.Module):
    """A row's features and the sequence's state at its as-of time -> each goal's raw outputs.

    Output (rows, packed * members, n_outputs): the raw outputs of every goal's head, in the
    order of the goals (see models.network.heads).
    """

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        packed, members, hidden = shape.packed, shape.members, shape.hidden
        n_outputs = count_outputs(shape.goals)
        width = width_of_numbers(shape.n_numeric)
        self.packed = packed
        self.numbers = (
            PiecewiseLinear(shape.n_numeric, shape.n_bins, packed * width)
            if shape.n_numeric
            else None
        )
        self.words = WordTables(shape.cardinalities, packed)
        state = shape.dim if shape.has_sequence else 0
        n_words = sum(width_of_words(size) for size in shape.cardinalities)
        n_in = n_words + shape.n_numeric * width + state
        self.first = PackedLinear(max(n_in, 1), hidden, packed)
        self.first_scale = nn.Parameter(_signs(packed, members, hidden))
        self.first_bias = nn.Parameter(torch.zeros(packed, members, hidden))
        self.second = PackedLinear(hidden, hidden, packed)
        self.scale_in = nn.Parameter(_signs(packed, members, hidden))
        self.scale_out = nn.Parameter(_signs(packed, members, hidden))
        self.second_bias = nn.Parameter(torch.zeros(packed, members, hidden))
        bound = 1 / math.sqrt(hidden)
        out = torch.empty(packed * members, hidden, n_outputs).uniform_(-bound, bound)
        self.out = nn.Parameter(out)
        self.out_bias = nn.Parameter(torch.zeros(n_outputs))
        # One mask for all members of a row: their sign vectors keep them apart.
        self.dropout = Dropout(shape.table_dropout, shared=2)

    def forward(
        self,
        numeric: Float[Tensor, "rows n_numeric"],
        categorical: Int[Tensor, "rows n_categorical"],
        state: Float[Tensor, "rows dim"] | None,
    ) -> Float[Tensor, "rows members outputs"]:
        parts = self.words(categorical)
        if self.numbers is not None:
            parts.append(pack(self.numbers(numeric), self.packed))
        if state is not None:
            parts.append(state[:, None])
        if not parts:
            parts.append(numeric.new_ones(len(numeric), self.packed, 1))
        hidden = self.first(self.dropout(torch.cat(parts, dim=2)[:, :, None]))
        hidden = functional.relu(hidden * self.first_scale + self.first_bias)
        hidden = self.second(self.dropout(hidden) * self.scale_in)
        hidden = functional.relu(hidden * self.scale_out + self.second_bias)
        members = self.dropout(hidden).flatten(1, 2)
        return torch.einsum("rmh,mho->rmo", members, self.out) + self.out_bias


def _signs(*sizes: int) -> Tensor:
    """Random signs: members start different, and equally far apart."""
    return torch.randint(0, 2, sizes).float() * 2 - 1
