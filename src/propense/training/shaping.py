"""The network's shape, from the size dial and what the encoder saw."""

from __future__ import annotations

import numpy as np
import torch

from propense.encoding.dataset import Dataset
from propense.encoding.design import padded_edges
from propense.encoding.items import ItemContent
from propense.models.network.customer import Content, CustomerNetwork
from propense.models.shape import (
    DIALS,
    ItemHead,
    NetworkShape,
    derive_dropout,
    derive_table,
)
from propense.schemas import FIRST_KNOWN, Ints
from propense.settings import Recommend, Settings

MAX_HEADS = 4
"""Positive actions with a head of their own; rarer ones share the last."""


def derive_shape(
    dataset: Dataset, settings: Settings, like: NetworkShape | None = None
) -> NetworkShape:
    """Every size of the network for this data; sizes that depend on its amount are as in `like`."""
    encoder, content, histories = dataset.encoder, dataset.content, dataset.histories
    dial = DIALS[settings.model.size]
    sequence = histories.n_events > 0
    heads = plan_heads(dataset, settings.recommend) if sequence else ()
    goals = tuple(dataset.plan.goals)
    n_rows = int((dataset.rows.part == 0).sum())
    n_train_events = int((dataset.train_end - histories.offsets[:-1]).sum())
    n_examples = max(n_train_events if heads else 0, n_rows)
    n_items = content.n_seen if heads else 0
    n_networks = settings.model.count_networks(n_examples, table=not sequence, n_items=n_items)
    ensemble, packed = (n_networks, 1) if sequence else (1, n_networks)
    hidden, members, table_dropout = derive_table(n_rows, n_networks)
    dropout = _or(settings.model.dropout, derive_dropout(n_train_events, content.n_seen))
    table_dropout = _or(settings.model.table_dropout, table_dropout)
    if like is not None:
        hidden, members = like.hidden, like.members
        ensemble, packed = like.ensemble, like.packed
        dropout, table_dropout = like.dropout, like.table_dropout
    edges = padded_edges(encoder.bins) if goals else np.zeros((0, 1), np.float32)
    return NetworkShape(
        dim=dial.dim,
        n_layers=dial.n_layers,
        n_attention_heads=dial.n_attention_heads,
        max_length=dial.max_length if sequence else 0,
        n_items=content.n_items,
        n_seen=count_seen(dataset),
        n_actions=encoder.actions.size,
        n_sources=encoder.sources.size,
        timed=histories.timed and sequence,
        item_heads=heads,
        content_cardinalities=tuple(content.cardinalities) if sequence else (),
        n_content_numeric=content.numeric.shape[1] if sequence else 0,
        text_buckets=content.text_buckets if sequence else 0,
        n_numeric=len(edges) if goals else 0,
        n_bins=edges.shape[1] - 1 if goals else 0,
        cardinalities=tuple(encoder.cardinalities) if goals else (),
        goals=goals,
        hidden=hidden,
        members=members,
        dropout=dropout,
        table_dropout=table_dropout,
        ensemble=ensemble,
        packed=packed,
    )


def _or(value: float | None, derived: float) -> float:
    return derived if value is None else value


def count_seen(dataset: Dataset) -> int:
    """Item indices below this may occur among the train events.

    It is the encoder's bound, raised where a refreshed network also reads later events: items
    that the encoder knew from the catalogue alone may have events by now.
    """
    histories = dataset.histories
    position = np.arange(histories.n_events) - np.repeat(
        histories.offsets[:-1], np.diff(histories.offsets)
    )
    inside = position < np.repeat(
        dataset.train_end - histories.offsets[:-1], np.diff(histories.offsets)
    )
    return max(dataset.content.n_seen, int(histories.item[inside].max(initial=0)) + 1)


def plan_heads(dataset: Dataset, recommend: Recommend | None) -> tuple[ItemHead, ...]:
    """A head for each positive action, one more for all other actions that name an item."""
    histories, actions = dataset.histories, dataset.encoder.actions
    named = histories.item >= FIRST_KNOWN
    if not named.any():
        return ()
    counts = np.bincount(histories.action[named], minlength=actions.size)
    present = [action for action in np.argsort(-counts) if counts[action] and action >= FIRST_KNOWN]
    wanted = set(recommend.positive) if recommend and recommend.positive else None
    positive = [a for a in present if wanted is None or actions.word(int(a)) in wanted]
    others = tuple(int(a) for a in present if a not in positive)
    weights = dict(recommend.weights) if recommend else {}
    heads: list[ItemHead] = []
    for position, action in enumerate(positive):
        word = actions.word(int(action))
        if position >= MAX_HEADS:
            last = heads[-1]
            heads[-1] = ItemHead(f"{last.name}+{word}", (*last.actions, int(action)), last.weight)
        else:
            heads.append(ItemHead(word, (int(action),), weights.get(word, 1.0)))
    if others:
        heads.append(ItemHead("other", others, 0.0 if heads else 1.0))
    return tuple(heads)


def head_of_action(shape: NetworkShape) -> Ints:
    """(n_actions,) the head each action belongs to, -1 for none."""
    heads = np.full(shape.n_actions, -1, np.int64)
    for number, head in enumerate(shape.item_heads):
        heads[list(head.actions)] = number
    return heads


def content_tensors(content: ItemContent) -> Content:
    """The catalogue as tensors; copied, since the arrays may be a read-only map of a file."""
    return Content(
        categorical=torch.tensor(content.categorical.astype(np.int64)),
        numeric=torch.tensor(np.array(content.numeric, np.float32)),
        text_offsets=torch.tensor(content.text_offsets.astype(np.int64)),
        text=torch.tensor(content.text.astype(np.int64)),
        text_weight=torch.tensor(np.array(content.text_weight, np.float32)),
    )


def build_network(dataset: Dataset, shape: NetworkShape, start: list[float]) -> CustomerNetwork:
    """A fresh network; its heads' biases start at the best constant answers `start`."""
    network = CustomerNetwork(shape)
    if network.tabular is not None:
        with torch.no_grad():
            network.tabular.out_bias.copy_(torch.tensor(start))
            if network.tabular.numbers is not None:
                edges = torch.from_numpy(padded_edges(dataset.encoder.bins))
                network.tabular.numbers.edges.copy_(edges)
    return network
