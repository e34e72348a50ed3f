"""The comparer of two run folders: what it must see, and what it must let pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from benchmarks.harness.same_numbers import Renames, differences

RENAMES = Renames(
    parts={"learned.json": "model.json"}, keys={"worth": "min_gain"}, values={"old-1": "new-1"}
)


def write_run(root: Path, **changes: Any) -> Path:
    """A run folder with a file of each kind; `changes` are of its numbers and names."""
    value = {"number": 1.5, "key": "worth", "file": "learned.json", "format": "old-1", **changes}
    run = root / "runs/main"
    run.mkdir(parents=True)
    numbers = np.array([1.0, value["number"]], np.float32)
    record = {value["key"]: {"value": value["number"]}, "format": value["format"], "seconds": 3}
    (run / value["file"]).write_text(json.dumps(record | {"seconds": value.get("seconds", 3)}))
    (run / "curve.jsonl").write_text(json.dumps([value.get("line", 1)]) + "\n")
    np.save(run / "array.npy", value.get("array", numbers))
    save_file({"weight": value.get("weight", numbers)}, run / "weights.safetensors")
    pq.write_table(pa.table({"x": value.get("column", [1.0, 2.0])}), run / "rows.parquet")
    onnx.save(_graph(value.get("factor", 2.0)), run / "graph.onnx")
    (run / "notes.md").write_text(value.get("text", "the same"))
    return root


def _graph(factor: float) -> onnx.ModelProto:
    """y = factor * x."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    constant = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    graph = helper.make_graph([node], "product", [x], [y], [constant])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_renamed_run_has_the_same_numbers(tmp_path):
    old = write_run(tmp_path / "old")
    new = write_run(tmp_path / "new", key="min_gain", file="model.json", format="new-1", seconds=9)
    assert differences(old, new, RENAMES) == []
    assert differences(old, write_run(tmp_path / "copy"), Renames()) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"number": 1.25}, "runs/main/learned.json#/worth/value: '1.5' is '1.25'"),
        ({"line": 2}, "runs/main/curve.jsonl#/0/0: '1' is '2'"),
        ({"array": np.float32([1.0, 2.0])}, "runs/main/array.npy#: other values"),
        ({"array": np.float64([1.0, 1.5])}, "runs/main/array.npy#: other values"),
        ({"weight": np.float32([1.0, -0.0])}, "runs/main/weights.safetensors#weight: other values"),
        ({"column": [1.0, None]}, "runs/main/rows.parquet#x: other values"),
        ({"factor": 2.0000002}, "runs/main/graph.onnx#y: other values"),
        ({"text": "another"}, "runs/main/notes.md: other bytes"),
    ],
)
def test_a_changed_value_is_seen(tmp_path, change, line):
    old, new = write_run(tmp_path / "old"), write_run(tmp_path / "new", **change)
    assert line in differences(old, new, Renames())


def test_a_renamed_key_is_seen_unless_the_table_has_it(tmp_path):
    old, new = write_run(tmp_path / "old"), write_run(tmp_path / "new", key="min_gain")
    assert differences(old, new, Renames()) == [
        "runs/main/learned.json#/min_gain: only now",
        "runs/main/learned.json#/worth: only before",
    ]
    assert differences(old, new, Renames(keys={"worth": "min_gain"})) == []


def test_a_missing_and_an_extra_file_are_seen(tmp_path):
    old, new = write_run(tmp_path / "old"), write_run(tmp_path / "new", file="model.json")
    assert differences(old, new, Renames()) == [
        "runs/main/learned.json: only before", "runs/main/model.json: only now",
    ]  # fmt: skip


def test_a_change_that_was_meant_needs_its_reason(tmp_path):
    old, new = write_run(tmp_path / "old"), write_run(tmp_path / "new", number=1.25)
    meant = {
        "runs/main/learned.json#/worth/value: '1.5' is '1.25'": "why",
        "runs/main/array.npy": "why", "runs/main/weights.safetensors": "why",
    }  # fmt: skip
    assert differences(old, new, Renames(changed=meant)) == []
