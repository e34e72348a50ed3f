"""Exported graphs: traced once, whatever weights they carry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from propense.export import onnx
from propense.export.onnx import Exporter, check_parity, export_graphs
from propense.inference.scoring.onnx_graphs import GOALS_FILE
from propense.models.network.customer import CustomerNetwork
from propense.schemas import GoalPlan
from propense.training.graphs import Networks
from support.item_towers import make_shape


def make_table_networks(seed: int, n_numeric: int = 2) -> Networks:
    torch.manual_seed(seed)
    shape = make_shape(
        dim=0, max_length=0, item_heads=(), ensemble=1, hidden=8, members=2, n_numeric=n_numeric,
        n_bins=3, cardinalities=(4,), content_cardinalities=(), n_content_numeric=0,
        text_buckets=0, goals=(GoalPlan("pay", "binary", 60),),
    )  # fmt: skip
    alone = [CustomerNetwork(shape).eval()]
    return Networks(alone, alone)


@pytest.fixture
def traced(monkeypatch) -> list[str]:
    """Names of the files whose graphs were traced."""
    names: list[str] = []
    trace = onnx._trace

    def count(exported: onnx.Exported, name: str) -> torch.onnx.ONNXProgram:
        names.append(name)
        return trace(exported, name)

    monkeypatch.setattr(onnx, "_trace", count)
    return names


def test_a_refitted_network_exchanges_the_weights_of_a_graph_traced_once(tmp_path, traced):
    first, second = make_table_networks(0), make_table_networks(1)
    exporter = Exporter()
    exporter.write(first, tmp_path / "first")
    exporter.write(second, tmp_path / "second")
    assert traced == [GOALS_FILE]
    for networks, name in ((first, "first"), (second, "second")):
        assert check_parity(networks, tmp_path / name, np.random.default_rng(1)) < 1e-5
    export_graphs(second, tmp_path / "alone")
    exchanged, alone = (tmp_path / name / GOALS_FILE for name in ("second", "alone"))
    assert exchanged.read_bytes() == alone.read_bytes()


def test_a_network_of_other_sizes_is_traced_again(tmp_path, traced):
    exporter = Exporter()
    exporter.write(make_table_networks(0), tmp_path / "first")
    wider = make_table_networks(1, n_numeric=3)
    exporter.write(wider, tmp_path / "wider")
    assert traced == [GOALS_FILE, GOALS_FILE]
    assert check_parity(wider, tmp_path / "wider", np.random.default_rng(1)) < 1e-5


def test_graphs_hold_no_path_of_the_machine_that_packed_them(tmp_path):
    export_graphs(make_table_networks(0), tmp_path)
    content = (tmp_path / GOALS_FILE).read_bytes()
    assert b".py" not in content and b"site-packages" not in content
