"""Settings of the cleaning rules: [clean]."""

from __future__ import annotations

from typing import Literal

from propense.settings.record import Record


class Clean(Record, frozen=True):
    """The cleaning rules. Each rule counts the rows it dropped or mended."""

    duplicate_window: str = "1s"
    """Rows without event_id that are equal in user, item, action, value, count and source and lie
    within this time of each other are one event."""
    exact_duplicates: Literal["drop", "keep"] = "drop"
    """What to do with rows that are equal in every column."""
    value_range: tuple[float, float] | None = None
    """Values outside [low, high] are impossible. Default: judged from the data."""
    negative_values: Literal["drop", "keep"] = "drop"
    """What to do with negative values of rows that are neither refunds nor cancellations."""
    refund_actions: tuple[str, ...] = ("refund",)
    """Actions whose values count as negative."""
    max_events_per_day: int = 5000
    """A user with more events on any one day is a bot."""
    earliest: str = "1990-01-01"
    """Earlier times are impossible."""
    until: str | None = None
    """The time at which the data was exported; later rows are from the future. Default: the last
    plausible event."""
    accept_guesses: bool = False
    """Whether data that can be read in two ways is read in the likelier one. Default: the run ends
    with the question."""
    unknown_items: Literal["keep", "drop"] = "keep"
    """What to do with events whose item is missing from the items table, if there is one."""
