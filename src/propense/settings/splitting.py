"""Settings of the division into train, validation and test: [split]."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from propense.settings.record import Record


class Split(Record, frozen=True):
    """How rows are divided into train, validation and test."""

    by: Literal["auto", "time", "user", "group", "leave_one_out"] = "auto"
    """What to divide by. Default: time if the data has times, otherwise user."""
    fractions: tuple[float, float, float] = (0.80, 0.15, 0.05)
    """Shares of train, validation and test."""
    folds: int | None = None
    """Number of folds of a cross-validation by user or group, instead of one test part."""
    cuts: int = 1
    """Number of cuts in time at which lists are judged, at most 12: the split's own, and earlier
    ones, each one length of test before the next. Each earlier cut has a network and rivals of its
    own, trained on what came before it."""
    as_of_every: str = "7d"
    """Step between as-of times."""
    validation_from: str | None = None
    """Date or time at which validation begins. Default: from the fractions and the longest
    horizon."""
    test_from: str | None = None
    """Date or time at which test begins. Default: from the fractions and the longest horizon."""
    observed_from: str | None = None
    """Date or time from which on everything was recorded; earlier events are left out. Default:
    where the usual density of events begins."""
    observed_until: str | None = None
    """Date or time until which everything was recorded; later events are left out, and no label
    window reaches beyond. Default: where the usual density of events ends."""
    source_from: dict[str, str] = {}
    """Source -> the date or time from which on it was recorded. Default: where the usual density of
    its events begins."""
    source_until: dict[str, str] = {}
    """Source -> the date or time until which it was recorded: labels about its actions look no
    further. Default: where the usual density of its events ends."""
    gaps: Literal["ask", "unknown", "silence"] = "ask"
    """What weeks almost without events are in the midst of a log: not recorded, so that a label
    whose window meets them is unknown, or a time in which nothing happened ("silence"). "ask" asks
    where a window lies in them for its greater part."""
    group: str | None = None
    """Users column whose values are never divided, for by = "group"."""
    validation: tuple[str, ...] = ()
    """Values of `group` that make the validation part. Default: groups are assigned by hash."""
    test: tuple[str, ...] = ()
    """Values of `group` that make the test part. Default: groups are assigned by hash."""
    disjoint_on: str | None = None
    """Users column: a test user whose value occurs in train or validation is left out."""
    keep_duplicates_together: bool = True
    """Keep customers who are there twice (equal in all features and events) in one part or fold, in
    splits by user."""
    max_as_of_per_user: int | None = None
    """Largest number of as-of rows of one user in a part, evenly spread. The account gives the
    number left out."""
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Seed of the assignment of users and groups, and of which rows are read where there are more
    than a limit allows."""
