"""A thread that calls a function once an hour."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Final

from propense.errors import StoreError

_SECONDS: Final = 3_600.0


class Timer:
    """Calls `work` each hour, for the first time after one. While the store cannot be reached it
    tries again the next hour."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history-timer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(_SECONDS):
            with contextlib.suppress(StoreError):
                self._work()
