"""What the learning curve says, in sentences that claim no more than its intervals.

Every comparison is with the network of the run itself, on the same test customers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from propense.evaluation.formats import format_duration, format_percent, format_signed
from propense.evaluation.records import Interval, LearningPoint, LearningTask
from propense.evaluation.words import both, inside, join_names, metric_name
from propense.words import Text, format_text

Change = Literal["better", "level", "worse", "unknown"]
SIZES: Final = ("small", "base", "large")


def describe_data(shares: Sequence[LearningPoint]) -> list[Text]:
    """Whether more data would help: a headline, the cost, then a sentence a task.

    Only the headline where there is nothing to compare.
    """
    own = next(point for point in shares if point.own)
    lesser = [point for point in shares if point.share < 1]
    if not lesser:
        return [format_text("curve.no_share")]
    before = max(lesser, key=lambda point: point.share)
    changes = {task.key: read_change(before, task.key, reverse=True) for task in own.tasks}
    helped = [task for task in own.tasks if changes[task.key] == "better"]
    share = format_percent(before.share)
    if helped:
        names = join_names([_name(task) for task in helped])
        headline = format_text("curve.data_helps", names=names, share=share)
    elif all(change == "unknown" for change in changes.values()):
        headline = format_text("curve.too_little")
    elif unfair := _unfair(own, before):
        headline = format_text("curve.data_unfair", share=share, reason=unfair)
    else:
        headline = format_text("curve.data_level", share=share)
    lines = [
        _sentence(
            format_text("curve.from_share", share=share, quality=_quality(task)),
            _reversed(before, task.key),
            format_text(f"curve.change_data_{changes[task.key]}"),
        )
        for task in own.tasks
    ]
    return [headline, _cost(own, before, share), *lines]


def describe_depth(sizes: Sequence[LearningPoint]) -> list[Text]:
    """Whether a deeper network would help, or a smaller one do as well.

    A headline, the cost, then for each other size a sentence a task, sizes one after the
    other; the headline alone where there is nothing to compare.
    """
    own = next(point for point in sizes if point.own)
    others = [point for point in sizes if not point.own]
    if not others:
        return [format_text("curve.no_sequence")]
    rank = SIZES.index(own.size)
    near = min(others, key=lambda p: (SIZES.index(p.size) < rank, abs(SIZES.index(p.size) - rank)))
    lines = [
        _sentence(
            format_text("curve.instead", size=point.size, own=own.size, quality=_quality(task)),
            difference_of(point, task.key),
            format_text(f"curve.change_size_{read_change(point, task.key)}"),
        )
        for point in others
        for task in own.tasks
    ]
    headline = _deeper(own, near) if SIZES.index(near.size) > rank else _shallower(own, near)
    return [headline, _cost(near, own, own.size), *lines]


def _unfair(own: LearningPoint, before: LearningPoint) -> Text | None:
    """Why more data could not show what it is worth."""
    if own.cut_short:
        return format_text("curve.cut")
    if own.n_rows == before.n_rows < own.n_rows_available and all(t.goal for t in own.tasks):
        return format_text("curve.row_limit", n=f"{own.n_rows:,}")
    return None


def difference_of(point: LearningPoint, key: str) -> Interval:
    """The task's difference from the run's own network."""
    task = point.task_of(key)
    return task.difference if task is not None else Interval()


def read_change(point: LearningPoint, key: str, reverse: bool = False) -> Change:
    """How `point` does against the run's own network (`reverse`: how that does against it)."""
    task, difference = point.task_of(key), difference_of(point, key)
    if task is None or task.few or difference.low is None or difference.high is None:
        return "unknown"
    if difference.low <= 0 <= difference.high:
        return "level"
    return "better" if (difference.low > 0) != reverse else "worse"


def _reversed(point: LearningPoint, key: str) -> Interval:
    difference = difference_of(point, key)
    if difference.value is None:
        return difference
    low, high = (None if end is None else -end + 0.0 for end in (difference.high, difference.low))
    return Interval(-difference.value + 0.0, low, high)


def _deeper(own: LearningPoint, near: LearningPoint) -> Text:
    changes = {task.key: read_change(near, task.key) for task in own.tasks}
    gained, lost = (
        [task for task in own.tasks if changes[task.key] == change]
        for change in ("better", "worse")
    )
    if all(change == "unknown" for change in changes.values()):
        return format_text("curve.too_little")
    worse = join_names([_name(task) for task in lost]) if lost else both("")
    if gained:
        names = join_names([_name(task) for task in gained])
        if lost:
            return format_text("curve.deeper_mixed", size=near.size, names=names, worse=worse)
        return format_text("curve.deeper_helps", size=near.size, names=names)
    if near.cut_short:
        return format_text("curve.deeper_cut", size=near.size, reason=format_text("curve.cut"))
    if lost:
        return format_text("curve.deeper_worse", size=near.size, names=worse)
    return format_text("curve.deeper_level", size=near.size)


def _shallower(own: LearningPoint, near: LearningPoint) -> Text:
    changes = {task.key: read_change(near, task.key) for task in own.tasks}
    lost = [task for task in own.tasks if changes[task.key] == "worse"]
    if all(change == "unknown" for change in changes.values()):
        return format_text("curve.too_little")
    if lost:
        names = join_names([_name(task) for task in lost])
        return format_text("curve.largest_pays", size=near.size, names=names)
    return format_text("curve.largest_level", size=near.size)


def _cost(point: LearningPoint, other: LearningPoint, name: str) -> Text:
    """The time of the larger of two trainings beside that of the other, called `name`."""
    return format_text(
        "curve.cost",
        a_pass=format_duration(point.seconds_a_pass),
        other_pass=format_duration(other.seconds_a_pass),
        other=name,
        passes=point.passes,
        whole=format_duration(point.seconds),
        other_passes=other.passes,
        other_whole=format_duration(other.seconds),
    )


def _sentence(start: Text, difference: Interval, change: Text) -> Text:
    if difference.value is None:
        return format_text("curve.undefined", start=start)
    if difference.value == 0 == difference.low == difference.high:
        return format_text("curve.unchanged", start=start)
    ends = (
        both("")
        if difference.low is None
        else format_text(
            "curve.ends", low=format_signed(difference.low), high=format_signed(difference.high)
        )
    )
    return format_text(
        "curve.rose" if difference.value >= 0 else "curve.fell",
        start=start,
        by=format_signed(abs(difference.value)).lstrip("+"),
        ends=ends,
        change=change,
    )


def _name(task: LearningTask) -> Text:
    return format_text("curve.the_items") if task.goal is None else both(task.goal)


def _quality(task: LearningTask) -> Text:
    if task.goal is None:
        return format_text("curve.quality_of_items", metric=inside(metric_name(task.metric)))
    return format_text("curve.quality_of_goal", goal=task.goal)
