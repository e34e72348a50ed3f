"""Reads request bodies: how fast they must come, and how much of memory they may hold together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from propense.web.problems import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MOST_BODIES: Final = 8
"""A route of large bodies holds at most as many bytes at once as this many of the largest."""
MOST_SMALL_BODIES: Final = 64
"""The same of all other routes together."""
BODY_SECONDS: Final = 10.0
"""Time that a body has to arrive,"""
LEAST_BYTES_PER_SECOND: Final = 50_000
"""plus a second for each so many bytes that arrived."""
SHED_RETRY: Final = 1.0
"""Seconds after which a client that was turned away should try again."""


class NoRoomError(Problem):
    """A request that is turned away because too much is held in memory."""

    def __init__(self) -> None:
        super().__init__(
            503, "too many requests are being answered; try again", retry_after=SHED_RETRY
        )


class Room:
    """What one request holds of a pool, counted in `held` for the pool and for its sender."""

    def __init__(
        self, held: Counter[str], pool: str, sender: str, most: int, most_of_sender: int
    ) -> None:
        """`sender` is a key or an address; empty for one without a bound of its own."""
        self._held = held
        self._bounds = [(pool, most)]
        if sender:
            self._bounds.append((f"{pool} {sender}", most_of_sender))
        self._own = 0

    def take(self, n: int) -> None:
        """Hold `n` more. Raises NoRoomError where that is too much for the pool or the sender."""
        held = self._held
        for name, most in self._bounds:
            if held[name] + n > most:
                raise NoRoomError
        self._own += n
        for name, _ in self._bounds:
            held[name] += n

    def release(self) -> None:
        """Hold nothing any more."""
        for name, _ in self._bounds:
            self._held[name] -= self._own
            if not self._held[name]:
                del self._held[name]
        self._own = 0


def check_length(headers: Mapping[bytes, bytes], most: int) -> int:
    """The most bytes the body can have once unpacked. Raises Problem (413) above `most`."""
    declared = headers.get(b"content-length", b"")
    is_number = declared.isdigit() and len(declared) <= 18
    length = int(declared) if is_number else most + 1 if declared.isdigit() else most
    if length > most:
        raise Problem(413, f"the body has more than {most:,} bytes; send it in parts")
    return most if b"content-encoding" in headers else length


async def read_body(receive: Receive, most: int, room: Room) -> bytes:
    """The whole body, of at most `most` bytes; what arrived is held in `room`. Raises Problem."""
    pieces: list[bytes] = []
    size = 0
    ends = asyncio.get_running_loop().time() + BODY_SECONDS
    try:
        async with asyncio.timeout_at(ends) as timeout:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "the body ended too early")
                piece = message.get("body", b"")
                size += len(piece)
                if size > most:
                    raise Problem(413, f"the body has more than {most:,} bytes")
                room.take(len(piece))
                pieces.append(piece)
                if not message.get("more_body", False):
                    return b"".join(pieces)
                timeout.reschedule(ends + size / LEAST_BYTES_PER_SECOND)
    except TimeoutError as error:
        raise Problem(
            408,
            f"the body arrived too slowly: {size:,} bytes in more than {BODY_SECONDS:g} s",
        ) from error
