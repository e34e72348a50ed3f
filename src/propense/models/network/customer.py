"""The customer network: one trunk, many heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from propense.models.network.sequence import Part, SequencePart
from propense.models.network.tabular import TabularPart
from propense.models.shape import NetworkShape


@dataclass(frozen=True)
class Content:
    """Each item's content besides its id, as tensors over the item vocabulary."""

    categorical: Int[Tensor, "items c"]
    numeric: Float[Tensor, "items m"]
    text_offsets: Int[Tensor, " items_plus_one"]
    text: Int[Tensor, " grams"]
    text_weight: Float[Tensor, " grams"]

    def to(self, device: torch.device) -> Content:
        """On that device."""
        return Content(
            self.categorical.to(device), self.numeric.to(device),
            self.text_offsets.to(device), self.text.to(device), self.text_weight.to(device),
        )  # fmt: skip


class ItemVectors(nn.Module):
    """The id's vector plus the content's vector, so that a new item has a vector at once."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.id = _small_table(shape.n_items, shape.dim)
        self.words = nn.ModuleList(
            _small_table(size, shape.dim) for size in shape.content_cardinalities
        )
        self.numbers = (
            nn.Linear(shape.n_content_numeric, shape.dim, bias=False)
            if shape.n_content_numeric
            else None
        )
        if self.numbers is not None:
            nn.init.normal_(self.numbers.weight, std=0.02)
        self.text = (
            nn.EmbeddingBag(shape.text_buckets, shape.dim, mode="sum")
            if shape.text_buckets
            else None
        )
        if self.text is not None:
            nn.init.normal_(self.text.weight, std=0.02)

    def forward(
        self, item: Int[Tensor, " n"], content: Content, id_item: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n dim"]:
        """Vectors of items; `id_item` replaces the id (with UNSEEN only content contributes)."""
        out: Tensor = self.id(item if id_item is None else id_item)
        for column, table in enumerate(self.words):
            out = out + table(content.categorical[item, column])
        if self.numbers is not None:
            out = out + self.numbers(content.numeric[item])
        if self.text is not None:
            start = content.text_offsets[item]
            n_grams = content.text_offsets[item + 1] - start
            offsets = torch.cumsum(n_grams, 0) - n_grams
            gram = torch.arange(int(n_grams.sum()), device=item.device)
            flat = gram + torch.repeat_interleave(start - offsets, n_grams)
            out = out + self.text(content.text[flat], offsets, content.text_weight[flat])
        return out


def _small_table(n_words: int, dim: int) -> nn.Embedding:
    """An embedding that starts small, so that no word dominates before it is trained."""
    table = nn.Embedding(n_words, dim, padding_idx=0)
    nn.init.normal_(table.weight, std=0.02)
    with torch.no_grad():
        table.weight[0].zero_()
    return table


class CustomerNetwork(nn.Module):
    """Sequence part, tabular part, item vectors and the heads that read them."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.shape = shape
        self.items = ItemVectors(shape) if shape.has_sequence else None
        self.sequence = SequencePart(shape) if shape.has_sequence else None
        self.tabular = TabularPart(shape) if shape.goals else None
        if shape.n_item_heads:
            self.next_item = nn.Linear(shape.dim, shape.n_item_heads * shape.dim)
            nn.init.zeros_(self.next_item.weight)
            nn.init.zeros_(self.next_item.bias)
            self.next_head = nn.Linear(shape.dim, shape.n_item_heads)

    def read(
        self, parts: Sequence[Part]
    ) -> list[tuple[Float[Tensor, "batch length dim"], Float[Tensor, "batch queries dim"]]]:
        """States after each event, and of each query, of every part."""
        assert self.sequence is not None
        states: list[tuple[Tensor, Tensor]] = self.sequence(parts)
        return states

    def read_at(
        self, part: Part, positions: Int[Tensor, "batch asked"]
    ) -> Float[Tensor, "batch asked dim"]:
        """The same at some positions of each sequence, whose queries follow its events. Not for
        training: it applies no dropout to the tokens."""
        assert self.sequence is not None
        states: Tensor = self.sequence.at(part, positions)
        return states

    def seek(self, state: Float[Tensor, "n dim"]) -> Float[Tensor, "n heads dim"]:
        """The vector that each next-item head looks for; its dot product scores an item."""
        wanted: Tensor = self.next_item(state).unflatten(-1, (self.shape.n_item_heads, -1))
        return wanted + state[:, None, :]

    def answer(
        self,
        numeric: Float[Tensor, "rows n_numeric"],
        categorical: Int[Tensor, "rows n_categorical"],
        state: Float[Tensor, "rows dim"] | None,
    ) -> Float[Tensor, "rows members outputs"]:
        """Every member's raw numbers for every goal (see TabularPart)."""
        assert self.tabular is not None
        out: Tensor = self.tabular(numeric, categorical, state)
        return out
