"""Load shedding: whether a question would have to wait too long."""

from __future__ import annotations

import asyncio
import time
from typing import Final

_SLOW: Final = 0.05
"""Weight of the newest measurement in the mean cost of a question."""
_FIRST_COST: Final = 5e-4
SPAN: Final = 0.1
"""Seconds over which questions are counted."""
MANY: Final = 0.05
"""The service is overloaded if it refuses a greater share of questions at the limit for bursts: no
burst lasts so long."""
FITS: Final = 0.95
"""The overload ends when fewer questions arrive than this share of the highest recent rate of
answers."""
_FADE: Final = 0.98
"""That rate is multiplied by this after each span."""
BATCH: Final = 6
"""So many questions can wait even under overload: they are scored together, and fewer would cost
more each."""


class LoadShedder:
    """Refuses questions that would have to wait too long. For one event loop.

    A burst can wait for a while, since a pause follows in which all of it is answered. Under
    overload a queue helps nobody: it would stay as long as it is allowed to be, and every
    question would wait for all of it. So the limit is then much lower (after Nichols and
    Jacobson, Controlling Queue Delay, 2012).
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, burst_seconds: float, standing_seconds: float
    ) -> None:
        self._loop = loop
        self._burst, self._standing = burst_seconds, standing_seconds
        self._cycle: float | None = None
        """When the first question of this round of the event loop was read."""
        self._since = time.perf_counter()
        self._n_asked = self._n_refused = 0
        """Questions since then, and those refused among them."""
        self._overloaded = False
        """Whether more questions arrive than can be answered."""
        self._best_rate = 0.0
        """The highest rate of answers a second since the overload began, fading."""
        self.n_waiting = 0
        """Admitted questions that are not answered yet."""
        self.cost = _FIRST_COST
        """Recent mean seconds of one of them."""

    def is_too_long(self) -> bool:
        """Whether a question that arrives now would wait longer than the limit."""
        now = time.perf_counter()
        if self._cycle is None:
            self._cycle = now
            self._loop.call_soon(self._end_cycle)
        if now - self._since >= SPAN:
            self._count(now)
        wait = now - self._cycle + self.n_waiting * self.cost
        overload_limit = max(self._standing, BATCH * self.cost)
        too_long = wait > (overload_limit if self._overloaded else self._burst)
        self._n_asked += 1
        self._n_refused += too_long
        return too_long

    def enter(self, n: int) -> None:
        """`n` questions wait to be scored."""
        self.n_waiting += n

    def leave(self, n: int, seconds: float) -> None:
        """`n` questions were answered; the loop was busy with them, and with what came between,
        for so many seconds."""
        self.n_waiting -= n
        self.cost += _SLOW * (seconds / max(n, 1) - self.cost)

    def _count(self, now: float) -> None:
        seconds = now - self._since
        answered = (self._n_asked - self._n_refused) / seconds
        if self._overloaded:
            self._best_rate = max(self._best_rate * _FADE, answered)
            self._overloaded = self._n_asked / seconds > FITS * self._best_rate
        elif self._n_refused > MANY * self._n_asked:
            self._overloaded, self._best_rate = True, answered
        self._since = now
        self._n_asked = self._n_refused = 0

    def _end_cycle(self) -> None:
        self._cycle = None
