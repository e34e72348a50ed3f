"""How much one customer or one address can add in a day or an hour, counted in bounded memory."""

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
_DIGEST: Final = struct.Struct(f"<{_DEPTH}I")
_MOST: Final = 2**32 - 1

Slots = tuple[int, int, int, int]
QuotaName = Literal["events_per_day", "new_customers_per_hour"]


class QuotaRefusal(msgspec.Struct, frozen=True):
    """Why something was refused. It names nobody."""

    limit: QuotaName
    reason: str
    retry_after: float
    """Seconds until as much would be granted."""


class Sketch:
    """Counts by name that are never too low (count-min sketch with conservative update). A sender
    cannot push its own count out by naming others, as it could out of a table of recent names.

    It takes `4 * 4 * 2**bits` bytes. A count is too high where its name collides with others in
    all four rows at once, then by about the average of a slot: the sum of all counts over 2**bits.
    `key` is secret, so that nobody can search for names that collide.
    """

    def __init__(self, bits: int, key: bytes) -> None:
        self._bits = bits
        self._key = key
        self._mask = (1 << bits) - 1
        self.clear()

    def slots(self, name: str) -> Slots:
        """The slots of a name, one a row."""
        text = name.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, key=self._key, digest_size=_DIGEST.size).digest()
        first, second, third, fourth = _DIGEST.unpack(digest)
        mask, row = self._mask, 1 << self._bits
        return (
            first & mask,
            (second & mask) + row,
            (third & mask) + 2 * row,
            (fourth & mask) + 3 * row,
        )

    def count(self, slots: Slots) -> int:
        first, second, third, fourth = slots
        counts = self._counts
        return min(counts[first], counts[second], counts[third], counts[fourth])

    def add(self, slots: Slots, n: int) -> None:
        counts = self._counts
        total = min(self.count(slots) + n, _MOST)
        for slot in slots:
            if counts[slot] < total:
                counts[slot] = total

    def clear(self) -> None:
        self._counts = array("I", bytes(4 * (_DEPTH << self._bits)))


class QuotaWindow:
    """At most `most` of each name in any `span` of microseconds.

    It holds the counts of the present span and of the one before. The latter weighs as much as
    the part of it that still lies within one span of `now`, so what was added at its end is
    forgotten a little early, and what was added at its beginning a little late. For one thread.
    """

    def __init__(self, most: int, span: int, bits: int, key: bytes) -> None:
        self.most = most
        self.span = span
        self._present, self._before = Sketch(bits, key), Sketch(bits, key)
        self._number: int | None = None

    def take(self, name: str, n: int, now: int) -> float:
        """Take `n`. Returns 0.0 where they were granted, otherwise the seconds to wait, and
        nothing was taken. More than `most` at once is never granted: infinity."""
        elapsed = self._advance(now)
        slots = self._present.slots(name)
        present, before = self._present.count(slots), self._before.count(slots)
        if present + before * (1 - elapsed) + n <= self.most:
            self._present.add(slots, n)
            return 0.0
        return self._wait(present, before, elapsed, n) * self.span / MICROS_PER_SECOND

    def _advance(self, now: int) -> float:
        """Begin a new span where it is time. Returns the fraction of it that has elapsed."""
        number = now // self.span
        if self._number is None:
            self._number = number
        if number > self._number:
            self._present, self._before = self._before, self._present
            self._present.clear()
            if number > self._number + 1:
                self._before.clear()
            self._number = number
        # Where the clock is set back, the present span goes on.
        return max(0.0, (now - self._number * self.span) / self.span)

    def _wait(self, present: int, before: int, elapsed: float, n: int) -> float:
        """Spans until `n` fit, if nothing else is added."""
        room = self.most - n
        if room < 0:
            return float("inf")
        if present <= room:
            return max(0.0, 1 - (room - present) / before - elapsed)
        return 1 - elapsed + 1 - room / present


class Quotas:
    """The limits of [serve.limits] on what is added. Each process counts for itself: where `n`
    processes serve, up to `n` times as much may pass if it is spread over all.

    It takes 18 MB. Counts are lost when the process ends. What is refused is not counted.
    """

    def __init__(self, limits: Limits, key: bytes) -> None:
        self._events = QuotaWindow(limits.events_per_day, MICROS_PER_DAY, CUSTOMER_BITS, key)
        self._customers = QuotaWindow(
            limits.new_customers_per_hour, 3600 * MICROS_PER_SECOND, ADDRESS_BITS, key
        )

    def take_events(
        self, user_id: str, n: int, now: int, trusted: bool = True
    ) -> QuotaRefusal | None:
        """Admit `n` events of a customer, all or none. `now` is microseconds of a clock that
        never goes back. What pages send is counted apart, so that they never use up the room of
        what the shop's server says (`trusted`)."""
        wait = self._events.take(f"{'server' if trusted else 'page'} {user_id}", n, now)
        if not wait:
            return None
        return QuotaRefusal(
            "events_per_day",
            f"one customer may have {self._events.most:,} events a day; raise [serve.limits] "
            f"events_per_day if these are real",
            wait,
        )

    def take_customers(self, address: str, n: int, now: int) -> QuotaRefusal | None:
        """Admit `n` new customers, or new names of customers, that came with a browser key."""
        wait = self._customers.take(network_of(address), n, now)
        if not wait:
            return None
        return QuotaRefusal(
            "new_customers_per_hour",
            f"one address may bring {self._customers.most:,} new customers an hour; raise "
            f"[serve.limits] new_customers_per_hour if these are real, or name the proxy",
            wait,
        )
