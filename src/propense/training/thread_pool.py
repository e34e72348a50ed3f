"""Jobs in threads of their own: the error of one, or an interruption, ends all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import torch

Job = Callable[[threading.Event], None]
"""It should return soon once the event is set."""


def run_in_threads(jobs: Sequence[Job], at_once: int, threads: int) -> None:
    """Run `jobs` in order, `at_once` at a time; each has its even share of torch's `threads`.

    After an error, which is raised, waiting jobs do not begin.
    """
    halted = threading.Event()

    def run(job: Job) -> None:
        if halted.is_set():
            return
        try:
            job(halted)
        except Exception:
            # Set before this thread's worker takes the next job from the queue.
            halted.set()
            raise

    share = max(1, threads // at_once)
    try:
        with ThreadPoolExecutor(at_once, "side", torch.set_num_threads, (share,)) as pool:
            futures = [pool.submit(run, job) for job in jobs]
            try:
                for future in as_completed(futures):
                    future.result()
            finally:
                # Leaving the pool waits for the jobs that still run.
                halted.set()
    finally:
        torch.set_num_threads(threads)
