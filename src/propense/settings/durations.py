"""Durations: a whole number and a unit, such as "30d"."""

from __future__ import annotations

import re

from propense.errors import SettingsError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"^\s*(\d+)\s*([smhdw])\s*$")


def seconds(duration: str, none: bool = False) -> int:
    """Seconds in a duration such as "30d"; 0 only where it can be `none`.

    >>> seconds("2h")
    7200

    Raises SettingsError on anything else.
    """
    match = _DURATION.match(duration)
    if match is None or (int(match[1]) == 0 and not none):
        raise SettingsError(
            f"duration {duration!r} is not a positive whole number and a unit "
            f"(s, m, h, d, w); write it like '30d' or '12h'"
        )
    return int(match[1]) * _UNITS[match[2]]
