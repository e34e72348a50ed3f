"""Choosing settings within few trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from propense.schemas import Doubles

T = TypeVar("T")


@dataclass(frozen=True)
class Tuned(Generic[T]):
    """The best settings, what was made with them, and the trials it took."""

    settings: dict[str, Any]
    score: float
    model: T
    trials: int


def climb(
    options: Mapping[str, Sequence[Any]],
    make: Callable[[dict[str, Any]], tuple[Doubles, T]],
    trials: int,
) -> Tuned[T]:
    """Improve one setting after another, keeping what scores clearly higher.

    The first of each option is where it starts; `make` gives the score of every row, higher
    is better, and a model. Another setting is kept if its mean gain exceeds one standard
    error of the paired gains: less is noise. At most `trials` settings, at least one.

    >>> def make(settings):
    ...     return np.array([1.0, 2.0]) * settings["a"] * settings["b"], None
    >>> found = climb({"a": (1, 2, 4), "b": (5, 6)}, make, 10)
    >>> found.settings, found.score, found.trials
    ({'a': 4, 'b': 6}, 36.0, 4)
    """
    best = {name: values[0] for name, values in options.items()}
    scores, model = make(best)
    tried = 1
    for name, values in options.items():
        for value in values[1:]:
            if tried >= trials:
                return Tuned(best, mean_of(scores), model, tried)
            candidate = best | {name: value}
            new_scores, new_model = make(candidate)
            tried += 1
            if clearly_better(new_scores, scores):
                best, scores, model = candidate, new_scores, new_model
    return Tuned(best, mean_of(scores), model, tried)


def clearly_better(scores: Doubles, than: Doubles) -> bool:
    """Whether the mean paired gain exceeds one standard error of it."""
    if len(scores) < 2:
        return mean_of(scores) > mean_of(than)
    gain = scores - than
    return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


def mean_of(scores: Doubles) -> float:
    """Mean, 0 where there is nothing to take it of."""
    return float(scores.mean()) if len(scores) else 0.0


def draw_log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between `low` and `high`, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
