"""Small clean folders, and a slow reference that labels them in plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from propense.schemas import RunFolder
from propense.settings import Settings, parse_settings

DAY = 86_400
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
"""A Monday."""

VIEW = {"view": {"action": "view", "within": "7d"}}

EVENT_SCHEMA = pa.schema([
    ("user_id", pa.string()), ("item_id", pa.string()), ("action", pa.string()),
    ("event_time", pa.timestamp("us")), ("value", pa.int64()), ("count", pa.float64()),
    ("event_id", pa.string()), ("source", pa.string()), ("order", pa.int64()),
])  # fmt: skip


@dataclass(frozen=True)
class Event:
    user_id: str
    action: str
    time: float | None
    """Days since START."""
    value: int | None = None
    item_id: str | None = None
    count: float | None = None
    source: str = "app"
    order: int | None = None

    @property
    def micros(self) -> int:
        return START * 1_000_000 + round((self.time or 0) * DAY * 1_000_000)

    def row(self) -> dict[str, Any]:
        return {
            "user_id": self.user_id, "item_id": self.item_id, "action": self.action,
            "event_time": None if self.time is None else self.micros,
            "value": self.value, "count": self.count, "event_id": None,
            "source": self.source, "order": self.order,
        }  # fmt: skip


def write_clean(
    root: Path, events: Sequence[Event] | None = None, users: pa.Table | None = None
) -> RunFolder:
    """A run folder with clean/ in it; events in two files, in the order given."""
    run = RunFolder(root)
    run.clean.mkdir(parents=True, exist_ok=True)
    if events is not None:
        (run.clean / "events").mkdir(exist_ok=True)
        half = len(events) // 2
        for i, rows in enumerate((events[:half], events[half:])):
            table = pa.Table.from_pylist([event.row() for event in rows], schema=EVENT_SCHEMA)
            pq.write_table(table, run.clean / "events" / f"part-{i}.parquet")
    if users is not None:
        pq.write_table(users, run.clean / "users.parquet")
    return run


def settings_of(goals: dict[str, Any] | None = None, folder: str = ".", **more: Any) -> Settings:
    keys = {"sources": {"app": {"events": "app.csv"}}, "goals": goals or {}, **more}
    return parse_settings(keys, folder=folder)


def visits(n_users: int = 8, days: int = 100) -> list[Event]:
    """One view a day of each user."""
    return [Event(f"u{u}", "view", day + u / 9) for u in range(n_users) for day in range(days)]


def shards_of(run: RunFolder) -> list[dict[str, Any]]:
    files = sorted((run.parts / "shards").glob("shard-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def labels_of(run: RunFolder) -> list[dict[str, Any]]:
    return pq.read_table(run.parts / "labels.parquet").to_pylist()


def seconds_of(at: datetime | None) -> int | None:
    return None if at is None else int(at.replace(tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class PlainGoal:
    """A goal as the reference reads it; durations in seconds."""

    ask: str
    action: str
    within: int
    active_within: int | None = None
    ever: str | None = None
    never: str | None = None

    def setting(self) -> dict[str, Any]:
        clauses = []
        if self.active_within is not None:
            clauses.append(f"active within {self.active_within}s")
        if self.ever is not None:
            clauses.append(f"ever {self.ever}")
        if self.never is not None:
            clauses.append(f"never {self.never}")
        among = {"among": " and ".join(clauses)} if clauses else {}
        return {self.ask: self.action, "within": f"{self.within}s", **among}

    def label(self, mine: Iterable[Event], as_of: int) -> int | None:
        """The label of a customer with the events `mine`; None where the goal does not apply."""
        opens, closes = as_of * 10**6, (as_of + self.within) * 10**6
        before = [event for event in mine if event.micros < opens]
        if not before:
            return None
        if self.active_within is not None and not any(
            event.micros >= opens - self.active_within * 10**6 for event in before
        ):
            return None
        done = {event.action for event in before}
        if self.ever is not None and self.ever not in done:
            return None
        if self.never is not None and self.never in done:
            return None
        window = [event for event in mine if opens <= event.micros < closes]
        hits = [event for event in window if self.action in ("*", event.action)]
        if self.ask != "value_of" and self.action not in ("*", "refund"):
            hits = [event for event in left_of(window, self.action) if event.action == self.action]
        if self.ask == "action":
            return int(bool(hits))
        if self.ask == "absent":
            return int(not hits)
        gained = sum(event.value or 0 for event in hits if event.action != "refund")
        return gained - sum(abs(e.value or 0) for e in window if e.action == "refund")


def left_of(window: Sequence[Event], action: str) -> list[Event]:
    """The events of `action` that refunds of the window do not take back whole: each takes from
    the latest before it, of its own item, by amounts or, where it has none, by pieces."""
    left: list[list[Any]] = []
    ordered = sorted(window, key=lambda event: (event.micros, event.action == "refund"))
    for event in ordered:
        by_amount = bool(event.value)
        size = abs(event.value or 0) if by_amount else (1.0 if event.count is None else event.count)
        if event.action == action:
            left.append([event, by_amount, size])
        if event.action != "refund":
            continue
        for entry in reversed(left):
            if entry[0].item_id == event.item_id and entry[1] == by_amount:
                part = min(size, entry[2])
                entry[2] -= part
                size -= part
    return [event for event, _, size in left if size > 0]


def reference_cuts(
    events: Sequence[Event], every: int, horizon: int, fractions: tuple[float, float, float]
) -> tuple[int, int, int]:
    """validation_from, test_from, end in seconds."""
    times = sorted(event.micros // 10**6 for event in events)
    end = times[-1]
    monday = 4 * DAY

    def quantile(q: float) -> int:
        return times[min(int(q * len(times)), len(times) - 1)]

    def floored(at: int) -> int:
        return (at - monday) // every * every + monday

    test_from = floored(min(quantile(fractions[0] + fractions[1]), end - horizon))
    validation_from = floored(min(quantile(fractions[0]), test_from - horizon))
    return validation_from, test_from, end


def reference_rows(
    events: Sequence[Event], goals: dict[str, PlainGoal], every: int, cuts: tuple[int, int, int],
    spans: dict[str, tuple[int, int]] | None = None,
) -> dict[tuple[str, int], dict[str, Any]]:  # fmt: skip
    """(user_id, as_of) -> part and labels, for every row of a split by time.

    `spans` are the seconds between which a goal's action is observed. Default: all.
    """
    whole = (min(event.micros for event in events) // 10**6, cuts[2])
    spans = dict.fromkeys(goals, whole) | (spans or {})
    validation_from, test_from, end = cuts
    monday = 4 * DAY
    begin = min(event.micros for event in events) // 10**6
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for user in sorted({event.user_id for event in events}):
        mine = [event for event in events if event.user_id == user]
        as_of = (begin - monday) // every * every + monday
        while as_of <= end:
            part, closes = "train", validation_from
            if as_of >= test_from:
                part, closes = "test", end
            elif as_of >= validation_from:
                part, closes = "validation", test_from
            labels = {
                name: goal.label(mine, as_of)
                if spans[name][0] <= as_of <= min(closes, spans[name][1]) - goal.within
                else None
                for name, goal in goals.items()
            }
            if any(label is not None for label in labels.values()):
                rows[user, as_of] = {"part": part, **labels}
            as_of += every
    return rows
