"""Exports the network's graphs to ONNX and checks that they give torch's numbers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from propense.encoding.items import ItemContent
from propense.errors import BundleError
from propense.inference.scoring.onnx_graphs import (
    GOALS_FILE,
    ITEMS_FILE,
    NEXT_ITEM_FILE,
    ItemTower,
    OnnxGraphs,
    tower_inputs,
)
from propense.inference.scoring.scorer import Arrays
from propense.models.network.heads import head_of
from propense.models.shape import NetworkShape
from propense.schemas import UNSEEN
from propense.training.graphs import (
    EVENT_INPUTS,
    GoalGraph,
    ItemGraph,
    Networks,
    NextItemGraph,
    TableGoalGraph,
    TorchGraphs,
)
from propense.training.shaping import content_tensors

OPSET = 23
TOLERANCE = 1e-5
_INTEGERS = ("action", "source", "hour", "weekday", "query_length", "categorical")


Sizes = dict[str, tuple[int, ...]]
"""Shape of every weight by its name."""


@dataclass(frozen=True)
class Exported:
    """One graph and how it is traced: example arguments, their names and dynamic axes."""

    graph: nn.Module
    arguments: tuple[Tensor, ...]
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: tuple[object, ...]


class Exporter:
    """Writes the graphs of networks as ONNX.

    Tracing a graph takes nearly all of the time and depends on sizes alone. Each graph is traced
    once; further networks of the same sizes only exchange the weights, which gives the bytes
    that tracing them would give.
    """

    def __init__(self) -> None:
        self._traced: dict[str, tuple[Sizes, torch.onnx.ONNXProgram]] = {}

    def write(self, networks: Networks, folder: Path) -> None:
        """Write next_item.onnx and goals.onnx, where the network has such heads, and items.onnx,
        where it knows items by their content."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, exported in _graphs_of(networks).items():
            self._write(exported, folder / name)

    def _write(self, exported: Exported, file: Path) -> None:
        weights = exported.graph.state_dict()
        sizes = {name: tuple(weight.shape) for name, weight in weights.items()}
        with _quiet():
            if file.name not in self._traced or self._traced[file.name][0] != sizes:
                self._traced[file.name] = sizes, _trace(exported, file.name)
            traced = self._traced[file.name][1]
            # Optimising changes a program and folds its weights, so it is done to a copy.
            program = torch.onnx.ONNXProgram(traced.model.clone(), traced.exported_program)
            program.apply_weights(weights)
            program.optimize()
        program.save(file)


def export_graphs(networks: Networks, folder: Path) -> None:
    """Write the graphs of one network; see `Exporter`."""
    Exporter().write(networks, folder)


def check_parity(networks: Networks, folder: Path, rng: np.random.Generator) -> float:
    """Largest relative difference between torch and the exported graphs on random inputs,
    a goal's divided by the `parity_slack` of its head.

    Raises BundleError above 1e-5.
    """
    torch_graphs, onnx_graphs = TorchGraphs(networks), OnnxGraphs(folder, threads=1)
    shape, worst = networks.shape, 0.0
    for n_batch, length, n_queries in ((1, 1, 1), (4, 17, 3), (2, 0, 1), (5, 64, 1)):
        if shape.has_sequence and length > shape.max_length:
            continue
        inputs = example_inputs(shape, rng, n_batch, length, n_queries)
        if shape.n_item_heads and length:
            for expected, actual in zip(
                torch_graphs.next_item(inputs), onnx_graphs.next_item(inputs), strict=True
            ):
                worst = max(worst, _difference(expected, actual))
        if shape.goals:
            slack = [head_of(goal).parity_slack for goal in shape.goals]
            expected, actual = torch_graphs.goals(inputs), onnx_graphs.goals(inputs)
            worst = max(worst, _difference(expected, actual, np.array(slack)))
    if shape.has_sequence and shape.has_content:
        worst = max(worst, _difference_of_items(networks, folder, rng))
    if not worst <= TOLERANCE:
        raise BundleError(
            f"the exported network differs from the trained one by {worst:.2g} "
            f"(allowed {TOLERANCE:g}); the bundle was not written"
        )
    return worst


def example_inputs(
    shape: NetworkShape, rng: np.random.Generator, n_batch: int, length: int, n_queries: int
) -> dict[str, np.ndarray]:
    """Random inputs of the right kinds and ranges, nan among the numbers."""

    def numbers(*size: int) -> np.ndarray:
        return rng.normal(size=size).astype(np.float32)

    def words(most: int, *size: int) -> np.ndarray:
        return rng.integers(0, max(most, 1), size)

    gaps = np.abs(numbers(n_batch, length))
    numeric = numbers(n_batch, n_queries, shape.n_numeric) * 3
    numeric[rng.random(numeric.shape) < 0.1] = np.nan
    categorical = np.stack(
        [words(size, n_batch, n_queries) for size in shape.cardinalities]
        or [np.zeros((0, n_batch, n_queries), np.int64)],
        axis=-1,
    ) if shape.cardinalities else np.zeros((n_batch, n_queries, 0), np.int64)  # fmt: skip
    time = np.cumsum(gaps, axis=1)
    return {
        "item_vectors": numbers(n_batch, length, shape.ensemble * shape.dim),
        "action": words(shape.n_actions, n_batch, length),
        "source": words(shape.n_sources, n_batch, length),
        "hour": words(25, n_batch, length),
        "weekday": words(8, n_batch, length),
        "gap": gaps,
        "value": numbers(n_batch, length),
        "valued": words(2, n_batch, length).astype(np.float32),
        "count": np.abs(numbers(n_batch, length)),
        "time": time,
        "query_length": rng.integers(0, length + 1, (n_batch, n_queries)),
        "query_time": (time.max(axis=1, initial=0)[:, None] + np.abs(numbers(n_batch, n_queries))),
        "numeric": numeric,
        "categorical": categorical,
    }


def example_content(shape: NetworkShape, rng: np.random.Generator, n_items: int) -> ItemContent:
    """Random content of the right kinds and ranges, some of it missing."""
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 9, n_items))]).astype(np.int64)
    n_grams = int(offsets[-1]) if shape.text_buckets else 0
    sizes = shape.content_cardinalities
    return ItemContent(
        categorical=rng.integers(0, sizes or 1, (n_items, len(sizes))).astype(np.int32),
        cardinalities=sizes,
        numeric=rng.normal(size=(n_items, shape.n_content_numeric)).astype(np.float32),
        text_offsets=offsets if shape.text_buckets else np.zeros_like(offsets),
        text=rng.integers(1, max(shape.text_buckets, 2), n_grams).astype(np.int32),
        text_weight=rng.random(n_grams, np.float32),
        text_buckets=shape.text_buckets,
        titles=np.full(n_items, "", object),
    )


def _difference_of_items(networks: Networks, folder: Path, rng: np.random.Generator) -> float:
    """Largest difference between new items' vectors in torch and in the ONNX graph."""
    tower, worst = ItemTower(folder), 0.0
    for n_items in (1, 7, 100):
        content = example_content(networks.shape, rng, n_items)
        made = tower.vectors_of(content)
        tensors, every = content_tensors(content), torch.arange(n_items)
        for ensemble, vectors in zip((networks.next_item, networks.goals), made, strict=True):
            with torch.inference_mode():
                expected = torch.cat([
                    network.items(every, tensors, torch.full_like(every, UNSEEN))
                    for network in ensemble if network.items is not None
                ], dim=-1)  # fmt: skip
            worst = max(worst, _difference(expected.cpu().numpy(), vectors))
    return worst


def _graphs_of(networks: Networks) -> dict[str, Exported]:
    """The graphs that the networks have, by the name of their file."""
    shape = networks.shape
    inputs = example_inputs(shape, np.random.default_rng(0), n_batch=3, length=5, n_queries=2)
    prepared = {}
    if shape.n_item_heads:
        read = ("item_vectors", "query_length", *EVENT_INPUTS)
        graph = NextItemGraph(networks.next_item)
        prepared[NEXT_ITEM_FILE] = _prepare(graph, inputs, read, ("wanted", "heads"))
    if shape.goals and shape.has_sequence:
        asked = (
            "item_vectors", "query_length", "query_time", "numeric", "categorical", *EVENT_INPUTS,
        )  # fmt: skip
        prepared[GOALS_FILE] = _prepare(GoalGraph(networks.goals), inputs, asked, ("goals",))
    elif shape.goals:
        table = ("numeric", "categorical")
        prepared[GOALS_FILE] = _prepare(TableGoalGraph(networks.goals), inputs, table, ("goals",))
    if shape.has_sequence and shape.has_content:
        prepared[ITEMS_FILE] = _prepare_items(networks)
    return prepared


def _prepare_items(networks: Networks) -> Exported:
    graph = ItemGraph(networks).eval()
    fed = tower_inputs(example_content(networks.shape, np.random.default_rng(0), 5))
    items, grams = torch.export.Dim("items"), torch.export.Dim("grams")
    axes = tuple(
        {0: items, 1: grams} if name.startswith("text") else {0: items} for name in graph.names
    )
    outputs = ("item_vectors", "goal_vectors")[: len(graph.towers)]
    arguments = tuple(torch.from_numpy(fed[name]) for name in graph.names)
    return Exported(graph, arguments, graph.names, outputs, (axes,))


def _prepare(
    graph: nn.Module, inputs: Arrays, names: tuple[str, ...], outputs: tuple[str, ...]
) -> Exported:
    batch, length, queries = (torch.export.Dim(name) for name in ("batch", "length", "queries"))
    axes = [
        {0: batch, 1: queries}
        if name in ("query_length", "query_time", "numeric", "categorical")
        else {0: batch, 1: length}
        for name in names
    ]
    arguments: tuple[Tensor, ...] = tuple(torch.from_numpy(inputs[name]) for name in names)
    if names[0] == "item_vectors":
        n_fixed = len(names) - len(EVENT_INPUTS)
        shapes: tuple[object, ...] = (*axes[:n_fixed], tuple(axes[n_fixed:]))
    else:
        shapes = tuple(axes)
    return Exported(graph, arguments, names, outputs, shapes)


def _trace(exported: Exported, name: str) -> torch.onnx.ONNXProgram:
    """The graph as ONNX, not optimised: every weight is still an initializer under its name."""
    program = torch.onnx.export(
        exported.graph, exported.arguments, input_names=list(exported.names),
        output_names=list(exported.outputs), opset_version=OPSET, dynamic_shapes=exported.axes,
        dynamo=True, verbose=False, optimize=False,
    )  # fmt: skip
    if program is None:
        raise BundleError(f"{name} could not be exported")
    for node in program.model.graph:
        # Source lines and paths of the machine that packs, which no reader needs.
        node.metadata_props.clear()
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of an export: torch warns about every absent library, the optimiser about
    every constant it does not fold, `apply_weights` about weights the graph does not read."""
    names = ("torch.onnx._internal.exporter._registration", "onnxscript.optimizer")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _difference(expected: np.ndarray, actual: np.ndarray, slack: np.ndarray | float = 1.0) -> float:
    return float(
        (np.abs(expected - actual) / np.maximum(1, np.abs(expected)) / slack).max(initial=0)
    )
