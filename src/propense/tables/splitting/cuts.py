"""The cuts of time into train, validation and test, and the grid of as-of times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import numpy as np

from propense.errors import SettingsError, SplitError
from propense.schemas import PARTS, TEST, TRAIN, VALIDATION, Ints
from propense.settings import Split, seconds
from propense.tables.splitting.eligibility import duration_as_setting, duration_in_words
from propense.times import MICROS_PER_SECOND, parse_time

MONDAY: Final = 345_600
"""1970-01-05, the Monday that the grid starts from unless a cut is given."""
MAX_TIMES: Final = 20_000


@dataclass(frozen=True)
class Grid:
    """As-of times `first + k * every` for k in 0..n-1, in seconds UTC."""

    first: int
    every: int
    n: int

    @property
    def times(self) -> Ints:
        return self.first + self.every * np.arange(self.n, dtype=np.int64)


@dataclass(frozen=True)
class Clock:
    """When the data's events are."""

    begin: int
    """Second of the first event, rounded down: an as-of time sees it from the next second on."""
    end: int
    """Second at which observation ends, as a rule the last event's, rounded down."""
    n_events: int
    nth: Callable[[int], int]
    """Second of the n-th event in the order of time, from 0; exact."""

    def quantile(self, q: float) -> int:
        """A time before which at most the fraction `q` of the events are, give or take one."""
        return self.nth(min(int(q * self.n_events), self.n_events - 1))


@dataclass(frozen=True)
class Cuts:
    """The times at which a split by time changes the part."""

    validation_from: int
    test_from: int
    end: int

    def part_of(self, times: Ints) -> Ints:
        """TRAIN, VALIDATION or TEST of each time."""
        return np.searchsorted([self.validation_from, self.test_from], times, side="right")

    def closes(self, times: Ints) -> Ints:
        """The end of each time's part: no label window may reach beyond it."""
        return np.array([self.validation_from, self.test_from, self.end])[self.part_of(times)]


def written(time: int) -> str:
    """A time as messages show it.

    >>> written(0)
    '1970-01-01 00:00:00 UTC'
    """
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def cut_time(
    clock: Clock, split: Split, horizons: dict[str, int], gridded: bool, time_zone: str,
    spans: Mapping[str, tuple[int, int]] | None = None,
) -> tuple[Cuts, Grid | None]:  # fmt: skip
    """The cuts, and the grid of as-of times if goals need one (`gridded`).

    `horizons` are the goals' in seconds, `spans` the first and the last second at which a goal's
    action is observed where it is not the whole clock. The cuts are quantiles of the events in
    time, moved back so that every horizon fits in validation and test, and floored to the grid;
    without a grid they are exact to the second.

    Raises SplitError naming the longest horizon that fits, SettingsError on cuts in the
    wrong order.
    """
    spans = dict.fromkeys(horizons, (clock.begin, clock.end)) | dict(spans or {})
    named = _named_cuts(split, time_zone)
    quantiles = (clock.quantile(split.fractions[0]), clock.quantile(sum(split.fractions[:2])))
    every = seconds(split.as_of_every) if gridded else 1
    anchor = next((cut for cut in (named[1], named[0]) if cut is not None), MONDAY) % every

    def cuts_for(horizon: int) -> Cuts:
        """The cuts if no goal looked further than `horizon`."""
        closes = [spans[name][1] - min(own, horizon) for name, own in horizons.items()]
        latest = min(closes, default=clock.end)
        test_from = _floored(min(quantiles[1], latest), anchor, every)
        test_from = test_from if named[1] is None else named[1]
        validation_from = _floored(min(quantiles[0], test_from - horizon), anchor, every)
        return Cuts(validation_from if named[0] is None else named[0], test_from, clock.end)

    longest = max(horizons.values(), default=0)
    cuts = cuts_for(longest)
    if not cuts.validation_from < cuts.test_from and None not in named:
        raise SettingsError(
            f"[split] validation_from {written(cuts.validation_from)} must be before "
            f"test_from {written(cuts.test_from)}"
        )
    if not gridded:
        _check_events(clock, cuts)
        return cuts, None

    def lacking(horizon: int) -> tuple[str, str] | None:
        """The first goal and part without an as-of time whose window fits."""
        cuts = cuts_for(horizon)
        opens = (clock.begin + 1, cuts.validation_from, cuts.test_from)
        closes = (cuts.validation_from, cuts.test_from, cuts.end)
        for part, first, last in zip(PARTS, opens, closes, strict=True):
            for name in sorted(horizons, key=lambda goal: -horizons[goal]):
                begin, end = spans[name]
                as_of = _raised(max(first, begin), anchor, every)
                if as_of + min(horizons[name], horizon) > min(last, end):
                    return name, part
        return None

    short = lacking(longest)
    if short is not None:
        name, part = short
        raise SplitError(
            f"goal {name!r}: a horizon of {duration_in_words(horizons[name])} is too long: "
            f"{_run(clock, spans[name])}, which leaves no rows for the {part} part; "
            f"{_longest(lacking, horizons[name])}"
        )
    first = _raised(clock.begin + 1, anchor, every)
    return cuts, _grid(first, _last_as_of(horizons, spans), every)


def whole_grid(
    clock: Clock, split: Split, horizons: dict[str, int],
    spans: Mapping[str, tuple[int, int]] | None = None,
) -> Grid:  # fmt: skip
    """As-of times from the first event on, for splits that do not cut time.

    Raises SplitError if a horizon does not fit before the end of its goal's span.
    """
    spans = dict.fromkeys(horizons, (clock.begin, clock.end)) | dict(spans or {})
    every = seconds(split.as_of_every)
    first = _raised(clock.begin + 1, MONDAY % every, every)
    for name in sorted(horizons, key=lambda goal: -horizons[goal]):
        begin, end = spans[name]
        opens = _raised(max(clock.begin + 1, begin), MONDAY % every, every)
        if opens + horizons[name] > end:
            raise SplitError(
                f"goal {name!r}: a horizon of {duration_in_words(horizons[name])} leaves no as-of "
                f"time: {_run(clock, spans[name])}; "
                + _longest(partial(_too_long, opens, end), horizons[name])
            )
    return _grid(first, _last_as_of(horizons, spans), every)


def _too_long(first: int, end: int, horizon: int) -> bool:
    return first + horizon > end


def _last_as_of(horizons: dict[str, int], spans: Mapping[str, tuple[int, int]]) -> int:
    """The last second whose window of some goal is observed to its end."""
    return max(spans[name][1] - horizons[name] for name in horizons)


def _run(clock: Clock, span: tuple[int, int]) -> str:
    """From when to when a goal's action is observed, in words."""
    what = "events run" if span == (clock.begin, clock.end) else "its action is observed"
    return f"{what} from {written(span[0])} to {written(span[1])}"


def _named_cuts(split: Split, time_zone: str) -> tuple[int | None, int | None]:
    texts = (split.validation_from, split.test_from)
    names = ("[split] validation_from", "[split] test_from")
    first, second = (
        None if text is None else parse_time(text, time_zone, name) // MICROS_PER_SECOND
        for text, name in zip(texts, names, strict=True)
    )
    return first, second


def _grid(first: int, last: int, every: int) -> Grid:
    n = (last - first) // every + 1
    if n > MAX_TIMES:
        minutes = (last - first) // (60 * (MAX_TIMES - 1)) + 1
        raise SettingsError(
            f"[split] as_of_every = {duration_as_setting(every)!r} makes {n:,} as-of times, more "
            f"than {MAX_TIMES:,}; choose at least {duration_as_setting(minutes * 60)!r}"
        )
    return Grid(first, every, n)


def _longest(lacks: Callable[[int], object], horizon: int) -> str:
    """The remedy: the longest shorter horizon for which `lacks` finds nothing lacking."""
    for unit in (86_400, 3_600, 60, 1):
        fits, fails = 0, -(-horizon // unit)
        while fails - fits > 1:
            middle = (fits + fails) // 2
            if lacks(middle * unit):
                fails = middle
            else:
                fits = middle
        if fits > 0 and not lacks(fits * unit):
            return f"the longest horizon that fits is {duration_as_setting(fits * unit)!r}"
    return "no horizon fits; choose a shorter [split] as_of_every, earlier cuts, or add data"


def _check_events(clock: Clock, cuts: Cuts) -> None:
    """Raise SplitError if a part has no event."""
    edges = ((TRAIN, clock.begin < cuts.validation_from),
             (VALIDATION, cuts.validation_from < cuts.test_from),
             (TEST, cuts.test_from <= cuts.end))  # fmt: skip
    for part, holds in edges:
        if not holds:
            raise SplitError(
                f"{PARTS[part]} part is empty: events run from {written(clock.begin)} to "
                f"{written(clock.end)}, validation_from is {written(cuts.validation_from)}, "
                f"test_from is {written(cuts.test_from)}; add data or choose other cuts"
            )


def _floored(value: int, anchor: int, every: int) -> int:
    return value - (value - anchor) % every


def _raised(value: int, anchor: int, every: int) -> int:
    return value + (anchor - value) % every
