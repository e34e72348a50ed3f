"""Distributions of a bundle's training data and answers, for monitoring to compare live ones to.

Shares and quantiles only; no customer can be identified from them. Only the bounds change
answers: a value far outside everything ever logged is clipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec
import numpy as np

from propense.columns import MICRO_UNITS
from propense.encoding.profiles import Profiles
from propense.errors import BundleError
from propense.schemas import Doubles

FILE: Final = "reference_profile.json"
OTHER: Final = "(other)"
"""The key of all words that a table of shares does not name."""
ANY: Final = "*"
"""Bounds of actions that the log never had, or never with a number."""
N_BINS: Final = 10

Range = tuple[float, float]


class Histogram(msgspec.Struct, frozen=True):
    """Shares of numbers between edges.

    Bin `i` holds `edges[i - 1] <= x < edges[i]`, the first and last are open; `missing` is the
    share that was no number. All shares together are 1, or 0 where nothing was counted.

    >>> made = make_histogram(np.array([1.0, 2.0, 3.0, np.nan]), 2)
    >>> made.edges, made.shares, made.missing
    ((2.0,), (0.25, 0.5), 0.25)
    """

    n: int = 0
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = (0.0,)
    missing: float = 0.0

    def count(self, numbers: Doubles) -> np.ndarray:
        """(n_bins + 1,) how many of `numbers` fall into each bin, and are missing."""
        finite = numbers[np.isfinite(numbers)]
        bin_index = np.searchsorted(np.array(self.edges), finite, side="right")
        counts = np.bincount(bin_index, minlength=len(self.shares))
        return np.append(counts, len(numbers) - len(finite))


class ItemShares(msgspec.Struct, frozen=True):
    """How lists spread over items."""

    n_lists: int = 0
    top: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Share of all list positions that the 1, 10 and 100 most shown items take."""
    items: dict[str, float] = {}
    """Share of lists that hold each of the 100 most shown items."""


class Event(Protocol):
    """The fields of a live event that bounds are applied to."""

    @property
    def action(self) -> str: ...
    @property
    def value(self) -> int | None: ...
    @property
    def count(self) -> float | None: ...


E = TypeVar("E", bound=Event)


class Bounds(msgspec.Struct, frozen=True):
    """The bounds that a model's inputs are clipped to.

    Every bound is the smallest and largest ever logged, in train, validation and test, moved
    outwards by the greater of its own size and the spread of the middle 99.8 % of train and
    validation, though not across zero where the log never was. So nothing in the log is ever
    changed: the answers of the report, of `score` and of the service stay the same, and only
    inputs unlike anything in the log are clipped.
    """

    values: dict[str, tuple[int, int]] = {}
    """Action -> micro-units."""
    counts: dict[str, Range] = {}
    numbers: tuple[Range | None, ...] = ()
    """For each column of Profiles.numeric; None where a column has no number or is a sketch."""

    def clip_event(self, event: E) -> E:
        """The event with value and count clipped; the same object where nothing is outside.

        A value is dropped where no event of the log had one: the model never saw any. The store
        keeps the event as it was received.
        """
        value, count = event.value, event.count
        if value is not None:
            limits = self.values.get(event.action) or self.values.get(ANY)
            value = None if limits is None else min(max(value, limits[0]), limits[1])
        if count is not None:
            span = self.counts.get(event.action) or self.counts.get(ANY) or (1.0, 1.0)
            count = min(max(count, span[0]), span[1])
        if value == event.value and count == event.count:
            return event
        return msgspec.structs.replace(event, value=value, count=count)  # type: ignore[type-var]

    def clip_profiles(self, profiles: Profiles) -> tuple[Profiles, int]:
        """Profiles with every number clipped, and how many were outside."""
        numeric, n_clipped = profiles.numeric, 0
        for column, limits in enumerate(self.numbers):
            if limits is None:
                continue
            low, high = np.float32(limits[0]), np.float32(limits[1])
            outside = (numeric[:, column] < low) | (numeric[:, column] > high)
            if outside.any():
                if n_clipped == 0:
                    numeric = numeric.copy()
                n_clipped += int(outside.sum())
                numeric[:, column] = np.clip(numeric[:, column], low, high)
        return (replace(profiles, numeric=numeric) if n_clipped else profiles), n_clipped


class ReferenceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The data a bundle was trained on, and its answers.

    Events are those of train and validation; `unseen_items` is from validation alone, where
    items may be new. `numeric`, `categorical`, `lengths`, `goals` and `item_shares` are from
    `n_rows` as-of times just after an event, as in a live request: a customer who is active now
    differs from one on the calendar grid, who may have been away for weeks. Data without events
    are taken row by row.
    """

    n_events: int = 0
    actions: dict[str, float] = {}
    """Word -> share of events; likewise sources."""
    sources: dict[str, float] = {}
    values: Histogram = Histogram()
    """Distribution of sign(v) log1p |v|, v in currency units; `missing`: events without a value."""
    unseen_items: float = 0.0
    """Share of events with an item whose item the vocabulary lacks."""
    n_item_events: int = 0
    n_rows: int = 0
    lengths: Histogram = Histogram()
    """Number of events before the as-of time."""
    numeric: dict[str, Histogram] = {}
    categorical: dict[str, dict[str, float]] = {}
    """Column -> index in its vocabulary, at most 50, or OTHER -> share."""
    goals: dict[str, Histogram] = {}
    """Goal -> what its champion answers, calibrated."""
    item_shares: ItemShares = ItemShares()
    bounds: Bounds = Bounds()


def make_histogram(numbers: np.ndarray, n_bins: int = N_BINS) -> Histogram:
    """Quantile bins of finite numbers; equal edges are one."""
    numbers = np.asarray(numbers, np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return Histogram()
    edges: tuple[float, ...] = ()
    if len(finite):
        cuts = np.quantile(finite, np.arange(1, n_bins) / n_bins)
        edges = tuple(sorted({_short(cut) for cut in cuts.tolist()}))
    blank = Histogram(len(numbers), edges, (0.0,) * (len(edges) + 1))
    shares = [_short(n / len(numbers)) for n in blank.count(numbers).tolist()]
    return Histogram(len(numbers), edges, tuple(shares[:-1]), shares[-1])


def make_shares(counts: Iterable[tuple[str, int]], most: int = 50) -> dict[str, float]:
    """Share of each of the `most` frequent words, then by name; the rest as OTHER.

    >>> make_shares([("view", 6), ("pay", 2), ("like", 2)], most=2)
    {'view': 0.6, 'like': 0.2, '(other)': 0.2}
    """
    ordered = sorted(((-n, word) for word, n in counts if n > 0))
    total = -sum(n for n, _ in ordered)
    shares = {word: _short(-n / total) for n, word in ordered[:most]}
    if len(ordered) > most:
        shares[OTHER] = _short(-sum(n for n, _ in ordered[most:]) / total)
    return shares


def make_range(everything: np.ndarray, typical: np.ndarray) -> Range | None:
    """Bounds that hold all of `everything`; None where that has no finite number.

    They reach across zero only where the log does.

    >>> make_range(np.array([10.0, 20.0]), np.array([10.0, 10.0]))
    (0.0, 40.0)
    """
    everything = everything[np.isfinite(everything)].astype(np.float64)
    if not len(everything):
        return None
    typical = typical[np.isfinite(typical)].astype(np.float64)
    spread = float(np.ptp(np.quantile(typical, (0.001, 0.999)))) if len(typical) else 0.0
    low, high = float(everything.min()), float(everything.max())
    wide = low - max(spread, abs(low)), high + max(spread, abs(high))
    return (max(wide[0], 0.0) if low >= 0 else wide[0]), (
        min(wide[1], 0.0) if high <= 0 else wide[1]
    )


def micro_range(bounds: Range) -> tuple[int, int]:
    """Bounds in units of the currency as whole micro-units."""
    return int(np.floor(bounds[0] * MICRO_UNITS)), int(np.ceil(bounds[1] * MICRO_UNITS))


def write_reference_profile(profile: ReferenceProfile, folder: Path) -> None:
    """Write reference_profile.json; the same profile gives the same bytes."""
    text = msgspec.json.format(msgspec.json.encode(profile), indent=1)
    (folder / FILE).write_bytes(text)


def read_reference_profile(folder: Path) -> ReferenceProfile:
    """The profile in `folder`. Raises BundleError if it is missing or incomplete."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=ReferenceProfile)
    except (OSError, msgspec.DecodeError) as error:
        raise BundleError(
            f"{FILE} of bundle {str(folder)!r} cannot be read: {error}; pack it again"
        ) from error


def _short(number: float) -> float:
    """Six digits: what a share needs, the same on every machine."""
    return float(f"{number:.6g}")
