"""The network's graphs as modules: run by torch here, written to ONNX by `export`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from propense.inference.scoring.scorer import Arrays
from propense.models.network.customer import Content, CustomerNetwork, ItemVectors
from propense.models.network.heads import expect_goals
from propense.models.network.sequence import Part
from propense.models.shape import NetworkShape
from propense.schemas import UNSEEN, Floats

EVENT_INPUTS = (
    "action", "source", "hour", "weekday", "gap", "value", "valued", "count", "time",
)  # fmt: skip


ITEM_INPUTS = ("categorical", "numeric", "text", "text_weight")

Ensemble = Sequence[CustomerNetwork]
"""Networks of one shape, trained independently; their answers are averaged."""


class NextItemGraph(nn.Module):
    """Events -> the vector that each next-item head looks for after each query's last event.

    The item vectors of an ensemble are concatenated, and so are the vectors it looks for: the dot
    product of the two is the mean of the networks' scores.
    """

    def __init__(self, networks: Ensemble) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(
        self, item_vectors: Tensor, query_length: Tensor, *events: Tensor
    ) -> tuple[Tensor, Tensor]:
        named = dict(zip(EVENT_INPUTS, events, strict=True))
        last = (query_length - 1).clamp(min=0)
        part = Part(item_vectors, named, query_length[:, :0], named["time"][:, :0])
        outputs = [
            _seek(network, part._replace(item_vectors=own), last)
            for network, own in zip(self.networks, _each(item_vectors, self.networks), strict=True)
        ]
        if len(outputs) == 1:
            return outputs[0]
        wanted, heads = zip(*outputs, strict=True)
        return torch.cat(wanted, dim=-1) / len(outputs), torch.stack(heads).mean(dim=0)


def _seek(network: nn.Module, part: Part, last: Tensor) -> tuple[Tensor, Tensor]:
    """The vector one network looks for after the events at `last`, and its logits of the heads."""
    assert isinstance(network, CustomerNetwork)
    asked = network.read_at(part, last)
    wanted = network.seek(asked.flatten(0, 1)).unflatten(0, (asked.shape[0], asked.shape[1]))
    return wanted, network.next_head(asked)


def _each(item_vectors: Tensor, networks: nn.ModuleList) -> Sequence[Tensor]:
    """The vectors of each network; a graph would copy those of the only one to cut them."""
    return [item_vectors] if len(networks) == 1 else item_vectors.chunk(len(networks), -1)


class GoalGraph(nn.Module):
    """Events, queries and their features -> every goal's probability or expected value."""

    def __init__(self, networks: Ensemble) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(
        self,
        item_vectors: Tensor,
        query_length: Tensor,
        query_time: Tensor,
        numeric: Tensor,
        categorical: Tensor,
        *events: Tensor,
    ) -> Tensor:
        named = dict(zip(EVENT_INPUTS, events, strict=True))
        rows, words = numeric.flatten(0, 1), categorical.flatten(0, 1)
        answers = []
        own = _each(item_vectors, self.networks)
        # Queries follow the events; one expression of shapes, which the exporter understands.
        positions = torch.arange(query_length.shape[1], device=query_length.device)
        positions = (positions + item_vectors.shape[1]).expand(query_length.shape[0], -1)
        for network, vectors in zip(self.networks, own, strict=True):
            assert isinstance(network, CustomerNetwork)
            asked = network.read_at(Part(vectors, named, query_length, query_time), positions)
            raw = network.answer(rows, words, asked.flatten(0, 1))
            answers.append(expect_goals(raw, network.shape))
        return torch.stack(answers).mean(dim=0).view(numeric.shape[0], numeric.shape[1], -1)


class TableGoalGraph(nn.Module):
    """The same without events; `only` one of the packed networks where that is given."""

    def __init__(self, networks: Ensemble, only: int | None = None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.only = only

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        rows, words = numeric.flatten(0, 1), categorical.flatten(0, 1)
        answers = []
        for network in self.networks:
            assert isinstance(network, CustomerNetwork)
            raw = network.answer(rows, words, None)
            if self.only is not None:
                raw = raw.chunk(network.shape.packed, dim=1)[self.only]
            answers.append(expect_goals(raw, network.shape))
        return torch.stack(answers).mean(dim=0).view(numeric.shape[0], numeric.shape[1], -1)


class ItemGraph(nn.Module):
    """Content of items without events -> the vectors that both graphs read.

    Reads those of ITEM_INPUTS that the networks have columns for. `text` (n, width) is padded
    with n-grams of weight 0. Only one set of vectors where both graphs keep the same weights.
    """

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        same = networks.goals is networks.next_item
        both = (networks.next_item,) if same else (networks.next_item, networks.goals)
        self.names = item_inputs(networks.shape)
        self.towers = nn.ModuleList(
            nn.ModuleList(_Tower(network.items) for network in ensemble) for ensemble in both
        )

    def forward(self, *content: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.names, content, strict=True))
        out = []
        for towers in self.towers:
            assert isinstance(towers, nn.ModuleList)
            out.append(torch.cat([tower(named) for tower in towers], dim=-1))
        return tuple(out)


class _Tower(nn.Module):
    """models.network.customer.ItemVectors without its table of ids: these items are unseen."""

    def __init__(self, items: ItemVectors | None) -> None:
        super().__init__()
        assert items is not None
        self.id = nn.Parameter(items.id.weight[UNSEEN].detach().clone())
        self.words, self.numbers = items.words, items.numbers
        self.text = None if items.text is None else items.text.weight

    def forward(self, content: dict[str, Tensor]) -> Tensor:
        first = next(iter(content.values()))
        out = self.id.expand(first.shape[0], -1)
        for column, table in enumerate(self.words):
            out = out + table(content["categorical"][:, column])
        if self.numbers is not None:
            out = out + self.numbers(content["numeric"])
        if self.text is not None:
            grams = functional.embedding(content["text"], self.text)
            out = out + (grams * content["text_weight"][..., None]).sum(dim=1)
        return out


def item_inputs(shape: NetworkShape) -> tuple[str, ...]:
    """The inputs of ItemGraph that the networks have columns for."""
    text = shape.text_buckets
    asked = shape.content_cardinalities, shape.n_content_numeric, text, text
    return tuple(name for name, there in zip(ITEM_INPUTS, asked, strict=True) if there)


class Networks(NamedTuple):
    """The ensemble as it was best at each graph; twice the same where there is but one."""

    goals: Ensemble
    next_item: Ensemble

    @property
    def shape(self) -> NetworkShape:
        return self.goals[0].shape


class TorchGraphs:
    """inference.scoring.scorer.Graphs run by torch.

    `only` one of the networks packed in a table's tabular part, where that is given.
    """

    def __init__(self, networks: Networks, only: int | None = None) -> None:
        self.networks = networks
        self.only = only

    def next_item(self, inputs: Arrays) -> tuple[Floats, Floats]:
        tensors = self._tensors(inputs)
        with torch.inference_mode():
            wanted, heads = NextItemGraph(self.networks.next_item)(
                tensors["item_vectors"], tensors["query_length"],
                *(tensors[name] for name in EVENT_INPUTS),
            )  # fmt: skip
        return wanted.cpu().numpy(), heads.cpu().numpy()

    def goals(self, inputs: Arrays) -> Floats:
        tensors = self._tensors(inputs)
        with torch.inference_mode():
            networks = self.networks.goals
            if not self.networks.shape.has_sequence:
                out = TableGoalGraph(networks, self.only)(
                    tensors["numeric"], tensors["categorical"]
                )
            else:
                out = GoalGraph(networks)(
                    tensors["item_vectors"], tensors["query_length"], tensors["query_time"],
                    tensors["numeric"], tensors["categorical"],
                    *(tensors[name] for name in EVENT_INPUTS),
                )  # fmt: skip
        answers: Floats = out.cpu().numpy()
        return answers

    def _tensors(self, inputs: Arrays) -> dict[str, Tensor]:
        device = next(self.networks.goals[0].parameters()).device
        return {
            name: torch.from_numpy(np.ascontiguousarray(array)).to(device)
            for name, array in inputs.items()
        }


def read_item_vectors(networks: Ensemble, content: Content) -> Floats:
    """(n_items, networks * dim) vectors of the whole vocabulary; row 0 is zero.

    Items without train events have no id vector of their own: their vector comes from content
    alone, as trained while ids were hidden, and a new item gets the vector it would have here.
    """
    shape = networks[0].shape
    if not shape.has_sequence:
        return np.zeros((shape.n_items, 0), np.float32)
    vectors = np.empty((shape.n_items, len(networks) * shape.dim), np.float32)
    with torch.inference_mode():
        for number, network in enumerate(networks):
            assert network.items is not None
            own = slice(number * shape.dim, (number + 1) * shape.dim)
            device = next(network.parameters()).device
            on_device = content.to(device)
            for item in torch.arange(shape.n_items, device=device).split(65_536):
                ids = torch.where(item < shape.n_seen, item, UNSEEN) if shape.has_content else item
                made = network.items(item, on_device, ids)
                vectors[item.cpu().numpy(), own] = made.cpu().numpy()
    vectors[0] = 0
    return vectors
