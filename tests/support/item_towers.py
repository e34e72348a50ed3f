"""Small customer networks whose items have content."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from propense.export.onnx import export_graphs
from propense.models.network.customer import CustomerNetwork
from propense.models.shape import ItemHead, NetworkShape
from propense.training.graphs import Networks
from support.made_once import made_once


def make_shape(**more: object) -> NetworkShape:
    sizes = {
        "dim": 8, "n_layers": 1, "n_attention_heads": 2, "max_length": 8, "n_items": 20,
        "n_actions": 4, "n_sources": 3, "timed": True, "n_seen": 12, "ensemble": 2,
        "item_heads": (ItemHead("buy", (2,), 1.0),), "content_cardinalities": (5, 3),
        "n_content_numeric": 2, "text_buckets": 64,
    }  # fmt: skip
    return NetworkShape(**{**sizes, **more})


def exported_shape() -> NetworkShape:
    """Every kind of content, two items that are not in train."""
    return make_shape(n_items=8, n_seen=6, content_cardinalities=(5,), n_content_numeric=1)


def exported_networks(factory: pytest.TempPathFactory) -> Path:
    """A folder with the graphs of `make_networks(exported_shape())`; nobody may change it."""
    return made_once(
        "item-towers",
        lambda folder: export_graphs(make_networks(exported_shape()), folder),
        factory,
    )


def make_networks(shape: NetworkShape, separate: bool = True) -> Networks:
    torch.manual_seed(0)
    ensembles = []
    for _ in range(2 if separate else 1):
        networks = [CustomerNetwork(shape).eval() for _ in range(shape.ensemble)]
        for network in networks:
            for parameter in network.items.parameters():
                torch.nn.init.normal_(parameter)
        ensembles.append(networks)
    return Networks(ensembles[0], ensembles[-1])
