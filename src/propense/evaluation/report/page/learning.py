"""The section of the learning curve: shares, sizes, and what each cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from propense.evaluation.formats import format_count, format_duration, format_number, format_percent
from propense.evaluation.records import (
    Interval,
    LearningCurve,
    LearningPoint,
    LearningTask,
    Number,
)
from propense.evaluation.report.page.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    WIDTH,
    Plot,
    short,
    svg_text,
)
from propense.evaluation.report.page.goal import care_html, legend_html
from propense.evaluation.report.page.markup import (
    details_html,
    figure_html,
    interval_html,
    section_html,
    table_html,
    text_html,
    words_html,
)
from propense.evaluation.words import both, inside, metric_name
from propense.words import Text, format_text

TALL = 250


@dataclass(frozen=True)
class PlotPoint:
    """One point of a chart: its place, the words below it, its numbers."""

    x: float
    below: tuple[str, str]
    test: Number
    difference: Interval
    validation: Number
    own: bool

    def ends(self, of_run: Number) -> tuple[float, float] | None:
        """The interval of the difference, around the run's own number."""
        low, high = self.difference.low, self.difference.high
        if of_run is None or low is None or high is None:
            return None
        return of_run + low, of_run + high


def curve_section(curve: LearningCurve) -> str:
    """Two questions, a small chart a task each, sentences, and every point in a table."""
    legend = legend_html([("network", format_text("test")), ("rival", format_text("validation"))])
    parts = [care_html([*curve.notes, *cut_short(curve)])]
    questions = (
        ("more_data", curve.data, curve.shares(), _at_share, format_text("share_axis")),
        ("deeper", curve.depth, curve.sizes(), _at_size, format_text("size_axis")),
    )
    for key, sentences, points, position_of, axis in questions:
        body = _sentences(sentences[:2])
        if len(points) > 1:
            positions = [position_of(at, point) for at, point in enumerate(points)]
            tasks = curve.own().tasks
            figures = [
                _figure(task, list(zip(points, positions, strict=True)), axis,
                        sentences[2:][at :: len(tasks)])
                for at, task in enumerate(tasks)
            ]  # fmt: skip
            body += f'<div class="pictures three">{"".join(figures)}</div>'
        parts.append(f'<div class="asked"><h3>{words_html(key)}</h3>{body}</div>')
    lead = words_html("curve_lead", resamples=format_count(curve.resamples))
    parts.append(details_html(format_text("every_point"), _table(curve)))
    return section_html(
        "learning-curve", format_text("learning_curve"), legend + "".join(parts), lead
    )


def _at_share(_at: int, point: LearningPoint) -> tuple[float, tuple[str, str]]:
    return log10(point.share), (format_percent(point.share), format_duration(point.seconds))


def _at_size(at: int, point: LearningPoint) -> tuple[float, tuple[str, str]]:
    return float(at), (point.size, format_duration(point.seconds))


def _sentences(sentences: Sequence[Text]) -> str:
    if not sentences:
        return ""
    inner = "".join(f"<p>{text_html(line)}</p>" for line in sentences)
    return f'<div class="verdict">{inner}</div>'


def _figure(
    task: LearningTask,
    points: Sequence[tuple[LearningPoint, tuple[float, tuple[str, str]]]],
    axis: Text,
    sentences: Sequence[Text],
) -> str:
    title = task_name(task, task.metric)
    dots = []
    for point, (x, below) in points:
        task_numbers = point.task_of(task.key)
        if task_numbers is not None:
            numbers = task_numbers.test.get(task.metric), task_numbers.validation.get(task.metric)
            dots.append(
                PlotPoint(x, below, numbers[0], task_numbers.difference, numbers[1], point.own)
            )
    note = "<br>".join(text_html(line) for line in sentences)
    return figure_html(title, curve_svg(dots, axis, title), note)


def task_name(task: LearningTask, metric: str) -> Text:
    """A task and what it is measured by, in words."""
    subject = both(task.goal) if task.goal is not None else format_text("items_goal")
    name = metric_name(metric)
    return format_text("task_metric", task=subject, metric=Text(inside(name).en, name.zh))


def curve_svg(dots: Sequence[PlotPoint], axis: Text, label: Text) -> str:
    """Quality on test with the interval of the difference from the run, and on validation."""
    of_run = next((dot.test for dot in dots if dot.own), None)
    ends = [dot.ends(of_run) for dot in dots]
    values = [v for dot in dots for v in (dot.test, dot.validation) if v is not None]
    values += [end for pair in ends if pair is not None for end in pair]
    if not values:
        return ""
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.5
    xs = [dot.x for dot in dots]
    wide = 0.08 * ((max(xs) - min(xs)) or 1)
    plot = Plot(min(xs) - wide, max(xs) + wide, low - pad, high + pad, height=TALL)
    body = [_frame(plot, dots, axis)]
    body.append(plot.line(xs, [dot.validation for dot in dots], "rival"))
    body.append(plot.line(xs, [dot.test for dot in dots], "network"))
    for dot, pair in zip(dots, ends, strict=True):
        x = plot.x(dot.x)
        if pair is not None:
            body.append(
                f'<line class="range thin network" x1="{x}" x2="{x}" y1="{plot.y(pair[0])}" '
                f'y2="{plot.y(pair[1])}"/>'
            )
        if dot.test is not None:
            size = 5.5 if dot.own else 4
            body.append(
                f'<circle class="dot network" cx="{x}" cy="{plot.y(dot.test)}" r="{size}">'
                f"<title>{' · '.join(dot.below)}: {format_number(dot.test)}</title></circle>"
            )
    return plot.svg("".join(body), label)


def _frame(plot: Plot, dots: Sequence[PlotPoint], axis: Text) -> str:
    """Grid lines of the numbers; below each point its share or size, and its seconds."""
    parts = plot.grid(short)
    bottom = plot.height - BOTTOM
    parts.append(
        f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
    )
    for dot in dots:
        for line, word in enumerate(dot.below):
            parts.append(
                f'<text class="tick" x="{plot.x(dot.x)}" y="{bottom + 14 + 13 * line}" '
                f'text-anchor="middle">{word}</text>'
            )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(svg_text(axis, middle, plot.height - 2, "name", "middle"))
    return "".join(parts)


def cut_short(curve: LearningCurve) -> list[Text]:
    """Said where [train] max_minutes ended a training, which then shows less than it may."""
    names = [f"{p.size} {format_percent(p.share)}" for p in curve.points if p.cut_short]
    return [format_text("cut_short", points=", ".join(names))] if names else []


def _table(curve: LearningCurve) -> str:
    keys = ("size", "share", "users", "rows", "events", "parameters", "passes", "training_time")
    head = [words_html(key) for key in keys]
    tasks = curve.own().tasks
    shown = [(task, metric) for task in tasks for metric in task.test]
    head += [text_html(task_name(task, metric)) for task, metric in shown]
    rows: list[list[str]] = []
    for point in curve.points:
        size: str = f"<b>{point.size}</b>" if point.own else point.size
        rows_read = format_count(point.n_rows)
        if point.n_rows < point.n_rows_available:
            rows_read += f"<small>/ {format_count(point.n_rows_available)}</small>"
        took = f"{format_duration(point.seconds)}<small>"
        took += f"{words_html('a_pass', seconds=format_duration(point.seconds_a_pass))}</small>"
        passes = f"{point.passes}<small>{words_html('best_of', best=str(point.best_pass))}</small>"
        cells = [
            size, format_percent(point.share), format_count(point.n_users), rows_read,
            format_count(point.n_events), format_count(point.n_parameters), passes, took,
        ]  # fmt: skip
        cells += [_cell(point.task_of(task.key), metric) for task, metric in shown]
        rows.append(cells)
    return table_html(head, rows, format_text("every_point"), wide=True)


def _cell(task: LearningTask | None, metric: str) -> str:
    """Test with validation below; the difference from the run where it was taken."""
    if task is None:
        return "–"
    checked = words_html("on_validation", value=format_number(task.validation.get(metric)))
    gap = ""
    if metric == task.metric and task.difference.value is not None:
        gap = f"<small>Δ {interval_html(task.difference)}</small>"
    return f"{format_number(task.test.get(metric))}<small>{checked}</small>{gap}"
