"""Writing fitted rivals as ONNX, node by node, so that the numbers are the library's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper, numpy_helper

from propense.schemas import Doubles, Floats, Ints

OPSET = 18
OPSET_ML = 3
_IR_VERSION = 9

Anything = npt.NDArray[Any]


@dataclass(frozen=True)
class Forest:
    """Trees as flat arrays; a node sends a row left where its feature is at most `threshold`.

    All arrays have one entry a node. `left` and `right` are node numbers within the tree,
    `feature` is -1 at a leaf, whose `value` is added up over trees.
    """

    tree: Ints
    node: Ints
    feature: Ints
    threshold: Floats
    missing_left: npt.NDArray[np.bool_]
    left: Ints
    right: Ints
    value: Doubles
    base: float = 0.0


def floor_float32(threshold: Doubles) -> Floats:
    """The largest float32 not above each threshold.

    For float32 `x`, `x <= threshold` and `x <= floor_float32(threshold)` are the same.

    >>> float(floor_float32(np.array([0.1]))[0]) <= 0.1
    True
    """
    out = threshold.astype(np.float32)
    above = out.astype(np.float64) > threshold
    out[above] = np.nextafter(out[above], np.float32(-np.inf))
    return out


@dataclass(frozen=True)
class Standardiser:
    """Columns made alike: the first `len(mean)` are numbers, the rest stay as they are.

    A number becomes (x - mean) / scale, held within `limit`; a missing one 0, and its flag
    in the last columns 1.
    """

    mean: Floats
    scale: Floats
    limit: float = 5.0

    def apply(self, matrix: Floats) -> Floats:
        """(n, n_numeric + others + n_numeric) float32."""
        numeric, others = matrix[:, : len(self.mean)], matrix[:, len(self.mean) :]
        missing = np.isnan(numeric)
        with np.errstate(over="ignore"):
            alike = np.clip((numeric - self.mean) / self.scale, -self.limit, self.limit)
        alike[missing] = 0
        return np.concatenate([alike, others, missing], axis=1, dtype=np.float32)


def fit_standardiser(matrix: Floats, n_numeric: int) -> Standardiser:
    """Mean and standard deviation of the known values of the first `n_numeric` columns."""
    numeric = matrix[:, :n_numeric].astype(np.float64)
    finite = np.isfinite(numeric)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, numeric, 0).sum(axis=0) / count
    spread = np.where(finite, numeric - mean, 0)
    scale = np.sqrt((spread**2).sum(axis=0) / count)
    scale = np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1), scale, 1)
    return Standardiser(mean.astype(np.float32), scale.astype(np.float32))


class Graph:
    """An ONNX graph under construction: methods take and give names of tensors (n, columns)."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, array: Anything, dtype: Any = np.float32) -> str:
        """A tensor that is part of the graph."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name

    def apply(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The output of one operator."""
        return self._add(operator, inputs, "", attributes)

    def linear(self, x: str, weights: Anything, bias: Anything) -> str:
        """x @ weights + bias; weights (columns in, columns out)."""
        return self.apply("Gemm", x, self.constant(weights), self.constant(np.atleast_1d(bias)))

    def scaled(self, x: str, factor: float, shift: float = 0.0) -> str:
        """x * factor + shift."""
        scaled = self.apply("Mul", x, self.constant(np.array(factor)))
        return self.apply("Add", scaled, self.constant(np.array(shift))) if shift else scaled

    def sigmoid(self, x: str, is_factor: bool) -> str:
        """1 / (1 + exp(-x)); as a factor of an amount it keeps its digits also where it is tiny.

        ONNX Runtime's own Sigmoid is right to some 1e-7 of 1 alone: of a probability of 1e-5 it
        loses a hundredth, and an amount multiplies the loss.
        """
        if not is_factor:
            return self.apply("Sigmoid", x)
        inverse = self.apply("Exp", self.apply("Neg", x))
        one = self.constant(np.array(1.0))
        return self.apply("Reciprocal", self.apply("Add", inverse, one))

    def held(self, x: str, low: float, high: float) -> str:
        """x within [low, high]."""
        return self.apply("Clip", x, self.constant(np.array(low)), self.constant(np.array(high)))

    def standardised(self, x: str, how: Standardiser) -> str:
        """As Standardiser.apply."""
        cut = self.constant(np.array([len(how.mean)]), np.int64)
        zero, end = (
            self.constant(np.array([0]), np.int64),
            self.constant(np.array([self.width]), np.int64),
        )
        axis = self.constant(np.array([1]), np.int64)
        numeric = self.apply("Slice", x, zero, cut, axis)
        others = self.apply("Slice", x, cut, end, axis)
        missing = self.apply("IsNaN", numeric)
        shifted = self.apply("Sub", numeric, self.constant(how.mean))
        alike = self.held(
            self.apply("Div", shifted, self.constant(how.scale)), -how.limit, how.limit
        )
        alike = self.apply("Where", missing, self.constant(np.array(0.0)), alike)
        flags = self.apply("Cast", missing, to=TensorProto.FLOAT)
        return self.apply("Concat", alike, others, flags, axis=1)

    def kernel(self, x: str, landmarks: Floats, gamma: float, weights: Doubles, bias: float) -> str:
        """bias + sum over landmarks of weight * exp(-gamma |x - landmark|^2), (n, 1).

        In double precision inside: thousands of large weights of either sign cancel.
        """
        double, axis = TensorProto.DOUBLE, self.constant(np.array([1]), np.int64)
        x = self.apply("Cast", x, to=double)
        centres = self.apply("Cast", self.constant(landmarks.T), to=double)
        squares = self.apply("ReduceSumSquare", x, axis, keepdims=1)
        lengths = self.constant((landmarks.astype(np.float64) ** 2).sum(axis=1), np.float64)
        products = self.apply("MatMul", x, centres)
        twice = self.apply("Mul", products, self.constant(np.array(-2.0), np.float64))
        distance = self.apply("Relu", self.apply("Add", self.apply("Add", twice, squares), lengths))
        scale = self.constant(np.array(-gamma), np.float64)
        alike = self.apply("Exp", self.apply("Mul", distance, scale))
        total = self.apply("MatMul", alike, self.constant(weights.reshape(-1, 1), np.float64))
        answer = self.apply("Add", total, self.constant(np.array(bias), np.float64))
        return self.apply("Cast", answer, to=TensorProto.FLOAT)

    def forest(self, x: str, forest: Forest) -> str:
        """The sum of the trees' leaves and the base, (n, 1)."""
        leaf = forest.feature < 0
        values = np.where(leaf, 0, forest.threshold).astype(np.float32)
        return self._add("TreeEnsembleRegressor", (x,), "ai.onnx.ml", {
            "n_targets": 1,
            "aggregate_function": "SUM",
            "base_values": [float(forest.base)],
            "nodes_treeids": forest.tree.tolist(),
            "nodes_nodeids": forest.node.tolist(),
            "nodes_featureids": np.where(leaf, 0, forest.feature).tolist(),
            "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
            "nodes_values": values.tolist(),
            "nodes_truenodeids": np.where(leaf, 0, forest.left).tolist(),
            "nodes_falsenodeids": np.where(leaf, 0, forest.right).tolist(),
            "nodes_missing_value_tracks_true": (~leaf & forest.missing_left).astype(int).tolist(),
            "target_treeids": forest.tree[leaf].tolist(),
            "target_nodeids": forest.node[leaf].tolist(),
            "target_ids": [0] * int(leaf.sum()),
            "target_weights": forest.value[leaf].astype(np.float32).tolist(),
            "post_transform": "NONE",
        })  # fmt: skip

    def mean(self, answers: Sequence[str]) -> str:
        """The mean of the members' answers."""
        return answers[0] if len(answers) == 1 else self.apply("Mean", *answers)

    def finish(self, answer: str) -> bytes:
        """The graph as bytes: `x` (n, width) -> `y` (n, 1), the same for the same numbers."""
        self._nodes.append(helper.make_node("Identity", [answer], ["y"]))
        graph = helper.make_graph(
            self._nodes,
            "rival",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", self.width])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
            self._constants,
        )
        sets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
        model = helper.make_model(graph, opset_imports=sets, producer_name="propense")
        model.ir_version = _IR_VERSION
        checker.check_model(model)
        out: bytes = model.SerializeToString(deterministic=True)
        return out

    def _add(
        self, operator: str, inputs: Sequence[str], domain: str, attributes: dict[str, Any]
    ) -> str:
        name = f"t{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, list(inputs), [name], domain=domain, **attributes)
        )
        return name


def constant_graph(value: float) -> bytes:
    """The same answer for every row of a matrix (n, 1)."""
    graph = Graph(1)
    return graph.finish(graph.linear("x", np.zeros((1, 1)), np.array([value])))
