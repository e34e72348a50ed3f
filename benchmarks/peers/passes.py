"""Shared by the peers of the next item: a JSON line a pass on stdout, and their arguments.

The first line tells the settings, every other one a pass: {"epoch", "seconds" (training alone,
so far), "validation_ndcg", "test_ndcg", "test_recall" (at 10), "peak_mb"}.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from next_item import FILES, Floats, Ints, Question, evaluate

LENGTH = {"amazon-beauty": 50, "ml-1m": 200}
"""Length of the histories that a network reads, the usual one of the data set."""

Scorer = Callable[[Question], Callable[[Ints], Floats]]
"""Question -> the function that `next_item.evaluate` calls for scores."""


class Passes:
    """The clock of training, which is stopped during evaluation, and the peer's own patience."""

    def __init__(self, validation: Question, test: Question, patience: int) -> None:
        self._questions = (validation, test)
        self._patience = patience
        self._seconds = 0.0
        self._began = 0.0
        self._best = -1.0
        self._since_best = 0

    def begin(self) -> None:
        """A pass begins."""
        self._began = time.perf_counter()

    def end(self, epoch: int, scores: Scorer) -> bool:
        """Evaluate and print a finished pass; True when the patience is used up."""
        self._seconds += time.perf_counter() - self._began
        (validation, _), (test, recall) = (
            evaluate(question, scores(question)) for question in self._questions
        )
        print_line(
            epoch=epoch, seconds=round(self._seconds, 3), validation_ndcg=validation,
            test_ndcg=test, test_recall=recall, peak_mb=peak_mb(),
        )  # fmt: skip
        self._since_best = 0 if validation > self._best else self._since_best + 1
        self._best = max(self._best, validation)
        return self._since_best >= self._patience


def print_line(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (1e6 if sys.platform == "darwin" else 1e3), 1)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Options of every peer of the next item."""
    near = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", choices=sorted(FILES), default="amazon-beauty")
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("PROPENSE_DATA", near)))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--users", type=int, help="the first so many only, for a quick look")
    return parser
