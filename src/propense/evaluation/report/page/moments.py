"""The test part of a goal by as-of time."""

from __future__ import annotations

from propense.evaluation.formats import format_count, format_day, format_number, format_percent
from propense.evaluation.kinds import KINDS
from propense.evaluation.records import GoalReport, Moment
from propense.evaluation.report.page.markup import figure_html, table_html, text_html, words_html
from propense.evaluation.words import metric_name, model_name
from propense.words import format_text


def moments_html(goal: GoalReport) -> str:
    """Rows, rate and criterion of the network, the champion and the best rival; empty where the
    rows have no time or a single one."""
    if not goal.moments or goal.n_moments is None:
        return ""
    kind = KINDS[goal.kind]
    models = list(goal.moments[0].criterion)
    criterion = metric_name(goal.champion.criterion)
    head = [words_html("as_of_time"), words_html("rows"), words_html("users")]
    head.append(text_html(metric_name(kind.rate_metric)))
    head += [f"{text_html(criterion)}<br>{text_html(model_name(model))}" for model in models]
    rows = []
    for moment in goal.moments:
        rate = format_percent(moment.rate) if kind.rate_is_share else format_number(moment.rate)
        cells = [days(moment), format_count(moment.n_rows), format_count(moment.n_users), rate]
        cells += [format_number(moment.criterion[model]) for model in models]
        rows.append(cells)
    title = format_text("by_moment")
    lead = words_html("by_moment_lead", n=str(goal.n_moments))
    return figure_html(title, table_html(head, rows, title, wide=True), lead, kind="full")


def days(moment: Moment) -> str:
    """The day of a moment, or the first and last of a stretch of them."""
    ends = dict.fromkeys(format_day(at) for at in (moment.first, moment.last))
    return " – ".join(ends)
