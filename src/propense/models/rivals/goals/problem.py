"""The input and the output of every goal rival's fitting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from propense.encoding.design import Bins, fit_bins
from propense.evaluation.kinds import KINDS
from propense.models.rivals.goal_rival import Columns, Design, make_matrix
from propense.schemas import Doubles, Floats, Ints, TableFeatures

SEARCH_ROWS = 30_000
"""Settings are searched on at most this many rows, then fitted on all."""
MAX_CELLS = 300_000_000
"""Largest piecewise-linear matrix, 1.2 GB; above it bins are merged, which the notes mention."""

CERTAIN = 40.0
"""Log odds of what always happens."""

Answer = Callable[[Floats], Doubles]
"""Matrix of a design -> one number a row, by the library that fitted it."""


@dataclass(frozen=True)
class RivalSetup:
    """How goal rivals are fitted."""

    kind: Literal["binary", "value"] = "binary"
    bins: Bins | None = None
    """Edges of the piecewise-linear encoding, one array a numeric column; default: fitted
    on the train rows."""
    trials: int = 8
    max_rows: int = 200_000
    rows_available: int = 0
    """Rows that the train rows were drawn from, where those are more."""
    seed: int = 0
    row_seed: int = 0
    """Decides which rows are drawn where there are too many: a rival that has no chance in its fit
    is the same with every `seed`."""
    threads: int = 1
    members: int = 4
    """Averaged models where chance plays a part in fitting: mlp, lightgbm."""


@dataclass(frozen=True)
class Problem:
    """One goal: known labels only, train rows already within `max_rows`.

    `y` is 0/1, or a value of at least 0.
    """

    train: TableFeatures
    y: Doubles
    validation: TableFeatures
    y_validation: Doubles
    setup: RivalSetup
    _matrices: dict[tuple[str, str], Floats] = field(default_factory=dict, compare=False)

    @property
    def binary(self) -> bool:
        """Whether labels are 0 or 1 and answers probabilities; otherwise both are amounts."""
        return KINDS[self.setup.kind].highest <= 1

    @property
    def positive(self) -> Doubles:
        """(n_train,) 1 where the label is above 0."""
        return (self.y > 0).astype(np.float64)

    def rng(self, purpose: int) -> np.random.Generator:
        """Chance of one purpose, from the seed."""
        return np.random.default_rng([self.setup.seed, purpose])

    @cached_property
    def all_bins(self) -> Bins:
        """The bins of the setup, or fitted ones; thinned where the matrix would be too large."""
        bins = self.setup.bins
        if bins is None or len(bins) != self.train.numeric.shape[1]:
            bins = fit_bins(self.train.numeric)
        n_rows = len(self.train) + len(self.validation)
        step = 1
        while n_rows * sum(len(edges) // step + 1 for edges in bins) > MAX_CELLS and step < 48:
            step += 1
        return [thin(np.asarray(edges, np.float32), step) for edges in bins]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was left out to keep the piecewise-linear matrix within memory."""
        setup_bins = self.setup.bins
        if setup_bins is None or len(setup_bins) != self.train.numeric.shape[1]:
            return ()
        before, after = (
            sum(len(edges) - 1 for edges in bins) for bins in (setup_bins, self.all_bins)
        )
        if before == after:
            return ()
        return (f"{before} bins merged to {after}, to keep the matrix within memory",)

    def columns(self, design: Design) -> Columns:
        """What a rival of this design must be given."""
        bins = self.all_bins if design == "linear" else []
        return Columns(
            numeric=tuple(self.train.numeric_names),
            categorical=tuple(self.train.categorical_names),
            cardinalities=tuple(int(size) for size in self.train.cardinalities),
            bins=tuple(tuple(float(edge) for edge in edges) for edges in bins),
        )

    def matrix(self, part: Literal["train", "validation"], design: Design) -> Floats:
        """The design's matrix of a part; those of one design are kept at a time."""
        if (part, design) not in self._matrices:
            for key in [key for key in self._matrices if key[1] != design]:
                del self._matrices[key]
            features = self.train if part == "train" else self.validation
            self._matrices[part, design] = make_matrix(features, design, self.columns(design))
        return self._matrices[part, design]

    @cached_property
    def search_rows(self) -> Ints:
        """Train rows that settings are searched on, ascending."""
        rng = np.random.default_rng([self.setup.row_seed, 1])
        return draw_rows(self.y > 0, SEARCH_ROWS, rng)

    def loss(self, p: Doubles) -> float:
        """Loss of answers to the validation rows: log loss, or deviance of expected values."""
        return float(KINDS[self.setup.kind].row_losses(self.y_validation, p).mean())

    @property
    def measure(self) -> str:
        return KINDS[self.setup.kind].criterion_name

    def as_binary(self) -> Problem:
        """Whether the value is above 0 at all: the first of two stages."""
        return replace(
            self, y=self.positive, y_validation=(self.y_validation > 0).astype(np.float64),
            setup=replace(self.setup, kind="binary"),
        )  # fmt: skip


@dataclass(frozen=True)
class Fitted:
    """A fitted rival, its graph, and the library's own answers to hold the graph to."""

    design: Design
    graph: bytes
    answer: Answer
    settings: dict[str, Any]
    trials: int
    loss: float
    members: int = 1
    tolerance: float = 1e-5
    remarks: tuple[str, ...] = ()


def thin(edges: Floats, step: int) -> Floats:
    """Every `step`-th edge and the last.

    >>> thin(np.arange(6, dtype=np.float32), 2).tolist()
    [0.0, 2.0, 4.0, 5.0]
    """
    thinned = edges[::step]
    return thinned if (len(edges) - 1) % step == 0 else np.append(thinned, edges[-1])


def draw_rows(positive: npt.NDArray[np.bool_], most: int, rng: np.random.Generator) -> Ints:
    """At most `most` (two or more) rows, ascending, of either class where there are two."""
    if len(positive) <= most:
        return np.arange(len(positive))
    rows = rng.permutation(len(positive))[:most]
    for number, wanted in enumerate((positive, ~positive)):
        if wanted.any() and not wanted[rows].any():
            rows[number] = rng.choice(np.flatnonzero(wanted))
    return np.sort(rows)


def smear(y: Doubles, log_prediction: Doubles) -> float:
    """Factor that makes exp(log prediction) add up to the values it was fitted on."""
    return float(y.sum() / np.exp(log_prediction).sum())


def log_range(y: Doubles) -> tuple[float, float]:
    """Lowest and highest log of the positive values: predictions stay within."""
    logs = np.log(y[y > 0])
    return float(logs.min()), float(logs.max())


def in_blocks(answer: Answer, matrix: Floats, rows: int = 1024) -> Doubles:
    """`answer` of the matrix, `rows` rows at a time, so that its intermediate arrays stay small."""
    starts = range(0, max(1, len(matrix)), rows)
    return np.concatenate([answer(matrix[first : first + rows]) for first in starts])
