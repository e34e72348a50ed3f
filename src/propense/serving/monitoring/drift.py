"""Whether live inputs and answers are still distributed as in training.

Each input is compared with the bundle's reference profile by the population stability index over
a sliding window: the sum of (live - trained) * ln(live / trained) over the bins.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np

from propense.columns import MICRO_UNITS
from propense.inference.artifact.reference_profile import OTHER, Histogram, ReferenceProfile
from propense.schemas import Doubles

NOTICE: Final = 0.1
ALARM: Final = 0.25
CALMER: Final = 0.8
"""A level ends below this fraction of its threshold, so that it does not flicker."""
WINDOW: Final = 10_000
BLOCKS: Final = 20
FEWEST: Final = 500
"""No level is reported below this many live numbers: with 11 bins and 500 numbers distributed as
in training, the index is about .02 by chance."""
_BLUR: Final = 0.5
"""Added to every bin on both sides, so that an empty bin does not make the index infinite."""

Read = Callable[[Sequence[Any]], Doubles]
Level = Literal["ok", "notice", "alarm"]
_LEVELS: Final[tuple[Level, ...]] = ("ok", "notice", "alarm")
_THRESHOLDS: Final = (0.0, NOTICE, ALARM)


class DriftLine(msgspec.Struct, frozen=True):
    """The drift of one input or answer."""

    name: str
    """"actions", "sources", "values", "unseen_items", "lengths", or "goal:NAME"."""
    psi: float
    n: int
    """Live numbers in the window."""
    level: Level
    most: str = ""
    """The bin that moved most, in words with both fractions."""


class DriftMonitor:
    """Counts events and answers over sliding windows of `window` each.

    For one thread. An observation is put on a list (about .3 us); every twentieth of a window
    the list becomes counts (numpy, less than 1 us an observation), and levels are assessed. Feed
    it questions of customers who are on the site now, not of whole audiences: those are what the
    reference profile describes.
    """

    def __init__(
        self, profile: ReferenceProfile, window: int = WINDOW, fewest: int = FEWEST
    ) -> None:
        if window < BLOCKS:
            raise ValueError(f"a window must hold at least {BLOCKS} answers, got {window}")
        self._block = window // BLOCKS
        self._fewest = fewest
        events: list[_Input] = []
        if profile.n_events:
            events = [
                _Words("actions", profile.actions, profile.n_events, 0),
                _Words("sources", profile.sources, profile.n_events, 1),
                _Numbers("values", profile.values, 2, _squash),
                _Flags("unseen_items", profile.unseen_items, profile.n_item_events, 3),
            ]
        answers: list[_Input] = []
        if profile.n_events and profile.lengths.n:
            answers.append(_Numbers("lengths", profile.lengths, 0, _numbers))
        for column, (name, histogram) in enumerate(profile.goals.items(), 1):
            answers.append(_Numbers(f"goal:{name}", histogram, column, _numbers))
        self._events, self._answers = _Stream(events), _Stream(answers)
        self._n_goals = len(profile.goals)
        self._no_scores = (None,) * self._n_goals
        self._raised: list[DriftLine] = []

    def observe_event(
        self, action: str, source: str | None, value: int | None, unseen: bool | None
    ) -> None:
        """Count one live event. `value` in micro-units; `unseen`: whether the vocabulary lacks its
        item, None for an event without an item."""
        pending = self._events.pending
        pending.append((action, source, value, unseen))
        if len(pending) >= self._block:
            self._seal(self._events)

    def observe_answer(self, length: int, scores: Sequence[float] = ()) -> None:
        """Count one answer: the number of events it was made from, and the prediction of every
        goal in the order of the bundle, or none where only items were asked for."""
        n_scores = len(scores)
        if n_scores not in (0, self._n_goals):
            raise ValueError(f"each of {self._n_goals} goals needs a score, got {n_scores} scores")
        pending = self._answers.pending
        pending.append((length, *scores) if n_scores else (length, *self._no_scores))
        if len(pending) >= self._block:
            self._seal(self._answers)

    def report(self) -> list[DriftLine]:
        """The drift of every input and answer, the unfinished block included."""
        lines = []
        for stream in (self._events, self._answers):
            pending = stream.count_pending()
            lines += [
                self._assess(each, stream, counts)
                for each, counts in zip(stream.inputs, pending, strict=True)
            ]
        return lines

    def take_alarms(self) -> list[DriftLine]:
        """Alarms raised since the last call."""
        raised, self._raised = self._raised, []
        return raised

    def gauges(self) -> tuple[dict[str, float], int]:
        """Index of each input with enough numbers, and how many alarms are active."""
        lines = self.report()
        indices = {line.name: line.psi for line in lines if line.n >= self._fewest}
        return indices, sum(line.level == "alarm" for line in lines)

    def _seal(self, stream: _Stream) -> None:
        stream.seal()
        for each in stream.inputs:
            self._assess(each, stream, None)

    def _assess(self, each: _Input, stream: _Stream, pending: np.ndarray | None) -> DriftLine:
        live = stream.total(each) if pending is None else stream.total(each) + pending
        n = int(live.sum())
        if n < self._fewest or each.n < 1:
            each.level = 0
            return DriftLine(each.name, 0.0, n, "ok")
        terms = _index_terms(live, each.trained)
        psi = float(terms.sum())
        level = sum(psi >= threshold for threshold in _THRESHOLDS[1:])
        for higher in range(each.level, level, -1):
            if psi >= CALMER * _THRESHOLDS[higher]:
                level = higher
                break
        most = int(np.argmax(terms))
        trained, now = each.trained[most] / each.n, live[most] / n
        moved = f"{each.label(most)}: {trained:.1%} in training, {now:.1%} now"
        line = DriftLine(each.name, psi, n, _LEVELS[level], moved)
        if level == 2 and each.level < 2:
            self._raised.append(line)
        each.level = level
        return line


class _Input(ABC):
    """One input: its bins, and the counts of training in them."""

    def __init__(self, name: str, trained: Doubles, column: int) -> None:
        self.name = name
        self.trained = trained
        self.n = float(trained.sum())
        self.column = column
        self.level = 0

    @abstractmethod
    def count(self, values: Sequence[Any]) -> np.ndarray:
        """Counts of live values, (n_bins,)."""

    @abstractmethod
    def label(self, index: int) -> str:
        """A bin in words."""


class _Words(_Input):
    def __init__(self, name: str, shares: dict[str, float], n: int, column: int) -> None:
        words = [word for word in shares if word != OTHER]
        super().__init__(
            name, np.array([*(shares[word] for word in words), shares.get(OTHER, 0.0)]) * n, column
        )
        self._words = words
        self._index = {word: index for index, word in enumerate(words)}

    def count(self, values: Sequence[Any]) -> np.ndarray:
        find, other = self._index.get, len(self._words)
        indexes = [find(value, other) for value in values if value is not None]
        return np.bincount(np.array(indexes, np.int64), minlength=other + 1)

    def label(self, index: int) -> str:
        return repr(self._words[index]) if index < len(self._words) else "other words"


class _Numbers(_Input):
    def __init__(self, name: str, histogram: Histogram, column: int, read: Read) -> None:
        self._histogram = histogram
        self._read = read
        shares = np.array([*histogram.shares, histogram.missing])
        super().__init__(name, shares * histogram.n, column)

    def count(self, values: Sequence[Any]) -> np.ndarray:
        return self._histogram.count(self._read(values))

    def label(self, index: int) -> str:
        edges = self._histogram.edges
        if index > len(edges):
            return "without a number"
        if not edges:
            return "a number"
        if index == 0:
            return f"below {edges[0]:.4g}"
        if index == len(edges):
            return f"{edges[-1]:.4g} and above"
        return f"{edges[index - 1]:.4g} to {edges[index]:.4g}"


class _Flags(_Input):
    def __init__(self, name: str, share: float, n: int, column: int) -> None:
        super().__init__(name, np.array([1 - share, share]) * n, column)

    def count(self, values: Sequence[Any]) -> np.ndarray:
        n_false = sum(value is False for value in values)
        return np.array([n_false, sum(value is True for value in values)])

    def label(self, index: int) -> str:
        return ("known", "unseen")[index]


class _Stream:
    """Observations of events or of answers: those not yet counted, and the window's blocks."""

    def __init__(self, inputs: list[_Input]) -> None:
        self.inputs = inputs
        self.pending: list[tuple[Any, ...]] = []
        self._blocks: deque[list[np.ndarray]] = deque(maxlen=BLOCKS)
        self._total = [np.zeros(len(each.trained), np.int64) for each in inputs]

    def total(self, each: _Input) -> np.ndarray:
        return self._total[self.inputs.index(each)]

    def count_pending(self) -> list[np.ndarray]:
        columns = list(zip(*self.pending, strict=True))
        if not columns:
            return [np.zeros(len(each.trained), np.int64) for each in self.inputs]
        return [each.count(columns[each.column]) for each in self.inputs]

    def seal(self) -> None:
        """Make the pending observations the newest block of the window; the oldest one leaves."""
        newest = self.count_pending()
        self.pending.clear()
        leaving = self._blocks[0] if len(self._blocks) == BLOCKS else None
        self._blocks.append(newest)
        for index, counts in enumerate(newest):
            self._total[index] += counts
            if leaving is not None:
                self._total[index] -= leaving[index]


def _index_terms(live: np.ndarray, trained: Doubles) -> Doubles:
    """The term of each bin in the population stability index."""
    # Training is scaled to the size of the live sample, so that blurring weighs on the rare bins
    # of both alike.
    size = float(live.sum())
    total = size + _BLUR * len(live)
    now = (live + _BLUR) / total
    then = (trained * (size / trained.sum()) + _BLUR) / total
    terms: Doubles = (now - then) * np.log(now / then)
    return terms


def _numbers(values: Sequence[Any]) -> Doubles:
    """The values that are not missing."""
    return np.array([value for value in values if value is not None], np.float64)


def _squash(values: Sequence[Any]) -> Doubles:
    """sign(v) * log1p(|v|) of micro-units as units, nan where the value is missing."""
    units = np.array([math.nan if v is None else v for v in values], np.float64) / MICRO_UNITS
    squashed: Doubles = np.copysign(np.log1p(np.abs(units)), units)
    return squashed
