"""Times in messages: ISO 8601 to microseconds UTC, and the correction of wrong clocks."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from propense.times import to_micros

_LONGEST: Final = 64


def read_time(text: str) -> int:
    """Microseconds since 1970 UTC of an ISO 8601 time.

    It can be extended or basic, with any fraction (cut to microseconds), with `Z`, an offset or
    neither, which is UTC. A date alone is its midnight.

    Raises ValueError.

    >>> read_time("2024-03-01T08:00:00.123+08:00") == read_time("2024-03-01 00:00:00.123Z")
    True
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = _read_unusual(text)
    return to_micros(time)


def event_time(original: int | None, sent_at: int | None, received: int) -> tuple[int, bool]:
    """When an event happened by the service's clock, and whether that was clamped to the receipt
    because it would be later.

    With both times of the sender's clock it is `received - (sent_at - original)`, as Segment
    defines it: a wrong clock still measures how long ago something was. Without `sent_at` the
    sender's time is used as it is, which imports of history need; without `original` the time of
    receipt.
    """
    if original is None:
        return received, False
    time = original if sent_at is None else received - (sent_at - original)
    return (received, True) if time > received else (time, False)


def _read_unusual(text: str) -> datetime:
    """Spellings that the standard library does not accept: blanks, a space before the zone, the
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
    raise ValueError(f"{shown} is not an ISO 8601 time such as 2024-03-01T08:00:00.000Z")
