"""The test part of a goal by as-of time."""

from __future__ import annotations

from propense.evaluation.formats import format_count, format_day, format_number, format_percent
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import GoalReport, Stretch
from propense.evaluation.report.page.markup import figure_html, table_html, text_html, words_html
from propense.evaluation.words import metric_name, model_name
from propense.words import format_text


def by_as_of_html(goal: GoalReport) -> str:
    """Rows, rate and criterion of the network, the champion and the best rival; empty where the
    rows have no time or a single one."""
    if not goal.by_as_of or goal.n_as_of is None:
        return ""
    kind = KINDS[goal.kind]
    models = list(goal.by_as_of[0].criterion)
    criterion = metric_name(goal.champion.criterion)
    head = [words_html("as_of_time"), words_html("rows"), words_html("users")]
    head.append(text_html(metric_name(kind.rate_metric)))
    head += [f"{text_html(criterion)}<br>{text_html(model_name(model))}" for model in models]
    rows = []
    for stretch in goal.by_as_of:
        rate = format_percent(stretch.rate) if kind.rate_is_share else format_number(stretch.rate)
        cells = [days(stretch), format_count(stretch.n_rows), format_count(stretch.n_users), rate]
        cells += [format_number(stretch.criterion[model]) for model in models]
        rows.append(cells)
    title = format_text("by_as_of")
    lead = words_html("by_as_of_lead", n=str(goal.n_as_of))
    return figure_html(title, table_html(head, rows, title, wide=True), lead, kind="full")


def days(stretch: Stretch) -> str:
    """The day of a stretch, or the first and last of a stretch of them."""
    ends = dict.fromkeys(format_day(at) for at in (stretch.first, stretch.last))
    return " – ".join(ends)
