"""The doctor's checks of clean events: hours, gaps, heavy customers, bots, items, money."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import ibis
import numpy as np

from propense.columns import ACTION, EVENT_TIME, ITEM_ID, MICRO_UNITS, USER_ID, VALUE
from propense.schemas import Ints
from propense.settings import Settings
from propense.tables.doctor.checks_span import check_span
from propense.tables.doctor.checks_tables import variants
from propense.tables.doctor.findings import Finding, some
from propense.tables.engine.engine import TableEngine
from propense.times import MICROS_PER_SECOND

HOUR: Final = 3600
QUIET_HOURS: Final = 6
QUIET_SHARE: Final = 0.12
"""A quarter of the day with less than this share of the events is a night."""
DAYTIME: Final = range(9, 21)
"""Local hours in which the middle of a night cannot be."""
ENOUGH: Final = 2000
"""Fewer events say nothing about the hours of a day."""
DOMINANT_SHARE: Final = 0.2
DOMINANT_ERROR: Final = 0.4
"""Shares of all events, of one customer among at least so many."""
DOMINANT_AMONG: Final = 10
_USUAL_WORDS: Final = '"0", "null", "none", "undefined", "unknown", "guest", "anonymous"'
HEAVY_SHARE: Final = 0.02
HEAVY_TIMES: Final = 50
MACHINE_EVENTS: Final = 200
MACHINE_SHARE: Final = 0.9
"""Share of a customer's gaps that are equal to the second: no human is that punctual."""
LOOKED_AT: Final = 20
EXTREME: Final = 1000
"""Times the median value that a single value may be before it is shown."""


@dataclass(frozen=True)
class EventFacts:
    """Counts that the cost of a run is estimated from."""

    events: int
    users: int
    items: int
    actions: int
    span_seconds: int | None


def check_events(
    events: Any, items: Any | None, settings: Settings, engine: TableEngine
) -> tuple[list[Finding], EventFacts]:
    """Findings about the clean events (and the items they name), and their counts.

    `events` and `items` are Ibis tables as ARCHITECTURE describes them.
    """
    total = events.agg(
        events=ibis._.count(), users=ibis._[USER_ID].nunique(), items=ibis._[ITEM_ID].nunique(),
        timed=ibis._[EVENT_TIME].notnull().sum(),
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    findings: list[Finding] = []
    span = None
    if total["timed"]:
        hours, counts = _hours(events, engine)
        span = int((hours.max() - hours.min() + 1) * HOUR)
        findings += _night(hours, counts, settings.time_zone)
        findings += _gaps(hours, counts)
        findings += check_span(hours, counts)
    else:
        findings.append(
            Finding(
                code="order_only",
                severity="info",
                table="events",
                column=EVENT_TIME,
                sentence="the events have no times: only their order is learned, and goals with "
                "a horizon cannot be used",
                remedy="map the column of times: columns = { event_time = ... }",
            )
        )
    findings += _heavy(events, total["events"], total["users"], engine, timed=span is not None)
    words = _counts(events, ACTION)
    findings += _actions(words)
    findings += _money(events)
    if items is not None and total["items"]:
        findings += _unknown_items(events, items, settings)
    facts = EventFacts(total["events"], total["users"], total["items"], len(words), span)
    return findings, facts


def quiet_middle(hours_of_day: Ints) -> tuple[float, float]:
    """Middle of the quietest six hours of a day (24 counts), and their share of the events.

    >>> day = np.array([0] * 6 + [10] * 18)
    >>> quiet_middle(day)
    (3.0, 0.0)
    """
    doubled = np.concatenate([hours_of_day, hours_of_day])
    sums = np.convolve(doubled, np.ones(QUIET_HOURS, dtype=np.int64), mode="valid")[:24]
    start = int(np.argmin(sums))
    share = float(sums[start] / max(1, hours_of_day.sum()))
    return (start + QUIET_HOURS / 2) % 24, share


def _hours(events: Any, engine: TableEngine) -> tuple[Ints, Ints]:
    """Hours since 1970 that have events, in order, and how many."""
    hour = (engine.microseconds(events[EVENT_TIME]) // (HOUR * MICROS_PER_SECOND)).cast("int64")
    counts = (
        events.filter(events[EVENT_TIME].notnull())
        .group_by(hour=hour).agg(n=ibis._.count()).order_by("hour").to_pyarrow()
    )  # fmt: skip
    return counts["hour"].to_numpy().astype(np.int64), counts["n"].to_numpy().astype(np.int64)


def _night(hours: Ints, counts: Ints, time_zone: str) -> list[Finding]:
    """Whether the quietest part of the day is in the night of the project's time zone."""
    zone = ZoneInfo(time_zone)
    local = np.array([datetime.fromtimestamp(h * HOUR, zone).hour for h in hours.tolist()])
    day = np.bincount(local, weights=counts, minlength=24).astype(np.int64)
    if day.max() == day.sum() and len(np.unique(hours // 24)) > 3:
        return [
            Finding(
                code="days_only",
                severity="info",
                table="events",
                column=EVENT_TIME,
                sentence="every event is in the same hour of the day: the times are dates, so the "
                "hour carries no information",
            )
        ]
    if day.sum() < ENOUGH:
        return []
    middle, share = quiet_middle(day)
    shown = f"the quietest six hours are around {middle:02.0f}:00 in {time_zone}"
    if share < QUIET_SHARE and int(middle) in DAYTIME:
        shift = round((3 - middle + 12) % 24 - 12)
        return [
            Finding(
                code="time_zone",
                severity="warning",
                table="events",
                column=EVENT_TIME,
                sentence=f"{shown}, with {share:.0%} of the events: the times look shifted by "
                f"about {-shift:+d} hours",
                remedy="set time_zone (or the source's own time_zone) to the zone in which the "
                "times were recorded",
                examples=[f"{hour:02d}h {n:,}" for hour, n in enumerate(day.tolist())],
            )
        ]
    return [
        Finding(
            code="time_zone",
            severity="ok",
            table="events",
            column=EVENT_TIME,
            sentence=f"{shown}, with {share:.0%} of the events",
        )
    ]


def _gaps(hours: Ints, counts: Ints) -> list[Finding]:
    """Days without any event in a log that has events on nearly every day."""
    days, index = np.unique(hours // 24, return_inverse=True)
    each = np.bincount(index, weights=counts)
    n_days = int(days[-1] - days[0] + 1)
    missing = np.setdiff1d(np.arange(days[0], days[-1] + 1), days)
    if not len(missing) or n_days < 14 or np.median(each) < 20:
        return []
    weekdays = np.bincount((missing + 3) % 7, minlength=7)  # 1970-01-01 was a Thursday
    closed = weekdays >= 0.8 * (n_days / 7)
    unexpected = missing[~closed[(missing + 3) % 7]]
    if not len(unexpected):
        return []
    return [
        Finding(
            code="missing_days",
            severity="info",
            table="events",
            column=EVENT_TIME,
            count=len(unexpected),
            sentence=f"{len(unexpected):,} of {n_days:,} days have no events",
            remedy="if log files were lost, add them: missing days look like churn",
            examples=some(
                datetime.fromtimestamp(int(day) * 86_400, UTC).date() for day in unexpected
            ),
        )
    ]


def _heavy(
    events: Any, n_events: int, n_users: int, engine: TableEngine, timed: bool
) -> list[Finding]:
    """Customers with a large share of all events, and those as regular as a machine."""
    top = (
        events.group_by(USER_ID).agg(n=ibis._.count())
        .order_by([ibis.desc("n"), USER_ID]).limit(LOOKED_AT).to_pyarrow()
    )  # fmt: skip
    ids, counts = top[USER_ID].to_pylist(), top["n"].to_pylist()
    mean = n_events / max(1, n_users)
    heavy = [
        (user, n) for user, n in zip(ids, counts, strict=True)
        if n > HEAVY_TIMES * mean or (n > HEAVY_SHARE * n_events and n_users > 100)
    ]  # fmt: skip
    findings = find_dominant(ids, counts, n_events, n_users)
    if heavy:
        findings.append(
            Finding(
                code="heavy_users",
                severity="info",
                table="events",
                column=USER_ID,
                count=len(heavy),
                sentence=f"{len(heavy)} customers have far more events than the mean of "
                f"{mean:,.1f}; the heaviest has {heavy[0][1]:,} ({heavy[0][1] / n_events:.1%} of "
                "all)",
                remedy="if these are shared or test accounts, exclude them from the source",
                examples=[f"{user} ({n:,} events)" for user, n in heavy[:5]],
            )
        )
    machines = _machines(events, ids, counts, engine) if timed else []
    if machines:
        findings.append(
            Finding(
                code="bots",
                severity="warning",
                table="events",
                column=USER_ID,
                count=len(machines),
                sentence=f"{len(machines)} of the {LOOKED_AT} busiest customers act at equal "
                "intervals, like a machine",
                remedy="exclude them from the source, or lower [clean] max_events_per_day",
                examples=machines[:5],
            )
        )
    return findings


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def find_dominant(ids: list[str], counts: list[int], n_events: int, n_users: int) -> list[Finding]:
    """One customer who is many people: a word such as "walk-in" that stands for all of them."""
    if not ids or n_users < DOMINANT_AMONG or counts[0] < DOMINANT_SHARE * n_events:
        return []
    share = counts[0] / n_events
    return [
        Finding(
            code="dominant_user", severity="error" if share >= DOMINANT_ERROR else "warning",
            table="events", column=USER_ID, count=counts[0],
            sentence=f"one customer, {ids[0]!r}, has {counts[0]:,} of {n_events:,} events "
            f"({share:.0%}), as many people under one id have",
            remedy="if it stands for customers without an id, set its rows aside: [clean] "
            f"placeholder_ids = [{_quoted(ids[0])}, {_USUAL_WORDS}]",
        )
    ]  # fmt: skip


def _machines(events: Any, ids: list[str], counts: list[int], engine: TableEngine) -> list[str]:
    busy = [user for user, n in zip(ids, counts, strict=True) if n >= MACHINE_EVENTS]
    if not busy:
        return []
    chosen = events.filter(events[USER_ID].isin(busy))
    second = (engine.microseconds(chosen[EVENT_TIME]) // MICROS_PER_SECOND).cast("int64")
    rows = chosen.select(user=chosen[USER_ID], second=second).to_pyarrow()
    users, seconds = np.array(rows["user"].to_pylist()), rows["second"].to_numpy()
    machines = []
    for user in busy:
        gaps = np.diff(np.sort(seconds[users == user]))
        gaps = gaps[gaps > 0]  # lines of one basket share their time
        if len(gaps) < MACHINE_EVENTS // 2:
            continue
        values, n = np.unique(gaps, return_counts=True)
        if n.max() >= MACHINE_SHARE * len(gaps) and values[n.argmax()] < 6 * HOUR:
            machines.append(f"{user} (every {values[n.argmax()]:,} seconds)")
    return machines


def _counts(table: Any, column: str) -> dict[str, int]:
    counts = table.group_by(column).agg(n=ibis._.count()).to_pyarrow().to_pylist()
    return {row[column]: row["n"] for row in counts if row[column] is not None}


def _actions(words: dict[str, int]) -> list[Finding]:
    findings = []
    if same := variants(words):
        findings.append(
            Finding(
                code="spelling",
                severity="warning",
                table="events",
                column=ACTION,
                count=len(same),
                sentence=f"{len(same)} actions are spelled in several ways",
                remedy='map the spellings to one action in the source: actions = { "Pay" = "pay" }',
                examples=same[:5],
            )
        )
    if len(words) > 100:
        findings.append(
            Finding(
                code="many_actions",
                severity="warning",
                table="events",
                column=ACTION,
                count=len(words),
                sentence=f"there are {len(words):,} distinct actions",
                remedy="an action says what was done, not to which object: map the words with "
                "`actions`, and put the object in item_id",
                examples=some(sorted(words)),
            )
        )
    return findings


def _money(events: Any) -> list[Finding]:
    value = events[VALUE].cast("float64") / MICRO_UNITS
    some_value = events.filter(events[VALUE].notnull() & (events[VALUE] != 0))
    totals = some_value.agg(
        n=ibis._.count(), middle=value.abs().approx_median(), top=value.abs().max()
    ).to_pyarrow().to_pylist()[0]  # fmt: skip
    if not totals["n"] or not totals["middle"] or totals["top"] <= EXTREME * totals["middle"]:
        return []
    return [
        Finding(
            code="extreme_values",
            severity="info",
            table="events",
            column=VALUE,
            sentence=f"the largest value is {totals['top']:,.2f}, the median about "
            f"{totals['middle']:,.2f}: one customer can dominate a mean",
            remedy="if the value is wrong, limit values with [clean] value_range",
        )
    ]


def _unknown_items(events: Any, items: Any, settings: Settings) -> list[Finding]:
    """Events whose item the catalogue does not have, and items without any event."""
    named = events.filter(events[ITEM_ID].notnull())
    unknown = (
        named.anti_join(items, ITEM_ID).group_by(ITEM_ID).agg(n=ibis._.count())
        .order_by([ibis.desc("n"), ITEM_ID])
    )  # fmt: skip
    total = unknown.agg(rows=ibis._.n.sum(), items=ibis._.count()).to_pyarrow().to_pylist()[0]
    findings = []
    if total["items"]:
        rows = named.count().to_pyarrow().as_py()
        findings.append(
            Finding(
                code="unknown_items",
                table="events",
                column=ITEM_ID,
                count=int(total["rows"]),
                severity="warning" if total["rows"] > 0.05 * rows else "info",
                sentence=f"{total['rows']:,} events refer to {total['items']:,} items that are "
                "not in the catalogue",
                remedy="add them to the [items] table"
                + (
                    ": lists do not show them; [recommend] only_catalogue = false shows them"
                    if settings.recommend is not None and settings.recommend.only_catalogue
                    else ""
                )
                + (
                    ""
                    if settings.clean.unknown_items == "drop"
                    else '; or drop these events with [clean] unknown_items = "drop"'
                ),
                examples=unknown.limit(5).to_pyarrow()[ITEM_ID].to_pylist(),
            )
        )
    idle = items.anti_join(named, ITEM_ID).count().to_pyarrow().as_py()
    if idle:
        findings.append(
            Finding(
                code="idle_items",
                severity="info",
                table="items",
                column=ITEM_ID,
                count=idle,
                sentence=f"{idle:,} items of the catalogue have no events; they are recommended "
                "by their columns alone",
            )
        )
    return findings
