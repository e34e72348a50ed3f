"""Some items of a large catalogue with scores, and a bound for all others."""

from __future__ import annotations

from typing import NamedTuple

from propense.schemas import Floats, Ids


class Candidates(NamedTuple):
    """Some items of a big catalogue with their scores, and a bound on those of all others."""

    items: Ids
    """(m,) in any order."""
    scores: Floats
    floor: float
    """No other item has a higher score; minus infinity where there are no others."""
