"""The network's graphs as modules: run by torch here, written to ONNX by `export`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from propense.inference.scorer import Arrays
from propense.models.customer import Content, CustomerNetwork, expect
from propense.schemas import Floats

EVENT_INPUTS = (
    "action", "source", "hour", "weekday", "gap", "value", "valued", "count", "time",
)  # fmt: skip


class NextItemGraph(nn.Module):
    """Events -> what each next-item head looks for after each query's last event."""

    def __init__(self, network: CustomerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, item_vectors: Tensor, query_length: Tensor, *events: Tensor
    ) -> tuple[Tensor, Tensor]:
        named = dict(zip(EVENT_INPUTS, events, strict=True))
        states, _ = self.network.read(
            item_vectors, named, query_length[:, :0], named["time"][:, :0]
        )
        last = (query_length - 1).clamp(min=0)
        asked = states.gather(1, last[..., None].expand(-1, -1, states.shape[-1]))
        wanted = self.network.seek(asked.flatten(0, 1))
        heads = self.network.next_head(asked)
        return wanted.unflatten(0, (asked.shape[0], asked.shape[1])), heads


class GoalGraph(nn.Module):
    """Events, moments and their features -> every goal's probability or expected value."""

    def __init__(self, network: CustomerNetwork) -> None:
        super().__init__()
        self.network = network

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
        _, asked = self.network.read(item_vectors, named, query_length, query_time)
        raw = self.network.answer(
            numeric.flatten(0, 1), categorical.flatten(0, 1), asked.flatten(0, 1)
        )
        answers = expect(raw, self.network.shape)
        return answers.view(numeric.shape[0], numeric.shape[1], -1)


class TableGoalGraph(nn.Module):
    """The same without events."""

    def __init__(self, network: CustomerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, numeric: Tensor, categorical: Tensor) -> Tensor:
        raw = self.network.answer(numeric.flatten(0, 1), categorical.flatten(0, 1), None)
        answers = expect(raw, self.network.shape)
        return answers.view(numeric.shape[0], numeric.shape[1], -1)


class Networks(NamedTuple):
    """One network as it was best at each graph; twice the same where there is but one."""

    goals: CustomerNetwork
    next_item: CustomerNetwork


class TorchGraphs:
    """inference.scorer.Graphs run by torch."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks

    def next_item(self, inputs: Arrays) -> tuple[Floats, Floats]:
        tensors = _tensors(inputs)
        with torch.inference_mode():
            wanted, heads = NextItemGraph(self.networks.next_item)(
                tensors["item_vectors"], tensors["query_length"],
                *(tensors[name] for name in EVENT_INPUTS),
            )  # fmt: skip
        return wanted.numpy(), heads.numpy()

    def goals(self, inputs: Arrays) -> Floats:
        tensors = _tensors(inputs)
        with torch.inference_mode():
            network = self.networks.goals
            if not network.shape.has_sequence:
                out = TableGoalGraph(network)(tensors["numeric"], tensors["categorical"])
            else:
                out = GoalGraph(network)(
                    tensors["item_vectors"], tensors["query_length"], tensors["query_time"],
                    tensors["numeric"], tensors["categorical"],
                    *(tensors[name] for name in EVENT_INPUTS),
                )  # fmt: skip
        answers: Floats = out.numpy()
        return answers


def _tensors(inputs: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}


def read_item_vectors(network: CustomerNetwork, content: Content) -> Floats:
    """(n_items, dim) vectors of the whole vocabulary; row 0 is zero."""
    if network.items is None:
        return np.zeros((network.shape.n_items, 0), np.float32)
    pieces = []
    with torch.inference_mode():
        for item in torch.arange(network.shape.n_items).split(65_536):
            pieces.append(network.items(item, content).numpy())
    vectors: Floats = np.concatenate(pieces)
    vectors[0] = 0
    return vectors
