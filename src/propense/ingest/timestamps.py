"""Moments of messages: ISO 8601 to microseconds UTC, and clocks that are wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from propense.times import to_micros

_LONGEST: Final = 64


def read_moment(text: str) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 moment: extended or basic, any fraction (cut
    to microseconds), `Z`, an offset, or neither, which is UTC; a date alone is its midnight.

    Raises ValueError.

    >>> read_moment("2024-03-01T08:00:00.123+08:00") == read_moment("2024-03-01 00:00:00.123Z")
    True
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _read_otherwise(text)
    return to_micros(moment)


def event_moment(original: int | None, sent_at: int | None, received: int) -> tuple[int, bool]:
    """When an event happened by the clock of the service, and whether it had to be clamped
    because that would lie after its receipt.

    With both moments of the sender's clock it is `received - (sent_at - original)`, as Segment
    defines it: how long ago is true even on a clock that is not. Without `sent_at` the sender
    is believed, as imports of history need; without `original` it happened on receipt.
    """
    if original is None:
        return received, False
    moment = original if sent_at is None else received - (sent_at - original)
    return (received, True) if moment > received else (moment, False)


def _read_otherwise(text: str) -> datetime:
    """Spellings that the standard library does not take: blanks, a space before the zone, the
    word UTC, lower case."""
    if len(text) <= _LONGEST:
        plain = text.strip().upper()
        plain = plain.removesuffix("UTC").removesuffix("GMT").rstrip() + (
            "Z" if plain.endswith(("UTC", "GMT")) else ""
        )
        for sign in " Z", " +", " -":
            plain = plain.replace(sign, sign[1])
        try:
            return datetime.fromisoformat(plain)
        except ValueError:
            pass
    shown = ascii(text if len(text) <= 40 else f"{text[:40]}...")
    raise ValueError(f"{shown} is no moment of ISO 8601 such as 2024-03-01T08:00:00.000Z")
