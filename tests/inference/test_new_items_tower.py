"""Items that came after the training: the graph gives the networks' own vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from propense.encoding.items import ItemContent
from propense.errors import BundleError
from propense.export.onnx import check_parity, example_content, export_graphs
from propense.inference.scoring.onnx_graphs import ITEMS_FILE, ItemTower
from propense.models.network.customer import CustomerNetwork
from propense.schemas import GoalPlan
from propense.training.graphs import Networks, read_item_vectors
from propense.training.shaping import content_tensors
from support.item_towers import exported_networks, exported_shape, make_networks, make_shape


@pytest.mark.parametrize(
    "absent",
    [
        {},
        pytest.param({"content_cardinalities": ()}, marks=pytest.mark.slow),
        pytest.param({"n_content_numeric": 0}, marks=pytest.mark.slow),
        pytest.param({"text_buckets": 0}, marks=pytest.mark.slow),
        pytest.param({"text_buckets": 0, "n_content_numeric": 0}, marks=pytest.mark.slow),
    ],
)
def test_the_graph_gives_the_vectors_of_an_item_nobody_has_met(tmp_path, tmp_path_factory, absent):
    shape = make_shape(**absent) if absent else exported_shape()
    networks = make_networks(shape)
    folder = tmp_path if absent else exported_networks(tmp_path_factory)
    if absent:
        export_graphs(networks, folder)
    assert check_parity(networks, folder, np.random.default_rng(1)) < 1e-5
    content = example_content(shape, np.random.default_rng(2), shape.n_items)
    tensors = content_tensors(content)
    items, goals = ItemTower(folder).vectors_of(content)
    for vectors, ensemble in ((items, networks.next_item), (goals, networks.goals)):
        inside = read_item_vectors(ensemble, tensors)
        assert np.allclose(vectors[shape.n_seen :], inside[shape.n_seen :], atol=1e-5)
        assert not np.allclose(vectors[2 : shape.n_seen], inside[2 : shape.n_seen], atol=0.1)
    assert not np.allclose(items, goals, atol=0.1)
    alone, _ = ItemTower(folder).vectors_of(first_of(content))
    assert np.allclose(alone[0], items[0], atol=1e-6)


@pytest.mark.parametrize(
    "absent",
    [
        {},
        pytest.param({"n_numeric": 0, "n_bins": 0}, marks=pytest.mark.slow),
        pytest.param({"cardinalities": ()}, marks=pytest.mark.slow),
    ],
)
def test_packed_ensembles_are_exported_as_they_are(tmp_path, absent):
    sizes = {"dim": 0, "max_length": 0, "item_heads": (), "ensemble": 1, "packed": 3, "hidden": 8,
             "members": 2, "n_numeric": 2, "n_bins": 3, "cardinalities": (4, 30, 4),
             "content_cardinalities": (), "n_content_numeric": 0, "text_buckets": 0,
             "goals": (GoalPlan("pay", "binary", 60), GoalPlan("spend", "value", 60))}  # fmt: skip
    torch.manual_seed(0)
    alone = [CustomerNetwork(make_shape(**{**sizes, **absent})).eval()]
    networks = Networks(alone, alone)
    export_graphs(networks, tmp_path)
    assert check_parity(networks, tmp_path, np.random.default_rng(1)) < 1e-5


def first_of(content: ItemContent) -> ItemContent:
    return ItemContent(
        content.categorical[:1], content.cardinalities, content.numeric[:1],
        content.text_offsets[:2], content.text[: content.text_offsets[1]],
        content.text_weight[: content.text_offsets[1]], content.text_buckets, content.titles[:1],
    )  # fmt: skip


def test_one_set_of_weights_is_packed_once(tmp_path):
    shape = make_shape(item_heads=())
    networks = make_networks(shape, separate=False)
    export_graphs(networks, tmp_path)
    items, goals = ItemTower(tmp_path).vectors_of(
        example_content(shape, np.random.default_rng(2), 3)
    )
    assert items is goals
    assert items.shape == (3, shape.ensemble * shape.dim)


def test_a_changed_graph_is_not_packed(tmp_path_factory):
    shape = exported_shape()
    torch.manual_seed(1)
    others = make_networks(shape)
    for network in others.next_item:
        torch.nn.init.normal_(network.items.id.weight, std=2)
    with pytest.raises(BundleError, match="differs"):
        check_parity(others, exported_networks(tmp_path_factory), np.random.default_rng(1))


def test_without_content_new_items_cannot_be_ranked(tmp_path):
    shape = make_shape(item_heads=(), content_cardinalities=(), n_content_numeric=0, text_buckets=0)
    export_graphs(make_networks(shape), tmp_path)
    assert not (tmp_path / ITEMS_FILE).exists()
    tower = ItemTower(tmp_path)
    assert not tower.exists
    with pytest.raises(BundleError, match=r"\[items\] features"):
        tower.vectors_of(example_content(make_shape(), np.random.default_rng(2), 1))
