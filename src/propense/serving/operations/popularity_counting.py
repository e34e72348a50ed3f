"""Counts what was taken, once a step, by one process of all hosts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from propense.errors import ConflictError, ServeError
from propense.history.store import Store
from propense.history.takes import Takes, TakesQuestion
from propense.runtime.engine import ScoringEngine
from propense.runtime.popularity import Popularity
from propense.serving.operations.pending_erasures import Pending, PendingErasures
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

OLDEST_DAYS: Final = 400
"""Events before that do not count: over four of the longest half-lives."""
KEPT_DAYS: Final = 30
"""Counts stay so long after the data of a newer bundle has them, for an older one that returns."""
_DAY: Final = 86_400
CLAIM_SECONDS: Final = 60
"""After so long another process counts: the one that had begun may be gone."""
_KIND: Final = "popularity_claim"
_KEY: Final = "last"
_ATTEMPTS: Final = 20


class Claim(msgspec.Struct, frozen=True):
    """Which process counts a step, as a record of the store. Times in seconds."""

    begin: int
    """The beginning of the step."""
    since: int
    """When it began to count."""


@dataclass
class PopularityCounting:
    """The rounds. Methods block and raise StoreError."""

    store: Store
    popularity: Popularity
    engine: Callable[[], ScoringEngine]
    """The one that serves: it says which actions count, and how long a step is."""
    pending: PendingErasures
    _wanted: int | None = None
    """Since when a count is due and has not succeeded here, in seconds."""

    def count(self, now: int) -> None:
        """Count what was taken before the step of `now` (microseconds UTC), unless that was done,
        another process does it, or no list depends on it. Cheap where nothing is due."""
        followed = self.engine().followed
        if followed is None:
            return
        seconds = now // MICROS_PER_SECOND
        begin = seconds // followed.step * followed.step
        kind = followed.step, followed.actions
        newest = self.popularity.newest(seconds, *kind)
        if newest is not None and newest.begin >= begin:
            return
        self._wanted = min(self._wanted or seconds, seconds)
        self.popularity.refresh()
        newest = self.popularity.newest(seconds, *kind)
        if (newest is not None and newest.begin >= begin) or not self._claim(begin, seconds):
            return
        takes = self.store.count_takes(
            TakesQuestion(
                followed.actions,
                -1 if newest is None else newest.until,
                max(begin * MICROS_PER_SECOND - OLDEST_DAYS * MICROS_PER_DAY, 1),
                followed.step,
            )
        )
        try:
            oldest = followed.stop - KEPT_DAYS * _DAY
            self.popularity.write(begin, *kind, takes, min(oldest, begin))
            self._wanted = None
        except ConflictError:
            self.popularity.refresh()  # another process was faster

    def uncount(self, user_id: str, pending: Pending) -> None:
        """Take what a customer added out of every record, once, before they are erased."""
        pending.uncounted = True
        for _ in range(_ATTEMPTS):
            change = self.pending.change_of(pending)
            self.popularity.refresh()
            kinds = {kind: self._takes_of(user_id, *kind) for kind in self.popularity.kinds()}
            try:
                self.popularity.uncount(kinds, change)
            except ConflictError:
                continue
            return
        pending.uncounted = False
        raise ServeError("the counts of what is popular change too fast; the erasure goes on later")

    def _takes_of(self, user_id: str, step: int, actions: tuple[str, ...]) -> Takes:
        """What the records of a kind may have of a customer."""
        newest = self.popularity.newest(time.time_ns() // 1_000_000_000, step, actions)
        if newest is None:
            return Takes(-1, {}, {})
        return self.store.count_takes(TakesQuestion(actions, -1, 1, step, user_id, newest.until))

    def is_late(self, now: int) -> bool:
        """Whether the last count is older than two steps; `now` in microseconds UTC."""
        followed, seconds = self.engine().followed, now // MICROS_PER_SECOND
        if followed is None:
            return False
        newest = self.popularity.newest(seconds, followed.step, followed.actions)
        since = self._wanted if newest is None else newest.begin
        return since is not None and seconds - since > 2 * followed.step + CLAIM_SECONDS

    def _claim(self, begin: int, now: int) -> bool:
        controls = self.store.controls
        record = controls.get(_KIND, _KEY)
        if record is not None:
            claim = msgspec.json.decode(record.value, type=Claim)
            if claim.begin == begin and 0 <= now - claim.since < CLAIM_SECONDS:
                return False
        version = 0 if record is None else record.version
        try:
            controls.put(_KIND, _KEY, msgspec.json.encode(Claim(begin, now)), version)
        except ConflictError:
            return False
        return True
