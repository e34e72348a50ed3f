"""The network's graphs run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from propense.inference.scorer import Arrays
from propense.models.shape import GOALS_GRAPH, NEXT_ITEM_GRAPH
from propense.schemas import Floats

NEXT_ITEM_FILE: Final = f"{NEXT_ITEM_GRAPH}.onnx"
GOALS_FILE: Final = f"{GOALS_GRAPH}.onnx"


class OnnxGraphs:
    """inference.scorer.Graphs of one exported network."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._next_item = _open(folder / NEXT_ITEM_FILE, threads)
        self._goals = _open(folder / GOALS_FILE, threads)

    def next_item(self, inputs: Arrays) -> tuple[Floats, Floats]:
        wanted, heads = _run(self._next_item, inputs)
        return wanted, heads

    def goals(self, inputs: Arrays) -> Floats:
        (answers,) = _run(self._goals, inputs)
        return answers


def _open(file: Path, threads: int) -> onnxruntime.InferenceSession | None:
    if not file.exists():
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession | None, inputs: Arrays) -> list[Floats]:
    if session is None:
        raise ValueError("this network has no such head")
    fed = {place.name: np.ascontiguousarray(inputs[place.name]) for place in session.get_inputs()}
    out: list[Floats] = session.run(None, fed)
    return out
