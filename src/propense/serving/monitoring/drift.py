"""Whether live inputs and answers still look like those of training.

Each input is held against the bundle's fingerprint by the population stability index over a
sliding window: sum of (live - trained) * ln(live / trained) over the bins.
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
"""A level is left only below this share of its threshold, so that it does not flicker."""
WINDOW: Final = 10_000
BLOCKS: Final = 20
FEWEST: Final = 500
"""Live numbers below which nothing is said: with 11 bins and 500 numbers of the same kind as
training's the index is about .02 by chance."""
_BLUR: Final = 0.5
"""Added to every bin on both sides, so that an empty one is not infinitely strange."""

Read = Callable[[Sequence[Any]], Doubles]
Level = Literal["ok", "notice", "alarm"]
_LEVELS: Final[tuple[Level, ...]] = ("ok", "notice", "alarm")
_THRESHOLDS: Final = (0.0, NOTICE, ALARM)


class DriftLine(msgspec.Struct, frozen=True):
    """One input or answer."""

    name: str
    """"actions", "sources", "values", "unseen_items", "lengths", or "goal:NAME"."""
    psi: float
    n: int
    """Live numbers in the window."""
    level: Level
    most: str = ""
    """The bin that moved most, in words with both shares."""


class DriftMonitor:
    """Counts what comes in and goes out, a sliding window of `window` answers and as many
    events long.

    For one thread. An observation is put on a list (about .3 us); every twentieth of a window
    the list becomes counts (numpy, less than 1 us an observation), and levels are judged. Feed
    it questions of customers who are there, not whole audiences: those are what the
    fingerprint describes.
    """

    def __init__(
        self, profile: ReferenceProfile, window: int = WINDOW, fewest: int = FEWEST
    ) -> None:
        if window < BLOCKS:
            raise ValueError(f"a window must hold {BLOCKS} answers or more, got {window}")
        self._block = window // BLOCKS
        self._fewest = fewest
        events: list[_Input] = []
        if profile.n_events:
            events = [
                _Words("actions", profile.actions, profile.n_events, 0),
                _Words("sources", profile.sources, profile.n_events, 1),
                _Numbers("values", profile.values, 2, _squash),
                _Flags(
                    "unseen_items",
                    profile.unseen_items,
                    profile.n_item_events,
                    3,
                ),
            ]
        answers: list[_Input] = []
        if profile.n_events and profile.lengths.n:
            answers.append(_Numbers("lengths", profile.lengths, 0, _given))
        for place, (name, histogram) in enumerate(profile.goals.items(), 1):
            answers.append(_Numbers(f"goal:{name}", histogram, place, _given))
        self._events, self._answers = _Stream(events), _Stream(answers)
        self._n_goals = len(profile.goals)
        self._no_scores = (None,) * self._n_goals
        self._raised: list[DriftLine] = []

    def observe_event(
        self, action: str, source: str | None, value: int | None, unseen: bool | None
    ) -> None:
        """One live event, as it came. `value` in micro-units; `unseen` whether the vocabulary
        lacks its item, None of an event without one."""
        pending = self._events.pending
        pending.append((action, source, value, unseen))
        if len(pending) >= self._block:
            self._seal(self._events)

    def observe_answer(self, length: int, scores: Sequence[float] = ()) -> None:
        """One answer: the number of events it was made from, and every goal's served number in
        the order of the bundle, or none where only items were asked for."""
        n_scores = len(scores)
        if n_scores not in (0, self._n_goals):
            raise ValueError(f"{self._n_goals} goals have a score each, got {n_scores}")
        pending = self._answers.pending
        pending.append((length, *scores) if n_scores else (length, *self._no_scores))
        if len(pending) >= self._block:
            self._seal(self._answers)

    def report(self) -> list[DriftLine]:
        """Every input and answer against training, the block at work included."""
        lines = []
        for stream in (self._events, self._answers):
            fresh = stream.count_pending()
            lines += [self._judge(part, stream, more) for part, more in zip(
                stream.inputs, fresh, strict=True
            )]  # fmt: skip
        return lines

    def take_alarms(self) -> list[DriftLine]:
        """Alarms raised since the last call."""
        raised, self._raised = self._raised, []
        return raised

    def gauges(self) -> tuple[dict[str, float], int]:
        """(input -> index, of those with enough numbers; how many alarms hold)."""
        lines = self.report()
        indices = {line.name: line.psi for line in lines if line.n >= self._fewest}
        return indices, sum(line.level == "alarm" for line in lines)

    def _seal(self, stream: _Stream) -> None:
        stream.seal()
        for part in stream.inputs:
            self._judge(part, stream, None)

    def _judge(self, part: _Input, stream: _Stream, more: np.ndarray | None) -> DriftLine:
        live = stream.total(part) if more is None else stream.total(part) + more
        n = int(live.sum())
        if n < self._fewest or part.n < 1:
            part.level = 0
            return DriftLine(part.name, 0.0, n, "ok")
        terms = _index(live, part.trained)
        psi = float(terms.sum())
        level = sum(psi >= threshold for threshold in _THRESHOLDS[1:])
        for held in range(part.level, level, -1):
            if psi >= CALMER * _THRESHOLDS[held]:
                level = held
                break
        most = int(np.argmax(terms))
        then, now = part.trained[most] / part.n, live[most] / n
        said = f"{part.label(most)}: {then:.1%} in training, {now:.1%} now"
        line = DriftLine(part.name, psi, n, _LEVELS[level], said)
        if level == 2 and part.level < 2:
            self._raised.append(line)
        part.level = level
        return line


class _Input(ABC):
    """One input: its bins, and training's counts in them."""

    def __init__(self, name: str, trained: Doubles, column: int) -> None:
        self.name = name
        self.trained = trained
        self.n = float(trained.sum())
        self.column = column
        self.level = 0

    @abstractmethod
    def count(self, values: Sequence[Any]) -> np.ndarray:
        """(n_bins,) of live values."""

    @abstractmethod
    def label(self, place: int) -> str:
        """A bin in words."""


class _Words(_Input):
    def __init__(self, name: str, shares: dict[str, float], n: int, column: int) -> None:
        known = [word for word in shares if word != OTHER]
        super().__init__(
            name, np.array([*(shares[word] for word in known), shares.get(OTHER, 0.0)]) * n, column
        )
        self._words = known
        self._place = {word: place for place, word in enumerate(known)}

    def count(self, values: Sequence[Any]) -> np.ndarray:
        find, other = self._place.get, len(self._words)
        places = [find(value, other) for value in values if value is not None]
        return np.bincount(np.array(places, np.int64), minlength=other + 1)

    def label(self, place: int) -> str:
        return repr(self._words[place]) if place < len(self._words) else "other words"


class _Numbers(_Input):
    def __init__(self, name: str, histogram: Histogram, column: int, read: Read) -> None:
        self._histogram = histogram
        self._read = read
        shares = np.array([*histogram.shares, histogram.missing])
        super().__init__(name, shares * histogram.n, column)

    def count(self, values: Sequence[Any]) -> np.ndarray:
        return self._histogram.count(self._read(values))

    def label(self, place: int) -> str:
        edges = self._histogram.edges
        if place > len(edges):
            return "without a number"
        if not edges:
            return "a number"
        if place == 0:
            return f"below {edges[0]:.4g}"
        if place == len(edges):
            return f"{edges[-1]:.4g} and above"
        return f"{edges[place - 1]:.4g} to {edges[place]:.4g}"


class _Flags(_Input):
    def __init__(self, name: str, share: float, n: int, column: int) -> None:
        super().__init__(name, np.array([1 - share, share]) * n, column)

    def count(self, values: Sequence[Any]) -> np.ndarray:
        yes = sum(value is True for value in values)
        return np.array([sum(value is False for value in values), yes])

    def label(self, place: int) -> str:
        return ("known", "unseen")[place]


class _Stream:
    """Observations of one kind: those still to be counted, and the window's blocks."""

    def __init__(self, inputs: list[_Input]) -> None:
        self.inputs = inputs
        self.pending: list[tuple[Any, ...]] = []
        self._blocks: deque[list[np.ndarray]] = deque(maxlen=BLOCKS)
        self._total = [np.zeros(len(part.trained), np.int64) for part in inputs]

    def total(self, part: _Input) -> np.ndarray:
        return self._total[self.inputs.index(part)]

    def count_pending(self) -> list[np.ndarray]:
        columns = list(zip(*self.pending, strict=True))
        if not columns:
            return [np.zeros(len(part.trained), np.int64) for part in self.inputs]
        return [part.count(columns[part.column]) for part in self.inputs]

    def seal(self) -> None:
        """Make the pending observations the window's newest block; the oldest leaves."""
        fresh = self.count_pending()
        self.pending.clear()
        leaving = self._blocks[0] if len(self._blocks) == BLOCKS else None
        self._blocks.append(fresh)
        for place, counts in enumerate(fresh):
            self._total[place] += counts
            if leaving is not None:
                self._total[place] -= leaving[place]


def _index(live: np.ndarray, trained: Doubles) -> Doubles:
    """Each bin's part of the population stability index."""
    # As if training had been no larger than what is live: its rare bins then weigh no more
    # than theirs.
    size = float(live.sum())
    whole = size + _BLUR * len(live)
    now = (live + _BLUR) / whole
    then = (trained * (size / trained.sum()) + _BLUR) / whole
    terms: Doubles = (now - then) * np.log(now / then)
    return terms


def _given(values: Sequence[Any]) -> Doubles:
    """Those that are numbers."""
    return np.array([value for value in values if value is not None], np.float64)


def _squash(values: Sequence[Any]) -> Doubles:
    """sign(v) log1p |v| of micro-units, nan where there is no value."""
    units = np.array([math.nan if v is None else v for v in values], np.float64) / MICRO_UNITS
    squashed: Doubles = np.copysign(np.log1p(np.abs(units)), units)
    return squashed
