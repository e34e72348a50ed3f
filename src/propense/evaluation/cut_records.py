"""Lists judged over time: one row for each cut, protocol, kind of customer and model."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

POOLED: Final = "pooled"
"""Instead of a cut's time: the moments after all cuts together, by customer."""
Protocol = Literal["successive", "first"]
Customers = Literal["all", "cold", "warm"]
CountsKind = Literal["live", "frozen"]


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """A model minus what serves, on the same moments."""

    against: str
    value: float | None
    low: float | None
    high: float | None


class CutRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model's lists after one cut."""

    cut: str
    """When test begins, ISO 8601 UTC; or "pooled"."""
    protocol: Protocol
    """Every moment after the cut at which a customer took something, or each customer's first."""
    customers: Customers
    """"cold": moments of customers without any event before the cut; "warm": of the others."""
    counts: CountsKind
    """"live": counts of what is popular go on after the cut, as they do in the service; "frozen":
    they end at the cut."""
    model: str
    rows: int
    """Moments judged."""
    ndcg10: float | None
    interval: tuple[float | None, float | None]
    """95 %, by customer."""
    paired: Paired | None
    """None of what serves itself."""
