"""How many requests one key or one address may send: token buckets in bounded memory."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from functools import lru_cache
from typing import Final

from propense.settings import Limits

MOST: Final = 100_000
"""Buckets in memory; the least recently used one is dropped first."""
BURST_SECONDS: Final = 2.0
"""A bucket holds the tokens of this many seconds."""


class Buckets:
    """A token bucket for each name, filled with `per_second` tokens up to `burst`.

    It stores one number a name: the time at which its bucket is full again (the generic cell
    rate algorithm, ITU-T I.371). A name that was dropped starts with a full bucket. For one
    thread.
    """

    def __init__(self, per_second: float, burst: float, most: int = MOST) -> None:
        if not (per_second > 0 and burst > 0 and most > 0):
            raise ValueError(
                f"a bucket needs numbers above 0, got {per_second=}, {burst=}, {most=}"
            )
        self._cost = 1.0 / per_second
        self._burst = burst
        self._most = most
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, name: str, now: float, weight: float = 1.0) -> float:
        """Take `weight` tokens. Returns 0.0 where they were granted, otherwise the seconds to
        wait, and nothing was taken. `now` is in seconds of a clock that never goes back.

        More than the bucket holds is granted when it is full, and is a debt afterwards.
        """
        full_at = self._full_at.get(name, now)
        if full_at < now:
            full_at = now
        needed = weight if weight < self._burst else self._burst
        wait = full_at - now - (self._burst - needed) * self._cost
        if wait > 1e-9:
            return wait
        self._full_at[name] = full_at + weight * self._cost
        self._full_at.move_to_end(name)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return 0.0


class Limiter:
    """The limits of keys and of addresses, as [serve.limits] sets them."""

    def __init__(self, limits: Limits, most: int = MOST) -> None:
        def buckets(per_second: float) -> Buckets:
            return Buckets(per_second, max(1.0, per_second * BURST_SECONDS), most)

        self.keys = buckets(limits.key_per_second)
        self.addresses = buckets(limits.address_per_second)

    def take_key(self, prefix: str, now: float, weight: float = 1.0) -> float:
        """Take `weight` messages or questions of a key; as `Buckets.take`."""
        return self.keys.take(prefix, now, weight)

    def take_address(self, address: str, now: float, weight: float = 1.0) -> float:
        """Take `weight` requests of an address; as `Buckets.take`."""
        return self.addresses.take(network_of(address), now, weight)


def is_local(address: str) -> bool:
    """Whether the address is this machine's own, which has no limit."""
    return address in ("127.0.0.1", "::1", "-")


@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 network of an IPv6 address, all of
    which one machine may use.

    >>> network_of("2001:db8:1:2:3:4:5:6"), network_of("::ffff:10.0.0.7")
    ('2001:db8:1:2::', '10.0.0.7')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
