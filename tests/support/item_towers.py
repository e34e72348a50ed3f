"""Small customer networks whose items have content."""

from __future__ import annotations

import torch

from propense.models.network.customer import CustomerNetwork
from propense.models.shape import ItemHead, NetworkShape
from propense.training.graphs import Networks


def make_shape(**more: object) -> NetworkShape:
    sizes = {
        "dim": 8, "n_layers": 1, "n_attention_heads": 2, "max_length": 8, "n_items": 20,
        "n_actions": 4, "n_sources": 3, "timed": True, "n_seen": 12, "ensemble": 2,
        "item_heads": (ItemHead("buy", (2,), 1.0),), "content_cardinalities": (5, 3),
        "n_content_numeric": 2, "text_buckets": 64,
    }  # fmt: skip
    return NetworkShape(**{**sizes, **more})


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
