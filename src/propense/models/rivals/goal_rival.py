"""A goal rival as it is stored and evaluated: a design of the columns and one ONNX graph.

Numpy and ONNX Runtime only: the report and the service read the same file and get the
same numbers; what fitted it stays behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from propense.encoding.design import design_matrix, one_hot
from propense.errors import BundleError
from propense.evaluation.kinds import KINDS
from propense.files import replace_file
from propense.models.rivals.notes import RivalNotes, read_notes
from propense.schemas import Doubles, Floats, TableFeatures

FORMAT = "propense-goal-rival-1"
ROWS = 1024
"""Rows that are put into the graph at once."""

Design = Literal["none", "linear", "trees", "plain"]
"""Which matrix a rival reads. `linear` and `trees` as in encoding.design; `plain`: the
numbers as they are, nan for missing, then one-hot words; `none`: no column."""


class Columns(msgspec.Struct, frozen=True):
    """The columns a rival was fitted on."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    cardinalities: tuple[int, ...]
    bins: tuple[tuple[float, ...], ...]
    """Edges of each numeric column, empty unless the design is linear."""

    def check(self, features: TableFeatures) -> None:
        """Raises BundleError unless `features` has these very columns in this order."""
        for expected, actual in (
            (self.numeric, features.numeric_names),
            (self.categorical, features.categorical_names),
        ):
            if tuple(expected) != tuple(actual):
                raise BundleError(
                    f"the rival was fitted on columns {list(expected)}, got {list(actual)}; "
                    "use the encoder it was fitted with, or fit the rivals again"
                )


@dataclass(frozen=True)
class GoalRival:
    """A fitted rival of one goal."""

    name: str
    kind: Literal["binary", "value"]
    design: Design
    columns: Columns
    graph: bytes
    """ONNX, `x` (n, columns) float32 -> `y` (n, 1) float32; members are averaged inside."""
    notes: RivalNotes = field(compare=False, default_factory=RivalNotes)
    threads: int = field(compare=False, default=1)

    def predict(self, features: TableFeatures) -> Doubles:
        """(n,) probability in [0, 1], or expected value of at least 0; never nan.

        Missing numbers and unseen words are fine. Raises BundleError on other columns.
        """
        return predict_all([self], features)[0]

    def run(self, matrix: Floats) -> Doubles:
        """As `predict`, from the design's matrix."""
        answer = self._session.run(["y"], {"x": matrix})[0][:, 0].astype(np.float64)
        out: Doubles = np.clip(answer, 0.0, KINDS[self.kind].highest)
        return out

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(
            self.graph, sess_options=options, providers=["CPUExecutionProvider"]
        )

    def save(self, folder: Path) -> None:
        """Write `rival.json`, `notes.json` (apart since it holds durations), and `model.onnx`,
        which appears last and whole: a folder that has it is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        about = _About(FORMAT, self.name, self.kind, self.design, self.columns)
        (folder / "rival.json").write_bytes(msgspec.json.encode(about))
        self.notes.write(folder / "notes.json")
        replace_file(folder / "model.onnx", self.graph, private=False)


def predict_all(rivals: Sequence[GoalRival], features: TableFeatures) -> list[Doubles]:
    """Every rival's `predict` of the same rows; those of one design share its matrix."""
    for rival in rivals:
        rival.columns.check(features)
    out = [np.empty(len(features), np.float64) for _ in rivals]
    designs = list(dict.fromkeys((rival.design, rival.columns) for rival in rivals))
    of_design = [designs.index((rival.design, rival.columns)) for rival in rivals]
    for first in range(0, len(features), ROWS):
        rows = slice(first, first + ROWS)
        part = take_rows(features, rows)
        matrices = [make_matrix(part, design, columns) for design, columns in designs]
        for answers, rival, number in zip(out, rivals, of_design, strict=True):
            answers[rows] = rival.run(matrices[number])
    return out


class _About(msgspec.Struct, frozen=True):
    format: str
    name: str
    kind: Literal["binary", "value"]
    design: Design
    columns: Columns


class _Format(msgspec.Struct, frozen=True):
    format: str = ""


def load_goal_rival(folder: Path, threads: int = 1) -> GoalRival:
    """The rival that `save` wrote. Raises BundleError if missing or of another format."""
    try:
        raw = (folder / "rival.json").read_bytes()
        graph = (folder / "model.onnx").read_bytes()
    except FileNotFoundError as error:
        raise BundleError(
            f"goal rival file {str(error.filename)!r} is missing; fit the rivals again"
        ) from error
    try:
        written_format = msgspec.json.decode(raw, type=_Format).format
        if written_format != FORMAT:
            raise BundleError(
                f"{str(folder)!r} has format {written_format!r}, this version reads {FORMAT!r}; "
                "fit the rivals again"
            )
        about = msgspec.json.decode(raw, type=_About)
    except msgspec.MsgspecError as error:
        raise BundleError(
            f"goal rival {str(folder)!r} cannot be read: {error}; fit the rivals again"
        ) from error
    notes = read_notes(folder / "notes.json")
    return GoalRival(about.name, about.kind, about.design, about.columns, graph, notes, threads)


def make_matrix(features: TableFeatures, design: Design, columns: Columns) -> Floats:
    """(n, columns of the design) float32, row-major and contiguous."""
    if design == "none":
        return np.zeros((len(features), 1), np.float32)
    if design == "plain":
        words = one_hot(features.categorical, features.cardinalities)
        return np.concatenate([features.numeric, words], axis=1, dtype=np.float32)
    bins = [np.array(edges, np.float32) for edges in columns.bins]
    # Numbers far outside the bins overflow to infinity, which fills a bin or leaves it empty.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(design_matrix(features, design, bins), np.float32)


def take_rows(features: TableFeatures, rows: Any) -> TableFeatures:
    """Some rows of the features: a slice, a mask or indices."""
    return TableFeatures(
        features.numeric[rows], features.categorical[rows], features.numeric_names,
        features.categorical_names, features.cardinalities,
    )  # fmt: skip
