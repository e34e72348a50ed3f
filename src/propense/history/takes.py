"""How often items were taken of late, counted by a store; no customer can be told from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from propense.times import MICROS_PER_DAY, MICROS_PER_SECOND

Cell = tuple[str, int]
"""An item, and the number of the step within which it was taken."""


class TakesQuestion(NamedTuple):
    """What is counted: a customer counts once an item and UTC day, with their first event of it."""

    actions: tuple[str, ...]
    """The actions that count; empty: every one."""
    after: int
    """The store's number of the last event that was counted before, -1 for none."""
    oldest: int
    """Events before this time do not count; microseconds UTC, above 0."""
    step: int
    """Seconds."""
    user_id: str | None = None
    """Of this customer alone, whether or not they may be learned from; by any of their names."""
    until: int | None = None
    """The number of the last event that counts; None: every one that is there."""


class Takes(NamedTuple):
    """The answer: of customers and, apart, of visitors whom nobody has identified."""

    until: int
    """The store's number of the last event that was looked at."""
    customers: dict[Cell, int]
    visitors: dict[Cell, int]


class TakeEvent(NamedTuple):
    """An event as counting sees it."""

    seq: int
    event_time: int
    action: str
    item_id: str | None


def first_takes(events: Sequence[TakeEvent], question: TakesQuestion, until: int) -> list[Cell]:
    """What one customer adds, whose events are all of `events`: a cell for each item and day that
    no event up to `question.after` has."""
    firsts: dict[tuple[str, int], tuple[int, int]] = {}
    for seq, event_time, action, item_id in events:
        if (
            item_id is None or seq > until or event_time < question.oldest
            or (question.actions and action not in question.actions)
        ):  # fmt: skip
            continue
        key = item_id, event_time // MICROS_PER_DAY
        held = firsts.get(key, (seq, event_time))
        firsts[key] = min(held[0], seq), min(held[1], event_time)
    return [
        (item_id, event_time // (question.step * MICROS_PER_SECOND))
        for (item_id, _), (seq, event_time) in firsts.items()
        if seq > question.after
    ]
