"""The time in which events were recorded: of the whole log, of each source, of each goal's action.

Observation ends where the usual density of events ends, not with the last event: what follows a
long silence is left out of every part, and no label window reaches into the silence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from propense.errors import SettingsError, SplitError, nearest
from propense.schemas import PlanWarning
from propense.settings import Settings
from propense.settings.paths import setting_path
from propense.tables.splitting.shards import Partitions
from propense.tables.splitting.silences import FEWEST, DayCounts, Silence, find_silences, merge_days
from propense.times import MICROS_PER_SECOND, parse_time, written_day, written_iso
from propense.words import format_text

DAY: Final = 86_400
GAP_DAYS: Final = 7
"""Shorter silences within a log are not spoken of."""


@dataclass(frozen=True)
class Span:
    """When something was recorded."""

    begin: int
    """Second from which on."""
    end: int
    """Last second, inclusive."""
    gaps: tuple[Silence, ...] = ()

    @property
    def pair(self) -> tuple[int, int]:
        return self.begin, self.end


@dataclass(frozen=True)
class Observation:
    """When the log was recorded, and each of its sources."""

    log: Span
    sources: dict[str, Span]
    named: frozenset[tuple[str, Literal["from", "until"]]] = frozenset()
    """Sides of sources that the settings name."""
    warnings: tuple[PlanWarning, ...] = ()


def observe(partitions: Partitions, settings: Settings) -> tuple[Partitions, Observation]:
    """The time of observation, and the partitions without the events outside it.

    Raises SettingsError where the settings name a source that has no event, or a time of
    observation without events; SplitError where the events have no times.
    """
    survey = partitions.survey
    if survey.span is None:
        raise SplitError("the events have no times, so nobody knows when they were observed")
    named = _named_sources(settings, list(survey.days))
    spans = _own_spans(partitions)
    begin = _time(settings.split.observed_from, settings, "[split] observed_from")
    end = _time(settings.split.observed_until, settings, "[split] observed_until")
    log = Span(
        min(span.begin for span in spans.values()) if begin is None else begin,
        max(span.end for span in spans.values()) if end is None else end,
    )
    warnings = _strays(partitions, log, survey.span)
    if log.begin > survey.span[0] or log.end < survey.span[1]:
        partitions = replace(partitions, observed=log.pair)
        if not partitions.survey.n_events:
            raise SettingsError(
                f"no event lies between [split] observed_from {written_day(log.begin)} and "
                f"observed_until {written_day(log.end)}"
            )
    sources = {
        name: _observed_source(partitions, settings, name, days, log, spans.get(name, log), named)
        for name, days in partitions.survey.days.items()
    }
    return partitions, Observation(log, sources, frozenset(named), tuple(warnings))


def _own_spans(partitions: Partitions) -> dict[str, Span]:
    """The span of each source by its own events alone, within that of all events.

    Sources of too few events to be judged are judged together, under no name, or if there are
    others that can, not at all.
    """
    survey = partitions.survey
    assert survey.span is not None
    large = {name: days for name, days in survey.days.items() if days.n >= FEWEST}
    small = tuple(name for name in survey.days if name not in large)
    rest = merge_days(survey.days[name] for name in small)
    spans = {
        name: _own_span(partitions, (name,), days, survey.span) for name, days in large.items()
    }
    if rest.n >= FEWEST or not large:
        spans[""] = _own_span(partitions, small, rest, survey.span)
    return spans


def _own_span(
    partitions: Partitions, sources: tuple[str, ...], days: DayCounts, whole: tuple[int, int]
) -> Span:
    """The span of `sources` by their own events, at most that of the `whole` log."""
    first, last = int(days.days[0]), int(days.days[-1])
    silences = find_silences(days, first, last)
    begin, end = first * DAY, last * DAY + DAY - 1
    if silences.before is not None:
        begin = _first_after(partitions, sources, silences.before, silences.unit)
    if silences.after is not None:
        end = _last_before(partitions, sources, silences.after, silences.unit)
    return Span(max(begin, whole[0]), min(end, whole[1]))


def _last_before(
    partitions: Partitions, sources: tuple[str, ...], after: Silence, unit: int
) -> int:
    """Second of the last event before a silence that begins somewhen in its first unit."""
    opens = after.first * DAY
    times = partitions.seconds_between(opens - unit * DAY, opens + unit * DAY, sources)
    last = int(np.searchsorted(times, opens)) - 1
    while last + 1 < len(times) and times[last + 1] - times[last] <= unit * DAY // 2:
        last += 1
    return int(times[last])


def _first_after(
    partitions: Partitions, sources: tuple[str, ...], before: Silence, unit: int
) -> int:
    """Second of the first event after a silence that ends somewhen in its last unit."""
    closes = (before.last + 1) * DAY
    times = partitions.seconds_between(closes - unit * DAY, closes + unit * DAY, sources)
    first = int(np.searchsorted(times, closes))
    while first > 0 and times[first] - times[first - 1] <= unit * DAY // 2:
        first -= 1
    return int(times[first])


def _observed_source(
    partitions: Partitions, settings: Settings, name: str, days: DayCounts, log: Span, own: Span,
    named: set[tuple[str, Literal["from", "until"]]],
) -> Span:  # fmt: skip
    """A source's span within the log's, as the settings or its density say.

    A source whose `own` span reaches as far as the log's lacks nothing.
    """
    split, begin, end = settings.split, log.begin, log.end
    silences = find_silences(days, log.begin // DAY, log.end // DAY)
    if (name, "from") in named:
        begin = _asked(split.source_from[name], settings, f"[split] source_from.{name}")
    elif silences.before is not None and own.begin > log.begin and split.observed_from is None:
        begin = _first_after(partitions, (name,), silences.before, silences.unit)
    if (name, "until") in named:
        end = _asked(split.source_until[name], settings, f"[split] source_until.{name}")
    elif silences.after is not None and own.end < log.end and split.observed_until is None:
        end = _last_before(partitions, (name,), silences.after, silences.unit)
    gaps = tuple(
        gap for gap in silences.gaps
        if gap.n_days >= GAP_DAYS and begin < gap.seconds[0] < end
    )  # fmt: skip
    return Span(max(begin, log.begin), min(end, log.end), gaps)


def _strays(partitions: Partitions, log: Span, span: tuple[int, int]) -> list[PlanWarning]:
    """What is said of events outside the time of observation."""
    warnings = []
    if log.end < span[1]:
        n = len(partitions.seconds_between(log.end + 1, span[1] + 1))
        text = format_text(
            "split.late", n=f"{n:,}", end=written_iso(log.end), last=written_iso(span[1])
        )
        warnings.append(PlanWarning("stray_events", text))
    if log.begin > span[0]:
        n = len(partitions.seconds_between(span[0], log.begin))
        text = format_text(
            "split.early", n=f"{n:,}", begin=written_iso(log.begin), first=written_iso(span[0])
        )
        warnings.append(PlanWarning("stray_events", text))
    return warnings


def _named_sources(
    settings: Settings, sources: list[str]
) -> set[tuple[str, Literal["from", "until"]]]:
    named: set[tuple[str, Literal["from", "until"]]] = set()
    for name in settings.split.source_from:
        named.add((name, "from"))
    for name in settings.split.source_until:
        named.add((name, "until"))
    for name, side in sorted(named):
        if name not in sources:
            key = setting_path("split", f"source_{side}", name)
            raise SettingsError(f"{key}: no event is of {name!r}; {nearest(name, sources)}")
    return named


def _time(text: str | None, settings: Settings, key: str) -> int | None:
    return None if text is None else _asked(text, settings, key)


def _asked(text: str, settings: Settings, key: str) -> int:
    return parse_time(text, settings.time_zone, key) // MICROS_PER_SECOND
