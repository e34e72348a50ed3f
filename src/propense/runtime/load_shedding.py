"""How long a question would wait, and whether it may."""

from __future__ import annotations

import asyncio
import time
from typing import Final

_SLOW: Final = 0.05
"""Weight of the newest measurement in the mean cost of an answer."""
_FIRST_COST: Final = 5e-4
SPAN: Final = 0.1
"""Seconds over which is counted what is asked."""
MANY: Final = 0.05
"""Of what is asked, turned away though it might have waited long: no burst is so long."""
FITS: Final = 0.95
"""Of the most that was answered lately; less than that can be answered."""
_FADE: Final = 0.98
"""What that is worth a span later."""
BATCH: Final = 6
"""So many may wait even then: they are scored together, and fewer would cost more each."""


class LoadShedder:
    """Whoever asks more than can be answered is turned away before others have to wait.

    A burst may wait for a while, since a rest follows in which all is answered. Where more is
    asked than can be answered a queue helps nobody: it would stay as long as it is allowed to
    be, and everyone would wait for all of it. So then much less waiting is allowed (the thought
    of Nichols and Jacobson, Controlling Queue Delay, 2012). For one event loop.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, burst_seconds: float, standing_seconds: float
    ) -> None:
        self._loop = loop
        self._burst, self._standing = burst_seconds, standing_seconds
        self._cycle: float | None = None
        """When the first of the questions that were read together was taken up."""
        self._since = time.perf_counter()
        self._n_asked = self._n_refused = 0
        """Questions since then."""
        self._overrun = False
        """Whether more is asked than can be answered."""
        self._most = 0.0
        """Questions a second that were answered at most since that began."""
        self.n_waiting = 0
        """Questions let in whose scores are not made yet, or whose answers are not."""
        self.cost = _FIRST_COST
        """Mean seconds of one of them, lately."""

    def is_too_long(self) -> bool:
        """Whether a question that comes now would wait longer than it may."""
        now = time.perf_counter()
        if self._cycle is None:
            self._cycle = now
            self._loop.call_soon(self._end_cycle)
        if now - self._since >= SPAN:
            self._count(now)
        wait = now - self._cycle + self.n_waiting * self.cost
        standing = max(self._standing, BATCH * self.cost)
        too_long = wait > (standing if self._overrun else self._burst)
        self._n_asked += 1
        self._n_refused += too_long
        return too_long

    def enter(self, n: int) -> None:
        """`n` questions have to be scored."""
        self.n_waiting += n

    def leave(self, n: int, seconds: float) -> None:
        """`n` questions were answered, and the loop was at work on them, and on what came
        between, for so long."""
        self.n_waiting -= n
        self.cost += _SLOW * (seconds / max(n, 1) - self.cost)

    def _count(self, now: float) -> None:
        seconds = now - self._since
        answered = (self._n_asked - self._n_refused) / seconds
        if self._overrun:
            self._most = max(self._most * _FADE, answered)
            self._overrun = self._n_asked / seconds > FITS * self._most
        elif self._n_refused > MANY * self._n_asked:
            self._overrun, self._most = True, answered
        self._since = now
        self._n_asked = self._n_refused = 0

    def _end_cycle(self) -> None:
        self._cycle = None
