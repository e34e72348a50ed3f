"""Trains the networks of an ensemble, several at a time where there are threads for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial

from propense.progress import Progress
from propense.training.loop import Measure, Trainer
from propense.training.thread_pool import run_in_threads
from propense.training.validation import Validator


def count_at_once(n_networks: int, threads: int) -> int:
    """Networks trained at the same time; each has its even share of the threads.

    A step of small data is too short to be divided among threads; whole networks are not.

    >>> count_at_once(2, 1), count_at_once(2, 8), count_at_once(8, 2)
    (1, 2, 2)
    """
    return min(n_networks, threads)


def fit_together(
    trainers: Sequence[Trainer],
    validator: Validator | None,
    measure: Measure,
    progress: Progress,
    threads: int,
) -> None:
    """Train every network; the error of one, or an interruption, ends all of them.

    A network's bits depend on its share of the threads, not on the others.
    """
    at_once = count_at_once(len(trainers), threads)
    if at_once == 1:
        for trainer in trainers:
            trainer.fit(validator, measure, progress, threading.Event())
        return
    jobs = [partial(trainer.fit, validator, measure, progress) for trainer in trainers]
    run_in_threads(jobs, at_once, threads)
