"""When the action of a goal is observed: by the sources that carry it, and outside their gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from propense.schemas import Ints, PlanWarning
from propense.settings import Settings
from propense.settings.paths import setting_path
from propense.tables.questions import Choice, refuse_open
from propense.tables.questions import Question as OpenQuestion
from propense.tables.splitting.cuts import Cuts, Grid
from propense.tables.splitting.labels import Question
from propense.tables.splitting.ledger import Bools
from propense.tables.splitting.observation import DAY, GAP_DAYS, Observation, Span
from propense.tables.splitting.silences import Silence
from propense.tables.splitting.survey import Survey
from propense.times import written_day, written_iso
from propense.words import format_text

CARRIES: Final = 20
"""A source carries an action if at least this part of its events are from there."""
HANDOVER_DAYS: Final = 31
"""A source that begins at most so long before another's end takes over from it."""
LONG_AGO: Final = 2
"""A source that is silent for more than this part of the log is taken as closed."""


_SOURCE_TEXTS: Final = {
    ("until", False): "split.source_ends_short",
    ("until", True): "split.source_ends_whole",
    ("from", False): "split.source_begins_short",
    ("from", True): "split.source_begins_whole",
}


@dataclass(frozen=True)
class GoalSpans:
    """When each goal's action is observed."""

    spans: dict[str, Span]
    warnings: tuple[PlanWarning, ...]

    @property
    def pairs(self) -> dict[str, tuple[int, int]]:
        """Goal -> first and last second."""
        return {name: span.pair for name, span in self.spans.items()}


NO_SPANS: Final = GoalSpans({}, ())
"""Of events without times."""


def find_goal_spans(
    observation: Observation, survey: Survey, questions: Iterable[Question]
) -> GoalSpans:
    """The span of each question: that in which all sources that carry its action were recorded.

    A source that ends before the others is taken as an older export, unless another takes over
    from it, or most of the log comes after it: then it is taken as closed. Likewise one that
    begins later. Each warning names the setting that says otherwise.
    """
    spans: dict[str, Span] = {}
    goals: dict[_Lack, list[str]] = {}
    for question in questions:
        spans[question.name], lacks = _span_of(question, observation, survey)
        for lack in lacks:
            goals.setdefault(lack, []).append(question.name)
    warnings = [_warn(lack, names, observation.log) for lack, names in goals.items()]
    return GoalSpans(spans, tuple(warnings))


@dataclass(frozen=True)
class _Lack:
    """A source that begins later than the log, or ends earlier."""

    side: Literal["from", "until"]
    source: str
    at: int
    whole: bool
    """Taken to lack nothing."""


def _span_of(
    question: Question, observation: Observation, survey: Survey
) -> tuple[Span, list[_Lack]]:
    log = observation.log
    counts = survey.carriers.get(question.action, {})
    if question.action == "*":
        counts = {name: days.n for name, days in survey.days.items()}
    total = sum(counts.values())
    carriers = {
        name: observation.sources[name]
        for name, n in sorted(counts.items())
        if n * CARRIES >= total and name in observation.sources
    }
    if not carriers:
        return log, []
    ended = {name: span.end for name, span in carriers.items() if span.end < log.end}
    begun = {name: span.begin for name, span in carriers.items() if span.begin > log.begin}
    closed = _closed(ended, begun, log, len(carriers))
    opened = _opened(ended, begun, log, len(carriers))
    lacks = [_Lack("until", name, end, name in closed) for name, end in ended.items()]
    lacks += [_Lack("from", name, begin, name in opened) for name, begin in begun.items()]
    gaps_within = {gap for span in carriers.values() for gap in span.gaps}
    between = _between(carriers, closed, survey)
    gaps = sorted(gaps_within | ({between} if between else set()), key=lambda gap: gap.first)
    span = Span(
        max(span.begin for name, span in carriers.items() if name not in opened),
        min(span.end for name, span in carriers.items() if name not in closed),
        tuple(gaps),
    )
    return span, [lack for lack in lacks if (lack.source, lack.side) not in observation.named]


def _between(carriers: dict[str, Span], closed: set[str], survey: Survey) -> Silence | None:
    """The longest time between a source that was closed and the next that was recorded."""
    longest = None
    for name in closed:
        end = carriers[name].end
        later = [span.begin for span in carriers.values() if span.begin > end]
        if not later or any(span.begin <= end < span.end for span in carriers.values()):
            continue
        begin = min(later)
        first, last = end // DAY + 1, begin // DAY - 1
        if last - first + 1 < GAP_DAYS or (longest and last - first < longest.last - longest.first):
            continue
        days = survey.days[name]
        usual = days.n * (last - first + 1) // int(days.days[-1] - days.days[0] + 1)
        longest = Silence(first, last, 0, usual)
    return longest


def _closed(ended: dict[str, int], begun: dict[str, int], log: Span, n: int) -> set[str]:
    """Sources that end, taken as closed; the last to end is none if all do."""
    closed = {
        name for name, end in ended.items()
        if (log.end - end) * LONG_AGO > log.end - log.begin
        or any(begin >= end - HANDOVER_DAYS * DAY for other, begin in begun.items()
               if other != name)
    }  # fmt: skip
    if len(closed) == n:
        closed.discard(max(closed, key=lambda name: (ended[name], name)))
    return closed


def _opened(ended: dict[str, int], begun: dict[str, int], log: Span, n: int) -> set[str]:
    """Sources that begin later, taken as new then; the first to begin is none if all do."""
    opened = {
        name for name, begin in begun.items()
        if (begin - log.begin) * LONG_AGO > log.end - log.begin
        or any(begin >= end - HANDOVER_DAYS * DAY for other, end in ended.items()
               if other != name)
    }  # fmt: skip
    if len(opened) == n:
        opened.discard(min(opened, key=lambda name: (begun[name], name)))
    return opened


def _warn(lack: _Lack, goals: list[str], log: Span) -> PlanWarning:
    """What is taken of a source that lacks something, and what follows for goals."""
    limit = log.end if lack.side == "until" else log.begin
    side = setting_path(f"source_{lack.side}", lack.source)
    text = format_text(
        _SOURCE_TEXTS[lack.side, lack.whole], goal=", ".join(goals), source=lack.source,
        at=written_day(lack.at), days=f"{abs(limit - lack.at) // DAY:,}",
        setting=f'[split] {side} = "{written_iso(lack.at if lack.whole else limit)}"',
    )  # fmt: skip
    return PlanWarning("source_span", text, goals[0] if len(goals) == 1 else "")


def closed_windows(
    questions: tuple[Question, ...], spans: GoalSpans, grid: Grid, cuts: Cuts | None
) -> tuple[Bools, ...]:
    """One (grid.n,) mask a question: the times whose label window lies in the goal's span, and
    ends before the part does."""
    masks = []
    for question in questions:
        begin, end = spans.spans[question.name].pair
        ends = grid.times + question.within
        masks.append((grid.times >= begin) & (ends <= end))
        if cuts is not None:
            masks[-1] &= ends <= cuts.closes(grid.times)
    return tuple(masks)


def outside_gaps(
    spans: GoalSpans, questions: tuple[Question, ...], grid: Grid, closed: tuple[Bools, ...],
    settings: Settings,
) -> tuple[tuple[Bools, ...], list[PlanWarning]]:  # fmt: skip
    """`closed` without the windows that meet a gap, where gaps are unknown.

    `closed` has one (grid.n,) mask a question. Raises QuestionError where a window lies in a gap
    for its greater part, and [split] gaps does not say what gaps are.
    """
    choice = settings.split.gaps
    asked: dict[Silence, int] = {}
    met: dict[tuple[Silence, bool], list[tuple[str, int]]] = {}
    masks = []
    for question, mask in zip(questions, closed, strict=True):
        for gap in spans.spans[question.name].gaps:
            covered = _covered(grid.times, question.within, gap)
            n_met = int((mask & (covered > 0)).sum())
            n_inside = int((mask & (2 * covered >= question.within)).sum())
            if choice == "ask" and n_inside:
                asked[gap] = max(asked.get(gap, 0), n_inside)
            unknown = choice == "unknown" or (choice == "ask" and n_inside > 0)
            if unknown:
                mask = mask & (covered == 0)
            met.setdefault((gap, unknown), []).append((question.name, n_met))
        masks.append(mask)
    refuse_open([_ask(asked)] if asked else [], settings)
    return tuple(masks), [_gap_warning(*key, goals) for key, goals in met.items()]


def _gap_warning(gap: Silence, unknown: bool, goals: list[tuple[str, int]]) -> PlanWarning:
    """What is taken of a gap, and how many as-of times of each goal meet it."""
    text = format_text(
        "split.gap_unknown" if unknown else "split.gap_silence",
        goal=", ".join(f"{name} ({n:,})" for name, n in goals),
        first=written_day(gap.seconds[0]), last=written_day(gap.seconds[1] - 1),
        n_events=f"{gap.n:,}", usual=f"{gap.usual:,}",
    )  # fmt: skip
    return PlanWarning("gap", text, goals[0][0] if len(goals) == 1 else "")


def _covered(times: Ints, within: int, gap: Silence) -> Ints:
    """Seconds of each window that lie in the gap."""
    opens, closes = gap.seconds
    covered: Ints = np.minimum(times + within, closes) - np.maximum(times, opens)
    return np.maximum(covered, 0)


def _ask(gaps: dict[Silence, int]) -> OpenQuestion:
    return OpenQuestion(
        key="split.gaps",
        sentence="The log holds almost no events for a long time, and label windows lie in it: "
        "were they not recorded, or did nothing happen?",
        choices=[
            Choice("unknown", "not recorded: labels whose windows meet it are left out"),
            Choice("silence", "nothing happened: labels stay as they are"),
        ],
        examples=[
            f"{written_day(gap.seconds[0])} to {written_day(gap.seconds[1] - 1)}: {gap.n:,} events "
            f"where {gap.usual:,} are usual, and {n:,} as-of times whose window lies in it"
            for gap, n in gaps.items()
        ],
    )
