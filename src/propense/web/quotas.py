"""What one customer or one address can add in a day or an hour, in bounded memory."""

from __future__ import annotations

import hashlib
import struct
from array import array
from typing import Final, Literal

import msgspec

from propense.settings import Limits
from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND
from propense.web.rate_limits import network_of

CUSTOMER_BITS: Final = 18
ADDRESS_BITS: Final = 14
_DEPTH: Final = 4
_PLACES: Final = struct.Struct(f"<{_DEPTH}I")
_MOST: Final = 2**32 - 1

Places = tuple[int, int, int, int]
QuotaName = Literal["events_per_day", "new_customers_per_hour"]


class QuotaRefusal(msgspec.Struct, frozen=True):
    """Why something was not taken in. It names nobody."""

    limit: QuotaName
    reason: str
    retry_after: float
    """Seconds until as much would be granted."""


class Sketch:
    """Counts by name that are never too low (count-min, conservative update): a flood cannot
    push its own count out by naming others, as it could out of a table of the latest.

    `4 * 4 * 2**bits` bytes. A count is too high by about the average of its cells, which is the
    sum of all counts over 2**bits, where names collide in all four rows at once. `key` is
    secret, so that nobody can seek names that collide.
    """

    def __init__(self, bits: int, key: bytes) -> None:
        self._bits = bits
        self._key = key
        self._mask = (1 << bits) - 1
        self.clear()

    def places(self, name: str) -> Places:
        """The cells of a name, one a row."""
        text = name.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, key=self._key, digest_size=_PLACES.size).digest()
        first, second, third, fourth = _PLACES.unpack(digest)
        mask, row = self._mask, 1 << self._bits
        return (
            first & mask,
            (second & mask) + row,
            (third & mask) + 2 * row,
            (fourth & mask) + 3 * row,
        )

    def count(self, places: Places) -> int:
        first, second, third, fourth = places
        cells = self._cells
        return min(cells[first], cells[second], cells[third], cells[fourth])

    def add(self, places: Places, n: int) -> None:
        cells = self._cells
        wanted = min(self.count(places) + n, _MOST)
        for place in places:
            if cells[place] < wanted:
                cells[place] = wanted

    def clear(self) -> None:
        self._cells = array("I", bytes(4 * (_DEPTH << self._bits)))


class QuotaWindow:
    """At most `most` of each name in any `span` of microseconds.

    Held are the counts of the present span and of the one before, which weighs as much as of
    it still lies within one span of `now`: what came in at its end is so forgotten a little
    early, at its beginning a little late. For one thread.
    """

    def __init__(self, most: int, span: int, bits: int, key: bytes) -> None:
        self.most = most
        self.span = span
        self._present, self._before = Sketch(bits, key), Sketch(bits, key)
        self._number: int | None = None

    def take(self, name: str, n: int, now: int) -> float:
        """Take `n`: 0.0 where they were granted, else the seconds to wait, and nothing was
        taken. More than `most` at once is never granted: infinity."""
        gone = self._cycle(now)
        places = self._present.places(name)
        present, before = self._present.count(places), self._before.count(places)
        if present + before * (1 - gone) + n <= self.most:
            self._present.add(places, n)
            return 0.0
        return self._wait(present, before, gone, n) * self.span / 1e6

    def _cycle(self, now: int) -> float:
        """Begin a new span where it is time; the share of the present one that is over."""
        number = now // self.span
        if self._number is None:
            self._number = number
        if number > self._number:
            self._present, self._before = self._before, self._present
            self._present.clear()
            if number > self._number + 1:
                self._before.clear()
            self._number = number
        # A clock set back stays in the span it was in.
        return max(0.0, (now - self._number * self.span) / self.span)

    def _wait(self, present: int, before: int, gone: float, n: int) -> float:
        """Spans until `n` fit, if nothing else comes."""
        room = self.most - n
        if room < 0:
            return float("inf")
        if present <= room:
            return max(0.0, 1 - (room - present) / before - gone)
        return 1 - gone + 1 - room / present


class Quotas:
    """The limits of `Limits` on what is added. Each process counts for itself: where `n`
    processes serve, up to `n` times as much may pass if it is spread over all.

    18 MB. Counts are lost when the process ends. Refused things are not counted.
    """

    def __init__(self, limits: Limits, key: bytes) -> None:
        self._events = QuotaWindow(limits.events_per_day, MICROS_PER_DAY, CUSTOMER_BITS, key)
        self._customers = QuotaWindow(
            limits.new_customers_per_hour, 3600 * MICROS_PER_SECOND, ADDRESS_BITS, key
        )

    def take_events(self, user_id: str, n: int, now: int) -> QuotaRefusal | None:
        """Let `n` events of a customer in, all or none. `now` in microseconds."""
        wait = self._events.take(user_id, n, now)
        if not wait:
            return None
        return QuotaRefusal(
            "events_per_day",
            f"one customer may have {self._events.most:,} events a day; raise [serve.limits] "
            f"events_per_day if these are real",
            wait,
        )

    def take_customers(self, address: str, n: int, now: int) -> QuotaRefusal | None:
        """Let so many names of which nothing is held in, which come with a browser key."""
        wait = self._customers.take(network_of(address), n, now)
        if not wait:
            return None
        return QuotaRefusal(
            "new_customers_per_hour",
            f"one address may bring {self._customers.most:,} new customers an hour; raise "
            f"[serve.limits] new_customers_per_hour if these are real, or name the proxy",
            wait,
        )
