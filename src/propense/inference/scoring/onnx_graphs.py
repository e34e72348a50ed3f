"""The network's graphs run by ONNX Runtime."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from propense.encoding.items import ItemContent
from propense.errors import BundleError
from propense.inference.scoring.scorer import Arrays
from propense.models.shape import GOALS_GRAPH, ITEMS_GRAPH, NEXT_ITEM_GRAPH
from propense.schemas import Floats

NEXT_ITEM_FILE: Final = f"{NEXT_ITEM_GRAPH}.onnx"
GOALS_FILE: Final = f"{GOALS_GRAPH}.onnx"
ITEMS_FILE: Final = f"{ITEMS_GRAPH}.onnx"


class OnnxGraphs:
    """The Graphs of one exported network."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._next_item = _Graph.open(folder / NEXT_ITEM_FILE, threads)
        self._goals = _Graph.open(folder / GOALS_FILE, threads)

    def next_item(self, inputs: Arrays) -> tuple[Floats, Floats]:
        wanted, heads = _asked(self._next_item).run(inputs)
        return wanted, heads

    def goals(self, inputs: Arrays) -> Floats:
        (answers,) = _asked(self._goals).run(inputs)
        return answers


class ItemTower:
    """The part of a network that makes vectors of items. Its file is read at once, and made ready
    when it is first asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / ITEMS_FILE
        self._content = file.read_bytes() if file.exists() else None

    @property
    def exists(self) -> bool:
        """Whether the network knows items by their content."""
        return self._content is not None

    def vectors_of(self, content: ItemContent) -> tuple[Floats, Floats]:
        """Vectors of items without events, (n, width) each: for the next-item graph, and for
        the goals' graph.

        Raises BundleError where the network knows items only from events.
        """
        made = self._graph.run(tower_inputs(content))
        return made[0], made[-1]

    @cached_property
    def _graph(self) -> _Graph:
        if self._content is None:
            raise BundleError(
                f"the network in {str(self.folder)!r} knows items only from events; give [items] "
                f"features and train again, so that new ones can be ranked"
            )
        return _Graph.of(self._content, threads=1)


def tower_inputs(content: ItemContent) -> dict[str, np.ndarray]:
    """The arrays that the graph reads; rows of n-grams are padded with n-grams of weight 0."""
    length = np.diff(content.text_offsets)
    text = np.zeros((content.n_items, max(int(length.max(initial=0)), 1)), np.int64)
    weight = np.zeros(text.shape, np.float32)
    there = np.arange(text.shape[1]) < length[:, None]
    text[there], weight[there] = content.text, content.text_weight
    return {
        "categorical": np.ascontiguousarray(content.categorical, np.int64),
        "numeric": np.ascontiguousarray(content.numeric, np.float32),
        "text": text,
        "text_weight": weight,
    }


class _Graph:
    """One graph, ready to run."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._names = [node.name for node in session.get_inputs()]

    @classmethod
    def open(cls, file: Path, threads: int) -> _Graph | None:
        """The graph in a file, None where there is no such file."""
        return cls.of(file.read_bytes(), threads) if file.exists() else None

    @classmethod
    def of(cls, content: bytes, threads: int) -> _Graph:
        """The graph that a file holds."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return cls(
            onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"],
                # Its kernel takes several times as long as the two that it replaces.
                disabled_optimizers=["SkipLayerNormFusion"],
            )
        )  # fmt: skip

    def run(self, inputs: Arrays) -> list[Floats]:
        """The outputs in their order; `inputs` may hold more than the graph reads."""
        fed = {name: np.ascontiguousarray(inputs[name]) for name in self._names}
        out: list[Floats] = self._session.run(None, fed)
        return out


def _asked(graph: _Graph | None) -> _Graph:
    if graph is None:
        raise ValueError("this network has no such head")
    return graph
